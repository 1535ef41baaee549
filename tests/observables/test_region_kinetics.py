"""Two regions with dynamics of their own: known matrices, a slow loop, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kgdyn.koopman import Resampling, estimate_koopman_model, one_hot
from kgdyn.observables import region_kinetics
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

SLOW = np.array([[0.95, 0.05], [0.10, 0.90]])
FAST = np.array([[0.60, 0.40], [0.20, 0.80]])


def empty_run(n_frames: int, n_targets: int, **options: Any) -> Trajectory:
    return trajectory_from_arrays(
        np.zeros((n_frames, n_targets, 3)), 9.0 * np.eye(3), [3] * n_targets,
        **{"frame_interval": 0.5, "targets": range(n_targets), **options},
    )  # fmt: skip


def sample(
    rng: np.random.Generator, n_frames: int, n_targets: int, leave: float
) -> tuple[np.ndarray, np.ndarray]:
    """States and regions; a target steps by the matrix of the region that it is in."""
    states, regions = np.zeros((2, n_frames, n_targets), dtype=np.int64)
    regions[0] = np.arange(n_targets) % 2
    for t in range(1, n_frames):
        up = np.where(regions[t - 1] == 0, SLOW[states[t - 1], 1], FAST[states[t - 1], 1])
        states[t] = rng.random(n_targets) < up
        regions[t] = regions[t - 1] ^ (rng.random(n_targets) < leave)
    return states, regions


@pytest.mark.parametrize("lagtime", [1, 3])
def test_targets_that_stay_have_the_matrix_of_their_region(
    lagtime: int, rng: np.random.Generator
) -> None:
    states, regions = sample(rng, 4000, 20, leave=0.0)
    found = region_kinetics(
        empty_run(4000, 20), one_hot(states, 2), regions, lagtime=lagtime, names=["slab", "melt"]
    )
    for k, matrix in enumerate((SLOW, FAST)):
        exact = np.linalg.matrix_power(matrix, lagtime)
        np.testing.assert_allclose(found.koopman_matrix[k], exact, atol=0.02)
        interval = found.koopman_matrix_interval
        assert (interval.upper - interval.lower)[k].max() < 0.06
        assert ((interval.lower[k] - 0.01 < exact) & (exact < interval.upper[k] + 0.01)).all()
        time = -0.5 / np.log(matrix[0, 0] + matrix[1, 1] - 1.0)
        assert found.timescales[k, 0] == pytest.approx(time, rel=0.12)
        share = matrix[1, 0] / (matrix[1, 0] + matrix[0, 1])
        assert found.populations[k, 0] == pytest.approx(share, abs=0.02)
    assert found.shares.tolist() == [0.5, 0.5]
    assert found.staying.tolist() == [1.0, 1.0]
    assert found.n_pairs.tolist() == [(4000 - lagtime) * 10] * 2
    assert repr(found).startswith(
        "RegionKinetics(shares={'slab': 0.5, 'melt': 0.5}, n_states=2, "
        f"lagtime={lagtime} frames = {0.5 * lagtime:g} ps, stay=False"
    )


def test_intervals_cover_the_matrices(rng: np.random.Generator) -> None:
    """Of 60 runs about 57; targets leave, which at lag 1 changes no matrix."""
    inside = np.zeros((2, 2, 2))
    for _ in range(60):
        states, regions = sample(rng, 300, 6, leave=0.05)
        found = region_kinetics(
            empty_run(300, 6), one_hot(states, 2), regions, lagtime=1, resampling=Resampling(15)
        )
        inside += found.koopman_matrix_interval.contains(np.array([SLOW, FAST]))
    assert inside.min() >= 50
    assert (inside == 60).sum() < 8


@pytest.mark.parametrize("stay", [False, True])
@pytest.mark.parametrize("scheme", [{}, {"by_target": True}, {"two_way": True}])
@pytest.mark.filterwarnings("ignore:intervals rest on only")
def test_against_a_slow_loop(stay: bool, scheme: Any, rng: np.random.Generator) -> None:
    """Soft states, two trajectories, gaps, and targets in no region."""
    first = replace(empty_run(23, 3), segment_offsets=np.array([0, 4, 6, 23]))
    second = empty_run(11, 3)
    states = [rng.dirichlet(np.ones(3), (n, 3)) for n in (23, 11)]
    regions = [rng.integers(-1, 2, (n, 3)) for n in (23, 11)]
    found = region_kinetics(
        [first, second], states, regions, lagtime=3, stay=stay,
        resampling=Resampling(4, **scheme),
    )  # fmt: skip
    cov_00, cov_0t, inside = np.zeros((2, 3, 3)), np.zeros((2, 3, 3)), np.zeros((2, 3))
    begin, remain = np.zeros(2), np.zeros(2)
    for chi, where, spans in (
        (states[0], regions[0], [(0, 4), (4, 6), (6, 23)]),
        (states[1], regions[1], [(0, 11)]),
    ):
        for low, high in spans:
            for t in range(low, high):
                for target in range(3):
                    k = where[t, target]
                    if k < 0:
                        continue
                    inside[k] += chi[t, target]
                    if t + 3 >= high:
                        continue
                    begin[k] += 1
                    remain[k] += where[t + 3, target] == k
                    if stay and where[t + 3, target] != k:
                        continue
                    cov_00[k] += np.outer(chi[t, target], chi[t, target])
                    cov_0t[k] += np.outer(chi[t, target], chi[t + 3, target])
    np.testing.assert_allclose(
        found.koopman_matrix, np.linalg.solve(cov_00, cov_0t), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(found.populations, inside / inside.sum(axis=1)[:, None])
    np.testing.assert_allclose(found.staying, remain / begin)
    np.testing.assert_allclose(found.shares, inside.sum(axis=1) / (34 * 3))
    assert found.n_pairs.tolist() == (remain if stay else begin).tolist()


def test_one_region_is_the_whole_model(rng: np.random.Generator) -> None:
    states, _ = sample(rng, 500, 4, leave=0.1)
    chi = one_hot(states, 2)
    scheme = Resampling(25)
    whole = estimate_koopman_model(chi, lagtime=2, frame_interval=0.5, resampling=scheme)
    found = region_kinetics(
        empty_run(500, 4), chi, np.zeros((500, 4), int), lagtime=2, resampling=scheme
    )
    np.testing.assert_allclose(found.koopman_matrix[0], whole.koopman_matrix, rtol=1e-12)
    np.testing.assert_allclose(found.timescales[0], whole.timescales_ps(), rtol=1e-9)
    np.testing.assert_allclose(found.populations[0], whole.populations, rtol=1e-12)
    # Blocks are cut by frames here and by pairs there.
    assert whole.timescales_interval is not None
    width = found.timescales_interval.upper[0] - found.timescales_interval.lower[0]
    other = whole.timescales_interval.upper - whole.timescales_interval.lower
    assert width[0] == pytest.approx(other[0], rel=0.3)


@pytest.mark.filterwarnings("ignore:intervals rest on only")
def test_a_region_without_targets(rng: np.random.Generator) -> None:
    states, regions = sample(rng, 60, 4, leave=0.1)
    found = region_kinetics(
        empty_run(60, 4), one_hot(states, 2), 2 * regions, lagtime=1, resampling=Resampling(6)
    )
    assert found.names == ("region 1", "region 2", "region 3")
    assert (found.n_regions, found.n_states) == (3, 2)
    assert found.n_pairs[1] == 0
    assert found.shares[1] == 0.0
    for values in (found.populations, found.koopman_matrix, found.timescales, found.staying):
        assert np.isnan(values[1]).all()
        assert np.isfinite(values[0]).all()
    with pytest.raises(ValueError, match="read-only"):
        found.koopman_matrix[...] = 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lagtime": 0}, "lagtime must be at least 1 frame, received 0"),
        ({"lagtime": 12}, "lagtime must be shorter than the longest segment, which has 12 frames"),
        ({"regions": np.zeros((11, 2), int)}, r"shape \(n_frames, n_targets\) = \(12, 2\)"),
        ({"regions": np.zeros((12, 2))}, "regions must be integers .* received float64"),
        ({"regions": [np.zeros((12, 2), int)] * 2}, "regions must be one array for each traj"),
        ({"regions": np.full((12, 2), -1)}, "regions: at least one target must be in one"),
        ({"names": []}, r"names must be of all 1 regions, each once, received \[\]"),
        ({"names": ["a", "a"]}, "names must be of all 1 regions, each once"),
        ({"states": np.full((12, 2, 2), 0.4)}, "frame 0: rows of state_probabilities must sum"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    settings = {
        "states": np.full((12, 2, 2), 0.5), "regions": np.zeros((12, 2), int), "lagtime": 1,
        "resampling": Resampling(2),
    } | changes  # fmt: skip
    states, regions = settings.pop("states"), settings.pop("regions")
    with pytest.raises(ValueError, match=message):
        region_kinetics(empty_run(12, 2), states, regions, **settings)
