"""Trajectories and the state probabilities of their targets, checked against each other."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.elements import element_name, element_numbers
from kgdyn.trajectories import Trajectory

__all__ = ["Masses", "WeightedSegment", "atom_masses", "checked_lagtime", "weighted_segments"]

Float = NDArray[np.float64]
Masses = ArrayLike | Mapping[str, float]

_ROW_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class WeightedSegment:
    """A gap-free run of frames: ``start`` to ``stop - 1`` of a trajectory, and their states."""

    trajectory: Trajectory
    start: int
    stop: int
    probabilities: NDArray[Any]  # of the whole trajectory, as given: perhaps a memory map

    @property
    def n_frames(self) -> int:
        return self.stop - self.start

    def own_probabilities(self) -> NDArray[Any]:
        """(n_frames, n_targets, n_states), as given."""
        return self.probabilities[self.start : self.stop]

    def weights(self, first: int, end: int) -> Float:
        """(n, n_targets, n_states) of some frames of the segment, checked, float64."""
        first, end = self.start + first, self.start + end
        found = np.asarray(self.probabilities[first:end], dtype=np.float64)
        off = np.abs(found.sum(axis=2) - 1.0).max(axis=1)
        bad = ~(off <= _ROW_TOLERANCE)  # also NaN
        if bad.any():
            frame = int(np.argmax(bad))
            target = int(np.argmax(~(np.abs(found[frame].sum(axis=1) - 1.0) <= _ROW_TOLERANCE)))
            raise ValueError(
                f"{self.trajectory.where(first + frame)}: rows of state_probabilities must sum to "
                f"1, received {found[frame, target].tolist()} for target {target}"
            )
        return found


def weighted_segments(
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike],
) -> list[WeightedSegment]:
    """All segments of all trajectories, with the probabilities that belong to them.

    Parameters
    ----------
    trajectories : Trajectory or sequence of them
    state_probabilities : (n_frames, n_targets, n_states) array, or one for each trajectory

    Raises
    ------
    TypeError
        If one of ``trajectories`` is something else.
    ValueError
        For another number of arrays than trajectories, shapes that do not fit, or different
        numbers of states or frame intervals.
    """
    runs = [trajectories] if isinstance(trajectories, Trajectory) else list(trajectories)
    for run in runs:
        if not isinstance(run, Trajectory):
            raise TypeError(f"trajectories must be Trajectory objects, received {type(run)}")
    given: list[Any] = (
        [state_probabilities]
        if isinstance(trajectories, Trajectory) and not _is_list_of_arrays(state_probabilities)
        else list(state_probabilities)  # type: ignore[arg-type]
    )
    if not runs or len(given) != len(runs):
        raise ValueError(
            "state_probabilities must be one array for each trajectory, received "
            f"{len(given)} for {len(runs)} trajectories"
        )
    found: list[WeightedSegment] = []
    for run, values in zip(runs, given, strict=True):
        array = values if isinstance(values, np.ndarray) else np.asarray(values)
        wanted = (run.n_frames, run.n_targets)
        if array.ndim != 3 or array.shape[:2] != wanted or array.shape[2] < 2:
            raise ValueError(
                f"{run.source}: state_probabilities must have shape (n_frames, n_targets, "
                f"n_states) = ({wanted[0]}, {wanted[1]}, at least 2), received {array.shape}"
            )
        if found and array.shape[2] != found[0].probabilities.shape[2]:
            raise ValueError(
                f"{run.source}: state_probabilities must have the same number of states for all "
                f"trajectories, received {array.shape[2]} after {found[0].probabilities.shape[2]}"
            )
        if not np.isclose(run.frame_interval, runs[0].frame_interval, rtol=1e-6, atol=0.0):
            raise ValueError(
                f"{run.source}: frame_interval must be the same for all trajectories, received "
                f"{run.frame_interval:g} ps after {runs[0].frame_interval:g} ps"
            )
        found += [
            WeightedSegment(run, int(start), int(stop), array)
            for start, stop in pairwise(run.offsets)
        ]
    return found


def atom_masses(trajectory: Trajectory, masses: Masses | None) -> Float | None:
    """(n_atoms,) masses of the atoms of a trajectory, or None.

    Parameters
    ----------
    trajectory : Trajectory
    masses : (n_atoms,) array, or mapping from chemical symbol (or bead type) to mass, or None

    Raises
    ------
    ValueError
        For masses that are not positive, another number of them, or an element without one.
    """
    if masses is None:
        return None
    if isinstance(masses, Mapping):
        numbers = element_numbers(masses.keys())
        table = dict(zip(numbers, masses.values(), strict=True))
        missing = [element_name(n) for n in trajectory.elements if n not in table]
        if missing:
            raise ValueError(
                f"{trajectory.source}: masses must name every element, received none for {missing}"
            )
        masses = [table[number] for number in trajectory.species.tolist()]
    found = np.asarray(masses, dtype=np.float64)
    if found.shape != (trajectory.n_atoms,):
        raise ValueError(
            f"{trajectory.source}: masses must have shape (n_atoms,) = ({trajectory.n_atoms},), "
            f"received {found.shape}"
        )
    if not (np.isfinite(found) & (found > 0.0)).all():
        raise ValueError(
            f"{trajectory.source}: masses must be positive, received {float(found.min())}"
        )
    return found


def checked_lagtime(name: str, value: Any) -> int:
    """A whole number of frames, at least 1.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is below 1.
    """
    try:
        found = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number of frames, received {value!r}") from None
    if found < 1:
        raise ValueError(f"{name} must be at least 1 frame, received {found}")
    return found


def _is_list_of_arrays(values: Any) -> bool:
    return not isinstance(values, np.ndarray) and len(values) > 0 and np.ndim(values[0]) == 3
