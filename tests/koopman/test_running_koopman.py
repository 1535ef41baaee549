"""Frame by frame against all at once, with gaps; intervals; what is said too early."""

from __future__ import annotations

import itertools
import threading
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kgdyn.koopman import (
    KoopmanModel,
    RunningKoopman,
    ck_test,
    correlation_time,
    estimate_koopman_model,
    implied_timescales,
    one_hot,
    resampling_for,
)
from kgdyn.koopman._running_blocks import TimeBlocks
from kgdyn.toys import MarkovChain

Float = NDArray[np.float64]

CHAIN = np.array([[0.95, 0.04, 0.01], [0.03, 0.92, 0.05], [0.02, 0.08, 0.9]])
TWO = np.array([[0.95, 0.05], [0.1, 0.9]])
QUANTITIES = ("koopman_matrix", "timescales", "populations")


def soft(n_frames: int, n_targets: int, rng: np.random.Generator) -> Float:
    labels = MarkovChain(CHAIN).sample(n_frames, n_targets, rng=rng)
    chi = one_hot(labels, 3) + 0.2 * rng.random((n_frames, n_targets, 3))
    result: Float = chi / chi.sum(axis=-1, keepdims=True)
    return result


def cut(chi: Float, n_gaps: int, rng: np.random.Generator) -> list[Float]:
    """Segments between random gaps, some of them very short."""
    borders = np.sort(rng.choice(np.arange(2, len(chi)), n_gaps, replace=False))
    borders[1] = borders[0] + 1
    return [part for part in np.split(chi, borders) if len(part)]


def fed(segments: list[Float], lagtimes: tuple[int, ...], **keywords: Any) -> RunningKoopman:
    _, n_targets, n_states = segments[0].shape
    statistics = RunningKoopman(n_states, n_targets, lagtimes, **keywords)
    for segment in segments:
        for number, frame in enumerate(segment):
            statistics.update(frame, new_segment=number == 0)
    return statistics


def offline(segments: list[Float], lagtime: int, **keywords: Any) -> KoopmanModel:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        resampling = resampling_for(segments, lagtime)
        return estimate_koopman_model(segments, lagtime=lagtime, resampling=resampling, **keywords)


@pytest.mark.parametrize("estimator", ["plain", "reversible"])
@pytest.mark.parametrize(("n_frames", "n_targets"), [(2500, 1), (1300, 3), (300, 25), (90, 130)])
def test_equals_the_offline_estimate(
    n_frames: int, n_targets: int, estimator: Any, rng: np.random.Generator
) -> None:
    """Blocks are joined on the way: there are more frames than blocks."""
    segments = cut(soft(n_frames, n_targets, rng), 6, rng)
    lagtimes = (3, 1, 12)
    statistics = fed(segments, lagtimes, frame_interval=0.5)
    assert statistics.n_frames == n_frames
    assert statistics.n_segments == len(segments)
    for lagtime in lagtimes:
        model = statistics.koopman_model(lagtime, estimator=estimator)
        expected = offline(segments, lagtime, frame_interval=0.5, estimator=estimator)
        for name in ("koopman_matrix", "populations", "vamp2_score"):
            np.testing.assert_allclose(
                getattr(model, name), getattr(expected, name), rtol=0, atol=1e-10, err_msg=name
            )
        np.testing.assert_allclose(model.timescales_ps(), expected.timescales_ps(), rtol=1e-9)
        assert model.n_pairs == expected.n_pairs == statistics.n_pairs(lagtime)
        assert (model.lagtime, model.frame_interval) == (lagtime, 0.5)
        assert model.estimator == estimator
    times = implied_timescales(segments, lagtimes=lagtimes, frame_interval=0.5, estimator=estimator)
    found = statistics.implied_timescales(estimator=estimator)
    np.testing.assert_allclose(found.timescales, times.timescales, rtol=1e-9, atol=0)
    assert statistics.koopman_model().lagtime == 3


def test_random_gaps_many_times(rng: np.random.Generator) -> None:
    for _ in range(8):
        chi = soft(int(rng.integers(60, 400)), int(rng.integers(1, 70)), rng)
        segments = cut(chi, int(rng.integers(2, 9)), rng)
        statistics = fed(segments, (1, 4))
        expected = offline(segments, 4)
        model = statistics.koopman_model(4)
        np.testing.assert_allclose(
            model.koopman_matrix, expected.koopman_matrix, rtol=0, atol=1e-10
        )
        assert model.n_pairs == expected.n_pairs


