"""Frames from pymatgen: structures, a Trajectory, or a saved DiffusionAnalyzer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sized
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.periodic_table import DummySpecies
from pymatgen.core.structure import Structure

from kgdyn.trajectories._frame_checks import (
    check_frame_interval,
    check_frames,
    check_frames_per_chunk,
    wrap_fractions,
)
from kgdyn.trajectories.source import FrameChunk, FrameSource

__all__ = ["StructuresSource", "diffusion_analyzer_source"]

_PS_PER_FS = 1e-3


class StructuresSource:
    """pymatgen structures in order of time.

    Parameters
    ----------
    structures : iterable of pymatgen Structure, or pymatgen Trajectory
        An iterator is read only once, and only as far as the chunks are asked for.
    frame_interval : float or None, ps
        Time between two structures (a Trajectory's own ``time_step`` may be that of the
        simulation, not of its frames, so it is not used).

    Raises
    ------
    ValueError
        Naming the frame: for no structure, disordered sites, or a change of atoms.
    """

    def __init__(
        self, structures: Iterable[Structure], *, frame_interval: float | None, source: str = ""
    ) -> None:
        self.source = source or type(structures).__name__
        self.frame_interval = check_frame_interval(frame_interval, self.source)
        self.n_frames: int | None = len(structures) if isinstance(structures, Sized) else None
        self._structures = structures
        iterator = iter(structures)
        first = next(iterator, None)
        if first is None:
            raise ValueError(f"{self.source}: holds no structure")
        self.species: NDArray[np.int32] = _species(first, f"{self.source}, frame 0")
        self.pbc: NDArray[np.bool_] = np.array(first.lattice.pbc, dtype=bool)
        # Of a one-shot iterator the first structure is gone: it is put back, for one reading.
        self._once = chain([first], iterator) if iterator is structures else None
        self._read = False

    def chunks(self, frames_per_chunk: int = 64) -> Iterator[FrameChunk]:
        """Yield all frames in order; float64 positions, without steps and times."""
        check_frames_per_chunk(frames_per_chunk)
        if self._once is not None and self._read:
            raise ValueError(f"{self.source}: an iterator of structures can be read only once")
        self._read = True
        positions: list[NDArray[np.float64]] = []
        cells: list[NDArray[np.float64]] = []
        first = 0
        for frame, structure in enumerate(self._once or self._structures):
            self._check_same(structure, frame)
            positions.append(structure.cart_coords)
            cells.append(structure.lattice.matrix)
            if len(cells) == frames_per_chunk:
                yield self._chunk(positions, cells, first)
                first += len(cells)
                positions, cells = [], []
        if cells:
            yield self._chunk(positions, cells, first)

    def _chunk(
        self, positions: list[NDArray[np.float64]], cells: list[NDArray[np.float64]], first: int
    ) -> FrameChunk:
        chunk = FrameChunk(np.stack(positions), np.stack(cells))
        check_frames(chunk.positions, chunk.cells, self.pbc, self.source, first)
        return chunk

    def _check_same(self, structure: Structure, frame: int) -> None:
        where = f"{self.source}, frame {frame}"
        species = _species(structure, where)
        if not np.array_equal(species, self.species):
            raise ValueError(
                f"{where}: atoms must keep their number, order and species: frame 0 has "
                f"{len(self.species)} atoms, received {structure.composition.formula}"
            )
        if not np.array_equal(structure.lattice.pbc, self.pbc):
            raise ValueError(
                f"{where}: pbc must not change: {self.pbc.tolist()} before, received "
                f"{list(structure.lattice.pbc)}"
            )

    def __repr__(self) -> str:
        return (
            f"StructuresSource({self.source!r}, n_frames={self.n_frames}, "
            f"n_atoms={len(self.species)})"
        )


def _species(structure: Any, where: str) -> NDArray[np.int32]:
    if not isinstance(structure, Structure):
        raise TypeError(f"{where}: expected a pymatgen Structure, received {type(structure)}")
    if not structure.is_ordered:
        raise ValueError(f"{where}: sites must be ordered, received {structure.composition}")
    unknown = [str(site.specie) for site in structure if isinstance(site.specie, DummySpecies)]
    if unknown:
        raise ValueError(f"{where}: sites must be elements, received {sorted(set(unknown))}")
    return np.array([site.specie.Z for site in structure], dtype=np.int32)


def diffusion_analyzer_source(path: str | PathLike[str]) -> FrameSource:
    """The frames in a JSON file of pymatgen-analysis-diffusion's DiffusionAnalyzer.

    It holds the first structure and each atom's unwrapped displacement in angstrom, both
    cartesian; ``time_step`` (fs) times ``step_skip`` is the frame interval. Positions come out
    wrapped, with images.

    Raises
    ------
    ValueError
        If the file is no such JSON, or its arrays do not fit together.
    """
    source = str(path)
    try:
        content = json.loads(Path(path).read_text())
        structure = Structure.from_dict(content["structure"])
        displacements = np.array(content["displacements"], dtype=np.float64)
        lattices = np.array(content.get("lattices") or [structure.lattice.matrix], dtype=np.float64)
        interval = float(content["time_step"]) * float(content["step_skip"]) * _PS_PER_FS
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{source}: not the JSON file of a DiffusionAnalyzer: {error!r}"
        ) from error
    return _DisplacementSource(source, structure, displacements, lattices, round(interval, 12))


class _DisplacementSource:
    """A structure and displacements (n_atoms, n_frames, 3) relative to it, angstrom."""

    def __init__(
        self,
        source: str,
        structure: Structure,
        displacements: NDArray[np.float64],
        lattices: NDArray[np.float64],
        frame_interval: float,
    ) -> None:
        n_atoms = len(structure)
        if displacements.ndim != 3 or displacements.shape[::2] != (n_atoms, 3):
            raise ValueError(
                f"{source}: displacements must have shape (n_atoms, n_frames, 3) with "
                f"n_atoms={n_atoms}, received {displacements.shape}"
            )
        n_frames = displacements.shape[1]
        # A run at constant pressure has one more lattice than frames, its first one twice.
        if lattices.shape[1:] != (3, 3) or len(lattices) not in (1, n_frames + 1) or not n_frames:
            raise ValueError(
                f"{source}: lattices must have shape (1 or n_frames + 1, 3, 3) with "
                f"n_frames={n_frames}, received {lattices.shape}"
            )
        self.source = source
        self.species: NDArray[np.int32] = _species(structure, f"{source}, structure")
        self.pbc: NDArray[np.bool_] = np.array(structure.lattice.pbc, dtype=bool)
        self.n_frames: int | None = n_frames
        self.frame_interval = check_frame_interval(frame_interval, source)
        self._cells = np.broadcast_to(lattices[-n_frames:], (n_frames, 3, 3))
        self._displacements = displacements
        self._start = structure.frac_coords

    def chunks(self, frames_per_chunk: int = 64) -> Iterator[FrameChunk]:
        """Yield all frames in order; float64 positions and images."""
        check_frames_per_chunk(frames_per_chunk)
        # The structure is that of frame 0, the displacements may count from an earlier one.
        origin = self._displacements[:, 0] @ np.linalg.inv(self._cells[0])
        for first in range(0, len(self._cells), frames_per_chunk):
            cells = np.array(self._cells[first : first + frames_per_chunk])
            moved = self._displacements[:, first : first + frames_per_chunk].transpose(1, 0, 2)
            check_frames(moved, cells, self.pbc, self.source, first)
            fractions = self._start - origin + moved @ np.linalg.inv(cells)  # (F, N, 3)
            wrapped, images = wrap_fractions(fractions)
            yield FrameChunk(wrapped @ cells, cells, images=images)

    def __repr__(self) -> str:
        return f"diffusion_analyzer_source({self.source!r}, n_frames={self.n_frames})"
