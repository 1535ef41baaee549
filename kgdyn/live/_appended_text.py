"""Text that is on disk once it was written, and an error that names the file if it is not."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["AppendedText"]


class AppendedText:
    """A text file to append to; nothing is held in memory.

    Parameters
    ----------
    path : Path

    Raises
    ------
    OSError
        In ``write``, naming the file, for example if the disk is full. What had been written of
        this text is cut off again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab", buffering=0)

    def write(self, text: str) -> None:
        data = text.encode("ascii")
        begin = os.fstat(self._file.fileno()).st_size
        done = 0
        try:
            while done < len(data):  # a disk that is nearly full takes a part
                done += self._file.write(data[done:]) or 0
        except OSError as error:
            if done:
                self._file.truncate(begin)
            raise OSError(
                error.errno,
                f"{self.path}: cannot be written: {error.strerror}; what was written before is "
                "in the file",
            ) from error

    def close(self) -> None:
        self._file.close()