@pytest.mark.parametrize("n_targets", [2, 24, 90])
def test_extend_equals_update(n_targets: int, rng: np.random.Generator) -> None:
    """Also where it goes on in the middle, and reading in between changes nothing."""
    segments = cut(soft(700, n_targets, rng), 5, rng)
    one = fed(segments, (1, 5, 40), frame_interval=0.1)
    many = RunningKoopman(3, n_targets, (1, 5, 40), frame_interval=0.1)
    many.extend(iter(segments[:4]))
    many.koopman_model(5)
    for segment in segments[4:]:
        many.update(segment[0], new_segment=True)
        many.populations()
        for frame in segment[1:]:
            many.update(frame)
            many.n_transitions  # noqa: B018
    assert many.n_transitions == one.n_transitions
    assert many.n_segments == one.n_segments
    for lagtime in (1, 5, 40):
        first, second = one.koopman_model(lagtime), many.koopman_model(lagtime)
        np.testing.assert_allclose(first.koopman_matrix, second.koopman_matrix, rtol=0, atol=1e-12)
        for name in QUANTITIES:
            for bound in ("lower", "upper"):
                np.testing.assert_allclose(
                    getattr(getattr(first, f"{name}_interval"), bound),
                    getattr(getattr(second, f"{name}_interval"), bound),
                    rtol=1e-6,
                    atol=1e-9,
                )


def test_an_array_is_one_segment(rng: np.random.Generator) -> None:
    chi = soft(50, 2, rng)
    statistics = RunningKoopman(3, 2, [2])
    statistics.extend(chi.astype(np.float32))
    assert statistics.n_segments == 1
    assert statistics.n_pairs() == 96
    statistics.extend([chi.tolist()])
    assert statistics.n_segments == 2
    np.testing.assert_allclose(statistics.mean_probabilities, chi.mean(axis=(0, 1)), atol=1e-7)


@pytest.mark.parametrize("n_targets", [3, 100])
def test_transitions_equal_the_loop(n_targets: int, rng: np.random.Generator) -> None:
    segments = cut(soft(400, n_targets, rng), 4, rng)
    statistics = fed(segments, (1,), frame_interval=0.5)
    counted = np.zeros(n_targets, dtype=int)
    n_steps = 0
    for segment in segments:
        for now, later in itertools.pairwise(segment):
            counted += now.argmax(axis=1) != later.argmax(axis=1)
            n_steps += 1
    np.testing.assert_array_equal(statistics.transitions_by_target, counted)
    assert statistics.n_transitions == counted.sum() > 0
    per_ns = counted.mean() / (n_steps * 0.5) * 1000
    np.testing.assert_allclose(statistics.transitions_per_ns, per_ns, rtol=1e-12, atol=0)
    assert np.isnan(fed(segments[:1], (1,)).transitions_per_ns)


@pytest.mark.parametrize(
    ("n_frames", "n_targets", "closely"),
    [(4000, 1, 0.35), (1500, 4, 0.35), (300, 40, 0.6), (200, 80, 0.6)],
)
def test_intervals_are_close_to_the_offline_ones(
    n_frames: int, n_targets: int, closely: float, rng: np.random.Generator
) -> None:
    """Blocks have other borders, so bounds differ by what a jackknife varies by: 18% of the width
    in most runs of at least 30 blocks, 45% of 10 blocks of time."""
    segments = cut(soft(n_frames, n_targets, rng), 4, rng)
    model = fed(segments, (1,)).koopman_model()
    expected = offline(segments, 1)
    assert model.resampling is not None
    assert expected.resampling is not None
    assert model.resampling.two_way == expected.resampling.two_way
    np.testing.assert_allclose(
        model.resampling.block_length, expected.resampling.block_length, rtol=0.25
    )
    for name in QUANTITIES:
        one, other = (getattr(some, f"{name}_interval") for some in (model, expected))
        ratio = np.log((one.upper - one.lower) / (other.upper - other.lower))
        assert abs(ratio.mean()) < 0.7 * closely, name
        assert (np.abs(ratio) < 2 * closely).all(), name


