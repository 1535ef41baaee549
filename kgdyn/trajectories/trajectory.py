"""A trajectory: many frames of the same atoms, at one frame interval, in gap-free segments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import Frame, TargetGroups, check_cell, periodic_directions, readonly

__all__ = ["Trajectory", "trajectory_from_arrays"]

_FRAMES_PER_CHECK = 4096


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Frames of one simulation, with what is to be looked at in them.

    ``positions`` and ``cells`` may be memory maps: nothing here reads them as a whole.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3) array of float, angstrom; wrapped or not.
    cells : (n_frames, 3, 3) array of float, angstrom; rows are lattice vectors.
    pbc : (3,) array of bool.
    species : (n_atoms,) array of int
        Atomic numbers, or positive bead types.
    targets : TargetGroups
    frame_interval : float, ps
        Time between two frames of one segment.
    segment_offsets : (n_segments + 1,) array of int, optional
        Segment ``i`` holds frames ``segment_offsets[i]`` to ``segment_offsets[i + 1] - 1``.
        No lagged pair crosses a border. One segment if not given.
    images : (n_frames, n_atoms, 3) array of int, optional
        ``positions + images @ cell`` are unwrapped coordinates; None where they are not known.
    first_frame : int
        Index of this trajectory's first frame in ``source``, for messages about slices.
    source : str
        File or object that the frames came from, for messages.

    Raises
    ------
    ValueError
        For shapes that do not fit together, an interval that is not positive, or targets
        outside of the frame.
    """

    positions: NDArray[Any]
    cells: NDArray[Any]
    pbc: NDArray[np.bool_]
    species: NDArray[np.int32]
    targets: TargetGroups
    frame_interval: float
    segment_offsets: NDArray[np.int64] | None = None
    images: NDArray[Any] | None = None
    first_frame: int = 0
    source: str = "arrays"

    def __post_init__(self) -> None:
        positions, cells = self.positions, self.cells
        species = readonly(self.species, np.int32)
        pbc = periodic_directions(self.pbc, self.source)
        if positions.ndim != 3 or positions.shape[2] != 3:
            raise ValueError(
                f"{self.source}: positions must have shape (n_frames, n_atoms, 3), "
                f"received {positions.shape}"
            )
        n_frames, n_atoms = positions.shape[:2]
        if n_frames == 0 or n_atoms == 0:
            raise ValueError(f"{self.source}: holds {n_frames} frames of {n_atoms} atoms")
        if cells.shape != (n_frames, 3, 3):
            raise ValueError(
                f"{self.source}: cells must have shape (n_frames, 3, 3) = {(n_frames, 3, 3)}, "
                f"received {cells.shape}"
            )
        if self.images is not None and self.images.shape != positions.shape:
            raise ValueError(
                f"{self.source}: images must have the shape of positions, {positions.shape}, "
                f"received {self.images.shape}"
            )
        if species.shape != (n_atoms,):
            raise ValueError(
                f"{self.source}: species must have shape (n_atoms,) = {(n_atoms,)}, "
                f"received {species.shape}"
            )
        if species.min() < 1:
            raise ValueError(
                f"{self.source}: species must be positive, received {int(species.min())}"
            )
        if not (np.isfinite(self.frame_interval) and self.frame_interval > 0.0):
            raise ValueError(
                f"{self.source}: frame_interval must be a positive time in ps, "
                f"received {self.frame_interval}"
            )
        offsets = [0, n_frames] if self.segment_offsets is None else self.segment_offsets
        offsets = readonly(offsets, np.int64)
        ends = offsets[[0, -1]].tolist() if offsets.size else []
        if offsets.ndim != 1 or ends != [0, n_frames] or np.any(np.diff(offsets) <= 0):
            raise ValueError(
                f"{self.source}: segment_offsets must rise from 0 to {n_frames}, "
                f"received {offsets.tolist()[:10]}"
            )
        self.targets.check_within(n_atoms)
        object.__setattr__(self, "species", species)
        object.__setattr__(self, "pbc", pbc)
        object.__setattr__(self, "segment_offsets", offsets)
        object.__setattr__(self, "frame_interval", float(self.frame_interval))

    @property
    def n_frames(self) -> int:
        return int(self.positions.shape[0])

    @property
    def n_atoms(self) -> int:
        return int(self.positions.shape[1])

    @property
    def n_targets(self) -> int:
        return self.targets.n_targets

    @property
    def n_segments(self) -> int:
        return len(self.offsets) - 1

    @property
    def offsets(self) -> NDArray[np.int64]:
        """(n_segments + 1,) ``segment_offsets``, never None."""
        if self.segment_offsets is None:  # __post_init__ has set it; this tells the type checker
            raise ValueError(f"{self.source}: segment_offsets are missing")
        return self.segment_offsets

    @property
    def elements(self) -> list[int]:
        """The species that occur, ascending."""
        return [int(number) for number in np.unique(self.species)]

    def where(self, index: int) -> str:
        """What messages call frame ``index``: its source and its number there."""
        return f"{self.source}, frame {self.first_frame + index}"

    def frame(self, index: int) -> Frame:
        """Frame ``index``, checked (finite positions, a cell with volume).

        Its time counts intervals from the source's first frame, as if there were no gap.
        """
        if not -self.n_frames <= index < self.n_frames:
            raise IndexError(f"{self.source}: frame {index} of {self.n_frames}")
        index %= self.n_frames
        return Frame(
            self.positions[index],
            self.cells[index],
            self.pbc,
            self.species,
            step=None,
            time=(self.first_frame + index) * self.frame_interval,
            where=self.where(index),
        )

    def __len__(self) -> int:
        return self.n_frames

    def __iter__(self) -> Iterator[Frame]:
        return (self.frame(index) for index in range(self.n_frames))

    def __getitem__(self, window: slice) -> Trajectory:
        """A contiguous window of frames, without a copy; segments keep their borders."""
        if not isinstance(window, slice):
            raise TypeError(f"trajectory[...] takes a slice, received {window!r}; see .frame(i)")
        start, stop, stride = window.indices(self.n_frames)
        if stride != 1:
            raise ValueError(f"trajectory[...] takes contiguous frames, received step {stride}")
        if stop <= start:
            raise ValueError(f"{self.source}: no frame in [{start}:{stop}] of {self.n_frames}")
        inside = self.offsets[(self.offsets > start) & (self.offsets < stop)]
        return replace(
            self,
            positions=self.positions[start:stop],
            cells=self.cells[start:stop],
            images=None if self.images is None else self.images[start:stop],
            segment_offsets=np.concatenate([[start], inside, [stop]]) - start,
            first_frame=self.first_frame + start,
        )

    def with_targets(self, targets: TargetGroups) -> Trajectory:
        """The same frames with other targets."""
        return replace(self, targets=targets)

    def check(self) -> Trajectory:
        """Read every frame once; raise ValueError at the first bad one; return self."""
        for start in range(0, self.n_frames, _FRAMES_PER_CHECK):
            stop = min(start + _FRAMES_PER_CHECK, self.n_frames)
            finite = np.isfinite(self.positions[start:stop]).all(axis=(1, 2))
            if not finite.all():
                self.frame(start + int(np.argmin(finite)))
            cells = np.asarray(self.cells[start:stop], dtype=np.float64)
            changed = np.any(cells[1:] != cells[:-1], axis=(1, 2))
            for index in [0, *(np.flatnonzero(changed) + 1)]:
                check_cell(cells[index], self.pbc, self.where(start + int(index)))
        return self

    def __repr__(self) -> str:
        return (
            f"Trajectory(n_frames={self.n_frames}, n_atoms={self.n_atoms}, "
            f"n_targets={self.n_targets}, n_segments={self.n_segments}, "
            f"frame_interval={self.frame_interval:g} ps, source={self.source!r})"
        )


