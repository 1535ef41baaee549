"""Profiles along an axis: targets at known heights, uniform targets, cells that change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.koopman import Resampling
from kgdyn.observables.state_profile import state_profile
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

CELL = np.array([[9.0, 0.0, 0.0], [4.0, 8.0, 0.0], [-3.0, 3.5, 10.0]])

pytestmark = pytest.mark.filterwarnings("ignore:intervals rest on only")


def uniform(rng: np.random.Generator, cells: Any, n_frames: int = 100) -> Trajectory:
    cells = np.broadcast_to(cells, (n_frames, 3, 3))
    positions = (rng.random((n_frames, 20, 3)) * 3.0 - 1.0) @ cells
    return trajectory_from_arrays(
        positions, cells, np.full(20, 3), frame_interval=1.0, targets=range(20)
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_uniform_targets_in_cells_that_change(axis: int, rng: np.random.Generator) -> None:
    """The states are given by the height: 0 in the lower half, 1 in the upper one."""
    cells = CELL * rng.uniform(0.9, 1.1, (100, 1, 1))
    trajectory = uniform(rng, cells)
    fractions = (trajectory.positions @ np.linalg.inv(cells))[..., axis] % 1.0
    states = np.stack([fractions < 0.5, fractions >= 0.5], axis=-1).astype(float)
    found = state_profile(trajectory, states, axis=axis, n_slabs=4, resampling=Resampling(5))
    assert found.share.tolist() == [[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]
    volumes = np.abs(np.linalg.det(cells))
    counts = [(np.floor(fractions * 4) == k).sum() for k in range(4)]
    np.testing.assert_allclose(
        found.density.sum(axis=0), np.array(counts) / (volumes.sum() / 4), rtol=1e-12
    )
    assert found.density_interval.contains(np.full(1, 2000 / volumes.sum()))[0, :2].any()
    normal = np.cross(CELL[(axis + 1) % 3], CELL[(axis + 2) % 3])
    height = abs(np.linalg.det(CELL)) / np.linalg.norm(normal)
    scale = np.cbrt(volumes / abs(np.linalg.det(CELL))).mean()
    assert found.edges[-1] == pytest.approx(height * scale, rel=1e-12)
    np.testing.assert_allclose(found.positions, (np.arange(4) + 0.5) * found.edges[-1] / 4)


def test_a_free_axis_has_bounds_along_its_normal(rng: np.random.Generator) -> None:
    """A slab: the third lattice vector may be anything, or zero."""
    heights = np.array([-3.2, -1.0, 0.1, 4.9, 5.5])
    positions = np.zeros((4, 5, 3))
    positions[..., :2] = rng.random((4, 5, 2)) * 30.0
    positions[..., 2] = heights
    for third in ([0.0, 0.0, 0.0], [1.0, 2.0, 50.0], [0.0, 0.0, -50.0]):
        cell = np.array([[6.0, 0.0, 0.0], [1.0, 5.0, 0.0], third])
        trajectory = trajectory_from_arrays(
            positions,
            cell,
            np.full(5, 3),
            frame_interval=1.0,
            targets=range(5),
            pbc=[True, True, False],
        )
        found = state_profile(trajectory, n_slabs=2, bounds=(-5.0, 5.0), resampling=Resampling(1))
        np.testing.assert_allclose(found.density, [[2 / 150.0, 2 / 150.0]], rtol=1e-12)
        assert found.edges.tolist() == [-5.0, 0.0, 5.0]
        assert found.share.tolist() == [[1.0, 1.0]]


def test_molecules_lie_where_their_centre_is() -> None:
    """Across the border: at 9.75 of 10 by their mass, at 0 by the mean of the atoms."""
    positions = np.array([[[5.0, 5.0, 9.5], [5.0, 5.0, 0.5]]] * 2)
    trajectory = trajectory_from_arrays(
        positions,
        np.eye(3) * 10.0,
        [8, 1],
        frame_interval=1.0,
        targets=TargetGroups.from_groups([[0, 1]]),
    )
    settings: dict[str, Any] = {"n_slabs": 20, "resampling": Resampling(1)}
    heavy = state_profile(trajectory, masses=[3.0, 1.0], **settings)
    assert np.flatnonzero(heavy.density[0]).tolist() == [19]
    assert heavy.centre == "centre of mass"
    assert np.isnan(heavy.share[0, :19]).all()
    mean = state_profile(trajectory, **settings)
    assert np.flatnonzero(mean.density[0]).tolist() == [0]


def test_intervals_by_time_and_by_target_hold_the_density(rng: np.random.Generator) -> None:
    trajectory = uniform(rng, CELL)
    states = rng.dirichlet(np.ones(2), (100, 20))
    exact = np.full(1, 0.5 * 20 / np.linalg.det(CELL))
    for resampling in (Resampling(5), Resampling(5, by_target=True), Resampling(5, two_way=True)):
        found = state_profile(trajectory, states, n_slabs=10, resampling=resampling)
        assert found.density_interval.contains(exact).mean() > 0.8
        assert found.share_interval.contains(np.full(1, 0.5)).mean() > 0.8
        width = found.density_interval.upper - found.density_interval.lower
        assert (width / found.density).mean() == pytest.approx(0.33, rel=0.3)


def test_it_says_what_it_is(rng: np.random.Generator) -> None:
    found = state_profile(uniform(rng, CELL), n_slabs=5, resampling=Resampling(5))
    assert repr(found) == (
        "StateProfile(n_states=1, axis=2, n_slabs=5, from 0 to 10 angstrom, n_frames=100, "
        "n_targets=20, centre='atom', intervals='95% jackknife over time blocks of 5 frames')"
    )
    with pytest.raises(ValueError, match="read-only"):
        found.density[...] = 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axis": 3}, "axis must be 0, 1 or 2, received 3"),
        ({"n_slabs": 0}, "n_slabs must be at least 1, received 0"),
        ({"bounds": (0.0, 1.0)}, "bounds must be given for an axis that is not periodic, and only"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=message):
        state_profile(uniform(rng, CELL), **changes)


def test_bad_bounds_of_a_free_axis(rng: np.random.Generator) -> None:
    free = Trajectory(**{**vars(uniform(rng, CELL)), "pbc": np.array([True, True, False])})
    with pytest.raises(ValueError, match="bounds must be given for an axis that is not periodic"):
        state_profile(free)
    with pytest.raises(ValueError, match=r"bounds must rise, in angstrom, received \(2\.0, 1\.0\)"):
        state_profile(free, bounds=(2.0, 1.0))
    with pytest.raises(ValueError, match="directions within the slabs must be periodic, received"):
        state_profile(free, axis=0)
