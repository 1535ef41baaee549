"""VASP's XDATCAR files, streamed: one frame in memory at a time, whatever the length.

The format gives fractional coordinates, and the cell once or (where it changes) before every
frame. It has no time: the interval is POTIM times NBLOCK of the INCAR, in fs there, in ps here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kgdyn.trajectories._frame_checks import (
    check_frame_interval,
    check_frames,
    check_frames_per_chunk,
)
from kgdyn.trajectories._species import species_number
from kgdyn.trajectories._text_file import LineReader, is_cut_number
from kgdyn.trajectories.source import FrameChunk

__all__ = ["XDATCARSource"]

_FRAME_LINE = "Direct configuration="


class XDATCARSource:
    """XDATCAR files, plain or ``.gz``, as one trajectory.

    Parameters
    ----------
    paths : path, or sequence of paths
        Several files are consecutive segments of one simulation and are joined in order.
    frame_interval : float, optional, ps
        Time between two frames; the file does not know it.

    Raises
    ------
    ValueError
        For a file that is empty, has a broken header, or other atoms than the first.
    """

    def __init__(
        self,
        paths: str | PathLike[str] | Sequence[str | PathLike[str]],
        *,
        frame_interval: float | None = None,
    ) -> None:
        several = [paths] if isinstance(paths, (str, PathLike)) else list(paths)
        if not several:
            raise ValueError("XDATCARSource: paths must name at least one file, received none")
        self.paths = [Path(path) for path in several]
        self.source = str(self.paths[0])
        if len(self.paths) > 1:
            self.source += f" and {len(self.paths) - 1} more"
        self.frame_interval = check_frame_interval(frame_interval, self.source)
        self.pbc: NDArray[np.bool_] = np.ones(3, dtype=bool)
        self.n_frames: int | None = None
        for index, path in enumerate(self.paths):
            with LineReader(path) as reader:
                header = _read_header(reader, reader.line(), frame=0)
            if index == 0:
                self.species = header.species
            _check_species(header, self.species, f"{path}, row {header.row}", self.source)

    def chunks(self, frames_per_chunk: int = 64) -> Iterator[FrameChunk]:
        """Yield all frames in order; float64 positions, without steps and times."""
        check_frames_per_chunk(frames_per_chunk)
        for path in self.paths:
            fractions: list[NDArray[np.float64]] = []
            cells: list[NDArray[np.float64]] = []
            first = 0
            for frame_fractions, cell in self._frames(path):
                fractions.append(frame_fractions)
                cells.append(cell)
                if len(cells) == frames_per_chunk:
                    yield self._chunk(path, first, fractions, cells)
                    first += len(cells)
                    fractions, cells = [], []
            if cells:
                yield self._chunk(path, first, fractions, cells)

    def _chunk(
        self,
        path: Path,
        first: int,
        fractions: list[NDArray[np.float64]],
        cells: list[NDArray[np.float64]],
    ) -> FrameChunk:
        stacked = np.stack(cells)  # (F, 3, 3)
        positions = np.stack(fractions) @ stacked  # (F, N, 3)
        check_frames(positions, stacked, self.pbc, str(path), first)
        return FrameChunk(positions, stacked)

    def _frames(self, path: Path) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Fractional coordinates and cell of each frame of one file."""
        with LineReader(path) as reader:
            frame, line = 0, reader.line()
            cell: NDArray[np.float64] | None = None
            while line:
                if not line.strip():
                    line = _only_blank_lines_left(reader, frame)
                    continue
                if not line.startswith(_FRAME_LINE):
                    header = _read_header(reader, line, frame)
                    where = f"{path}, frame {frame}, row {header.row}"
                    _check_species(header, self.species, where, self.source)
                    cell = header.cell
                    line = reader.line()
                if cell is None or not line.startswith(_FRAME_LINE):
                    raise ValueError(
                        f"{path}, frame {frame}, row {reader.row}: expected "
                        f"{_FRAME_LINE!r}, received {line.strip()!r}"
                    )
                yield _read_fractions(reader, len(self.species), frame), cell
                frame, line = frame + 1, reader.line()
            if frame == 0:
                raise ValueError(f"{path}: the file holds no frame")

    def __repr__(self) -> str:
        return f"XDATCARSource({self.source!r}, n_atoms={len(self.species)})"


@dataclass(frozen=True)
class _Header:
    """``row`` is that of the element symbols."""

    cell: NDArray[np.float64]
    species: NDArray[np.int32]
    row: int