def test_intervals_equal_the_offline_ones_where_blocks_are_the_same(
    rng: np.random.Generator,
) -> None:
    """Two-way: 200 frames in blocks of 20, each of 20 kept ones of a frame, or 5 of four."""
    chi = soft(201, 30, rng)
    model = fed([chi], (1,)).koopman_model()
    expected = offline([chi], 1)
    assert model.resampling is not None
    assert replace(model.resampling, n_samples=1000) == expected.resampling
    assert model.resampling.two_way
    for name in QUANTITIES:
        for bound in ("lower", "upper"):
            np.testing.assert_allclose(
                getattr(getattr(model, f"{name}_interval"), bound),
                getattr(getattr(expected, f"{name}_interval"), bound),
                rtol=0.02,
                err_msg=name,
            )


def test_correlation_time_equals_the_offline_one(rng: np.random.Generator) -> None:
    chi = soft(1000, 5, rng)
    statistics = fed([chi], (2,))  # kept blocks are single frames still
    np.testing.assert_allclose(statistics.correlation_time(), correlation_time(chi, 2), rtol=1e-6)
    longer = soft(5000, 5, rng)
    statistics.extend([longer])
    # Now of 8 frames: up to 4 too long, and the sum ends elsewhere.
    expected = correlation_time([chi, longer], 2)
    assert 0.8 * expected < statistics.correlation_time() < 1.3 * expected + 4.0


def test_intervals_hold_the_truth(rng: np.random.Generator) -> None:
    """Of 40 runs with gaps: 95% of 240 numbers, which go together by sixes."""
    labels = MarkovChain(TWO).sample(2500, 40, rng=rng)
    chain = MarkovChain(TWO)
    held = []
    for run in labels.T:
        statistics = RunningKoopman(2, 1, [1])
        statistics.extend(cut(one_hot(run[:, None], 2), 5, rng))
        model = statistics.koopman_model()
        assert model.koopman_matrix_interval is not None
        assert model.timescales_interval is not None
        held.append(
            [
                *model.koopman_matrix_interval.contains(TWO).ravel(),
                *model.timescales_interval.contains(chain.timescales),
                *statistics.populations().contains(chain.stationary_distribution)[:1],
            ]
        )
    assert 0.88 <= np.mean(held) <= 0.995


def test_populations_are_of_all_frames(rng: np.random.Generator) -> None:
    chi = soft(800, 3, rng)
    statistics = fed([chi], (50, 1))
    mean, found = chi.mean(axis=(0, 1)), statistics.populations()
    np.testing.assert_allclose(statistics.mean_probabilities, mean, rtol=1e-12, atol=0)
    assert found.contains(mean).all()
    interval = statistics.koopman_model(50).populations_interval  # of 750 of the 800 frames
    assert interval is not None
    np.testing.assert_allclose(found.lower, interval.lower, rtol=0.15)


def test_ck_test_equals_the_offline_one(rng: np.random.Generator) -> None:
    segments = cut(soft(900, 4, rng), 4, rng)
    statistics = fed(segments, (2, 3, 4, 10, 1), frame_interval=0.5)
    found = statistics.ck_test(2)
    np.testing.assert_array_equal(found.steps, [1, 2, 5])
    expected = ck_test(segments, lagtime=2, n_steps=5, frame_interval=0.5)
    for name in ("predictions", "estimates", "state_predictions", "state_estimates"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(expected, name)[[0, 1, 4]], rtol=0, atol=1e-10
        )
    assert found.agrees.shape == (3, 3, 3)
    assert found.agrees.mean() > 0.8
    assert found.agrees[0].all()
    np.testing.assert_array_equal(statistics.ck_test(2, n_steps=2).steps, [1, 2])
    with pytest.raises(ValueError, match="no multiple of 10 has pairs of frames yet"):
        statistics.ck_test(10)


def test_memory_does_not_grow(rng: np.random.Generator) -> None:
    chi = soft(400, 30, rng)
    statistics = RunningKoopman(3, 30, (1, 20))

    def held() -> int:
        sums = statistics._sums
        stores = [sums._frames, sums.states._store]
        for blocks, singles, _ in sums._records:
            stores += [blocks._store, singles]
        return sum(store.nbytes for store in stores)

    before = held()
    for _ in range(20):
        statistics.extend(chi)
    assert held() == before < 20e6
    assert statistics._sums.states.n_blocks <= 1024
    assert statistics.n_pairs(20) == 20 * 380 * 30


