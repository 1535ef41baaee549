"""Text files, compressed where their name says so, that are whole or absent."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from kgdyn._atomic import replacing

__all__ = ["text_file"]


@contextmanager
def text_file(path: str | PathLike[str]) -> Iterator[Any]:
    """A file to write text to; it takes its name when all is written. ``.gz`` is compressed."""
    path = Path(path)
    with replacing(path) as partial:
        if path.suffix == ".gz":
            with gzip.open(partial, "wt", encoding="utf-8", newline="\n") as file:
                yield file
        else:
            with partial.open("w", encoding="utf-8", newline="\n") as file:
                yield file
