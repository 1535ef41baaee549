"""Sorted distances to the nearest atoms of each element: what a linear method looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from kgdyn.baselines._element_search import element_distances, neighbor_counts
from kgdyn.elements import element_name
from kgdyn.trajectories import Trajectory, as_trajectories

__all__ = ["NeighborDistances", "neighbor_distance_features", "neighbor_distances_for"]

Float = NDArray[np.float64]

TRANSFORMS = ("distance", "inverse", "exponential")

# Numbers that the search holds at once.
_NUMBERS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class NeighborDistances:
    """Which distances describe a target.

    They start at the centre of the target's atoms (an ion: the ion itself), and lead to the
    nearest atoms of each element, ascending. Atoms of the target and their images are left out.
    Nothing changes when atoms of an element are exchanged, or the whole is moved or turned.

    Attributes
    ----------
    elements : tuple of int
        Atomic numbers, or bead types.
    counts : tuple of int
        Distances of each element.
    transform : str
        ``"distance"`` d in angstrom; ``"inverse"`` 1/d; ``"exponential"`` exp(-d / 1 angstrom).
    """

    elements: tuple[int, ...]
    counts: tuple[int, ...]
    transform: str = "distance"

    @property
    def n_features(self) -> int:
        return sum(self.counts)

    @property
    def names(self) -> tuple[str, ...]:
        """In words, such as ``"distance to S 3"`` for the third nearest S."""
        return tuple(
            f"distance to {element_name(element)} {rank + 1}"
            for element, count in zip(self.elements, self.counts, strict=True)
            for rank in range(count)
        )

    def __call__(self, trajectory: Trajectory, start: int = 0, stop: int | None = None) -> Float:
        """(n_frames, n_targets, n_features) features of frames ``start`` to ``stop - 1``."""
        stop = trajectory.n_frames if stop is None else stop
        result = np.empty((stop - start, trajectory.n_targets, self.n_features))
        for begin, end, values in self.chunks(trajectory, start, stop):
            result[begin - start : end - start] = values
        return result

    def chunks(
        self, trajectory: Trajectory, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[int, int, Float]]:
        """The same, few frames at a time: (first, last + 1, features), in constant memory."""
        stop = trajectory.n_frames if stop is None else stop
        rows = trajectory.n_targets * 100 + trajectory.n_atoms * 10
        size = max(1, _NUMBERS_AT_ONCE // rows)
        for begin in range(start, stop, size):
            end = min(begin + size, stop)
            found = element_distances(trajectory, begin, end, self.elements, self.counts)
            yield begin, end, self._transformed(found)

    def _transformed(self, distances: Float) -> Float:
        if self.transform == "inverse":
            # Atoms never coincide in a simulation; in a test they may.
            return 1.0 / np.maximum(distances, 1e-6)
        return np.exp(-distances) if self.transform == "exponential" else distances


def neighbor_distances_for(
    trajectories: Trajectory | Sequence[Trajectory],
    n_neighbors_per_element: int = 8,
    transform: str = "distance",
) -> NeighborDistances:
    """The distances that all targets of some trajectories have.

    Parameters
    ----------
    trajectories : Trajectory or sequence of Trajectory
    n_neighbors_per_element : int
        Distances to as many atoms of each element. Fewer where a system without periodicity has
        fewer, none of an element that only the target itself is made of.
    transform : "distance", "inverse" or "exponential"

    Raises
    ------
    ValueError
        If ``n_neighbors_per_element`` is below 1, ``transform`` is none of the three, or no
        target has a neighbour.
    """
    if n_neighbors_per_element < 1:
        raise ValueError(
            f"n_neighbors_per_element must be at least 1, received {n_neighbors_per_element}"
        )
    if transform not in TRANSFORMS:
        raise ValueError(f"transform must be one of {TRANSFORMS}, received {transform!r}")
    known = as_trajectories(trajectories)
    elements = sorted({element for trajectory in known for element in trajectory.elements})
    counts = np.min(
        [neighbor_counts(trajectory, elements, n_neighbors_per_element) for trajectory in known],
        axis=0,
    )
    if not counts.any():
        raise ValueError(f"{known[0].source}: no target has a neighbour to measure a distance to")
    used = counts > 0
    return NeighborDistances(
        tuple(int(e) for e in np.asarray(elements)[used]),
        tuple(int(c) for c in counts[used]),
        transform,
    )


@overload
def neighbor_distance_features(
    trajectories: Trajectory, n_neighbors_per_element: int = ..., transform: str = ...
) -> Float: ...
@overload
def neighbor_distance_features(
    trajectories: Sequence[Trajectory], n_neighbors_per_element: int = ..., transform: str = ...
) -> list[Float]: ...
def neighbor_distance_features(
    trajectories: Trajectory | Sequence[Trajectory],
    n_neighbors_per_element: int = 8,
    transform: str = "distance",
) -> Float | list[Float]:
    """Sorted distances from each target to the nearest atoms of each element, under PBC.

    All frames at once; :meth:`NeighborDistances.chunks` gives them in constant memory.

    Parameters
    ----------
    trajectories : Trajectory or sequence of Trajectory
    n_neighbors_per_element, transform
        As in :func:`neighbor_distances_for`.

    Returns
    -------
    (n_frames, n_targets, n_features) array of a trajectory, or a list of such arrays; by element
    in the order of atomic numbers, then ascending distance.

    Raises
    ------
    ValueError
        As :func:`neighbor_distances_for`.
    """
    features = neighbor_distances_for(trajectories, n_neighbors_per_element, transform)
    if isinstance(trajectories, Trajectory):
        return features(trajectories)
    return [features(trajectory) for trajectory in trajectories]
