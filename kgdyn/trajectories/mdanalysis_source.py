"""Trajectories that MDAnalysis reads: XTC, TRR, DCD, NetCDF, H5MD and others.

MDAnalysis stays at the door: what comes out are arrays. Three things are done beside it. Files
whose end is missing are refused before they are opened; DCD is read in blocks, because a
frame at a time costs more in Python than in the file; and where a format has no time, or one
that its writers do not agree on (DCD), the interval is not taken from the library's default.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import MDAnalysis
import numpy as np
from MDAnalysis.coordinates.DCD import DCDReader
from MDAnalysis.coordinates.H5MD import H5MDReader
from MDAnalysis.coordinates.TRJ import NCDFReader
from MDAnalysis.lib.mdamath import triclinic_vectors
from numpy.typing import ArrayLike, NDArray

from kgdyn.trajectories._dcd import dcd_blocks, dcd_cells
from kgdyn.trajectories._frame_checks import (
    check_frame_interval,
    check_frames,
    check_frames_per_chunk,
)
from kgdyn.trajectories._regular_times import regular_times, sampled_interval
from kgdyn.trajectories._species import Elements
from kgdyn.trajectories._universe_files import (
    READ_ERRORS,
    cell_before_models,
    checked_files,
    universe_from_files,
)
from kgdyn.trajectories._universe_species import universe_species
from kgdyn.trajectories.source import FrameChunk

__all__ = ["UniverseSource", "universe_from_files"]

# Formats whose times are in ps by definition or by a unit in the file.
_KNOWS_TIME = (NCDFReader, H5MDReader)


class UniverseSource:
    """An MDAnalysis Universe, about to be streamed.

    Parameters
    ----------
    universe : MDAnalysis.Universe
        Its transformations are applied. Its current frame is restored afterwards.
    elements : mapping or sequence, optional
        Atom type (or name) -> symbol; or symbols in the order of numeric types 1, 2 ...; or one
        symbol for each atom. Positive integers stand for coarse-grained beads. Needed where the
        topology has no elements, unless all atom names are spelled as element symbols.
    frame_interval : float, optional, ps
        Taken from the times of XTC, TRR, NetCDF and H5MD files if not given; None for other
        formats. If given, it counts more than the file.
    pbc : bool or (3,) array of bool, optional
        If not given: periodic in all directions if the first frame has a box, else in none.
    source : str, optional
        What messages call the trajectory; its file name if not given.

    Raises
    ------
    ValueError
        For unknown elements, and for files that are cut or zero-filled.
    """

    def __init__(
        self,
        universe: MDAnalysis.Universe,
        *,
        elements: Elements | None = None,
        frame_interval: float | None = None,
        pbc: ArrayLike | None = None,
        source: str | None = None,
    ) -> None:
        self.universe = universe
        trajectory = universe.trajectory
        readers = getattr(trajectory, "readers", [trajectory])
        names = [str(reader.filename) for reader in readers if reader.filename is not None]
        self.source = source or ", ".join(names) or "MDAnalysis universe"
        self.n_frames: int | None = len(trajectory)
        self._index = checked_files(readers, len(trajectory), self.source)
        self.species: NDArray[np.int32] = universe_species(universe, elements, self.source)
        interval: float | None = None
        self._times: NDArray[np.float64] | None = None
        if self._index is not None:
            interval, self._times = regular_times(self._index.times, self._index.steps)
        elif isinstance(trajectory, _KNOWS_TIME):
            interval = self._sampled_interval()
        given = check_frame_interval(frame_interval, self.source)
        self.frame_interval = interval if given is None else given
        # Times that contradict what the user said are not handed on.
        self._hands_times = interval is not None and (
            given is None or bool(np.isclose(given, interval, rtol=1e-4))
        )
        self._only_cell = cell_before_models(readers)
        has_cell = self._first_cell().any()
        directions = has_cell if pbc is None else pbc
        self.pbc: NDArray[np.bool_] = np.array(np.broadcast_to(directions, (3,)), dtype=bool)
        self._may_have_cell = bool(has_cell or self.pbc.any())

    def chunks(self, frames_per_chunk: int = 64) -> Iterator[FrameChunk]:
        """Yield all frames in order; float32 positions.

        Raises
        ------
        ValueError
            Naming file and frame, if one cannot be read, is missing, has no positions, holds a
            number that is not finite or a box without volume.
        """
        check_frames_per_chunk(frames_per_chunk)
        trajectory = self.universe.trajectory
        if type(trajectory) is DCDReader and not trajectory.transformations:
            chunks = self._dcd_chunks(Path(trajectory.filename), frames_per_chunk)
        else:
            chunks = self._timestep_chunks(frames_per_chunk)
        first = 0
        for chunk in chunks:
            self._check(chunk, first)
            yield chunk
            first += chunk.n_frames

    def _dcd_chunks(self, path: Path, frames_per_chunk: int) -> Iterator[FrameChunk]:
        for positions, unitcells in dcd_blocks(path, frames_per_chunk):
            yield FrameChunk(positions, dcd_cells(unitcells))

    def _timestep_chunks(self, frames_per_chunk: int) -> Iterator[FrameChunk]:
        trajectory = self.universe.trajectory
        n_frames, n_atoms = len(trajectory), len(self.species)
        kept = trajectory.frame
        knows_time = self._index is None and self._hands_times
        # The file's vectors are exact; MDAnalysis has them as float32 lengths and angles.
        has_own_cells = self._index is not None and not trajectory.transformations
        try:
            timesteps = iter(trajectory)
            for start in range(0, n_frames, frames_per_chunk):
                stop = min(start + frames_per_chunk, n_frames)
                if self._index is not None and not hasattr(trajectory, "readers"):
                    self._index.check_payload(start, stop)
                positions = np.empty((stop - start, n_atoms, 3), np.float32)
                cells = np.zeros((stop - start, 3, 3))
                times = np.empty(stop - start) if knows_time else None
                for row, frame in enumerate(range(start, stop)):
                    timestep = self._next_timestep(timesteps, frame)
                    positions[row] = timestep.positions
                    if not has_own_cells:
                        cells[row] = self._cell(timestep)
                    if times is not None:
                        times[row] = timestep.time
                if self._index is None:
                    yield FrameChunk(positions, cells, times=times)
                    continue
                window = slice(start, stop)
                if has_own_cells:
                    cells = self._index.cells[window]
                yield FrameChunk(
                    positions,
                    cells,
                    self._index.steps[window],
                    self._times[window] if self._times is not None and self._hands_times else None,
                )
        finally:
            trajectory[kept]

    def _next_timestep(self, timesteps: Iterator[Any], frame: int) -> Any:
        try:
            timestep = next(timesteps)
        except StopIteration:
            raise ValueError(
                f"{self.source}, frame {frame}: the file ends here, but counts {self.n_frames} "
                "frames: it was cut"
            ) from None
        except READ_ERRORS as error:
            raise ValueError(f"{self.source}, frame {frame}: cannot be read: {error}") from error
        if timestep.frame != frame:
            raise ValueError(
                f"{self.source}, frame {frame}: the universe was moved to frame {timestep.frame} "
                "while it was read"
            )
        if not timestep.has_positions:
            raise ValueError(f"{self.source}, frame {frame}: the frame holds no positions")
        return timestep

    def _check(self, chunk: FrameChunk, first: int) -> None:
        check_frames(chunk.positions, chunk.cells, self.pbc, self.source, first)
        if not self._may_have_cell and chunk.cells.any():
            frame = first + int(np.argmax(chunk.cells.any(axis=(1, 2))))
            raise ValueError(
                f"{self.source}, frame {frame}: has a box, but frame 0 had none: pass pbc"
            )
        last = chunk.positions[:, -2:]
        unwritten = ~last.any(axis=(1, 2))
        if self._index is not None and last.shape[1] == 2 and unwritten.any():
            raise ValueError(
                f"{self.source}, frame {first + int(np.argmax(unwritten))}: the last atoms lie "
                "exactly on one another at 0, 0, 0: this part of the file was never written"
            )

    def _sampled_interval(self) -> float | None:
        """From the first two frames and the last; None if frames have no time of their own."""
        trajectory = self.universe.trajectory
        kept, times = trajectory.frame, []
        try:
            for frame in sorted({0, min(1, len(trajectory) - 1), len(trajectory) - 1}):
                timestep = trajectory[frame]
                if "time" not in timestep.data:  # then MDAnalysis counts frames, as 1 ps each
                    return None
                times.append(float(timestep.time))
        except READ_ERRORS as error:
            raise ValueError(f"{self.source}: cannot be read: {error}") from error
        finally:
            trajectory[kept]
        if len(times) < 2:
            return None
        return sampled_interval(times[0], times[1], times[-1], len(trajectory))

    def _first_cell(self) -> NDArray[np.float64]:
        trajectory = self.universe.trajectory
        if self._index is not None and not trajectory.transformations:
            first: NDArray[np.float64] = self._index.cells[0]
            return first
        kept = trajectory.frame
        try:
            return self._cell(trajectory[0])
        finally:
            trajectory[kept]

    def _cell(self, timestep: Any) -> NDArray[np.float64]:
        """(3, 3) lattice vectors in angstrom, zero without a box."""
        if timestep.dimensions is None:
            return np.zeros((3, 3)) if self._only_cell is None else self._only_cell
        cell: NDArray[np.float64] = triclinic_vectors(timestep.dimensions, dtype=np.float64)
        return cell

    def __repr__(self) -> str:
        return (
            f"UniverseSource({self.source!r}, n_frames={self.n_frames}, "
            f"n_atoms={len(self.species)})"
        )
