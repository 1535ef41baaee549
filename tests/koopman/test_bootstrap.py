"""95% intervals: do they hold the truth as often as they say?"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray

from kgdyn.koopman import (
    Interval,
    Resampling,
    block_covariances,
    estimate_koopman_model,
    one_hot,
    resampling_for,
)
from kgdyn.koopman.bootstrap import percentile_interval
from kgdyn.toys import MarkovChain

CHAIN = MarkovChain(np.array([[0.95, 0.05], [0.1, 0.9]]))


def covered(
    runs: list[NDArray[np.int64]], resampling: Resampling
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of runs whose intervals hold K_00, the timescale and the population; and the ratio of
    the intervals' mean width to the central 95% of the runs' estimates."""
    truth = np.array([0.95, CHAIN.timescales[0], 2 / 3])
    values, lower, upper = [], [], []
    for labels in runs:
        model = estimate_koopman_model(one_hot(labels, 2), lagtime=1, resampling=resampling)
        values.append([model.koopman_matrix[0, 0], model.timescales()[0], model.populations[0]])
        for side, name in ((lower, "lower"), (upper, "upper")):
            side.append(
                [
                    getattr(model.koopman_matrix_interval, name)[0, 0],
                    getattr(model.timescales_interval, name)[0],
                    getattr(model.populations_interval, name)[0],
                ]
            )
    held = (np.array(lower) <= truth) & (truth <= np.array(upper))
    width = (np.array(upper) - np.array(lower)).mean(axis=0)
    return held.mean(axis=0), width / (2 * 1.96 * np.std(values, axis=0))


@pytest.mark.parametrize("by_target", [False, True])
def test_intervals_cover_the_truth(by_target: bool, rng: np.random.Generator) -> None:
    """60 runs of 40 independent blocks each: 57 +- 1.7 hold it, a little less for so few blocks."""
    if by_target:
        runs = np.split(CHAIN.sample(300, 60 * 40, rng=rng), 60, axis=1)
    else:
        runs = np.split(CHAIN.sample(6000, 60 * 2, rng=rng), 60, axis=1)
    resampling = Resampling(150, by_target=by_target, n_samples=200)
    share, width = covered(runs, resampling)
    assert (share >= 0.86).all(), share
    assert (width > 0.75).all(), width
    assert (width < 1.25).all(), width


def test_single_frames_would_not_cover(rng: np.random.Generator) -> None:
    """Why blocks: intervals from frames are several times too narrow for the population."""
    runs = np.split(CHAIN.sample(1000, 20, rng=rng), 20, axis=1)
    _, width = covered(runs, Resampling(1, n_samples=60))
    assert width[2] < 0.5


def test_intervals_shrink_with_the_data(rng: np.random.Generator) -> None:
    labels = CHAIN.sample(16_000, 1, rng=rng)
    widths = []
    for n_frames in (4000, 16_000):
        model = estimate_koopman_model(
            one_hot(labels[:n_frames], 2), lagtime=1, resampling=Resampling(100, n_samples=400)
        )
        interval = model.koopman_matrix_interval
        assert interval is not None
        widths.append(interval.upper[0, 0] - interval.lower[0, 0])
    np.testing.assert_allclose(widths[0] / widths[1], 2.0, rtol=0.25)


def test_same_seed_same_intervals(rng: np.random.Generator) -> None:
    chi = one_hot(CHAIN.sample(600, 3, rng=rng), 2)

    def bounds(seed: int) -> NDArray[np.float64]:
        resampling = Resampling(30, n_samples=100, seed=seed)
        model = estimate_koopman_model(chi, lagtime=2, resampling=resampling)
        assert model.koopman_matrix_interval is not None
        return model.koopman_matrix_interval.lower

    np.testing.assert_array_equal(bounds(1), bounds(1))
    assert (bounds(1) != bounds(2)).any()


def test_samples_draw_as_many_blocks_as_there_are(rng: np.random.Generator) -> None:
    segments = [rng.dirichlet([1, 1], size=(120, 2))]
    blocks = block_covariances(segments, 1, 10)
    samples = Resampling(10, n_samples=500).samples(blocks)
    assert samples.n_blocks == 500
    np.testing.assert_allclose(samples.n_pairs.mean(), blocks.n_pairs.sum(), rtol=0.01)
    mean = samples.cov_0t.mean(axis=0)
    np.testing.assert_allclose(mean, blocks.combined().cov_0t[0], rtol=0.01, atol=0)
    spread = samples.cov_0t[:, 0, 0].std()
    expected = np.sqrt(blocks.n_blocks) * blocks.cov_0t[:, 0, 0].std()
    np.testing.assert_allclose(spread, expected, rtol=0.1, atol=0)


