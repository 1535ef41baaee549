"""Neighbours within a cut-off: lattices by hand, the running coordination number, messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgdyn.koopman import Resampling
from kgdyn.observables.coordination_numbers import coordination_numbers, neighbor_counts
from kgdyn.observables.state_rdf import state_rdf
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

BLOCK = Resampling(block_length=2)
CELL = np.array([[9.0, 0.0, 0.0], [4.0, 8.0, 0.0], [-3.0, 3.5, 9.0]])

pytestmark = pytest.mark.filterwarnings("ignore:intervals rest on only")


@pytest.fixture
def trajectory(rng: np.random.Generator) -> Trajectory:
    species = np.array([3] * 5 + [8] * 40 + [16] * 10)
    return trajectory_from_arrays(
        rng.random((24, 55, 3)) @ CELL, CELL, species, frame_interval=1.0, targets=range(5)
    )


@pytest.mark.parametrize(
    ("cell", "shells"),
    [
        (np.eye(3), {1.1: 6, 1.5: 18, 1.8: 26, 2.1: 32}),
        ((1 - np.eye(3)) / np.sqrt(2), {1.1: 12, 1.5: 18, 1.8: 42, 2.1: 54}),
        ((np.ones((3, 3)) - 2 * np.eye(3)) / np.sqrt(3), {1.1: 8, 1.2: 14, 1.7: 26}),
    ],
    ids=["simple cubic", "face-centred", "body-centred"],
)
def test_lattices_of_one_atom_in_the_cell(cell: Any, shells: dict[float, int]) -> None:
    """All neighbours are images of the target itself. Edges in units of the first distance."""
    lattice = trajectory_from_arrays(
        np.full((2, 1, 3), 7.3), cell, [13], frame_interval=1.0, targets=[0]
    )
    for cutoff, count in shells.items():
        assert neighbor_counts(lattice, cutoffs=cutoff).tolist() == [[[count]]] * 2
        found = coordination_numbers(lattice, cutoffs=cutoff, resampling=Resampling(1))
        assert found.mean.tolist() == [[count]]
        assert found.distribution[0, 0].tolist() == [0.0] * count + [1.0]


def test_it_is_the_running_coordination_number(
    trajectory: Trajectory, rng: np.random.Generator
) -> None:
    states = rng.dirichlet(np.ones(3), (24, 5))
    running = state_rdf(trajectory, states, r_max=10.0, n_bins=20, resampling=BLOCK)
    cutoffs = {"Li": 10.0, "O": 4.0, "S": 6.5}
    found = coordination_numbers(trajectory, states, cutoffs=cutoffs, resampling=BLOCK)
    for a, name in enumerate(found.selections):
        place = round(cutoffs[name] / 0.5) - 1
        np.testing.assert_allclose(found.mean[:, a], running.coordination[:, a, place], rtol=1e-12)
        for bound in ("lower", "upper"):
            np.testing.assert_allclose(
                getattr(found.mean_interval, bound)[:, a],
                getattr(running.coordination_interval, bound)[:, a, place],
                rtol=1e-9,
            )
    np.testing.assert_allclose(found.populations, states.mean(axis=(0, 1)), rtol=1e-12)


def test_distributions_are_those_of_the_counts(
    trajectory: Trajectory, rng: np.random.Generator
) -> None:
    states = rng.dirichlet(np.ones(2), (24, 5))
    selections = {"sulfur": list(range(45, 55)), "few": [3, 4, 50]}
    settings: dict[str, Any] = {"cutoffs": 5.0, "selections": selections}
    counts = neighbor_counts(trajectory, n_threads=2, **settings)
    assert counts.shape == (24, 5, 2)
    found = coordination_numbers(trajectory, states, resampling=BLOCK, **settings)
    for a in range(2):
        for count in range(found.distribution.shape[2]):
            share = (states * (counts[:, :, a, None] == count)).sum(axis=(0, 1))
            np.testing.assert_allclose(
                found.distribution[:, a, count], share / states.sum(axis=(0, 1)), rtol=1e-12
            )
    np.testing.assert_allclose(found.distribution.sum(axis=2), 1.0, rtol=1e-12)
    assert (found.distribution_interval.lower >= 0.0).all()
    assert (found.distribution_interval.upper <= 1.0).all()


def test_counts_are_those_of_a_tree(trajectory: Trajectory, rng: np.random.Generator) -> None:
    """scipy's tree over copies of the cell."""
    from scipy.spatial import cKDTree

    counts = neighbor_counts(trajectory, cutoffs=7.0, selections=["O"])
    shifts = np.stack(np.meshgrid(*[np.arange(-3, 4)] * 3), axis=-1).reshape(-1, 3) @ CELL
    for frame in (0, 23):
        positions = trajectory.positions[frame]
        tree = cKDTree((positions[5:45, None] + shifts).reshape(-1, 3))
        near = tree.query_ball_point(positions[:5], 7.0, return_length=True)
        assert counts[frame, :, 0].tolist() == near.tolist()


def test_it_says_what_it_is(trajectory: Trajectory) -> None:
    found = coordination_numbers(trajectory, cutoffs=3.0, selections=["O"], resampling=BLOCK)
    assert repr(found) == (
        "CoordinationNumbers(n_states=1, cutoffs={'O': 3.0} angstrom, n_frames=24, n_targets=5, "
        "centre='atom', intervals='95% jackknife over time blocks of 2 frames')"
    )
    with pytest.raises(ValueError, match="read-only"):
        found.mean[...] = 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cutoffs": 0.0}, r"cutoffs must be positive distances in angstrom, received \[0\.0, "),
        (
            {"cutoffs": {"O": 3.0}},
            r"cutoffs must be one distance, or one for each of \['Li', 'O', ",
        ),
        ({"cutoffs": 2.0, "n_threads": 0}, "n_threads must be at least 1, received 0"),
    ],
)
def test_bad_arguments(trajectory: Trajectory, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        coordination_numbers(trajectory, **changes)
    with pytest.raises(ValueError, match=message):
        neighbor_counts(trajectory, **changes)
