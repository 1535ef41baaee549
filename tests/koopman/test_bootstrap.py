"""95% intervals: do they hold the truth as often as they say?"""

from __future__ import annotations

import warnings
from typing import Any

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
    """60 runs of 40 independent blocks each: 57 +- 1.7 hold it."""
    if by_target:
        runs = np.split(CHAIN.sample(300, 60 * 40, rng=rng), 60, axis=1)
    else:
        runs = np.split(CHAIN.sample(6000, 60 * 2, rng=rng), 60, axis=1)
    resampling = Resampling(150, by_target=by_target)
    share, width = covered(runs, resampling)
    assert (share >= 0.86).all(), share
    assert (width > 0.75).all(), width
    assert (width < 1.25).all(), width


def test_single_frames_would_not_cover(rng: np.random.Generator) -> None:
    """Why blocks: intervals from frames are several times too narrow for the population."""
    runs = np.split(CHAIN.sample(1000, 20, rng=rng), 20, axis=1)
    _, width = covered(runs, Resampling(1))
    assert width[2] < 0.5


def test_intervals_shrink_with_the_data(rng: np.random.Generator) -> None:
    labels = CHAIN.sample(16_000, 1, rng=rng)
    widths = []
    for n_frames in (4000, 16_000):
        model = estimate_koopman_model(
            one_hot(labels[:n_frames], 2), lagtime=1, resampling=Resampling(100)
        )
        interval = model.koopman_matrix_interval
        assert interval is not None
        widths.append(interval.upper[0, 0] - interval.lower[0, 0])
    np.testing.assert_allclose(widths[0] / widths[1], 2.0, rtol=0.25)


def test_same_seed_same_intervals(rng: np.random.Generator) -> None:
    chi = one_hot(CHAIN.sample(600, 3, rng=rng), 2)

    def bounds(seed: int) -> NDArray[np.float64]:
        resampling = Resampling(30, n_samples=100, seed=seed, method="percentile")
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
    with pytest.warns(
        RuntimeWarning, match="rest on only 9 blocks of data, at least 10 are wanted"
    ):
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


def test_resampling_for_takes_ten_correlation_times(rng: np.random.Generator) -> None:
    labels = CHAIN.sample(2500, 6, rng=rng)
    found = resampling_for(one_hot(labels, 2), 2, seed=5)
    np.testing.assert_allclose(found.block_length, 10 * CHAIN.timescales[0], rtol=0.15)
    assert not found.by_target
    assert not found.two_way
    assert found.seed == 5


def test_resampling_for_takes_at_most_50_blocks(rng: np.random.Generator) -> None:
    labels = CHAIN.sample(20_000, 1, rng=rng)
    assert resampling_for(one_hot(labels, 2), 2).block_length == 400


def test_resampling_for_takes_at_least_10_blocks(rng: np.random.Generator) -> None:
    labels = CHAIN.sample(400, 3, rng=rng)
    assert resampling_for(one_hot(labels, 2), 1).block_length == 40
    halves = [one_hot(labels[:200], 2), one_hot(labels[200:], 2)]
    assert resampling_for(halves, 1).block_length == 40


def test_short_trajectories_are_blocks(rng: np.random.Generator) -> None:
    """30 of 40 frames each: no block is as long as ten correlation times, but they are apart."""
    segments = [one_hot(CHAIN.sample(40, 1, rng=rng), 2) for _ in range(30)]
    found = resampling_for(segments, 1)
    assert found.block_length > 40
    assert found.covariances(segments, 1).n_blocks == 30


def test_resampling_for_asks_for_blocks_of_five_lag_times(rng: np.random.Generator) -> None:
    chi = one_hot(CHAIN.sample(20_000, 1, rng=rng), 2)
    assert resampling_for(chi, 1, longest_lagtime=100).block_length == 500
    assert resampling_for(chi, 1, longest_lagtime=1000).block_length == 666


def test_resampling_for_falls_back_on_the_lag_time() -> None:
    """Where no process has a relaxation time, or it is shorter than the lag time."""
    labels = np.arange(1000) % 2
    labels[501:] = labels[500:-1]
    assert resampling_for(one_hot(labels, 2), 3).block_length == 30