def test_by_target_joins_the_segments_of_a_target(rng: np.random.Generator) -> None:
    segments = [rng.dirichlet([1, 1], size=shape) for shape in ((30, 12), (3, 12), (20, 12))]
    blocks = Resampling(10, by_target=True).covariances(segments, 5)
    assert blocks.n_blocks == 12
    one = block_covariances([segment[:, 7:8] for segment in segments], 5).combined()
    np.testing.assert_allclose(blocks.cov_0t[7], one.cov_0t[0], rtol=1e-12, atol=0)
    np.testing.assert_allclose(blocks.n_pairs, 25 + 15, rtol=0, atol=0)


@pytest.mark.parametrize("by_target", [False, True])
def test_few_blocks_warn(by_target: bool, rng: np.random.Generator) -> None:
    segments = [rng.dirichlet([1, 1], size=(100, 9))]
    resampling = Resampling(11, by_target=by_target)
    with pytest.warns(RuntimeWarning, match="rest on only 9 blocks of data"):
        assert resampling.covariances(segments, 1).n_blocks == 9


def test_ten_blocks_do_not_warn(rng: np.random.Generator) -> None:
    segments = [rng.dirichlet([1, 1], size=(101, 3))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Resampling(10).covariances(segments, 1).n_blocks == 10


@pytest.mark.parametrize("by_target", [False, True])
def test_one_block_is_refused(by_target: bool, rng: np.random.Generator) -> None:
    chi = rng.dirichlet([1, 1], size=(100, 1))
    resampling = Resampling(200, by_target=by_target)
    with pytest.raises(ValueError, match=r"at least 2 blocks of data, received 1: .* 200 frames"):
        estimate_koopman_model(chi, lagtime=1, resampling=resampling)


def test_resampling_for_takes_ten_relaxation_times(rng: np.random.Generator) -> None:
    labels = CHAIN.sample(20_000, 3, rng=rng)
    found = resampling_for(one_hot(labels, 2), 2, seed=5)
    np.testing.assert_allclose(found.block_length, 10 * CHAIN.timescales[0], rtol=0.1)
    assert not found.by_target
    assert found.seed == 5


def test_resampling_for_takes_at_least_20_blocks(rng: np.random.Generator) -> None:
    labels = CHAIN.sample(400, 3, rng=rng)
    assert resampling_for(one_hot(labels, 2), 1).block_length == 20
    halves = [one_hot(labels[:200], 2), one_hot(labels[200:], 2)]
    assert resampling_for(halves, 1).block_length == 20


def test_resampling_for_falls_back_on_the_lag_time() -> None:
    """Where no process has a relaxation time, or it is shorter than the lag time."""
    labels = np.arange(4000) % 2
    labels[2001:] = labels[2000:-1]
    assert resampling_for(one_hot(labels, 2), 3).block_length == 30


def test_resampling_for_short_data_of_many_targets(rng: np.random.Generator) -> None:
    labels = CHAIN.sample(400, 20, rng=rng)
    assert resampling_for(one_hot(labels, 2), 1).by_target
    assert not resampling_for(one_hot(labels[:, :19], 2), 1).by_target


def test_resampling_for_tiny_data() -> None:
    labels = np.repeat([0, 1, 0, 1], [5, 6, 7, 8])
    with pytest.warns(RuntimeWarning, match=r"hold only \d+ relaxation times: blocks of 1 frames"):
        assert resampling_for(one_hot(labels, 2), 1).block_length == 1


def test_percentiles() -> None:
    samples = np.stack([np.arange(1001.0), np.full(1001, np.nan), np.arange(1001.0)], axis=1)
    samples[:600, 2] = np.nan
    found = percentile_interval(samples)
    np.testing.assert_allclose(found.lower[0], 25.0, rtol=1e-12)
    np.testing.assert_allclose(found.upper[0], 975.0, rtol=1e-12)
    assert np.isnan([found.lower[1:], found.upper[1:]]).all()


def test_undefined_samples_are_left_out() -> None:
    samples = np.arange(1001.0)[:, None]
    samples[::4] = np.nan
    found = percentile_interval(samples)
    np.testing.assert_allclose([found.lower[0], found.upper[0]], [25.0, 975.0], rtol=0, atol=2.0)


def test_contains() -> None:
    interval = Interval(np.array([0.0, 0.0, np.nan]), np.array([1.0, 1.0, np.nan]))
    np.testing.assert_array_equal(
        interval.contains(np.array([1.0, 1.01, 0.5])), [True, False, False]
    )


def test_describe() -> None:
    assert Resampling(50).describe() == "95% bootstrap over time blocks of 50 frames, 1000 samples"
    assert Resampling(50, True, 20).describe() == "95% bootstrap over targets, 20 samples"
