"""Gap-free runs of frames with the states of their targets: what displacements are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.observables._inputs import (
    AtomValues,
    atom_masses,
    checked_rows,
    checked_states,
    checked_trajectories,
)
from kgdyn.trajectories import Trajectory

__all__ = ["WeightedSegment", "weighted_segments"]

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WeightedSegment:
    """A gap-free run of frames: ``start`` to ``stop - 1`` of a trajectory, and their states."""

    trajectory: Trajectory
    start: int
    stop: int
    probabilities: NDArray[Any]  # of the whole trajectory, as given: perhaps a memory map
    masses: Float | None = None  # (n_atoms,)

    @property
    def n_frames(self) -> int:
        return self.stop - self.start

    def own_probabilities(self) -> NDArray[Any]:
        """(n_frames, n_targets, n_states), as given."""
        return self.probabilities[self.start : self.stop]

    def weights(self, first: int, end: int) -> Float:
        """(n, n_targets, n_states) of some frames of the segment, checked, float64."""
        return checked_rows(
            self.trajectory, self.probabilities, self.start + first, self.start + end
        )


def weighted_segments(
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    masses: AtomValues | None = None,
) -> list[WeightedSegment]:
    """All segments of all trajectories, with the probabilities that belong to them.

    Parameters
    ----------
    trajectories : Trajectory or sequence of them
    state_probabilities : (n_frames, n_targets, n_states) array, or one for each trajectory
    masses : as for :func:`kgdyn.observables._inputs.atom_values`, optional

    Raises
    ------
    TypeError
        If one of ``trajectories`` is something else.
    ValueError
        For another number of arrays than trajectories, shapes that do not fit, different numbers
        of states or frame intervals, or bad masses.
    """
    runs = checked_trajectories(trajectories)
    states = checked_states(runs, state_probabilities)
    found: list[WeightedSegment] = []
    for run, array, values in zip(runs, states, atom_masses(runs, masses), strict=True):
        if not np.isclose(run.frame_interval, runs[0].frame_interval, rtol=1e-6, atol=0.0):
            raise ValueError(
                f"{run.source}: frame_interval must be the same for all trajectories, received "
                f"{run.frame_interval:g} ps after {runs[0].frame_interval:g} ps"
            )
        found += [
            WeightedSegment(run, int(start), int(stop), array, values)
            for start, stop in pairwise(run.offsets)
        ]
    return found
