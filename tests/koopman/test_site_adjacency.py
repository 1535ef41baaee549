"""Sites that touch, against crystals counted by hand and a slow search over images."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from kgdyn.koopman import site_adjacency

CUBE = 4.0 * np.eye(3)


def by_hand(sites: NDArray[np.float64], cell: NDArray[np.float64], cutoff: float, pbc: list[bool]):
    counts = np.zeros((len(sites), len(sites)), int)
    reach = [range(-6, 7) if periodic else range(1) for periodic in pbc]
    for one, other in itertools.product(range(len(sites)), repeat=2):
        for image in itertools.product(*reach):
            distance = np.linalg.norm(sites[other] + np.array(image) @ cell - sites[one])
            if 1e-9 < distance <= cutoff:
                counts[one, other] += 1
    return counts


def test_a_simple_cubic_site_touches_its_own_images() -> None:
    assert site_adjacency(np.zeros((1, 3)), CUBE, 4.1).tolist() == [[6]]
    assert site_adjacency(np.zeros((1, 3)), CUBE, 5.7).tolist() == [[18]]
    assert site_adjacency(np.zeros((1, 3)), CUBE, 4.1, pbc=(True, True, False)).tolist() == [[4]]


def test_body_centred_sites() -> None:
    found = site_adjacency([[0, 0, 0], [2, 2, 2]], CUBE, 3.5)
    assert found.tolist() == [[0, 8], [8, 0]]


@pytest.mark.parametrize("pbc", [[True] * 3, [True, False, True], [False] * 3])
def test_oblique_cells_and_shifted_sites(pbc: list[bool], rng: np.random.Generator) -> None:
    cell = np.array([[4.0, 0.0, 0.0], [1.7, 3.5, 0.0], [-1.2, 0.9, 3.1]])
    sites = rng.random((6, 3)) @ cell
    expected = by_hand(sites, cell, 4.4, pbc)
    np.testing.assert_array_equal(site_adjacency(sites, cell, 4.4, pbc=pbc), expected)
    assert expected.sum() > 20
    shifts = rng.integers(-3, 4, (6, 3)) * np.array(pbc)
    moved = sites + shifts @ cell
    np.testing.assert_array_equal(site_adjacency(moved, cell, 4.4, pbc=pbc), expected)


def test_a_distance_of_just_the_cutoff_is_symmetric(rng: np.random.Generator) -> None:
    sites = rng.random((2, 3))
    for _ in range(50):
        shift = rng.normal(size=3)
        found = site_adjacency(sites + shift, CUBE, float(np.linalg.norm(sites[1] - sites[0])))
        np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(3), CUBE, 1.0), r"positions must have shape \(n_sites, 3\), received \(3,\)"),
        ((np.zeros((1, 3)), np.ones(3), 1.0), r"cell must have shape \(3, 3\), received \(3,\)"),
        (([[np.nan, 0, 0]], CUBE, 1.0), "positions and cell must be finite"),
        ((np.zeros((1, 3)), np.zeros((3, 3)), 1.0), "cell must have a volume"),
        ((np.zeros((1, 3)), CUBE, 0.0), "cutoff must be a positive distance, received 0.0"),
        ((np.zeros((1, 3)), CUBE, np.nan), "cutoff must be a positive distance, received nan"),
        ((np.zeros((2, 3)), CUBE, 1.0), "sites 0 and 1 are at the same place"),
        (([[0, 0, 0], [4.0, 0, 0]], CUBE, 1.0), "sites 0 and 1 are at the same place"),
    ],
)
def test_refuses(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        site_adjacency(*arguments)


def test_refuses_other_than_three_truth_values() -> None:
    with pytest.raises(ValueError, match="pbc must be three truth values"):
        site_adjacency(np.zeros((1, 3)), CUBE, 1.0, pbc=(True, True))
