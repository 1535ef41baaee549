"""Room on the disk for what is going to be written, taken before it is written.

HDF5 does not survive a write that fails: it keeps what it could not write, fails again at every
later call, and may end the process with a segmentation fault at its exit. So blocks of the disk
are asked for first, and a full disk, a quota or a limit on the file's size is met there.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

__all__ = ["ReservedSpace"]

_BLOCK = 1 << 18


class ReservedSpace:
    """Keeps a file longer than what is in it.

    Parameters
    ----------
    path : Path
        Of a file that another descriptor writes.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR)

    def reserve(self, end: int) -> None:
        """Make sure that the bytes before ``end`` can be written.

        Raises
        ------
        OSError
            ENOSPC, EDQUOT or EFBIG, with nothing changed.
        """
        size = os.fstat(self._descriptor).st_size
        if end <= size:
            return
        if not hasattr(os, "posix_fallocate"):  # macOS: a look has to do
            disk = os.fstatvfs(self._descriptor)
            if disk.f_bavail * disk.f_frsize < end - size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return
        try:
            os.posix_fallocate(self._descriptor, size, end - size + _BLOCK)
        except OSError:
            os.posix_fallocate(self._descriptor, size, end - size)

    def release(self, end: int | None = None) -> None:
        """Give back what is beyond ``end``, if given; nobody may write the file any more."""
        try:
            if end is not None and end < os.fstat(self._descriptor).st_size:
                os.ftruncate(self._descriptor, end)
        finally:
            os.close(self._descriptor)
