"""Growing files that follow each other: ``dump.*.lammpstrj``, one a snapshot or one a run."""

from __future__ import annotations

import os
import re
from pathlib import Path

from kgdyn.trajectories._growing_file import GrowingFile

__all__ = ["FileSeries"]


class FileSeries:
    """The files of a pattern as one stream, with the methods of GrowingFile.

    They follow each other in the order of the numbers in their names. A file is left when a
    later one is there and it has no more bytes; a file that sorts before it is then not seen.

    Parameters
    ----------
    pattern : path with ``*`` in its last part.

    Raises
    ------
    ValueError
        For ``*`` in the name of a folder.
    """

    def __init__(self, pattern: Path) -> None:
        if "*" in str(pattern.parent):
            raise ValueError(f"path: * may only stand in the name of the file, received {pattern}")
        self._folder = pattern.parent
        self._pattern = re.compile(".*".join(map(re.escape, pattern.name.split("*"))), re.DOTALL)
        self.path = pattern
        self.found = False
        self._current: GrowingFile | None = None
        self._later: list[str] = []  # the last first

    def refresh(self) -> None:
        """Look for later files; only then at the current one, which is complete if there are."""
        if not self._later:
            self._later = self._list()
        if self._current is None:
            self._next_file()
        else:
            self._current.refresh()

    def read(self) -> bytes:
        return b"" if self._current is None else self._current.read()

    def switch(self) -> bool:
        if self._current is None:
            return False
        return self._current.switch() or self._next_file()

    def close(self) -> None:
        if self._current is not None:
            self._current.close()

    def _next_file(self) -> bool:
        while self._later:
            file = GrowingFile(self._folder / self._later.pop())
            file.refresh()
            if file.found:  # else it was removed meanwhile
                self.close()
                self._current, self.path, self.found = file, file.path, True
                return True
        return False

    def _list(self) -> list[str]:
        """Names behind the current one, the last first."""
        behind = None if self._current is None else _key(self.path.name)
        try:
            with os.scandir(self._folder) as entries:
                names = [entry.name for entry in entries if self._pattern.fullmatch(entry.name)]
        except FileNotFoundError:
            return []
        keyed = [(_key(name), name) for name in names]
        found = [item for item in keyed if behind is None or item[0] > behind]
        return [name for _, name in sorted(found, reverse=True)]


def _key(name: str) -> tuple[list[str | int], str]:
    """Numbers as numbers: run.9 stands before run.10."""
    parts: list[str | int] = list(re.split(r"(\d+)", name))
    parts[1::2] = [int(part) for part in parts[1::2]]
    return parts, name