def test_resampling_for_short_data_of_many_targets(rng: np.random.Generator) -> None:
    labels = CHAIN.sample(400, 20, rng=rng)
    assert resampling_for(one_hot(labels, 2), 1).two_way
    assert not resampling_for(one_hot(labels[:, :19], 2), 1).two_way


def test_resampling_for_sees_a_common_slow_variable(rng: np.random.Generator) -> None:
    """Fast targets, whose populations a slow variable changes for all of them at once."""
    mode = np.repeat(rng.random(80) < 0.5, 100)
    labels = (rng.random((8000, 30)) < np.where(mode, 0.6, 0.4)[:, None]).astype(int)
    found = resampling_for(one_hot(labels, 2), 1)
    assert found.block_length > 300  # single targets forget in one frame
    alone = (rng.random((8000, 30)) < 0.5).astype(int)
    assert resampling_for(one_hot(alone, 2), 1).block_length == 160


def test_resampling_for_tiny_data() -> None:
    labels = np.repeat([0, 1, 0, 1], [5, 6, 7, 8])
    match = r"hold only \d+ correlation times, at least 100 are wanted: blocks of 2 frames"
    with pytest.warns(RuntimeWarning, match=match):
        assert resampling_for(one_hot(labels, 2), 1).block_length == 2


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"method": "bca"}, 'method must be "jackknife" or "percentile", received \'bca\''),
        ({"by_target": True, "two_way": True}, "exclude each other, received True for both"),
    ],
)
def test_refuses_what_makes_no_sense(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Resampling(10, **arguments)


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
    assert Resampling(50).describe() == "95% jackknife over time blocks of 50 frames"
    both = "95% jackknife over time blocks of 50 frames and targets"
    assert Resampling(50, two_way=True).describe() == both
    drawn = Resampling(50, True, 20, method="percentile")
    assert drawn.describe() == "95% bootstrap over targets, 20 samples"


# -- blocks of time and targets combined -----------------------------------------------------------


def test_two_way_blocks_are_each_targets(rng: np.random.Generator) -> None:
    segments = [rng.dirichlet([1, 1], size=shape) for shape in ((81, 12), (41, 12))]
    blocks = Resampling(10, two_way=True).covariances(segments, 1)
    assert blocks.n_blocks == (8 + 4) * 12
    assert blocks.block_of is not None
    assert blocks.target_of is not None
    place = np.flatnonzero((blocks.block_of == 9) & (blocks.target_of == 7))
    one = segments[1][10:21, 7]
    expected = one[:10].T @ one[1:]
    np.testing.assert_allclose(blocks.cov_0t[place], expected[None], rtol=1e-12, atol=0)


def test_two_way_joins_very_many_targets(rng: np.random.Generator) -> None:
    segments = [rng.dirichlet([1, 1], size=(101, 300))]
    blocks = Resampling(10, two_way=True).covariances(segments, 1)
    assert blocks.n_blocks == 10 * 60
    np.testing.assert_allclose(blocks.n_pairs, 10 * 5, rtol=0, atol=0)
    total = block_covariances(segments, 1).combined()
    np.testing.assert_allclose(blocks.combined().cov_0t, total.cov_0t, rtol=1e-12, atol=0)


def test_two_way_samples_draw_blocks_and_targets(rng: np.random.Generator) -> None:
    segments = [rng.dirichlet([1, 1], size=(121, 11))]
    scheme = Resampling(10, n_samples=400, two_way=True, method="percentile")
    blocks = scheme.covariances(segments, 1)
    samples = scheme.samples(blocks)
    np.testing.assert_allclose(samples.n_pairs, 120 * 11, rtol=1e-12, atol=0)
    mean = samples.cov_0t.mean(axis=0)
    np.testing.assert_allclose(mean, blocks.combined().cov_0t[0], rtol=0.01, atol=0)


def test_segments_of_other_numbers_of_targets_are_other_systems(rng: np.random.Generator) -> None:
    segments = [rng.dirichlet([1, 1], size=shape) for shape in ((30, 5), (30, 6), (20, 5))]
    blocks = Resampling(10, by_target=True).covariances(segments, 5)
    assert blocks.n_blocks == 11
