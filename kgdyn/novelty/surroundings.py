"""Numbers that describe what surrounds a target: from the graphs that the network gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kgdyn.elements import element_name
from kgdyn.graphs import PackedGraphs

__all__ = ["Quantity", "Surroundings", "surroundings_of"]

Float = NDArray[np.float64]

N_CENTERS = 9
# Neither a closer contact than any seen nor the last neighbour may lie beyond the Gaussians.
_FIRST_CENTER, _OUTERMOST = 0.5, 0.99
_ATOMS_AT_ONCE = 8192


class Quantity(NamedTuple):
    """What one column of the features is.

    Attributes
    ----------
    kind : "count", "nearest" or "atoms"
        Neighbours around a distance; the nearest neighbour; atoms of the target itself.
    element : int
        Of the neighbours, or of the target's atoms.
    of : int
        Element of the target's atoms that the distances start at.
    distance : float
        Centre of the Gaussian, angstrom; 0 for other kinds.
    """

    kind: str
    element: int
    of: int
    distance: float

    def __str__(self) -> str:
        name = element_name(self.element)
        if self.kind == "count":
            return f"{name} near {self.distance:.1f} angstrom of {element_name(self.of)}"
        return f"nearest {name} of {element_name(self.of)}" if self.kind == "nearest" else name


@dataclass(frozen=True, eq=False)
class Surroundings:
    """Smooth radial counts of each element around a target, and its nearest atom.

    For each element of the target's atoms and each element of their neighbours: Gaussians of the
    distances, exp(-(r - r_k)^2 / 2 w^2), summed over the M neighbours of these atoms; and the
    nearest distance over w, bounded where the neighbours end (as if one stood there, where none
    is among the M). Then the number of the target's own atoms of each element.
    Nothing changes when atoms of an element are exchanged, or the whole is moved or turned.

    Parameters
    ----------
    elements : tuple of int
        Of all atoms: atomic numbers, or bead types.
    target_elements : tuple of int
        Of the targets' atoms.
    centers : (n_centers,) array of float, angstrom
        r_k, ascending in equal steps w.
    """

    elements: tuple[int, ...]
    target_elements: tuple[int, ...]
    centers: Float

    @property
    def width(self) -> float:
        """w, in angstrom."""
        return float(self.centers[1] - self.centers[0])

    @property
    def farthest(self) -> float:
        """Bound of the nearest distance, in angstrom."""
        return float(self.centers[-1]) + self.width

    @property
    def n_features(self) -> int:
        n_channels = len(self.target_elements) * len(self.elements)
        return n_channels * (len(self.centers) + 1) + len(self.elements)

    @property
    def quantities(self) -> list[Quantity]:
        """What each feature is, in order."""
        found = []
        for of in self.target_elements:
            for element in self.elements:
                found += [Quantity("count", element, of, float(r)) for r in self.centers]
                found.append(Quantity("nearest", element, of, 0.0))
        return found + [Quantity("atoms", element, element, 0.0) for element in self.elements]

    def __call__(self, graphs: PackedGraphs) -> Float:
        """(n_targets_total, n_features) features of the targets of all frames, in order.

        Graphs that were cut down to the targets' receptive field give the same.
        """
        frame, target, rows = _target_atoms(graphs)
        n_targets = len(graphs.target_atom_splits) - 1
        n_columns = len(self.centers) + 1
        shape = (n_targets, len(self.target_elements), len(self.elements), n_columns)
        channels = np.zeros(shape)
        channels[..., -1] = self.farthest / self.width
        own = graphs.species[graphs.atom_splits[frame] + graphs.target_atoms]
        for start in range(0, len(rows), _ATOMS_AT_ONCE):
            part = slice(start, start + _ATOMS_AT_ONCE)
            neighbors = graphs.atom_splits[frame[part], None] + graphs.neighbors[rows[part]]
            found = self._of_atoms(graphs.distances[rows[part]], graphs.species[neighbors])
            for place, of in enumerate(self.target_elements):
                mine = own[part] == of
                targets = target[part][mine]
                np.add.at(channels[:, place, :, :-1], targets, found[mine, :, :-1])
                np.minimum.at(channels[:, place, :, -1], targets, found[mine, :, -1])
        atoms = np.zeros((n_targets, len(self.elements)))
        for column, element in enumerate(self.elements):
            np.add.at(atoms[:, column], target[own == element], 1.0)
        return np.concatenate([channels.reshape(n_targets, -1), atoms], axis=1)

    def _of_atoms(self, distances: NDArray[np.float32], species: NDArray[np.int32]) -> Float:
        """(n_atoms, n_elements, n_centers + 1) counts, and the nearest, of single atoms."""
        width = np.float32(self.width)
        scaled = distances / width
        gap = scaled[:, :, None] - (self.centers / self.width).astype(np.float32)
        basis = np.exp(np.float32(-0.5) * gap * gap)
        result = np.empty((len(distances), len(self.elements), len(self.centers) + 1))
        for column, element in enumerate(self.elements):
            mine = species == element
            weights = mine.astype(np.float32)[:, None, :]
            result[:, column, :-1] = np.matmul(weights, basis)[:, 0]
            nearest = np.where(mine, scaled, np.float32(np.inf)).min(axis=1)
            result[:, column, -1] = np.minimum(nearest, self.farthest / self.width)
        return result


def surroundings_of(
    graphs: Sequence[PackedGraphs], elements: Sequence[int], n_centers: int = N_CENTERS
) -> Surroundings:
    """The description that fits some graphs: their elements and the range of their distances.

    Parameters
    ----------
    graphs : sequence of PackedGraphs
    elements : sequence of int
        All that the model knows.
    n_centers : int
        Gaussians, from half the shortest distance to the last neighbour's. Lengths enter only in
        units of the step between them: beads are described as well as atoms.

    Raises
    ------
    ValueError
        If there is no target.
    """
    own: list[NDArray[np.int32]] = []
    nearest, last = [], []
    for part in graphs:
        frame, _, rows = _target_atoms(part)
        own.append(part.species[part.atom_splits[frame] + part.target_atoms])
        nearest.append(part.distances[rows].min(axis=1))
        last.append(part.distances[rows].max(axis=1))
    if not sum(len(part) for part in own):
        raise ValueError("graphs: hold no target whose surroundings could be described")
    first = _FIRST_CENTER * float(np.concatenate(nearest).min())
    end = float(np.quantile(np.concatenate(last).astype(np.float64), _OUTERMOST))
    return Surroundings(
        tuple(int(element) for element in elements),
        tuple(int(element) for element in np.unique(np.concatenate(own))),
        np.linspace(first, max(end, first + 1e-3), n_centers),
    )


def _target_atoms(
    graphs: PackedGraphs,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Frame, target and row of ``neighbors`` of each of ``target_atoms``."""
    n_targets = np.diff(graphs.target_splits)
    n_atoms = np.diff(graphs.target_atom_splits)
    frame_of_target = np.repeat(np.arange(graphs.n_frames), n_targets)
    frame = np.repeat(frame_of_target, n_atoms)
    target = np.repeat(np.arange(len(n_atoms)), n_atoms)
    return frame, target, graphs.row_splits[frame] + graphs.target_atoms
