"""Symmetry-equivalent crystals give the same graph: compared without looking at any index."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from kgdyn.graphs import NeighborList, batch_nearest_neighbors
from kgdyn.graphs._ties import symmetric_neighbors
from kgdyn.toys.li_fcc_s import LATTICE_CONSTANT

# Fractions of the cubic cell. The fcc lattice is its own image under moves by its own sites.
SULFUR = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
ANYWHERE = [list(point) for point in np.random.default_rng(3).random((4, 3)).round(3)]
ON_SYMMETRY_ELEMENTS = [
    [0.5, 0.5, 0.5],  # octahedral hole
    [0.25, 0.25, 0.25],  # tetrahedral hole
    [0.31, 0.31, 0.31],
    [0.5, 0.5, 0.42],
    [0.5, 0.4, 0.4],
]


def rotations() -> list[Any]:
    """The 48 operations of a cube about its centre."""
    found = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product([1.0, -1.0], repeat=3):
            matrix = np.zeros((3, 3))
            matrix[range(3), order] = signs
            found.append(matrix)
    return found


def crystals(lithium: Any, n_cells: int = 1, turns: bool = True) -> tuple[Any, Any, list[int]]:
    """Li at all places that symmetry makes equal, in a frozen lattice: positions, cells, species.

    Li moves by every lattice vector, and is turned about the centre of the first cell.
    """
    corners = np.array(list(itertools.product(range(n_cells), repeat=3)), dtype=float)
    sulfur = (corners[:, None] + SULFUR).reshape(-1, 3)
    turned = [
        (np.array(lithium) - 0.5) @ matrix + 0.5 for matrix in rotations()[: 48 if turns else 1]
    ]
    places = np.array([(turn + site) % n_cells for site in sulfur for turn in turned])
    frozen = np.broadcast_to(sulfur, (len(places), *sulfur.shape))
    positions = LATTICE_CONSTANT * np.concatenate([places[:, None], frozen], axis=1)
    cells = np.broadcast_to(LATTICE_CONSTANT * n_cells * np.eye(3), (len(places), 3, 3))
    return positions, cells, [3] + [16] * len(sulfur)


def fingerprints(found: NeighborList, species: list[int], rounds: int = 3) -> list[Any]:
    """(what Li sees, what all atoms see) of each frame, by Weisfeiler-Lehman colours.

    Distances count as equal where no gap of 1e-4 angstrom lies between them in any frame.
    """
    every = np.sort(found.distances, axis=None)
    kinds = np.searchsorted(every[1:][np.diff(every) > 1e-4], found.distances, side="right")
    result = []
    for indices, kind in zip(found.indices.tolist(), kinds.tolist(), strict=True):
        colors: list[Any] = list(species)
        for _ in range(rounds):
            edges = [
                sorted((k, colors[j]) for k, j in zip(kind[atom], indices[atom], strict=True))
                for atom in range(len(species))
            ]
            colors = [hash((color, tuple(edge))) for color, edge in zip(colors, edges, strict=True)]
        result.append((colors[0], tuple(sorted(colors))))
    return result


def n_kinds(found: NeighborList, species: list[int]) -> tuple[int, int]:
    """How many different graphs there are: as Li sees them, and as a whole."""
    seen = fingerprints(found, species)
    return len({lithium for lithium, _ in seen}), len({whole for _, whole in seen})


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_neighbors", [8, 12, 13, 20])
@pytest.mark.parametrize("lithium", ANYWHERE + ON_SYMMETRY_ELEMENTS, ids=str)
def test_equivalent_places_give_one_graph(lithium: Any, n_neighbors: int, dtype: Any) -> None:
    positions, cells, species = crystals(lithium)
    found = symmetric_neighbors(positions.astype(dtype), cells, True, n_neighbors, "crystal")
    assert n_kinds(found, species) == (1, 1)


@pytest.mark.parametrize("n_neighbors", [8, 12, 13])
def test_a_choice_by_index_does_not(n_neighbors: int) -> None:
    positions, cells, species = crystals(ANYWHERE[0])
    found = batch_nearest_neighbors(positions, cells, True, n_neighbors)
    assert n_kinds(found, species)[0] > 1


def test_places_that_are_not_equivalent_give_other_graphs() -> None:
    """The fingerprint can tell: tetrahedral from octahedral, and a place 0.03 angstrom away."""
    places = [ANYWHERE[0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25], np.add(ANYWHERE[0], 0.005)]
    positions = np.concatenate([crystals(place)[0][:1] for place in places])
    cells = np.broadcast_to(LATTICE_CONSTANT * np.eye(3), (4, 3, 3))
    found = symmetric_neighbors(positions, cells, True, 12, "crystal")
    assert n_kinds(found, [3, 16, 16, 16, 16]) == (4, 4)


@pytest.mark.parametrize("n_neighbors", [8, 12, 16])
def test_in_a_larger_cell_lithium_sees_one_graph(n_neighbors: int) -> None:
    """Within three convolutions; atoms so far from Li that all look alike are tied by index."""
    positions, cells, species = crystals(ANYWHERE[1], n_cells=2, turns=False)
    found = symmetric_neighbors(positions, cells, True, n_neighbors, "crystal")
    assert n_kinds(found, species)[0] == 1
    naive = batch_nearest_neighbors(positions, cells, True, n_neighbors)
    assert n_kinds(naive, species)[0] > 1


@pytest.mark.parametrize("n_neighbors", [4, 12, 18, 30])
def test_distances_are_those_of_the_nearest(n_neighbors: int) -> None:
    positions, cells, _ = crystals(ANYWHERE[2], n_cells=2, turns=False)
    chosen = symmetric_neighbors(positions, cells, True, n_neighbors, "crystal")
    nearest = batch_nearest_neighbors(positions, cells, True, n_neighbors)
    np.testing.assert_allclose(chosen.distances, nearest.distances, rtol=0.0, atol=1e-5)
    check_consistent(chosen, positions, cells)


def check_consistent(found: NeighborList, positions: Any, cells: Any) -> None:
    """Images give the distances, no neighbour twice, by distance and then index."""
    frames = np.arange(len(positions))[:, None, None]
    vectors = positions[frames, found.indices] - positions[:, :, None]
    vectors = vectors + np.einsum("fnmk,fkx->fnmx", found.images, cells)
    lengths = np.linalg.norm(vectors, axis=-1)
    np.testing.assert_allclose(lengths, found.distances, rtol=0.0, atol=1e-10)
    both = np.concatenate([found.indices[..., None], found.images], axis=-1)
    for row in both.reshape(-1, *both.shape[2:]):
        assert len(np.unique(row, axis=0)) == len(row)
    step = np.diff(found.distances, axis=-1)
    assert np.all((step > 0.0) | ((step == 0.0) & (np.diff(found.indices, axis=-1) >= 0)))


def test_without_ties_nothing_changes(rng: np.random.Generator) -> None:
    positions = rng.uniform(size=(3, 40, 3)) * 9.0
    cells = np.broadcast_to(9.0 * np.eye(3), (3, 3, 3))
    chosen = symmetric_neighbors(positions, cells, True, 12, "liquid")
    nearest = batch_nearest_neighbors(positions, cells, True, 12)
    for name in ("indices", "distances", "images"):
        np.testing.assert_array_equal(getattr(chosen, name), getattr(nearest, name))


# --- without periodicity ------------------------------------------------------------------------


def cross(order: Any) -> Any:
    """An atom, six at 1 angstrom around it, and one beyond that stands nearest to atom 3."""
    atoms = np.concatenate([[np.zeros(3)], np.eye(3), -np.eye(3), [[0.0, 0.0, 1.7]]])
    return atoms[order][None]


NO_CELL = np.zeros((1, 3, 3))


@pytest.mark.parametrize("seed", range(6))
def test_an_open_shell_keeps_the_atom_with_the_nearer_surroundings(seed: int) -> None:
    """Of six atoms at the same distance, one has a seventh close by: it is kept first."""
    order = np.random.default_rng(seed).permutation(8)
    place = np.argsort(order)  # where each atom went
    found = symmetric_neighbors(cross(order), NO_CELL, False, 3, "cluster")
    kept = found.indices[0, place[0]]
    assert place[3] in kept
    np.testing.assert_allclose(found.distances[0, place[0]], 1.0, rtol=1e-12)
    if seed == 0:
        return
    reference = symmetric_neighbors(cross(np.arange(8)), NO_CELL, False, 3, "cluster")
    np.testing.assert_allclose(
        found.distances[0][place], reference.distances[0], rtol=0.0, atol=1e-12
    )


def test_a_shell_that_holds_all_other_atoms() -> None:
    """Eight corners of a cube, and its centre: the shell of the centre has no end."""
    corners = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    positions = np.concatenate([[np.zeros(3)], corners])[None]
    for n_neighbors in (3, 7, 8):
        found = symmetric_neighbors(positions, NO_CELL, False, n_neighbors, "cube")
        np.testing.assert_array_equal(found.indices[0, 0], np.arange(1, n_neighbors + 1))
        np.testing.assert_allclose(found.distances[0, 0], np.sqrt(3.0), rtol=1e-12)
        check_consistent(found, positions, NO_CELL)


def test_all_atoms_in_one_place() -> None:
    positions = np.zeros((2, 50, 3))
    cells = np.broadcast_to(8.0 * np.eye(3), (2, 3, 3))
    found = symmetric_neighbors(positions, cells, True, 12, "one place")
    np.testing.assert_array_equal(found.distances, 0.0)
    check_consistent(found, positions, cells)


def test_too_few_atoms_are_refused_as_elsewhere() -> None:
    with pytest.raises(ValueError, match=r"^run.xyz: n_neighbors=8 needs more than 8 atoms"):
        symmetric_neighbors(cross(np.arange(8)), NO_CELL, False, 8, "run.xyz")
    with pytest.raises(ValueError, match="n_neighbors must be at least 1, received 0"):
        symmetric_neighbors(cross(np.arange(8)), NO_CELL, False, 0, "run.xyz")
