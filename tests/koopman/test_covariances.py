"""Sums over pairs, block by block, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.koopman import as_segments, block_covariances
from kgdyn.koopman.covariances import many_block_covariances


def segments_of(rng: np.random.Generator, shapes: list[tuple[int, int]], n_states: int = 3) -> list:
    return [rng.dirichlet(np.ones(n_states), size=shape) for shape in shapes]


def loop_sums(segments: list, lagtime: int) -> tuple:
    """Pair by pair: C00, C0t, Ctt, sums and number of pairs."""
    n_states = segments[0].shape[-1]
    cov_00, cov_0t, cov_tt = (np.zeros((n_states, n_states)) for _ in range(3))
    sum_0, sum_t, n_pairs = np.zeros(n_states), np.zeros(n_states), 0
    for segment in segments:
        for start in range(len(segment) - lagtime):
            for target in range(segment.shape[1]):
                now, later = segment[start, target], segment[start + lagtime, target]
                cov_00 += np.outer(now, now)
                cov_0t += np.outer(now, later)
                cov_tt += np.outer(later, later)
                sum_0 += now
                sum_t += later
                n_pairs += 1
    return cov_00, cov_0t, cov_tt, sum_0, sum_t, n_pairs


@pytest.mark.parametrize("block_length", [None, 1, 7, 1000])
@pytest.mark.parametrize("by_target", [False, True])
def test_blocks_add_up_to_the_loop(
    block_length: int | None, by_target: bool, rng: np.random.Generator
) -> None:
    # One segment is shorter than the lag time, and the number of targets changes.
    segments = segments_of(rng, [(23, 2), (3, 2), (11, 1)])
    expected = loop_sums(segments, 4)
    total = block_covariances(segments, 4, block_length, by_target).combined()
    names = ["cov_00", "cov_0t", "cov_tt", "sum_0", "sum_t", "n_pairs"]
    for name, value in zip(names, expected, strict=True):
        np.testing.assert_allclose(getattr(total, name)[0], value, rtol=1e-12, atol=0, err_msg=name)
    assert total.lagtime == 4


@pytest.mark.parametrize("block_length", [None, 1, 6, 1000])
@pytest.mark.parametrize("by_target", [False, True])
def test_many_lag_times_at_once_equal_the_loop(
    block_length: int | None, by_target: bool, rng: np.random.Generator
) -> None:
    segments = segments_of(rng, [(23, 2), (3, 2), (1, 2), (14, 1)])
    lagtimes = [4, 1, 9, 22]
    found = many_block_covariances(segments, lagtimes, block_length, by_target)
    names = ["cov_00", "cov_0t", "cov_tt", "sum_0", "sum_t", "n_pairs"]
    for lagtime, blocks in zip(lagtimes, found, strict=True):
        expected = loop_sums(segments, lagtime)
        for name, value in zip(names, expected, strict=True):
            total = getattr(blocks.combined(), name)[0]
            np.testing.assert_allclose(total, value, rtol=1e-12, atol=0, err_msg=name)
        alone = block_covariances(segments, lagtime, block_length, by_target)
        for name in names:
            np.testing.assert_allclose(
                getattr(blocks, name), getattr(alone, name), rtol=1e-12, atol=0, err_msg=name
            )
        np.testing.assert_array_equal(blocks.block_of, alone.block_of)


def test_blocks_of_many_lag_times_go_together(rng: np.random.Generator) -> None:
    segments = segments_of(rng, [(41, 2), (6, 2), (2, 2), (31, 2)])
    short, long = many_block_covariances(segments, [2, 10], 6, together=True)
    # 39, 4, 0 and 29 pairs of frames: 6, 1, 0 and 5 blocks; at the long lag time 31, 0, 0 and 21.
    assert short.n_blocks == long.n_blocks == 12
    np.testing.assert_array_equal(long.n_pairs[6], 0)
    np.testing.assert_array_equal(short.block_of, long.block_of)
    expected = loop_sums([segments[3][:14]], 10)  # its first block: pairs 0 to 3
    np.testing.assert_allclose(long.cov_0t[7], expected[1], rtol=1e-12, atol=0)
    np.testing.assert_allclose(long.combined().n_pairs, 2 * (31 + 21), rtol=0, atol=0)


def test_refuses_a_later_lag_time_that_is_too_long(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="which has 9 frames, received 9"):
        many_block_covariances(segments_of(rng, [(9, 1)]), [1, 9])


def test_blocks_are_cut_evenly_and_a_pair_belongs_to_its_first_frame(
    rng: np.random.Generator,
) -> None:
    segments = segments_of(rng, [(23, 2), (11, 1)])
    blocks = block_covariances(segments, 3, 5)  # 20 and 8 pairs of frames: 4 and 2 blocks
    np.testing.assert_array_equal(blocks.n_pairs, [10, 10, 10, 10, 4, 4])
    expected = loop_sums([segments[0][5:13]], 3)
    np.testing.assert_allclose(blocks.cov_0t[1], expected[1], rtol=1e-12, atol=0)


def test_by_target_keeps_targets_apart(rng: np.random.Generator) -> None:
    segments = segments_of(rng, [(9, 3)])
    blocks = block_covariances(segments, 2, by_target=True)
    assert blocks.n_blocks == 3
    expected = loop_sums([segments[0][:, 1:2]], 2)
    np.testing.assert_allclose(blocks.cov_0t[1], expected[1], rtol=1e-12, atol=0)


def test_combined_with_weights(rng: np.random.Generator) -> None:
    blocks = block_covariances(segments_of(rng, [(20, 2)]), 1, 5)
    weights = rng.integers(0, 3, (7, blocks.n_blocks)).astype(float)
    combined = blocks.combined(weights)
    assert combined.n_blocks == 7
    expected = sum(w * c for w, c in zip(weights[3], blocks.cov_0t, strict=True))
    np.testing.assert_allclose(combined.cov_0t[3], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(combined.n_pairs[3], weights[3] @ blocks.n_pairs, rtol=1e-12)


def test_results_are_read_only(rng: np.random.Generator) -> None:
    blocks = block_covariances(segments_of(rng, [(9, 3)]), 2)
    with pytest.raises(ValueError, match="read-only"):
        blocks.cov_00[0, 0, 0] = 1.0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_segments_become_three_dimensional_float64(dtype: str) -> None:
    values = np.full((5, 2), 0.5, dtype)
    for given in (values, [values], [values.tolist()], (values[:, None],)):
        (segment,) = as_segments(given)
        assert segment.shape == (5, 1, 2)
        assert segment.dtype == np.float64


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ([], "at least one segment is needed, received none"),
        (np.ones(4), r"must have shape \(n_frames, n_targets, n_states\).*received \(4,\)"),
        (np.ones((4, 1)), "at least two states"),
        (np.ones((0, 1, 2)), r"received \(0, 1, 2\) for segment 0"),
        ([np.full((4, 1, 2), 0.5), np.ones((2, 2, 2, 2))], "for segment 1"),
        (
            [np.full((4, 1, 2), 1 / 2), np.full((4, 1, 3), 1 / 3)],
            "same number of states in all segments, received 2 and 3",
        ),
        (np.array([[0.5, 0.5], [np.nan, 1.0]]), "finite.*segment 0, frame 1"),
        (np.array([[0.5, 0.5], [0.5, 0.6]]), "sum to 1, received a sum of 1.1 in segment 0, fra"),
    ],
)
def test_refuses_bad_probabilities(given: list, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        as_segments(given)


@pytest.mark.parametrize("lagtime", [0, -1])
def test_refuses_a_lagtime_below_1(lagtime: int) -> None:
    with pytest.raises(ValueError, match=f"lagtime must be at least 1 frame, received {lagtime}"):
        block_covariances([np.full((5, 1, 2), 0.5)], lagtime)


def test_refuses_a_lagtime_beyond_the_data() -> None:
    segments = [np.full((5, 1, 2), 0.5), np.full((7, 1, 2), 0.5)]
    with pytest.raises(ValueError, match="longest segment, which has 7 frames, received 7"):
        block_covariances(segments, 7)


def test_without_each_is_the_sum_over_the_others(rng: np.random.Generator) -> None:
    blocks = block_covariances([rng.dirichlet([1, 1, 1], size=(50, 2))], 2, 8)
    whole = blocks.without_each()
    part = blocks.without_each(0.25)
    for left_out in range(blocks.n_blocks):
        weights = np.ones(blocks.n_blocks)
        weights[left_out] = 0.0
        expected = blocks.combined(weights)
        np.testing.assert_allclose(whole.cov_0t[left_out], expected.cov_0t[0], rtol=1e-12)
        weights[left_out] = 0.75
        np.testing.assert_allclose(
            part.sum_t[left_out], blocks.combined(weights).sum_t[0], rtol=1e-12
        )


def test_merged_adds_blocks_of_equal_label(rng: np.random.Generator) -> None:
    blocks = block_covariances([rng.dirichlet([1, 1, 1], size=(50, 2))], 2, 12)
    merged = blocks.merged(np.array([7, 3, 7, 3]))
    np.testing.assert_allclose(merged.cov_00[0], blocks.cov_00[[1, 3]].sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(merged.n_pairs[1], blocks.n_pairs[[0, 2]].sum(), rtol=1e-12)
    assert blocks.target_of is None
    np.testing.assert_array_equal(blocks.block_of, np.arange(4))


def test_blocks_know_their_time_and_target(rng: np.random.Generator) -> None:
    segments = [rng.dirichlet([1, 1], size=shape) for shape in ((22, 2), (3, 2), (12, 3), (12, 2))]
    blocks = block_covariances(segments, 2, 10, by_target=True)
    np.testing.assert_array_equal(blocks.block_of, [0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4])
    # Segments of two targets are of one system, that of three is another; one has one pair only.
    np.testing.assert_array_equal(blocks.target_of, [0, 1, 0, 1, 0, 1, 2, 3, 4, 0, 1])
