"""Trajectories with the states of their targets, chunk by chunk, as compiled kernels take them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import cell_volume, check_cell
from kgdyn.observables._inputs import (
    AtomValues,
    atom_values,
    checked_rows,
    checked_states,
    checked_trajectories,
)
from kgdyn.trajectories import Trajectory

__all__ = ["Chunk", "TargetFrames", "completed_cells", "target_frames"]

Float = NDArray[np.float64]
_CHUNK_BYTES = 2**23


class Chunk(NamedTuple):
    """Frames as the kernels take them: float64, contiguous, finite."""

    positions: Float  # (n_frames, n_atoms, 3)
    images: NDArray[np.int64]  # the same, or (n_frames, 0, 3)
    cells: Float  # (n_frames, 3, 3), completed along free directions
    inverses: Float
    volumes: Float  # (n_frames,) cubic angstrom; NaN where a direction is free
    weights: Float  # (n_frames, n_targets, n_states)


@dataclass(frozen=True)
class TargetFrames:
    """Trajectories with what belongs to each.

    ``states`` is one (n_frames, n_targets, n_states) array a trajectory, as given, or None for one
    state that all targets are in. ``masses`` is one (n_atoms,) array a trajectory.
    """

    trajectories: tuple[Trajectory, ...]
    states: list[NDArray[Any]] | None
    masses: list[Float]
    centre: str

    @property
    def n_states(self) -> int:
        return 1 if self.states is None else self.states[0].shape[2]

    @property
    def n_frames(self) -> int:
        return sum(trajectory.n_frames for trajectory in self.trajectories)

    @property
    def n_targets(self) -> list[int]:
        return [trajectory.n_targets for trajectory in self.trajectories]

    @property
    def lengths(self) -> list[int]:
        """Frames of each segment."""
        return [int(n) for t in self.trajectories for n in np.diff(t.offsets)]

    @property
    def segments(self) -> list[NDArray[Any]] | None:
        """States, one array a gap-free segment."""
        if self.states is None:
            return None
        return [
            part
            for t, states in zip(self.trajectories, self.states, strict=True)
            for part in np.split(states, t.offsets[1:-1])
        ]

    def chunks(self, number: int, start: int, stop: int) -> Iterator[Chunk]:
        """Frames ``start`` to ``stop - 1`` of trajectory ``number``, about 8 MB at a time.

        Raises
        ------
        ValueError
            For positions that are not finite, a cell without volume, or states that do not sum to
            1, naming source and frame.
        """
        trajectory = self.trajectories[number]
        # Images only make molecules whole: of single atoms all images are looked at anyway.
        molecules = len(trajectory.targets.atoms) > trajectory.n_targets
        step = max(1, _CHUNK_BYTES // (24 * trajectory.n_atoms))
        for low in range(start, stop, step):
            high = min(low + step, stop)
            positions = np.array(trajectory.positions[low:high], dtype=np.float64, order="C")
            finite = np.isfinite(positions).all(axis=(1, 2))
            if not finite.all():
                trajectory.frame(low + int(np.argmin(finite)))  # says which atom
            given = np.array(trajectory.cells[low:high], dtype=np.float64, order="C")
            changed = np.any(given[1:] != given[:-1], axis=(1, 2))
            for index in [0, *(np.flatnonzero(changed) + 1).tolist()]:
                check_cell(given[index], trajectory.pbc, trajectory.where(low + index))
            cells = completed_cells(given, trajectory.pbc)
            volumes = np.full(len(cells), np.nan)
            if trajectory.pbc.all():
                volumes = np.array([cell_volume(cell) for cell in cells])
            images = np.zeros((len(cells), 0, 3), np.int64)
            if trajectory.images is not None and molecules:
                images = np.array(trajectory.images[low:high], dtype=np.int64, order="C")
            weights = np.ones((len(cells), trajectory.n_targets, 1))
            if self.states is not None:
                weights = checked_rows(trajectory, self.states[number], low, high)
            inverses = np.asarray(np.linalg.inv(cells), dtype=np.float64)
            yield Chunk(positions, images, cells, inverses, volumes, weights)

    def targets(self, number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Atoms and offsets of a trajectory's targets, as the kernels take them."""
        groups = self.trajectories[number].targets
        return np.array(groups.atoms), np.array(groups.offsets)


def target_frames(
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike] | None,
    masses: AtomValues | None = None,
) -> TargetFrames:
    """Trajectories and states that fit together.

    Parameters
    ----------
    trajectories : Trajectory, or a sequence of them
    state_probabilities : (n_frames, n_targets, n_states) array, or one a trajectory, or None
        All frames of a trajectory, whatever its segments. None: one state for all targets.
    masses : as for :func:`kgdyn.observables._inputs.atom_values`, optional

    Raises
    ------
    ValueError
        For no trajectory, states of another shape, or bad masses.
    TypeError
        For something that is no Trajectory.
    """
    given = checked_trajectories(trajectories)
    states = None
    if state_probabilities is not None:
        states = checked_states(given, state_probabilities)
    single = all(len(t.targets.atoms) == t.n_targets for t in given)
    if masses is None:
        weights = [np.ones(t.n_atoms) for t in given]
        centre = "atom" if single else "mean of the atoms"
    else:
        weights = atom_values(given, masses, "masses")
        for trajectory, values in zip(given, weights, strict=True):
            least = values[trajectory.targets.atoms].min()
            if least <= 0.0:
                raise ValueError(f"masses of the atoms of targets must be positive, found {least}")
        centre = "atom" if single else "centre of mass"
    return TargetFrames(given, states, weights, centre)


def completed_cells(cells: Float, pbc: NDArray[np.bool_]) -> Float:
    """Rows of free directions replaced by unit vectors orthogonal to the periodic ones."""
    if pbc.all():
        return cells
    if not pbc.any():
        return np.broadcast_to(np.eye(3), cells.shape).copy()
    free = np.flatnonzero(~pbc)
    for cell in cells:
        _, _, rows = np.linalg.svd(cell[pbc], full_matrices=True)
        cell[free] = rows[int(pbc.sum()) :]
    return cells