@pytest.mark.parametrize("n_frames", [1, 7, 8, 9, 100])
def test_blocks_of_time_join_their_neighbours(n_frames: int) -> None:
    blocks = TimeBlocks(8, (2,))
    values = np.stack([np.arange(n_frames), np.ones(n_frames)], axis=1).astype(float)
    for first in range(0, n_frames, 3):
        part = values[first : first + 3]
        blocks.reach(first + len(part))
        blocks.add(first, part)
    assert blocks.n_blocks <= 8
    length = blocks.block_length
    expected = [values[k : k + length].sum(axis=0) for k in range(0, n_frames, length)]
    np.testing.assert_allclose(blocks.sums, expected, rtol=1e-15)
    assert blocks.n_full == n_frames // length


def test_early_reading() -> None:
    """Nothing, one frame, frames without neighbours, one pair; no warning at any time."""
    statistics = RunningKoopman(2, 2, (1, 2), frame_interval=1.0)
    frames = np.eye(2)[[[0, 1], [0, 0], [1, 0], [1, 1]]]
    for number in range(3):
        assert statistics.n_frames == number
        assert statistics.n_pairs() == statistics.n_transitions == 0
        assert np.isnan(statistics.transitions_per_ns)
        assert np.isnan(statistics.correlation_time())
        assert np.isnan(statistics.mean_probabilities).all() == (number == 0)
        if number < 2:
            assert np.isnan(statistics.populations().lower).all()
        assert np.isnan(statistics.implied_timescales().timescales).all()
        for read in (statistics.koopman_model, statistics.ck_test, statistics.doubt):
            with pytest.raises(ValueError, match="no two frames of a segment are 1 frames apart"):
                read()
        statistics.update(frames[number], new_segment=True)
    statistics.update(frames[3])
    model = statistics.koopman_model()
    np.testing.assert_allclose(model.koopman_matrix, [[0, 1], [0, 1]], rtol=0, atol=1e-12)
    for name in QUANTITIES:
        assert np.isnan(getattr(model, f"{name}_interval").upper).all()
    np.testing.assert_array_equal(statistics.independent_blocks("koopman_matrix"), np.zeros((2, 2)))
    assert statistics.doubt() == "only 1 blocks of data, at least 10 are wanted"
    assert statistics.n_transitions == 1


def test_a_state_never_seen(rng: np.random.Generator) -> None:
    statistics = RunningKoopman(3, 1, [1])
    statistics.extend(one_hot(MarkovChain(TWO).sample(50, 1, rng=rng), 3))
    with pytest.raises(ValueError, match="not defined yet after 50 frames; some state was not"):
        statistics.koopman_model()
    assert statistics.mean_probabilities[2] == 0.0
    assert np.isnan(statistics.implied_timescales().timescales).all()


def test_doubt_goes_with_data(rng: np.random.Generator) -> None:
    chi = one_hot(MarkovChain(TWO).sample(4000, 1, rng=rng), 2)
    statistics = RunningKoopman(2, 1, [1])
    statistics.extend(chi[:100])
    doubt = statistics.doubt()
    assert doubt is not None
    assert "correlation times of data: blocks of 10 frames are not independent" in doubt
    statistics.extend(chi[100:])
    assert statistics.doubt() is None
    assert statistics.doubt(independent=5.0) == (
        "only 5.0 independent blocks, at least 6 are wanted"
    )


def test_another_thread_may_read(rng: np.random.Generator) -> None:
    chi = soft(500, 25, rng)
    statistics = RunningKoopman(3, 25, (1, 5))
    statistics.extend(chi)
    done = threading.Event()
    found: list[float] = []

    def read() -> None:
        while not done.is_set():
            found.append(float(statistics.koopman_model().koopman_matrix.sum()))

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for frame in chi:
            statistics.update(frame)
    finally:
        done.set()
        thread.join(60)
    assert not thread.is_alive()
    np.testing.assert_allclose(found, 3.0, rtol=0, atol=1e-9)
    assert statistics.n_frames == 1000


