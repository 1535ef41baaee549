"""The text of a LAMMPS dump, plain or gzip, frame by frame, without holding more than a few."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import cast

from kgdyn.trajectories._dump_header import DumpError, parse_header

__all__ = ["FrameText", "cut_short", "frame_texts", "row_number"]

_PIECE = 1 << 20  # bytes read at once
_START = b"ITEM: TIMESTEP"
# LAMMPS writes the time and the units in front of ITEM: TIMESTEP.
_PREAMBLE = re.compile(rb"^(?:ITEM: (?:UNITS|TIME)[ \t\r]*\n[^\n]*\n\s*)+\Z", re.MULTILINE)
_LONGEST_PREAMBLE = 256


@dataclass(frozen=True)
class FrameText:
    """One frame's bytes: its number, where it starts in the (decompressed) file, and whether
    nothing follows. ``damage`` is what stopped the decompression, if anything did."""

    number: int
    offset: int
    data: bytes
    last: bool = False
    damage: str = ""


def _open(path: Path) -> BufferedReader:
    with open(path, "rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return cast(BufferedReader, gzip.open(path)) if compressed else open(path, "rb")


def frame_texts(path: Path, number: int = 0, offset: int = 0) -> Iterator[FrameText]:
    """Yield the frames from ``number`` on, which starts at byte ``offset``.

    A frame runs from its ITEM: TIMESTEP (or the time and units in front of it) to the next one
    at the start of a line, whatever stands between.
    """
    with _open(path) as file:
        file.seek(offset)
        buffer = bytearray()
        scanned, has_start, damage = 0, False, ""
        while True:
            try:
                piece = file.read1(_PIECE)  # read() would lose what stands before damage
            except (EOFError, OSError, zlib.error) as error:
                piece, damage = b"", str(error)
            if not piece:
                break
            buffer += piece
            while (found := buffer.find(_START, scanned)) >= 0:
                scanned = found + len(_START)
                if found > 0 and buffer[found - 1] != 10:
                    continue
                if not has_start:  # the current frame's own
                    has_start = True
                    continue
                border = _start_of_preamble(buffer, found)
                yield FrameText(number, offset, bytes(memoryview(buffer)[:border]))
                del buffer[:border]
                number, offset, scanned = number + 1, offset + border, scanned - border
            scanned = max(scanned, len(buffer) - len(_START))
    yield from _last_texts(number, offset, bytes(buffer), damage)


def _start_of_preamble(buffer: bytearray, start: int) -> int:
    first = max(0, start - _LONGEST_PREAMBLE)
    found = _PREAMBLE.search(bytes(memoryview(buffer)[first:start]))
    return start if found is None else first + found.start()


def _last_texts(number: int, offset: int, data: bytes, damage: str) -> Iterator[FrameText]:
    """The last frame, parted from a header behind it that was cut before it said TIMESTEP."""
    rows = data.find(b"ITEM: ATOMS")
    border = data.find(b"\nI", rows) + 1 if rows >= 0 else 0
    if border and (data.startswith(b"ITEM", border) or b"ITEM".startswith(data[border:])):
        yield FrameText(number, offset, data[:border])
        number, offset, data = number + 1, offset + border, data[border:]
    if data.strip() or damage:
        yield FrameText(number, offset, data, last=True, damage=damage)


def cut_short(text: FrameText) -> DumpError | None:
    """Why the last frame of a file is incomplete; None if it is complete."""
    end = len(text.data)
    if text.damage:
        return DumpError(end, f"the compressed file is damaged or cut ({text.damage})")
    try:
        header = parse_header(text.data)
    except DumpError as error:
        return error if error.ended else None
    n_rows = sum(1 for line in text.data[header.size :].split(b"\n") if line.strip())
    if n_rows < header.n_atoms:
        return DumpError(end, f"the file ends after {n_rows} of {header.n_atoms} atoms")
    if not text.data.endswith(b"\n"):
        return DumpError(end, "the file ends within a line, so that its last number may be cut")
    return None


def row_number(path: Path, offset: int) -> int:
    """The line, counted from 1, that byte ``offset`` of the (decompressed) file stands in."""
    row = 1
    with _open(path) as file:
        try:
            while offset > 0 and (piece := file.read1(min(_PIECE, offset))):
                row += piece.count(b"\n")
                offset -= len(piece)
        except (EOFError, OSError, zlib.error):
            pass  # as far as it can be read
    return row
