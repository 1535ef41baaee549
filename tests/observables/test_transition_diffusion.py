"""Diffusion per transition: exact on a walk whose coefficient depends on a hidden state."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.koopman import Resampling, estimate_koopman_model, one_hot, residence_times
from kgdyn.observables import TransitionDiffusion, transition_diffusion, transition_msd
from kgdyn.toys import MarkovChain
from kgdyn.toys.switching_walk import SwitchingWalk
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

WALK = SwitchingWalk(
    MarkovChain(np.array([[0.95, 0.04, 0.01], [0.05, 0.9, 0.05], [0.02, 0.08, 0.9]])),
    np.array([0.01, 0.05, 0.2]),
)
EDGE = 20.0
FRAME_INTERVAL = 0.5


def sampled(n_frames, n_walkers, rng, walk=WALK):
    positions, states = walk.sample(n_frames, n_walkers, rng=rng)
    trajectory = trajectory_from_arrays(
        np.mod(positions, EDGE), EDGE * np.eye(3), [3] * n_walkers,
        frame_interval=FRAME_INTERVAL, targets=range(n_walkers),
    )  # fmt: skip
    return trajectory, one_hot(states, walk.chain.n_states)


def exact(lagtime, window, walk=WALK):
    """D_ij, D_i and D in square angstrom per ps."""
    found = []
    for msd in (walk.transition_msd, walk.state_msd, walk.total_msd):
        steps = np.subtract(msd(lagtime + window), msd(lagtime - window))
        found.append(steps / (12.0 * window * FRAME_INTERVAL))
    return found


def deviations(values, interval, truth):
    """In standard errors, about."""
    return 4.0 * (values - truth) / (interval.upper - interval.lower)


def test_the_walk_gives_back_each_coefficient(rng) -> None:
    trajectory, chi = sampled(20_000, 30, rng)
    found = transition_diffusion(trajectory, chi, lagtime=10)
    assert isinstance(found, TransitionDiffusion)
    assert found.half_window == 2
    per_transition, per_state, total = exact(10, 2)
    np.testing.assert_allclose(found.diffusion, per_transition, rtol=0.08)
    np.testing.assert_allclose(found.state_diffusion, per_state, rtol=0.05)
    assert found.total_diffusion == pytest.approx(total, rel=0.03)
    for name, truth in (("diffusion", per_transition), ("state_diffusion", per_state),
                        ("total_diffusion", total), ("msd", WALK.transition_msd(10)),
                        ("populations", WALK.chain.stationary_distribution)):  # fmt: skip
        interval = getattr(found, f"{name}_interval")
        off = np.abs(deviations(getattr(found, name), interval, truth))
        assert off.max() < 3.5, name
    # The intervals are narrow enough to tell the states apart, and to say that they are narrow.
    width = found.diffusion_interval.upper - found.diffusion_interval.lower
    assert (width < 0.12 * per_transition).all()
    assert found.number_density == pytest.approx(30 / EDGE**3)


@pytest.mark.parametrize(("lagtime", "window"), [(1, 1), (4, 4), (5, 2)])
def test_the_slope_is_that_of_the_displacements(lagtime, window, rng) -> None:
    trajectory, chi = sampled(400, 5, rng)
    blocks = Resampling(block_length=30)
    found = transition_diffusion(
        trajectory, chi, lagtime=lagtime, half_window=window, resampling=blocks, axes="xy"
    )
    lags = [lagtime + window] + ([lagtime - window] if lagtime > window else [])
    msd = transition_msd(trajectory, chi, lagtimes=lags, resampling=blocks, axes="xy")
    step = msd.msd[-1] - (msd.msd[0] if lagtime > window else 0.0)
    np.testing.assert_allclose(found.diffusion, step / (4 * 2 * window * FRAME_INTERVAL))
    step = msd.total_msd[-1] - (msd.total_msd[0] if lagtime > window else 0.0)
    assert found.total_diffusion == pytest.approx(step / (4 * 2 * window * FRAME_INTERVAL))


def test_ratios_add_up_exactly_and_slopes_nearly(rng) -> None:
    trajectory, chi = sampled(3000, 10, rng)
    ratio = transition_diffusion(trajectory, chi, lagtime=8, estimate="ratio")
    expected = ratio.msd / (6.0 * 8 * FRAME_INTERVAL)
    np.testing.assert_allclose(ratio.diffusion, expected, rtol=1e-12)
    total = (ratio.shares * ratio.diffusion).sum()
    assert total == pytest.approx(ratio.total_diffusion, rel=1e-12)
    slope = transition_diffusion(trajectory, chi, lagtime=8)
    total = (slope.shares * slope.diffusion).sum()
    assert total != pytest.approx(slope.total_diffusion, rel=1e-3)
    # The difference is what the change of the shares adds, here from the exact walk.
    window = slope.half_window
    chain = WALK.chain
    powers = [np.linalg.matrix_power(chain.transition_matrix, 8 + s) for s in (-window, window)]
    change = chain.stationary_distribution[:, None] * (powers[1] - powers[0])
    change /= 12.0 * window * FRAME_INTERVAL
    missing = (change * WALK.transition_msd(8)).sum()
    assert total + missing == pytest.approx(slope.total_diffusion, rel=0.01)


def test_kinetics_are_those_of_the_koopman_model(rng) -> None:
    trajectory, chi = sampled(3000, 8, rng)
    blocks = Resampling(block_length=100)
    found = transition_diffusion(trajectory, chi, lagtime=6, estimate="ratio", resampling=blocks)
    model = estimate_koopman_model(chi, lagtime=6, frame_interval=FRAME_INTERVAL, resampling=blocks)
    np.testing.assert_allclose(found.koopman_matrix, model.koopman_matrix, rtol=1e-9)
    np.testing.assert_allclose(found.residence_times, residence_times(model), rtol=1e-9)
    for name in ("koopman_matrix", "residence_times"):
        ours, theirs = getattr(found, f"{name}_interval"), getattr(model, f"{name}_interval")
        np.testing.assert_allclose(ours.lower, theirs.lower, rtol=1e-7)
        np.testing.assert_allclose(ours.upper, theirs.upper, rtol=1e-7)


def test_intervals_from_targets_and_from_both(rng) -> None:
    trajectory, chi = sampled(1200, 40, rng)
    truth = exact(6, 1)[0]
    by_time = transition_diffusion(trajectory, chi, lagtime=6, resampling=Resampling(60))
    widths = []
    for resampling in (
        Resampling(60, by_target=True),
        Resampling(60, two_way=True),
        Resampling(60, method="percentile"),
    ):
        found = transition_diffusion(trajectory, chi, lagtime=6, resampling=resampling)
        np.testing.assert_allclose(found.diffusion, by_time.diffusion, rtol=1e-10)
        interval = found.diffusion_interval
        assert np.abs(deviations(found.diffusion, interval, truth)).max() < 4.0
        widths.append(interval.upper - interval.lower)
    expected = by_time.diffusion_interval.upper - by_time.diffusion_interval.lower
    off = np.log(np.array(widths) / expected)
    assert (np.abs(off.mean(axis=(1, 2))) < np.log(1.3)).all()
    assert (
        np.abs(off) < np.log(3.0)
    ).all()  # of what is seen rarely, the errors are not known well


def test_a_transition_that_never_happens_is_nan() -> None:
    positions = np.zeros((50, 2, 3))
    positions[..., 0] = 0.1 * np.arange(50.0)[:, None]
    trajectory = trajectory_from_arrays(
        positions, EDGE * np.eye(3), [3, 3], frame_interval=1.0, targets=[0, 1]
    )
    chi = one_hot(np.tile([0, 1], (50, 1)), 2)
    found = transition_diffusion(trajectory, chi, lagtime=2, resampling=Resampling(4))
    assert np.isnan(found.diffusion[[0, 1], [1, 0]]).all()
    assert np.isnan(found.diffusion_interval.lower[0, 1])
    # 0.01 t^2: the slope at t = 2 is 0.04.
    assert found.diffusion[[0, 1], [0, 1]] == pytest.approx([0.04 / 6.0] * 2)


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """60 runs; the benchmark bench_transport_coverage.py does 200 of several kinds."""
    rng = np.random.default_rng(7)
    n_runs, n_walkers = 60, 15
    positions, states = WALK.sample(3000, n_runs * n_walkers, rng=rng)
    truths = dict(
        zip(("diffusion", "state_diffusion", "total_diffusion"), exact(8, 2), strict=True)
    )
    inside = {name: [] for name in truths}
    for run in range(n_runs):
        own = slice(run * n_walkers, (run + 1) * n_walkers)
        trajectory = trajectory_from_arrays(
            positions[:, own], EDGE * np.eye(3), [3] * n_walkers,
            frame_interval=FRAME_INTERVAL, targets=range(n_walkers),
        )  # fmt: skip
        chi = one_hot(states[:, own], 3)
        found = transition_diffusion(trajectory, chi, lagtime=8)
        for name, truth in truths.items():
            inside[name].append(np.mean(getattr(found, f"{name}_interval").contains(truth)))
    shares = {name: np.mean(values) for name, values in inside.items()}
    assert 0.92 <= shares["diffusion"] <= 0.985, shares  # 540 intervals
    assert 0.90 <= shares["state_diffusion"] <= 0.995, shares
    assert 0.86 <= shares["total_diffusion"] <= 1.0, shares  # 60 of them


def test_it_is_read_only_and_says_what_it_is(rng) -> None:
    trajectory, chi = sampled(300, 5, rng)
    found = transition_diffusion(trajectory, chi, lagtime=4, resampling=Resampling(20))
    text = repr(found)
    for part in ("n_states=3", "lagtime=4 frames = 2 ps", "half_window=1", "time blocks of 20"):
        assert part in text
    with pytest.raises(ValueError, match="read-only"):
        found.diffusion[0, 0] = 1.0
    slab = Trajectory(
        trajectory.positions, trajectory.cells, np.array([True, True, False]),
        trajectory.species, trajectory.targets, FRAME_INTERVAL,
    )  # fmt: skip
    options = {"lagtime": 4, "resampling": Resampling(20), "unwrap": "minimum_image", "axes": "xy"}
    assert transition_diffusion(slab, chi, **options).number_density is None


def test_what_is_refused(rng) -> None:
    trajectory, chi = sampled(60, 3, rng)

    def refused(error, match, **options):
        with pytest.raises(error, match=match):
            transition_diffusion(trajectory, chi, **{"lagtime": 4, **options})

    refused(ValueError, "lagtime must be at least 1 frame, received 0", lagtime=0)
    refused(ValueError, "half_window must be at least 1 frame, received 0", half_window=0)
    refused(ValueError, "half_window must be at most lagtime = 4, received 5", half_window=5)
    refused(TypeError, "half_window must be a whole number", half_window=1.5)
    refused(ValueError, 'estimate must be "slope" or "ratio", received \'fit\'', estimate="fit")
    refused(ValueError, "which has 60 frames, received 61", lagtime=50, half_window=11)