def test_repr() -> None:
    statistics = RunningKoopman(2, 5, [1, 2])
    assert repr(statistics) == (
        "RunningKoopman(n_states=2, n_targets=5, lagtimes=[1, 2]: 0 frames in 0 segments)"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 2, [1]), "n_states must be at least 2, received 1"),
        ((2, 0, [1]), "n_targets must be at least 1, received 0"),
        ((2, 2, []), r"lagtimes must be different numbers of frames.* received \[\]"),
        ((2, 2, [1, 0]), r"each at least 1, received \[1, 0\]"),
        ((2, 2, [3, 3]), r"received \[3, 3\]"),
    ],
)
def test_refuses_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RunningKoopman(*arguments)


def test_refuses_a_frame_interval_of_zero() -> None:
    with pytest.raises(ValueError, match=r"frame_interval must be positive, received 0\.0"):
        RunningKoopman(2, 2, [1], frame_interval=0.0)


def test_refuses_frames_and_adds_nothing() -> None:
    statistics = RunningKoopman(2, 2, [1])
    statistics.update([[0.5, 0.5], [1.0, 0.0]])
    with pytest.raises(ValueError, match=r"= \(2, 2\), received \(2,\)"):
        statistics.update([0.5, 0.5])
    with pytest.raises(ValueError, match="received NaN or infinity in frame 1, target 1"):
        statistics.update([[0.5, 0.5], [np.nan, 0.5]])
    with pytest.raises(ValueError, match=r"received a sum of 0\.9 in frame 1, target 0"):
        statistics.update([[0.5, 0.4], [0.5, 0.5]], new_segment=True)
    with pytest.raises(ValueError, match=r"segment 1 must have .* received \(3, 2\)"):
        statistics.extend([np.full((3, 2, 2), 0.5), np.full((3, 2), 0.5)])
    assert statistics.n_frames == 4
    assert statistics.n_segments == 2


def test_refuses_what_is_not_kept() -> None:
    statistics = RunningKoopman(2, 1, [1, 2])
    statistics.extend(np.full((9, 1, 2), 0.5))
    with pytest.raises(ValueError, match=r"lagtime must be one of \[1, 2\], received 3"):
        statistics.koopman_model(3)
    with pytest.raises(ValueError, match='must be "plain" or "reversible", received \'stationary'):
        statistics.koopman_model(estimator="stationary")


def test_refuses_another_quantity(rng: np.random.Generator) -> None:
    statistics = RunningKoopman(2, 1, [1])
    statistics.extend(one_hot(MarkovChain(TWO).sample(99, 1, rng=rng), 2))
    with pytest.raises(ValueError, match=r"name must be one of .*'timescales'.*, received 'time'"):
        statistics.independent_blocks("time")


@pytest.mark.parametrize("n_frames", [300, 1000, 1023, 3300, 7001])
@pytest.mark.parametrize("n_targets", [1, 30])
def test_joined_blocks_are_alike(n_frames: int, n_targets: int, rng: np.random.Generator) -> None:
    """No block is a mere rest, and none of the pairs is lost; empty blocks are left out."""
    statistics = RunningKoopman(2, n_targets, [2])
    statistics.extend(one_hot(MarkovChain(TWO).sample(n_frames, n_targets, rng=rng), 2))
    lonely = np.eye(2)[np.zeros(n_targets, dtype=int)]
    scheme = statistics._now.scheme(0)
    length = scheme.resampling.block_length
    for _ in range(3 * length):  # segments without a pair: a whole block of time, or more
        statistics.update(lonely, new_segment=True)
    statistics.extend(one_hot(MarkovChain(TWO).sample(2 * length, n_targets, rng=rng), 2))
    scheme = statistics._now.scheme(0)
    statistics.n_pairs()
    blocks = scheme.blocks(0)
    assert blocks.n_pairs.sum() == statistics.n_pairs() == (n_frames + 2 * length - 4) * n_targets
    assert blocks.n_pairs.min() > 0
    if not scheme.resampling.two_way:
        assert blocks.n_pairs[-1] >= 0.5 * blocks.n_pairs.max()
        # Equal, but for the borders of segments and the last one.
        assert (np.abs(blocks.n_pairs[:3] - blocks.n_pairs.max()) <= 0.5 * length * n_targets).all()
