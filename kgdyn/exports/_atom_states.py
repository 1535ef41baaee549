"""From the states of targets to those of atoms, a frame at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.trajectories import Trajectory

__all__ = ["AtomStates", "FrameNumbers", "Progress", "StatesOfAtoms", "state_rows"]

Float = NDArray[np.float64]
Progress = Callable[[int, int], None]
FrameNumbers = Iterable[int] | slice | None

_ROW_TOLERANCE = 1e-4


class StatesOfAtoms(NamedTuple):
    """Of one frame.

    ``state`` (n_atoms,) is the most probable one, from 1, and 0 of atoms in no target;
    ``probability`` (n_atoms,) is that state's and ``probabilities`` (n_atoms, n_states) are all,
    zero for atoms in no target.
    """

    state: NDArray[np.int64]
    probability: Float
    probabilities: Float


@dataclass(frozen=True, eq=False)
class AtomStates:
    """State probabilities that belong to a trajectory, for all atoms of each target.

    Of an atom in several targets, the first of them counts.

    Parameters
    ----------
    trajectory : Trajectory
    state_probabilities : (n_frames, n_targets, n_states) array
        Or (n_frames, 1, n_states) of a model with ``pooling="global"``: the state of all targets.
    frames : iterable of int or slice, optional
        Which to export, from 0, in this order; all if not given.

    Raises
    ------
    ValueError
        For a shape that does not fit, and frames that are not there.
    """

    trajectory: Trajectory
    state_probabilities: NDArray[Any]
    frames: NDArray[np.int64]

    @classmethod
    def of(
        cls, trajectory: Trajectory, state_probabilities: ArrayLike, frames: FrameNumbers = None
    ) -> AtomStates:
        values = np.asanyarray(state_probabilities)  # perhaps a memory map
        if values.ndim == 2 and trajectory.n_targets == 1:
            values = values[:, None, :]
        n_frames, n_targets = trajectory.n_frames, trajectory.n_targets
        if values.ndim != 3 or len(values) != n_frames or values.shape[1] not in (1, n_targets):
            raise ValueError(
                f"{trajectory.source}: state_probabilities must have shape (n_frames, n_targets, "
                f"n_states) = ({n_frames}, {n_targets}, n_states), received {values.shape}"
            )
        everything = np.arange(n_frames)
        if frames is None:
            return cls(trajectory, values, everything)
        if isinstance(frames, slice):
            return cls(trajectory, values, everything[frames])
        numbers = np.array(list(frames), dtype=np.int64)
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < n_frames:
            raise ValueError(
                f"{trajectory.source}: frames must be from 0 to {n_frames - 1}, received "
                f"{numbers.tolist()[:10]}"
            )
        return cls(trajectory, values, numbers)

    @property
    def n_states(self) -> int:
        return int(self.state_probabilities.shape[2])

    def part(self, window: slice) -> AtomStates:
        """Some of the frames, by their place among those to export."""
        return replace(self, frames=self.frames[window])

    def target_of_atom(self) -> NDArray[np.int64]:
        """(n_atoms,) number of each atom's target, from 0; -1 of those in none."""
        targets = self.trajectory.targets
        found = np.full(self.trajectory.n_atoms, -1)
        numbers = np.repeat(np.arange(targets.n_targets), np.diff(targets.offsets))
        found[targets.atoms[::-1]] = numbers[::-1]  # so that the first one is written last
        return found

    def __iter__(self) -> Iterator[tuple[int, StatesOfAtoms]]:
        """Frame numbers and the states of their atoms.

        Raises
        ------
        ValueError
            For a row that does not sum to 1, naming source, frame and target.
        """
        target_of = self.target_of_atom()
        inside = target_of >= 0
        for frame in self.frames.tolist():
            rows = state_rows(self.trajectory, self.state_probabilities, frame)
            rows = np.broadcast_to(rows, (self.trajectory.n_targets, self.n_states))
            probabilities = np.zeros((len(target_of), self.n_states))
            probabilities[inside] = rows[target_of[inside]]
            state = np.where(inside, probabilities.argmax(axis=1) + 1, 0)
            yield frame, StatesOfAtoms(state, probabilities.max(axis=1), probabilities)


def state_rows(trajectory: Trajectory, state_probabilities: NDArray[Any], frame: int) -> Float:
    """(n_rows, n_states) of one frame, checked.

    Raises
    ------
    ValueError
        For a row that does not sum to 1, naming source, frame and target.
    """
    rows = np.asarray(state_probabilities[frame], dtype=np.float64)
    bad = ~(np.abs(rows.sum(axis=1) - 1.0) <= _ROW_TOLERANCE)  # also NaN
    if bad.any():
        target = int(np.argmax(bad))
        raise ValueError(
            f"{trajectory.where(frame)}: rows of state_probabilities must sum to 1, received "
            f"{rows[target].tolist()} for target {target} (counted from 0)"
        )
    return rows
