"""LAMMPS text dumps (styles atom and custom), plain or gzip, streamed and checked."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.trajectories._dump_frames import FrameText, cut_short, frame_texts, row_number
from kgdyn.trajectories._dump_header import DumpError, Header
from kgdyn.trajectories._dump_reader import DumpReader, check_dump_options, refuse
from kgdyn.trajectories.source import FrameChunk

__all__ = ["LAMMPSDump"]

_BYTES_AT_ONCE = 1 << 20  # frames are parsed together up to this size
_TIME_TOLERANCE = 1e-3  # relative, between the user's time step and the file's times


@dataclass(frozen=True)
class _Index:
    """Of each frame: its first byte, step and time in the file's unit (NaN without)."""

    offsets: NDArray[np.int64]
    steps: NDArray[np.int64]
    times: NDArray[np.float64]


class LAMMPSDump:
    """A LAMMPS text dump as a source of frames.

    Positions are relative to the cell's origin. Coordinates that the file has unwrapped (``xu``,
    ``xsu``) are wrapped, and the chunks give the images; so they do for ``x`` or ``xs`` with the
    flags ``ix iy iz``; otherwise images are None. If there are several kinds of coordinates,
    the order of preference is ``xu``, ``xsu``, ``x``, ``xs``. Atoms are sorted by id; without
    ids, rows are atoms.

    Parameters
    ----------
    path : path of the dump, plain or gzip.
    elements : sequence of str or int, or mapping
        Symbol of each LAMMPS type, type 1 first (a positive integer for a bead); or type ->
        symbol. Only a dump with an ``element`` column can do without.
    frame_interval : float, optional, ps
        Time between frames, if neither ``timestep`` nor the file gives it.
    timestep : float, optional, ps
        Time of one simulation step: then time = step * timestep, and the frame interval is the
        most frequent difference of steps times this. Without it the file's ITEM: TIME counts,
        if the units are known.
    types : (n_atoms,) sequence of int, optional
        LAMMPS type of each atom in ascending id, for a dump without ``type`` and ``element``.
    units : str, optional
        LAMMPS unit style, if the file has no ITEM: UNITS. Lengths are taken as angstrom without;
        those of ``lj`` are left as they are.
    incomplete_last : "error" or "drop"
        What to do with a last frame that was cut short; "drop" warns.
    pbc : (3,) sequence of bool, optional
        Only for old dumps that say nothing behind ITEM: BOX BOUNDS.

    Attributes
    ----------
    source : str
    species : (n_atoms,) array of int32
    pbc : (3,) array of bool
    atom_ids : (n_atoms,) array of int64, ascending; 1 to n_atoms without an id column.
    type_labels : tuple of str, the LAMMPS type of each atom; None where it is not known.
    n_frames, steps, frame_interval
        Read from all frames' headers when first asked for.

    Raises
    ------
    ValueError
        For a broken file, naming frame (from 0) and row (line of the file, from 1), here or
        when the frame is read; for arguments that are missing or contradict the file.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        elements: Sequence[str | int] | Mapping[str, str | int] | None = None,
        frame_interval: float | None = None,
        timestep: float | None = None,
        types: ArrayLike | None = None,
        units: str | None = None,
        incomplete_last: Literal["error", "drop"] = "error",
        pbc: ArrayLike | None = None,
    ) -> None:
        self.source = os.fspath(path)
        self._path = Path(path)
        check_dump_options(frame_interval, timestep, units)
        if incomplete_last not in ("error", "drop"):
            raise ValueError(
                f"incomplete_last must be 'error' or 'drop', received {incomplete_last!r}"
            )
        self._frame_interval, self._timestep = frame_interval, timestep
        self._incomplete_last = incomplete_last
        self._warned: set[str] = set()
        self.named_elements = True  # False where species are just LAMMPS types
        self.universe: Any = None  # of a topology with the same atoms, where there is one

        text = next(self._texts(), None)
        if text is None:
            raise ValueError(f"{self.source}: the file is empty, or has no complete frame")
        reader = DumpReader(
            self.source,
            text,
            refuse=self._refuse,
            warn=self._warn,
            elements=elements,
            types=types,
            units=units,
            timestep=timestep,
            pbc=pbc,
        )
        self._reader = reader
        self.pbc, self.species = reader.pbc, reader.species
        self.atom_ids, self.type_labels = reader.atom_ids, reader.type_labels

    @cached_property
    def _index(self) -> _Index:
        offsets, steps, times = [], [], []
        for text in self._texts():
            header = self._reader.parse(text)
            offsets.append(text.offset)
            steps.append(header.step)
            times.append(np.nan if header.time is None else header.time)
        return _Index(np.array(offsets), np.array(steps, np.int64), np.array(times))

    @cached_property
    def n_frames(self) -> int | None:
        return len(self._index.steps)

    @cached_property
    def steps(self) -> NDArray[np.int64]:
        """(n_frames,) the simulation's step counter, as the file has it."""
        return readonly(self._index.steps)

    @cached_property
    def frame_interval(self) -> float | None:
        """Time between two frames in ps; None if neither the user nor the file says."""
        if self._frame_interval is not None:
            return float(self._frame_interval)
        differences = np.diff(self._index.steps)
        forward = differences > 0
        if not forward.any():
            return None
        modal = Counter(differences[forward].tolist()).most_common(1)[0][0]
        given = None if self._timestep is None else float(modal * self._timestep)
        elapsed = np.diff(self._index.times)[forward & (differences == modal)]
        unit = self._reader.time_unit
        if unit is None or not np.isfinite(elapsed).all() or np.median(elapsed) <= 0.0:
            return given
        from_file = float(np.median(elapsed) * unit)
        if given is not None and abs(given - from_file) > _TIME_TOLERANCE * from_file:
            raise ValueError(
                f"{self.source}: timestep={self._timestep} ps makes {given:g} ps between frames, "
                f"but the file's ITEM: TIME says {from_file:g} ps"
            )
        return from_file if given is None else given

    def chunks(self, frames_per_chunk: int = 64, start: int = 0) -> Iterator[FrameChunk]:
        """Yield the frames from ``start`` on in order, ``frames_per_chunk`` at a time.

        Raises
        ------
        ValueError
            At the first frame that breaks a rule, naming file, frame and row.
        """
        if frames_per_chunk < 1:
            raise ValueError(f"frames_per_chunk must be at least 1, received {frames_per_chunk}")
        if start < 0 or (start > 0 and start > len(self._index.offsets)):
            raise ValueError(f"{self.source}: start must be a frame, received {start}")
        if start > 0 and start == len(self._index.offsets):
            return
        offset = int(self._index.offsets[start]) if start else 0
        waiting: list[FrameChunk] = []
        for batch in self._batches(start, offset, frames_per_chunk):
            waiting.append(batch)
            if sum(part.n_frames for part in waiting) == frames_per_chunk:
                yield _joined(waiting)
                waiting = []
        if waiting:
            yield _joined(waiting)

    def _batches(self, start: int, offset: int, per_chunk: int) -> Iterator[FrameChunk]:
        """Frames with the same columns, as many as are parsed at once; none spans two chunks."""
        batch: list[tuple[FrameText, Header]] = []
        size, n_frames = 0, 0
        for text in self._texts(start, offset):
            header = self._reader.parse(text)
            if batch and (
                size + len(text.data) > _BYTES_AT_ONCE
                or n_frames % per_chunk == 0
                or header.columns != batch[0][1].columns
            ):
                yield self._reader.read(batch)
                batch, size = [], 0
            batch.append((text, header))
            size, n_frames = size + len(text.data), n_frames + 1
        if batch:
            yield self._reader.read(batch)

    def _texts(self, number: int = 0, offset: int = 0) -> Iterator[FrameText]:
        """The complete frames' texts; what is done with an incomplete one is decided here."""
        for text in frame_texts(self._path, number, offset):
            cut = cut_short(text) if text.last else None
            if cut is None:
                yield text
            elif self._incomplete_last == "error":
                cut.rule += "; incomplete_last='drop' leaves the last frame out"
                self._refuse(text, cut)
            else:
                self._warn(f"{self._where(text)}: {cut.rule}; this last frame is left out")

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            warnings.warn(message, UserWarning, stacklevel=4)

    def _where(self, text: FrameText) -> str:
        return f"{self.source}, frame {text.number}"

    def _refuse(self, text: FrameText, error: DumpError) -> NoReturn:
        refuse(self.source, text, error, row_number(self._path, text.offset + error.position))

    def __repr__(self) -> str:
        return (
            f"LAMMPSDump({self.source!r}, n_atoms={self._reader.n_atoms}, pbc={self.pbc.tolist()})"
        )


def _joined(parts: list[FrameChunk]) -> FrameChunk:
    if len(parts) == 1:
        return parts[0]
    steps = [part.steps for part in parts if part.steps is not None]
    times = [part.times for part in parts if part.times is not None]
    images = [part.images for part in parts if part.images is not None]
    return FrameChunk(
        np.concatenate([part.positions for part in parts]),
        np.concatenate([part.cells for part in parts]),
        np.concatenate(steps),
        np.concatenate(times) if len(times) == len(parts) else None,
        np.concatenate(images) if images else None,
    )
