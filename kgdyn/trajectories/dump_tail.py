"""Follow a LAMMPS text dump while LAMMPS, or whatever copies it here, is writing it.

The follower only reads. Nothing that happens to it reaches the simulation, and nothing that
happens to the simulation (killed in the middle of a frame, started again, its file moved away)
ends it without a word.

>>> tail = DumpTail("dump.lammpstrj", elements=["Li", "S"], timestep=0.001)  # doctest: +SKIP
>>> for chunk in tail:  # doctest: +SKIP
...     print(chunk.steps[0], chunk.positions.shape)
"""

from __future__ import annotations

import itertools
import os
import time
import warnings
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.trajectories._dump_frames import FrameText, cut_short
from kgdyn.trajectories._dump_header import DumpError, Header
from kgdyn.trajectories._dump_reader import DumpReader, check_dump_options, refuse
from kgdyn.trajectories._dump_splitter import CutFrame, FrameSplitter
from kgdyn.trajectories._file_series import FileSeries
from kgdyn.trajectories._growing_file import GrowingFile
from kgdyn.trajectories.source import FrameChunk
from kgdyn.trajectories.topology import Topology

__all__ = ["DumpTail"]

_LONGEST_SLEEP = 0.1  # s
# The first distance may be odd: `dump_modify first yes` writes a step off the grid.
_FRAMES_FOR_INTERVAL = 3


class _Found(NamedTuple):
    """A complete frame's text, and where it stood: file and line."""

    text: FrameText
    header: Header
    path: Path
    row: int


