"""One writer a file."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import IO

__all__ = ["FileLock"]


class FileLock:
    """A lock that ends with the process that holds it, also when that is killed.

    Held on a file beside the one that is written: HDF5 has locks of its own on that.

    Parameters
    ----------
    path : Path
        What is locked; the lock is ``.NAME.lock`` in its folder.

    Raises
    ------
    OSError
        If another writer holds it; names the process.
    """

    def __init__(self, path: Path) -> None:
        self._beside = path.with_name(f".{path.name}.lock")
        self._file: IO[str] | None = None
        while self._file is None:
            file = self._beside.open("a+", encoding="utf-8")
            try:
                _lock(file)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip() or "another process"
                file.close()
                raise OSError(
                    f"{path}: is being written by {holder}; two writers would spoil it"
                ) from error
            if _is_at(file, self._beside):
                self._file = file
            else:  # its last holder has removed it since it was opened
                file.close()
        self._file.truncate(0)
        self._file.write(f"process {os.getpid()} on {socket.gethostname()}")
        self._file.flush()

    def release(self) -> None:
        """Let others write; may be called twice."""
        if self._file is not None:
            self._beside.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def _lock(file: IO[str]) -> None:
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except (ImportError, OSError):  # a system or a disk without such locks
        return


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