def _read_header(reader: LineReader, comment: str, frame: int) -> _Header:
    """Scale, lattice vectors, symbols and counts; the comment line has been read."""
    path = reader.path
    if not comment:
        raise ValueError(f"{path}: the file is empty")
    scale = _numbers(reader, frame, 1, "the scale of the cell")[0]
    cell = np.stack([_numbers(reader, frame, 3, "a lattice vector") for _ in range(3)])
    if scale < 0.0:  # VASP's rule: minus the volume
        volume = abs(float(np.linalg.det(cell)))
        scale = (-scale / volume) ** (1.0 / 3.0) if volume > 0.0 else 1.0
    symbols = reader.line().split()
    row = reader.row
    where = f"{path}, frame {frame}, row {row}"
    if not symbols:
        raise ValueError(f"{where}: the file ends inside of the header")
    if any(symbol[0].isdigit() for symbol in symbols):
        raise ValueError(f"{where}: expected element symbols (VASP 5 or later), received {symbols}")
    # VASP may add the name or hash of the potential: Li_sv, Li/1f2e...
    elements = [species_number(symbol.split("_")[0].split("/")[0], where) for symbol in symbols]
    counts = _numbers(reader, frame, len(elements), "the number of atoms of each element")
    if np.any(counts < 1) or np.any(counts != np.round(counts)):
        raise ValueError(
            f"{path}, frame {frame}, row {reader.row}: numbers of atoms must be positive integers, "
            f"received {counts.tolist()}"
        )
    species = np.repeat(np.array(elements, dtype=np.int32), counts.astype(np.int64))
    return _Header(cell * scale, species, row)


def _numbers(reader: LineReader, frame: int, count: int, what: str) -> NDArray[np.float64]:
    line = reader.line()
    try:
        values = np.array(line.split(), dtype=np.float64)
    except ValueError:
        values = np.zeros(0)
    if len(values) != count:
        raise ValueError(
            f"{reader.path}, frame {frame}, row {reader.row}: {what} needs {count} numbers, "
            f"received {line.strip()!r}"
        )
    return values


def _check_species(header: _Header, species: NDArray[np.int32], where: str, source: str) -> None:
    if not np.array_equal(header.species, species):
        raise ValueError(
            f"{where}: atoms must be the same, in the same order, as in the first header of "
            f"{source} ({_composition(species)}), received {_composition(header.species)}"
        )


def _composition(species: NDArray[np.int32]) -> str:
    starts = np.flatnonzero(np.diff(species, prepend=-1))
    counts = np.diff(starts, append=len(species))
    runs = [f"{count} of {species[start]}" for start, count in zip(starts, counts, strict=True)]
    return "atomic numbers " + ", ".join(runs)


def _read_fractions(reader: LineReader, n_atoms: int, frame: int) -> NDArray[np.float64]:
    """(n_atoms, 3) fractional coordinates; ValueError names the first bad row."""
    first_row = reader.row + 1
    lines = reader.lines(n_atoms)
    where = f"{reader.path}, frame {frame}"
    if len(lines) < n_atoms:
        raise ValueError(
            f"{where}, row {reader.row}: the file ends after {len(lines)} of {n_atoms} atoms"
        )
    fractions = np.zeros((0, 0))
    # loadtxt warns, instead of raising, where all rows are blank.
    with suppress(ValueError):
        if lines[0].strip():
            fractions = np.loadtxt(lines, dtype=np.float64, comments=None, ndmin=2)
    if fractions.shape != (n_atoms, 3):
        for row, line in enumerate(lines, start=first_row):
            tokens = line.split()
            if len(tokens) != 3 or not all(_is_number(token) for token in tokens):
                raise ValueError(
                    f"{where}, row {row}: expected 3 fractional coordinates, received "
                    f"{line.strip()!r}"
                )
        raise ValueError(f"{where}, row {first_row}: the coordinates cannot be read")
    if is_cut_number(lines[-1], lines[-2] if n_atoms > 1 else lines[-1] + "\n"):
        raise ValueError(
            f"{where}, row {reader.row}: the file is cut inside of a number, received "
            f"{lines[-1].strip()!r}"
        )
    return fractions


def _is_number(token: str) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True


def _only_blank_lines_left(reader: LineReader, frame: int) -> str:
    """ "" at the end of the file; ValueError if something follows a blank line."""
    while line := reader.line():
        if line.strip():
            raise ValueError(
                f"{reader.path}, frame {frame}, row {reader.row}: expected {_FRAME_LINE!r} or a "
                f"header, received {line.strip()!r} after a blank line"
            )
    return ""
