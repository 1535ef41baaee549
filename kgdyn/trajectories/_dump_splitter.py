"""Parting the text of a dump into frames while it is being written.

A reader of a finished file takes all between two headers for a frame, and then says what is
wrong with it. Here nobody waits for the next header: a frame is complete with its last row's
line end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.trajectories._dump_frames import FrameText
from kgdyn.trajectories._dump_header import DumpError, Header, parse_header

__all__ = ["CutFrame", "FrameSplitter"]

_START = b"ITEM: TIMESTEP"
# LAMMPS writes the units and the time in front of the step.
_PREAMBLE = re.compile(rb"ITEM: (?:UNITS|TIME)[ \t\r]*\n")
_ATOMS = re.compile(rb"ITEM: ATOMS[^\n]*\n")
_LONGEST_HEADER = 1 << 16
_USUAL_HEADER = 1 << 11
_SHORTEST_ROW = 5  # "1 1 1"


@dataclass(frozen=True)
class CutFrame:
    """A frame whose writer died in the middle: another one follows at once."""

    number: int
    rule: str


class FrameSplitter:
    """Takes pieces of text, gives complete frames.

    Attributes
    ----------
    number : int
        Of the frame that is given next, from 0.
    row : int
        The line of the file, from 1, that the frame given last starts at.
    """

    def __init__(self) -> None:
        self.number = 0
        self.row = 1
        self._next_row = 1
        self._buffer = bytearray()
        self._start = 0  # of the frame to come, in the buffer
        self._offset = 0  # of the buffer, in the file
        self._line_ends: NDArray[np.int64] = np.zeros(0, np.int64)
        self._header: Header | None = None
        self._searched = 0

    def feed(self, data: bytes) -> Iterator[FrameText | CutFrame]:
        """Yield the frames that are complete with these bytes.

        Raises
        ------
        DumpError
            For what is no header; its frame is then the attribute ``rest``.
        """
        ends = np.flatnonzero(np.frombuffer(data, np.uint8) == 10) + len(self._buffer)
        self._line_ends = np.concatenate([self._line_ends, ends])
        self._buffer += data
        while (found := self._next()) is not None:
            yield found
        del self._buffer[: self._start]
        self._line_ends = self._line_ends[np.searchsorted(self._line_ends, self._start) :]
        self._line_ends -= self._start
        self._offset += self._start
        self._searched = max(self._searched - self._start, 0)
        self._start = 0

    @property
    def rest(self) -> FrameText:
        """What has come of the next frame."""
        data = bytes(memoryview(self._buffer)[self._start :])
        return FrameText(self.number, self._offset + self._start, data, last=True)

    def _next(self) -> FrameText | CutFrame | None:
        if self._header is None:
            found = self._parse()
            if isinstance(found, CutFrame):
                return found
            if found is None:
                return None
            self._header, self._searched = found, 0
        first_row = self._start + self._header.size
        end = self._end_of_rows(first_row, self._header.n_atoms)
        begin = max(first_row, self._searched - len(b"ITEM:"))
        cut = self._buffer.find(b"ITEM:", begin, len(self._buffer) if end is None else end)
        if cut >= 0:
            n_rows = self._buffer.count(b"\n", first_row, cut)
            rule = f"the frame ends after {n_rows} of {self._header.n_atoms} atoms"
            return self._cut_at(cut, rule)
        self._searched = len(self._buffer)
        if end is None:
            return None
        data = bytes(memoryview(self._buffer)[self._start : end])
        text = FrameText(self.number, self._offset + self._start, data)
        self._go_on_at(end)
        return text

    def _parse(self) -> Header | CutFrame | None:
        """The header of the frame to come, None if it is not complete."""
        available = len(self._buffer) - self._start
        for length in (_USUAL_HEADER, _LONGEST_HEADER):
            window = bytes(memoryview(self._buffer)[self._start : self._start + length])
            again = _begins_again(window)
            if again is not None:
                return self._cut_at(self._start + again, "the frame ends within its header")
            try:
                return parse_header(window)
            except DumpError as error:
                if length < min(available, _LONGEST_HEADER):
                    continue
                unfinished = error.ended or _begins_again(window + _START) is not None
                if unfinished and available < _LONGEST_HEADER:
                    return None
                self.row = self._next_row
                raise
        return None

    def _end_of_rows(self, first_row: int, n_atoms: int) -> int | None:
        """Where the frame's last row ends; None if it is not there yet."""
        first = int(np.searchsorted(self._line_ends, first_row))
        n_lines = n_atoms
        while first + n_lines <= len(self._line_ends):
            ends = self._line_ends[first : first + n_lines]
            starts = np.concatenate([[first_row], ends[:-1] + 1])
            short = np.flatnonzero(ends - starts < _SHORTEST_ROW)
            n_blank = sum(not self._buffer[starts[i] : ends[i]].strip() for i in short.tolist())
            if n_lines == n_atoms + n_blank:
                return int(ends[-1]) + 1
            n_lines = n_atoms + n_blank
        return None

    def _cut_at(self, place: int, rule: str) -> CutFrame:
        cut = CutFrame(self.number, rule)
        self._go_on_at(place)
        return cut

    def _go_on_at(self, place: int) -> None:
        self.row = self._next_row
        self._next_row += self._buffer.count(b"\n", self._start, place)
        self._start, self._header = place, None
        self.number += 1


def _begins_again(window: bytes) -> int | None:
    """Where another header begins before this one has reached its end."""
    first = window.find(_START)
    again = window.find(_START, first + 1)
    if first < 0 or again < 0 or not window.lstrip().startswith(b"ITEM:"):
        return None
    columns = _ATOMS.search(window, first)
    if columns is not None and columns.end() <= again:
        return None
    preamble = _PREAMBLE.search(window, first, again)
    return again if preamble is None else preamble.start()
