"""Text files line by line, plain or gzip, that know their row and notice when they were cut."""

from __future__ import annotations

import gzip
import zlib
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TextIO, cast

__all__ = ["LineReader", "is_cut_number"]


class LineReader:
    """Lines of a text file with their number.

    Attributes
    ----------
    row : int
        Number of lines read so far: the row (counted from 1) of the last line read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.row = 0
        open_text = gzip.open if path.suffix == ".gz" else open
        self._file = cast(TextIO, open_text(path, "rt"))

    def line(self) -> str:
        """The next line with its line end, "" at the end of the file."""
        lines = self.lines(1)
        return lines[0] if lines else ""

    def lines(self, n_lines: int) -> list[str]:
        """Up to ``n_lines`` further lines; fewer at the end of the file."""
        lines: list[str] = []
        try:
            lines.extend(islice(self._file, n_lines))
        except (EOFError, OSError, zlib.error, UnicodeDecodeError) as error:
            raise ValueError(
                f"{self.path}, after row {self.row + len(lines)}: the file cannot be read further: "
                f"{error}"
            ) from error
        self.row += len(lines)
        return lines

    def __enter__(self) -> LineReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()


def is_cut_number(line: str, line_before: str) -> bool:
    """Whether a file's last line lost the end of its last number.

    A row without a line end may be what an editor left or what a full disk cut; writers give
    the numbers of one column the same decimals, so fewer of them tell the two apart.
    """
    if line.endswith("\n"):
        return False
    return _decimals(line) < _decimals(line_before)


def _decimals(line: str) -> int:
    tokens = line.split()
    return len(tokens[-1].partition(".")[2]) if tokens else 0
