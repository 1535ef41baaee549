"""Mean square displacement per transition: by hand, against a loop, against MDAnalysis."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.koopman import Resampling, block_covariances, one_hot
from kgdyn.observables import TransitionMSD, _displacement_stream, transition_msd
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

BLOCKS = Resampling(block_length=20)
LAGS = [1, 4, 11]


def random_case(rng, n_frames=240, n_targets=4, n_states=3, edge=9.0):
    """Wrapped random walks with fuzzy states; the unwrapped ones as well."""
    path = np.cumsum(rng.normal(scale=0.4, size=(n_frames, n_targets, 3)), axis=0)
    chi = rng.dirichlet(np.full(n_states, 0.3), size=(n_frames, n_targets))
    trajectory = trajectory_from_arrays(
        np.mod(path, edge), edge * np.eye(3), [3] * n_targets, frame_interval=0.5,
        targets=range(n_targets),
    )  # fmt: skip
    return trajectory, path, chi


def slow_msd(paths, chis, lagtime):
    """Sum over pairs, one after the other: (n_states, n_states) of squares and of weights."""
    n_states = chis[0].shape[2]
    squares, weights = np.zeros((n_states, n_states)), np.zeros((n_states, n_states))
    for path, chi in zip(paths, chis, strict=True):
        for t in range(len(path) - lagtime):
            for k in range(path.shape[1]):
                d2 = ((path[t + lagtime, k] - path[t, k]) ** 2).sum()
                for i in range(n_states):
                    for j in range(n_states):
                        weight = chi[t, k, i] * chi[t + lagtime, k, j]
                        weights[i, j] += weight
                        squares[i, j] += weight * d2
    return squares, weights


def test_two_speeds_by_hand() -> None:
    """Atom 0 moves by 1 a frame, always in state 0; atom 1 by 3, always in state 1."""
    frames = np.arange(40.0)
    positions = np.zeros((40, 2, 3))
    positions[:, 0, 0], positions[:, 1, 1] = frames, 3.0 * frames
    trajectory = trajectory_from_arrays(
        positions, 200.0 * np.eye(3), [3, 3], frame_interval=2.0, targets=[0, 1]
    )
    chi = one_hot(np.tile([0, 1], (40, 1)), 2)
    found = transition_msd(trajectory, chi, lagtimes=[1, 5], resampling=Resampling(block_length=3))
    assert found.times.tolist() == [2.0, 10.0]
    for number, lag in enumerate([1, 5]):
        assert found.msd[number, 0, 0] == pytest.approx(lag**2, rel=1e-12)
        assert found.msd[number, 1, 1] == pytest.approx(9.0 * lag**2, rel=1e-12)
        assert found.state_msd[number] == pytest.approx([lag**2, 9.0 * lag**2], rel=1e-12)
        assert found.total_msd[number] == pytest.approx(5.0 * lag**2, rel=1e-12)
    assert np.isnan(found.msd[:, [0, 1], [1, 0]]).all()
    np.testing.assert_allclose(found.shares, [[[0.5, 0.0], [0.0, 0.5]]] * 2, atol=1e-15)
    flat = transition_msd(trajectory, chi, lagtimes=[5], axes="xz", resampling=Resampling(3))
    assert flat.msd[0, [0, 1], [0, 1]] == pytest.approx([25.0, 0.0], abs=1e-10)


@pytest.mark.parametrize(
    "resampling",
    [BLOCKS, Resampling(1, by_target=True), Resampling(60, two_way=True)],
    ids=["blocks", "targets", "both"],
)
@pytest.mark.filterwarnings("ignore:intervals rest on only")
def test_against_a_slow_loop(resampling, rng) -> None:
    trajectory, path, chi = random_case(rng)
    found = transition_msd(trajectory, chi, lagtimes=LAGS, resampling=resampling)
    for number, lag in enumerate(LAGS):
        squares, weights = slow_msd([path], [chi], lag)
        np.testing.assert_allclose(found.msd[number], squares / weights, rtol=1e-10)
        expected = squares.sum(axis=1) / weights.sum(axis=1)
        np.testing.assert_allclose(found.state_msd[number], expected, rtol=1e-10)
        np.testing.assert_allclose(found.total_msd[number], squares.sum() / weights.sum())
        np.testing.assert_allclose(found.shares[number], weights / weights.sum(), rtol=1e-10)
    # What adds up: each mean square displacement, with its share, to the total.
    np.testing.assert_allclose((found.shares * found.msd).sum(axis=(1, 2)), found.total_msd)


def test_segments_and_trajectories_are_never_joined(rng) -> None:
    trajectory, path, chi = random_case(rng)
    parts = [slice(0, 90), slice(90, 140), slice(140, 240)]
    cut = Trajectory(
        trajectory.positions, trajectory.cells, trajectory.pbc, trajectory.species,
        trajectory.targets, 0.5, segment_offsets=np.array([0, 90, 140, 240]),
    )  # fmt: skip
    two = [cut[:140], trajectory[140:]]
    for given, states in ((cut, chi), (two, [chi[:140], chi[140:]])):
        found = transition_msd(given, states, lagtimes=[3, 60], resampling=Resampling(5))
        squares, weights = slow_msd([path[p] for p in parts], [chi[p] for p in parts], 3)
        np.testing.assert_allclose(found.msd[0], squares / weights, rtol=1e-10)
        long = [parts[0], parts[2]]  # a segment of 50 frames has no pair 60 frames apart
        squares, weights = slow_msd([path[p] for p in long], [chi[p] for p in long], 60)
        np.testing.assert_allclose(found.msd[1], squares / weights, rtol=1e-10)


def test_buffers_do_not_matter(rng, monkeypatch) -> None:
    trajectory, _, chi = random_case(rng)
    whole = transition_msd(trajectory, chi, lagtimes=LAGS, resampling=BLOCKS).sums
    monkeypatch.setattr(_displacement_stream, "_NUMBERS_IN_BUFFER", 1)
    monkeypatch.setattr(_displacement_stream, "_ROWS_AT_ONCE", 12)
    held = []
    original = _displacement_stream._SegmentSums.__init__

    def watched(self, *arguments):
        original(self, *arguments)
        held.append(len(self._centers))

    monkeypatch.setattr(_displacement_stream._SegmentSums, "__init__", watched)
    small = transition_msd(trajectory, chi, lagtimes=LAGS, resampling=BLOCKS).sums
    assert held == [2 * max(LAGS)]  # frames in memory, of 240
    for name in ("squares", "weights", "cov_00", "cov_0t", "cov_tt", "sum_0", "sum_t", "n_pairs"):
        np.testing.assert_allclose(getattr(small, name), getattr(whole, name), rtol=1e-11)


def test_memory_does_not_grow_with_the_trajectory() -> None:
    def peak(n_frames):
        still = Trajectory(
            np.broadcast_to(np.ones((1, 2, 3)), (n_frames, 2, 3)),
            np.broadcast_to(9.0 * np.eye(3), (n_frames, 3, 3)),
            np.array([True] * 3), np.array([3, 3]), TargetGroups.from_indices([0, 1]), 1.0,
        )  # fmt: skip
        chi = np.broadcast_to(np.full((1, 2, 2), 0.5), (n_frames, 2, 2))
        tracemalloc.start()
        found = transition_msd(still, chi, lagtimes=[50], resampling=Resampling(5000))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.total_msd[0] == 0.0
        return peak

    assert peak(600_000) < 1.1 * peak(150_000)


@pytest.mark.parametrize("by_target", [False, True])
@pytest.mark.filterwarnings("ignore:intervals rest on only")
def test_covariances_are_those_of_koopman(by_target, rng) -> None:
    trajectory, _, chi = random_case(rng)
    resampling = Resampling(24, two_way=by_target)
    given = transition_msd(trajectory, chi, lagtimes=[3], resampling=resampling).sums
    expected = block_covariances([chi], 3, 24, by_target)
    for name in ("cov_00", "cov_0t", "cov_tt", "sum_0", "sum_t", "n_pairs", "block_of"):
        np.testing.assert_allclose(getattr(given, name), getattr(expected, name), rtol=1e-11)
    np.testing.assert_allclose(given.weights[:, 0], expected.cov_0t, rtol=1e-11)
    if by_target:
        np.testing.assert_array_equal(given.target_of, expected.target_of)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_agrees_with_mdanalysis_when_all_weights_are_one(rng) -> None:
    import MDAnalysis
    from MDAnalysis.analysis.msd import EinsteinMSD

    path = np.cumsum(rng.integers(-512, 513, size=(150, 7, 3)) / 1024.0, axis=0)  # exact float32
    universe = MDAnalysis.Universe.empty(7, trajectory=True)
    universe.load_new(path.astype(np.float32), order="fac")
    reference = EinsteinMSD(universe, select="all", msd_type="xyz", fft=False).run()
    expected = reference.results.timeseries
    edge = 40.0
    trajectory = trajectory_from_arrays(
        np.mod(path, edge), edge * np.eye(3), [3] * 7, frame_interval=1.0, targets=range(7)
    )
    chi = np.zeros((150, 7, 2))
    chi[..., 0] = 1.0
    lags = list(range(1, 80))
    found = transition_msd(trajectory, chi, lagtimes=lags, resampling=Resampling(5))
    np.testing.assert_allclose(found.total_msd, expected[lags], rtol=1e-6)
    np.testing.assert_allclose(found.msd[:, 0, 0], expected[lags], rtol=1e-6)
    # Two states that are always equally likely have the same displacement as all together.
    half = transition_msd(
        trajectory, np.full_like(chi, 0.5), lagtimes=lags, resampling=Resampling(5)
    )
    np.testing.assert_allclose(half.msd, np.tile(expected[lags, None, None], (1, 2, 2)), rtol=1e-6)


def test_a_shift_of_1000_angstrom_changes_nothing(rng) -> None:
    trajectory, path, chi = random_case(rng)
    edge = trajectory.cells[0]
    near, far, unfolded = (
        transition_msd(
            trajectory_from_arrays(
                positions, edge, [3] * 4, frame_interval=0.5, targets=range(4)
            ),
            chi, lagtimes=LAGS, resampling=BLOCKS,
        ).msd
        for positions in (trajectory.positions, trajectory.positions + 1000.0, path)
    )  # fmt: skip
    np.testing.assert_allclose(far, near, rtol=1e-9)
    np.testing.assert_allclose(unfolded, near, rtol=1e-9)


def test_drift_of_the_whole_system(rng) -> None:
    trajectory, path, chi = random_case(rng)
    drifting = path + 0.3 * np.arange(len(path))[:, None, None] * [1.0, 2.0, -1.0]
    moving = trajectory_from_arrays(
        np.mod(drifting, 9.0), 9.0 * np.eye(3), [3] * 4, frame_interval=0.5, targets=[1, 2]
    )
    states = chi[:, 1:3]
    options = {"lagtimes": LAGS, "resampling": BLOCKS}
    still = transition_msd(
        trajectory.with_targets(moving.targets), states, remove_drift=True, **options
    )
    found = transition_msd(moving, states, remove_drift=True, **options)
    np.testing.assert_allclose(found.msd, still.msd, rtol=1e-9)
    assert transition_msd(moving, states, **options).total_msd[-1] > 3.0 * found.total_msd[-1]
    by_element = transition_msd(moving, states, remove_drift=True, masses={"Li": 6.9}, **options)
    np.testing.assert_allclose(by_element.msd, still.msd, rtol=1e-9)


def test_the_result_is_read_only_and_says_what_it_is(rng) -> None:
    trajectory, _, chi = random_case(rng)
    found = transition_msd(trajectory, chi, lagtimes=[4, 1], resampling=BLOCKS)
    assert isinstance(found, TransitionMSD)
    assert found.lagtimes.tolist() == [1, 4]
    assert "times=0.5 to 2 ps" in repr(found)
    assert "time blocks of 20 frames" in repr(found)
    assert (found.msd_interval.lower < found.msd).all()
    assert (found.msd < found.msd_interval.upper).all()
    for values in (found.msd, found.total_msd, found.msd_interval.upper, found.shares):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1.0
    automatic = transition_msd(trajectory, chi.astype(np.float32), lagtimes=[1])
    assert automatic.resampling.block_length >= 10
    np.testing.assert_allclose(automatic.msd[0], found.msd[0], rtol=1e-5)


def test_what_is_refused(rng) -> None:
    trajectory, _, chi = random_case(rng, n_frames=30)

    def refused(error, match, given=trajectory, states=chi, **options):
        options = {"lagtimes": [1], "resampling": Resampling(3), **options}
        with pytest.raises(error, match=match):
            transition_msd(given, states, **options)

    refused(ValueError, "at least one is needed", lagtimes=[])
    refused(ValueError, "lagtimes must be at least 1 frame, received 0", lagtimes=[0])
    refused(TypeError, "lagtimes must be a whole number of frames, received 1.5", lagtimes=[1.5])
    refused(ValueError, "longest segment, which has 30 frames, received 30", lagtimes=[30])
    refused(ValueError, 'axes must name some of "xyz"', axes="xx")
    refused(ValueError, 'unwrap="images" needs images', unwrap="images")
    refused(ValueError, r"masses must have shape \(n_atoms,\) = \(4,\)", masses=[1.0])
    refused(ValueError, "masses must be positive, received 0.0", masses=[0.0, 1.0, 1.0, 1.0])
    refused(ValueError, r"masses must have a value for every element .* \['Li'\]", masses={})
    refused(TypeError, "trajectories must be of type Trajectory", given=[chi], states=[chi])
    refused(ValueError, "one array for each trajectory, received 2 for 1", states=[chi, chi])
    refused(ValueError, r"= \(30, 4, at least 2\), received \(29, 4, 3\)", states=chi[1:])
    refused(ValueError, "same number of states for all", given=[trajectory] * 2,
            states=[chi, chi[..., :2]])  # fmt: skip
    slower = trajectory_from_arrays(
        trajectory.positions, trajectory.cells, [3] * 4, frame_interval=0.6, targets=range(4)
    )
    refused(ValueError, "frame_interval must be the same", given=[trajectory, slower],
            states=[chi, chi])  # fmt: skip
    bad = chi.copy()
    bad[7, 2] *= 1.1
    refused(ValueError, "frame 7: rows of state_probabilities must sum to 1, .* target 2",
            states=bad)  # fmt: skip
    bad[7, 2, 0] = np.nan
    refused(ValueError, "frame 7: rows of state_probabilities", states=bad, resampling=None)
    refused(ValueError, "intervals need at least 2 blocks", resampling=Resampling(500))
