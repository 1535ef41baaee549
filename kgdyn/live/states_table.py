"""A CSV table with a line a frame, to look at while the simulation runs."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kgdyn.live._appended_text import AppendedText
from kgdyn.live.stream import LiveFrame, LiveStates, StreamInfo

if TYPE_CHECKING:
    from kgdyn.koopman import RunningKoopman

__all__ = ["StatesTable"]


class StatesTable:
    """Step, time, populations and the largest novelty of each frame.

    Columns ``step``, ``time_ps`` (empty where it is not known), ``new_segment`` (1 if frames are
    missing before this one), ``population_1`` ... (mean state probabilities over the targets of
    this frame), ``novelty_max`` (empty if it is not known). A line is in the file when ``write``
    returns. An existing table is appended to: a half line, of a process that was killed, is cut
    off, and frames up to the last step in it are not written again.

    Parameters
    ----------
    path : path

    Raises
    ------
    ValueError
        In ``open``, if the file holds another table.
    OSError
        In ``write``, naming the file, for example if the disk is full.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self._file: AppendedText | None = None
        self._known_until: int | None = None

    def open(self, info: StreamInfo, n_states: int, statistics: RunningKoopman) -> None:
        populations = [f"population_{number + 1}" for number in range(n_states)]
        header = ",".join(["step", "time_ps", "new_segment", *populations, "novelty_max"])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = not self.path.exists() or self.path.stat().st_size == 0
        self._known_until = None if new else self._cut(header)
        self._file = AppendedText(self.path)
        if self.path.stat().st_size == 0:
            self._file.write(header + "\n")

    def write(self, states: LiveStates, frame: LiveFrame, statistics: RunningKoopman) -> None:
        if self._file is None:
            raise OSError(f"{self.path}: is not open")
        if self._known_until is not None:
            if states.step <= self._known_until:
                return
            self._known_until = None
        populations = np.asarray(states.state_probabilities, np.float64).mean(axis=0)
        fields = [
            str(states.step),
            "" if states.time is None else f"{states.time:.12g}",
            str(int(states.new_segment)),
            *(f"{value:.8g}" for value in populations),
            "" if states.novelty is None else f"{float(np.max(states.novelty)):.6g}",
        ]
        self._file.write(",".join(fields) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _cut(self, header: str) -> int | None:
        """Cut a half line off; the last step of the table, or None."""
        with self.path.open("rb+") as file:
            first = file.readline()
            if not f"{header}\n".encode().startswith(first):
                raise ValueError(
                    f"{self.path}: holds another table: the first line must be {header!r}, "
                    f"received {first.decode(errors='replace').rstrip()[:200]!r}"
                )
            if not first.endswith(b"\n"):
                file.truncate(0)
                return None
            whole, last = file.tell(), b""
            for line in file:
                if line.endswith(b"\n"):
                    whole, last = whole + len(line), line
            file.truncate(whole)
            file.flush()
            os.fsync(file.fileno())
        if not last:
            return None
        try:
            return int(last.split(b",")[0])
        except ValueError as error:
            raise ValueError(f"{self.path}: the last line has no step: {last!r}") from error

    def __repr__(self) -> str:
        return f"StatesTable({str(self.path)!r})"
