"""Pairs of frames a lag time apart, none of which crosses a border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import readonly
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["LaggedPairs", "as_trajectories", "lagged_pairs"]


def as_trajectories(trajectories: Trajectory | Sequence[Trajectory]) -> tuple[Trajectory, ...]:
    """A tuple of trajectories, also from a single one; ValueError if there is none."""
    if isinstance(trajectories, Trajectory):
        return (trajectories,)
    result = tuple(trajectories)
    for trajectory in result:
        if not isinstance(trajectory, Trajectory):
            raise TypeError(
                f"trajectories must be kgdyn Trajectory objects, received {trajectory!r}"
            )
    if not result:
        raise ValueError("trajectories: at least one trajectory is needed, received none")
    return result


@dataclass(frozen=True)
class LaggedPairs:
    """All pairs (t, t + lagtime) inside the segments of some trajectories.

    Attributes
    ----------
    trajectory : (n_pairs,) array of int32
        Which trajectory each pair is from.
    first : (n_pairs,) array of int64
        Frame t in that trajectory; the other frame is ``first + lagtime``.
    lagtime : int, frames.
    """

    trajectory: NDArray[np.int32]
    first: NDArray[np.int64]
    lagtime: int

    def __len__(self) -> int:
        return len(self.first)


def lagged_pairs(trajectories: Trajectory | Sequence[Trajectory], lagtime: int) -> LaggedPairs:
    """Find all pairs of frames ``lagtime`` apart; none crosses a segment's or trajectory's border.

    Parameters
    ----------
    trajectories : Trajectory or sequence of Trajectory
    lagtime : int, frames.

    Raises
    ------
    ValueError
        If ``lagtime`` is below 1, or no segment is longer than it.
    """
    trajectories = as_trajectories(trajectories)
    check_lagtime(lagtime)
    which: list[NDArray[np.int32]] = []
    first: list[NDArray[np.int64]] = []
    for number, trajectory in enumerate(trajectories):
        for start, stop in zip(trajectory.offsets[:-1], trajectory.offsets[1:], strict=True):
            starts = np.arange(start, max(start, stop - lagtime), dtype=np.int64)
            first.append(starts)
            which.append(np.full(len(starts), number, dtype=np.int32))
    pairs = LaggedPairs(readonly(np.concatenate(which)), readonly(np.concatenate(first)), lagtime)
    if len(pairs) == 0:
        longest = max(int(np.diff(trajectory.offsets).max()) for trajectory in trajectories)
        names = ", ".join(sorted({trajectory.source for trajectory in trajectories}))
        raise ValueError(
            f"lagtime must be shorter than the longest segment without a gap, which has {longest} "
            f"frames ({names}), received {lagtime}"
        )
    return pairs


def check_lagtime(lagtime: int) -> None:
    """Raise unless ``lagtime`` is a whole number of frames, at least 1."""
    if isinstance(lagtime, bool) or not isinstance(lagtime, (int, np.integer)):
        raise TypeError(f"lagtime must be an int, in frames, received {lagtime!r}")
    if lagtime < 1:
        raise ValueError(f"lagtime must be at least 1 frame, received {lagtime}")
