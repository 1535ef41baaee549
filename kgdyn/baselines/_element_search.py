"""Distances from each target to the nearest atoms of each element, under PBC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import TargetGroups
from kgdyn.graphs import batch_nearest_neighbors
from kgdyn.trajectories import Trajectory

Float = NDArray[np.float64]
Int = NDArray[np.int64]

# One search among all atoms serves every element that has its atoms within so many neighbours;
# rarer elements are searched for among their own atoms.
_MOST_NEIGHBORS = 160
_MARGIN = 1.5


def neighbor_counts(trajectory: Trajectory, elements: Sequence[int], n_neighbors: int) -> list[int]:
    """How many distances each element gives: fewer than ``n_neighbors`` only where none is left.

    A target's own atoms do not count, nor do their images. Without periodic directions there are
    as many neighbours as atoms; with one, images supply any number.
    """
    targets, periodic = trajectory.targets, bool(trajectory.pbc.any())
    counts = []
    for element in elements:
        own = np.add.reduceat(trajectory.species[targets.atoms] == element, targets.offsets[:-1])
        others = int((trajectory.species == element).sum()) - int(own.max())
        counts.append(min(n_neighbors, others) if not periodic or others < 1 else n_neighbors)
    return counts


def element_distances(
    trajectory: Trajectory, start: int, stop: int, elements: Sequence[int], counts: Sequence[int]
) -> Float:
    """Sorted distances from the targets' centres in frames ``start`` to ``stop - 1``.

    Parameters
    ----------
    trajectory : Trajectory
    start, stop : int
    elements : sequence of int
    counts : sequence of int
        Distances of each element, as :func:`neighbor_counts` gives them.

    Returns
    -------
    (n_frames, n_targets, sum(counts)) array, angstrom, by element, then ascending.
    """
    positions = np.asarray(trajectory.positions[start:stop], dtype=np.float64)
    cells = np.asarray(trajectory.cells[start:stop], dtype=np.float64)
    targets, pbc = trajectory.targets, trajectory.pbc
    system = _System(positions, cells, pbc, trajectory.species, targets, trajectory.where(start))
    found: dict[int, Float] = {}
    wanted = {element: count for element, count in zip(elements, counts, strict=True) if count}
    common = {
        element: count
        for element, count in wanted.items()
        if system.neighbors_for(element, count) <= _MOST_NEIGHBORS
    }
    if common:
        most = max(system.neighbors_for(element, count) for element, count in common.items())
        found = system.among_all(common, most)
    for element, count in wanted.items():
        if element not in found:
            found[element] = system.among_its_own(element, count)
    return np.concatenate([found[element] for element in wanted], axis=2)


class _System:
    """Frames with a row for each target to search from: its atom, or an added point."""

    def __init__(
        self,
        positions: Float,
        cells: Float,
        pbc: NDArray[np.bool_],
        species: NDArray[np.int32],
        targets: TargetGroups,
        where: str,
    ) -> None:
        self.cells, self.pbc, self.where = cells, pbc, where
        self.targets, self.n_atoms = targets, len(species)
        self.single = bool((np.diff(targets.offsets) == 1).all())
        self.positions, self.species, self.rows = positions, species, targets.atoms
        if not self.single:
            centers = target_centers(positions, cells, pbc, targets)
            self.positions = np.concatenate([positions, centers], axis=1)
            self.species = np.concatenate([species, np.zeros(targets.n_targets, np.int32)])
            self.rows = self.n_atoms + np.arange(targets.n_targets)
        owner = np.repeat(np.arange(targets.n_targets), np.diff(targets.offsets))
        self.own = np.sort(owner * self.n_atoms + targets.atoms)

    def neighbors_for(self, element: int, count: int) -> int:
        """Nearest atoms of all kinds that probably hold ``count`` of an element."""
        share = (self.species == element).sum() / len(self.species)
        largest = int(np.diff(self.targets.offsets).max())
        return int(_MARGIN * (count + 1) / share) + largest + 1

    def among_all(self, wanted: dict[int, int], n_neighbors: int) -> dict[int, Float]:
        """Elements that one search finds enough of, everywhere."""
        if not self.pbc.any():
            n_neighbors = min(n_neighbors, len(self.species) - 1)
        near = batch_nearest_neighbors(
            self.positions,
            self.cells,
            self.pbc,
            n_neighbors,
            rows=self.rows,
            with_images=False,
            where=self.where,
        )
        foreign = ~self._own_atoms(near.indices)
        found = {}
        for element, count in wanted.items():
            values = _first(
                near.distances, foreign & (self.species[near.indices] == element), count
            )
            if values is not None:
                found[element] = values
        return found

    def among_its_own(self, element: int, count: int) -> Float:
        """The search among the atoms of one element and, each by itself, the targets."""
        atoms = np.flatnonzero(self.species == element)
        n_frames, n_targets = len(self.positions), self.targets.n_targets
        result = np.empty((n_frames, n_targets, count))
        cloud = np.empty((n_frames, len(atoms) + 1, 3))
        cloud[:, 1:] = self.positions[:, atoms]
        # The point itself stands first; its own atom, where it is one, is masked with its images.
        names = np.concatenate([[-1], atoms])
        for target in range(n_targets):
            cloud[:, 0] = self.positions[:, self.rows[target]]
            result[:, target] = self._from_one(cloud, names, target, count)
        return result

    def _from_one(self, cloud: Float, names: Int, target: int, count: int) -> Float:
        own = self.targets.atoms[self.targets.offsets[target] : self.targets.offsets[target + 1]]
        n_neighbors = count + len(own) + 1
        while True:
            if not self.pbc.any():
                n_neighbors = min(n_neighbors, cloud.shape[1] - 1)
            near = batch_nearest_neighbors(
                *(cloud, self.cells, self.pbc, n_neighbors),
                rows=np.zeros(1, np.int64),
                with_images=False,
                where=self.where,
            )
            atom = names[near.indices]
            values = _first(near.distances, (atom >= 0) & ~np.isin(atom, own), count)
            if values is not None:
                result: Float = values[:, 0]
                return result
            n_neighbors *= 2

    def _own_atoms(self, indices: Int) -> NDArray[np.bool_]:
        """(n_frames, n_targets, M): whether a neighbour is one of the target's own atoms."""
        own: NDArray[np.bool_] = indices == self.rows[:, None]
        if not self.single:
            key = np.arange(self.targets.n_targets)[:, None] * self.n_atoms + indices
            own |= np.isin(key, self.own) & (indices < self.n_atoms)
        return own


def target_centers(
    positions: Float, cells: Float, pbc: NDArray[np.bool_], targets: TargetGroups
) -> Float:
    """(n_frames, n_targets, 3) mean position of each target's atoms.

    Atoms are taken in the image nearest to the target's first atom: right for targets that reach
    less than half a cell from it.
    """
    sizes = np.diff(targets.offsets)
    first = positions[:, targets.atoms[targets.offsets[:-1]]]
    away = positions[:, targets.atoms] - np.repeat(first, sizes, axis=1)
    if pbc.any():
        lattice = cells[:, pbc]
        away = away - np.round(away @ np.linalg.pinv(lattice)) @ lattice
    means = np.add.reduceat(away, targets.offsets[:-1], axis=1) / sizes[:, None]
    result: Float = first + means
    return result


def _first(distances: Float, chosen: NDArray[np.bool_], count: int) -> Any:
    """The first ``count`` of the chosen along the last axis, or None where one row has fewer."""
    rank = np.cumsum(chosen, axis=-1)
    if rank[..., -1].min() < count:
        return None
    return distances[chosen & (rank <= count)].reshape(*distances.shape[:-1], count)