class DumpTail:
    """The frames of a growing LAMMPS text dump (plain or gzip), each once it is complete.

    An iterator of :class:`FrameChunk`, one frame each, equal to those of ``LAMMPSDump`` of the
    finished file. It waits for the file, for its first frame and for the next ones, and ends
    only as asked to: with ``once``, ``idle_timeout``, ``until`` or ``stop()``.

    - A run that was started again and appends: its steps are handed on as they are, also those
      that come a second time. A frame that the run before left unfinished is left out, with a
      warning.
    - The file is replaced, or truncated and written anew: reading goes on at its new start,
      after what was still written into the old one. A copy that goes on (rsync) is read on.
    - ``dump.*.lammpstrj``: all such files in the order of the numbers in their names, one a
      snapshot or one a run. A file whose number is not beyond the last one's is not read.

    Parameters
    ----------
    path : path, or path with ``*`` in the file's name.
    elements, types, timestep, frame_interval, units, pbc : as in LAMMPSDump.
    topology : Topology, optional
        Of the same atoms, instead of ``elements``; selections then know what it knows.
    poll : float, s
        Time between two looks at the file.
    idle_timeout : float, s, optional
        End when the file has not grown for so long, or has not appeared.
    once : bool
        Read what is there and end.
    until : callable, optional
        Asked at each look whether nothing will be written any more, for example
        ``lambda: process.poll() is not None``; then the rest is read, and that is all.
    after_step : int, optional
        Frames up to this step are passed over without reading their rows.

    Attributes
    ----------
    source : str
    n_read : int
        Complete frames so far, those passed over included.
    after_step : int or None
        May be changed.
    universe : of ``topology``, else None.

    Raises
    ------
    ValueError
        For wrong arguments; while iterating, for a frame that breaks a rule (another number of
        atoms, of types, of columns ...), naming file, frame (from 0) and row (from 1).
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        elements: Sequence[str | int] | Mapping[str, str | int] | None = None,
        timestep: float | None = None,
        frame_interval: float | None = None,
        types: ArrayLike | None = None,
        units: str | None = None,
        pbc: ArrayLike | None = None,
        topology: Topology | None = None,
        poll: float = 0.5,
        idle_timeout: float | None = None,
        once: bool = False,
        until: Callable[[], bool] | None = None,
        after_step: int | None = None,
    ) -> None:
        check_dump_options(frame_interval, timestep, units)
        for name, value in (("poll", poll), ("idle_timeout", idle_timeout)):
            if value is not None and not (np.isfinite(value) and value > 0.0):
                raise ValueError(f"{name} must be a positive time in seconds, received {value}")
        self.source = os.fspath(path)
        if "%" in Path(path).name and not Path(path).exists():
            raise ValueError(
                f"{self.source}: a dump with % is one piece for each processor; write one file "
                "(without %) to follow it"
            )
        if topology is not None and elements is not None:
            raise ValueError("elements and topology: pass one of them, the topology has elements")
        series = "*" in Path(path).name and not Path(path).exists()
        self._file = FileSeries(Path(path)) if series else GrowingFile(Path(path))
        self._topology = topology
        self.universe: Any = None if topology is None else topology.universe
        if topology is not None:
            elements = topology.elements_of_types()
        self._options: dict[str, Any] = {
            "elements": elements, "types": types, "units": units, "timestep": timestep, "pbc": pbc,
        }  # fmt: skip
        self._timestep, self._frame_interval = timestep, frame_interval
        self._poll, self._idle_timeout = poll, idle_timeout
        self._once, self._until = once, until
        self.after_step = after_step
        self.n_read = 0
        self.named_elements = True
        self._stopped = False
        self._splitter = FrameSplitter()
        self._texts = self._follow()
        self._grown = time.monotonic()
        self._at = (Path(path), 1)  # what messages name: file, and line of the frame's start
        self._held: deque[_Found] = deque()
        self._start: tuple[DumpReader, list[Header]] | None = None

    # --- what the first frame tells: asking for it waits for it ------------------------------

    @property
    def species(self) -> NDArray[np.int32]:
        """(n_atoms,) atomic numbers or bead types, by ascending id."""
        return self._reader.species

    @property
    def pbc(self) -> NDArray[np.bool_]:
        return self._reader.pbc

    @property
    def atom_ids(self) -> NDArray[np.int64]:
        return self._reader.atom_ids

    @property
    def type_labels(self) -> tuple[str, ...] | None:
        return self._reader.type_labels

    @property
    def n_frames(self) -> int | None:
        """Nobody knows."""
        return None

    @property
    def frame_interval(self) -> float | None:
        """Time between frames in ps, from the first three; None if neither user nor file says."""
        if self._frame_interval is not None:
            return self._frame_interval
        unit = self._reader.time_unit
        pair = None if self._timestep is None and unit is None else self._regular_pair()
        if pair is None:
            return None
        first, second = pair
        if self._timestep is not None:
            return (second.step - first.step) * self._timestep
        if first.time is None or second.time is None or unit is None or second.time <= first.time:
            return None
        return (second.time - first.time) * unit

    @property
    def steps_per_frame(self) -> int | None:
        """Steps between frames, from the first three, for which it waits."""
        pair = self._regular_pair()
        return None if pair is None else pair[1].step - pair[0].step

    def _regular_pair(self) -> tuple[Header, Header] | None:
        """The last two of the first frames that follow each other; None without."""
        if self._start is None or len(self._start[1]) < _FRAMES_FOR_INTERVAL:
            self._hold(_FRAMES_FOR_INTERVAL)
        headers = [] if self._start is None else self._start[1]
        pairs = [pair for pair in itertools.pairwise(headers) if pair[1].step > pair[0].step]
        return pairs[-1] if pairs else None

    # --- frames ------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[FrameChunk]:
        return self

    def __next__(self) -> FrameChunk:
        while True:
            self._hold(1)
            if self._stopped or not self._held:
                self._file.close()
                raise StopIteration
            found = self._held.popleft()
            if self.after_step is not None and found.header.step <= self.after_step:
                continue
            self._at = (found.path, found.row)
            try:
                self._reader.source = str(found.path)
                return self._reader.read([(found.text, found.header)])
            except Exception:
                self._file.close()
                raise

    def chunks(self, frames_per_chunk: int = 1) -> Iterator[FrameChunk]:
        """The frames one by one, whatever is asked for: nobody waits for a chunk to fill."""
        yield from self

    def stop(self) -> None:
        """End the iteration; may be called from another thread or a signal handler."""
        self._stopped = True

    def close(self) -> None:
        """Let go of the file."""
        self.stop()
        self._file.close()

    def __enter__(self) -> DumpTail:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- inside ------------------------------------------------------------------------------

    @property
    def _reader(self) -> DumpReader:
        if self._start is None:
            self._hold(1)
        if self._start is None:
            why = "it was stopped" if self._stopped else "the file is empty or too short"
            if not self._file.found:
                why = "there is no such file"
            self._file.close()
            raise ValueError(f"{self.source}: no complete frame has come: {why}")
        return self._start[0]

    def _hold(self, n_frames: int) -> None:
        """Wait for frames, and keep them for the iteration."""
        try:
            while len(self._held) < n_frames and (text := next(self._texts, None)) is not None:
                self._at = (self._file.path, self._splitter.row)
                if self._start is None:
                    self._start = (self._first(text), [])
                reader, first_headers = self._start
                header = reader.parse(text)
                if len(first_headers) < _FRAMES_FOR_INTERVAL:
                    first_headers.append(header)
                self._held.append(_Found(text, header, *self._at))
        except Exception:
            self._file.close()
            raise

    def _first(self, text: FrameText) -> DumpReader:
        name = str(self._file.path)
        reader = DumpReader(name, text, refuse=self._refuse, warn=_warn, **self._options)
        known = self._topology
        if known is not None and not np.array_equal(reader.species, known.species):
            raise ValueError(
                f"{name}: its {reader.n_atoms} atoms, in the order of ids, are not the "
                f"{known.n_atoms} of {known.source}, or have other elements"
            )
        return reader

    def _follow(self) -> Iterator[FrameText]:
        """Complete frames' texts, until there is a reason to end."""
        self._grown = time.monotonic()
        while not self._stopped:
            ending = self._once or (self._until is not None and self._until())
            self._file.refresh()
            if self._once and not self._file.found:
                raise FileNotFoundError(f"{self.source}: there is no such file")
            while True:
                yield from self._new_texts()
                if not self._file.switch():
                    break
                self._leave_out_rest("another file has taken its place")
                self._splitter = FrameSplitter()
            if self._idle_timeout is not None:
                ending |= time.monotonic() - self._grown > self._idle_timeout
            if ending:
                self._leave_out_rest("nothing more is written")
                return
            self._sleep()

    def _sleep(self) -> None:
        """Until the next look, or ``stop``: no lock, because signal handlers call it too."""
        until = time.monotonic() + self._poll
        while not self._stopped and (left := until - time.monotonic()) > 0.0:
            time.sleep(min(left, _LONGEST_SLEEP))

    def _new_texts(self) -> Iterator[FrameText]:
        try:
            while data := self._file.read():
                self._grown = time.monotonic()
                for found in self._splitter.feed(data):
                    if isinstance(found, CutFrame):
                        self._warn_of_cut(found.number, f"{found.rule}, and another follows")
                        continue
                    self.n_read += 1
                    yield found
        except DumpError as error:
            self._at = (self._file.path, self._splitter.row)
            self._refuse(self._splitter.rest, error)
        except zlib.error as error:
            number = self._splitter.number
            raise ValueError(
                f"{self._file.path}, frame {number}: the compressed file is damaged ({error})"
            ) from error

    def _leave_out_rest(self, reason: str) -> None:
        rest = self._splitter.rest
        if rest.data.strip():
            cut = cut_short(rest)
            rule = "it is not complete" if cut is None else cut.rule
            self._warn_of_cut(rest.number, f"{reason}: {rule}")

    def _warn_of_cut(self, number: int, rule: str) -> None:
        _warn(f"{self._file.path}, frame {number}: {rule}; this frame is left out")

    def _refuse(self, text: FrameText, error: DumpError) -> NoReturn:
        path, row = self._at
        refuse(str(path), text, error, row + text.data.count(b"\n", 0, error.position))

    def __repr__(self) -> str:
        return f"DumpTail({self.source!r}, n_read={self.n_read})"


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=2)