def trajectory_from_arrays(
    positions: ArrayLike,
    cells: ArrayLike,
    species: ArrayLike,
    *,
    frame_interval: float,
    targets: TargetGroups | Sequence[int],
    pbc: ArrayLike = True,
    source: str = "arrays",
) -> Trajectory:
    """A trajectory from arrays, every frame checked.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3) array of float, angstrom.
    cells : (n_frames, 3, 3) or (3, 3) array of float, angstrom
        Rows are lattice vectors; one cell serves all frames.
    species : (n_atoms,) array of int
        Atomic numbers, or positive bead types.
    frame_interval : float, ps.
    targets : TargetGroups, or the indices of target atoms.
    pbc : bool or (3,) array of bool.
    source : str
        What messages call the trajectory.

    Raises
    ------
    ValueError
        For a bad shape, a frame with NaN or infinite positions or a cell without volume.
    """
    positions = np.asarray(positions)
    if positions.dtype.kind != "f":
        positions = positions.astype(np.float64)
    cells = np.asarray(cells, dtype=np.float64)
    if cells.ndim == 2 and positions.ndim == 3:
        cells = np.broadcast_to(cells, (len(positions), *cells.shape))
    if not isinstance(targets, TargetGroups):
        targets = TargetGroups.from_indices(targets)
    return Trajectory(
        positions,
        cells,
        periodic_directions(pbc, source),
        np.asarray(species, dtype=np.int32),
        targets,
        frame_interval,
        source=source,
    ).check()
