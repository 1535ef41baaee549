"""Angles at targets: an octahedron by hand, random directions, a slow loop, messages."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from kgdyn.koopman import Resampling
from kgdyn.observables.angular_distribution import angular_distribution
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

BLOCK = Resampling(block_length=2)
CELL = np.array([[9.0, 0.0, 0.0], [4.0, 8.0, 0.0], [-3.0, 3.5, 9.0]])

pytestmark = pytest.mark.filterwarnings("ignore:intervals rest on only")


@pytest.fixture
def gas(rng: np.random.Generator) -> Trajectory:
    species = np.array([3] * 3 + [8] * 12 + [16] * 5)
    return trajectory_from_arrays(
        rng.random((20, 20, 3)) @ CELL, CELL, species, frame_interval=1.0, targets=range(3)
    )


def test_a_cubic_lattice_has_right_and_straight_angles() -> None:
    """Six neighbours, all of them images of one atom: 12 angles of 90 and 3 of 180 degrees."""
    lattice = trajectory_from_arrays(
        np.full((2, 1, 3), 0.7), np.eye(3) * 3.0, [13], frame_interval=1.0, targets=[0]
    )
    found = angular_distribution(lattice, cutoffs=3.5, n_bins=9, resampling=Resampling(1))
    assert found.angles_per_target.tolist() == [[15.0]]
    np.testing.assert_allclose(
        found.density[0, 0] * 20.0, [0, 0, 0, 0, 12 / 15, 0, 0, 0, 3 / 15], atol=1e-12
    )
    assert found.pairs == (("Al", "Al"),)


def test_random_directions_are_isotropic(rng: np.random.Generator) -> None:
    positions = rng.random((300, 60, 3)) @ CELL
    species = np.where(np.arange(60) < 4, 3, 8)
    trajectory = trajectory_from_arrays(
        positions, CELL, species, frame_interval=1.0, targets=range(4)
    )
    found = angular_distribution(
        trajectory, selections=["O"], cutoffs=3.5, n_bins=6, resampling=Resampling(15)
    )
    exact = 0.5 * (np.cos(np.radians(found.edges[:-1])) - np.cos(np.radians(found.edges[1:])))
    np.testing.assert_allclose(found.isotropic, exact / 30.0, rtol=1e-12)
    assert found.isotropic.sum() * 30.0 == pytest.approx(1.0, rel=1e-12)
    np.testing.assert_allclose(found.density[0, 0], found.isotropic, rtol=0.1)
    assert found.density_interval.contains(found.isotropic)[0, 0].sum() >= 5
    neighbors = 56 * 4.0 / 3.0 * np.pi * 3.5**3 / np.linalg.det(CELL)
    assert found.angles_per_target[0, 0] == pytest.approx(
        0.5 * neighbors**2 * 55 / 56, rel=0.05
    )  # of independent atoms


def test_it_is_the_slow_loop(gas: Trajectory, rng: np.random.Generator) -> None:
    """Cut-offs by selection, atoms in two selections, images."""
    gas = gas[:6]
    states = rng.dirichlet(np.ones(2), (6, 3))
    lists = {"O": list(range(3, 15)), "some": [0, 1, 5, 16]}
    cutoffs = {"O": 4.0, "some": 9.5}
    found = angular_distribution(
        gas, states, cutoffs=cutoffs, selections=lists, n_bins=12, resampling=BLOCK
    )
    assert found.pairs == (("O", "O"), ("O", "some"), ("some", "some"))
    counts = np.zeros((2, 3, 12))
    shifts = np.array(list(itertools.product(range(-4, 5), repeat=3))) @ CELL
    for frame, target in itertools.product(range(6), range(3)):
        positions = gas.positions[frame]
        near: dict[str, list[tuple[Any, ...]]] = {"O": [], "some": []}
        for name, atoms in lists.items():
            for atom in atoms:
                vectors = positions[atom] + shifts - positions[target]
                for number, vector in enumerate(vectors):
                    if 1e-9 < np.linalg.norm(vector) < cutoffs[name]:
                        near[name].append(((atom, number), vector / np.linalg.norm(vector)))
        for pair, (a, b) in enumerate(found.pairs):
            both = (
                itertools.combinations(near[a], 2)
                if a == b
                else itertools.product(near[a], near[b])
            )
            for one, two in both:
                if one[0] != two[0]:
                    angle = np.degrees(np.arccos(np.clip(one[1] @ two[1], -1.0, 1.0)))
                    counts[:, pair, min(int(angle / 15.0), 11)] += states[frame, target]
    weights = states.sum(axis=(0, 1))
    np.testing.assert_allclose(
        found.angles_per_target, counts.sum(axis=2) / weights[:, None], rtol=1e-9
    )
    np.testing.assert_allclose(
        found.density, counts / counts.sum(axis=2, keepdims=True) / 15.0, rtol=1e-9
    )


def test_pairs_may_be_chosen(gas: Trajectory) -> None:
    every = angular_distribution(gas, cutoffs=5.0, resampling=BLOCK)
    one = angular_distribution(gas, cutoffs=5.0, pairs=[("S", "O")], resampling=BLOCK)
    np.testing.assert_allclose(
        one.density[:, 0], every.density[:, every.pairs.index(("O", "S"))], rtol=1e-12
    )


def test_it_says_what_it_is(gas: Trajectory) -> None:
    found = angular_distribution(gas, cutoffs=3, selections=["O"], resampling=BLOCK)
    assert repr(found) == (
        "AngularDistribution(n_states=1, pairs=[('O', 'O')], cutoffs={'O': 3.0} angstrom, "
        "n_bins=90, n_frames=20, n_targets=3, centre='atom', "
        "intervals='95% jackknife over time blocks of 2 frames')"
    )
    with pytest.raises(ValueError, match="read-only"):
        found.density[...] = 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_bins": 0}, "n_bins must be at least 1, received 0"),
        ({"cutoffs": -1.0}, "cutoffs must be positive distances in angstrom"),
        ({"pairs": []}, "pairs: at least one is needed, received none"),
        ({"pairs": [("O", "N")]}, r"pairs must be two of the selections \['Li', 'O', 'S'\], recei"),
        ({"pairs": [("O", "S"), ("S", "O")]}, r"pairs must each be given once, received \('S'"),
    ],
)
def test_bad_arguments(gas: Trajectory, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        angular_distribution(gas, **({"cutoffs": 3.0} | changes))
