"""Blocks of sums: who belongs to which, and intervals as the jackknife of Koopman models."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.koopman import Resampling, block_covariances
from kgdyn.observables._block_sums import (
    BlockSums,
    block_intervals,
    chosen_resampling,
    plan_blocks,
)


def test_time_blocks_are_equal_and_cross_no_border() -> None:
    offsets = [np.array([0, 10, 13]), np.array([0, 8])]
    pieces, block_of, target_of = plan_blocks(offsets, [2, 2], Resampling(4))
    found = [(piece.trajectory, piece.start, piece.stop) for piece in pieces]
    assert found == [(0, 0, 5), (0, 5, 10), (0, 10, 13), (1, 0, 4), (1, 4, 8)]
    assert [piece.rows.tolist() for piece in pieces] == [[k, k] for k in range(5)]
    assert block_of is None
    assert target_of is None


def test_targets_are_the_same_in_systems_of_one_size() -> None:
    offsets = [np.array([0, 9]), np.array([0, 5]), np.array([0, 4])]
    pieces, block_of, _ = plan_blocks(offsets, [2, 3, 2], Resampling(2, by_target=True))
    assert [piece.rows.tolist() for piece in pieces] == [[0, 1], [2, 3, 4], [0, 1]]
    assert block_of is None


def test_blocks_and_targets_are_kept_apart_together() -> None:
    pieces, block_of, target_of = plan_blocks([np.array([0, 6])], [3], Resampling(3, two_way=True))
    assert [piece.rows.tolist() for piece in pieces] == [[0, 1, 2], [3, 4, 5]]
    assert block_of is not None
    assert target_of is not None
    assert block_of.tolist() == [0, 0, 0, 1, 1, 1]
    assert target_of.tolist() == [0, 1, 2, 0, 1, 2]
    many, _, groups = plan_blocks([np.array([0, 6])], [300], Resampling(3, two_way=True))
    assert groups is not None
    assert np.bincount(groups).tolist() == [2] * 60
    assert np.bincount(many[0].rows).tolist() == [5] * 60


@pytest.mark.parametrize("kind", ["time", "targets", "both", "percentile"])
def test_intervals_are_those_of_koopman_models(kind: str, rng: np.random.Generator) -> None:
    """Populations as ratios of sums, with the same blocks."""
    resampling = {
        "time": Resampling(8, correlation_time=2.0),
        "targets": Resampling(8, by_target=True),
        "both": Resampling(8, two_way=True),
        "percentile": Resampling(8, method="percentile", n_samples=50),
    }[kind]
    states = rng.dirichlet(np.ones(3), (96, 12))
    pieces, block_of, target_of = plan_blocks([np.array([0, 96])], [12], resampling)
    sums = {"chi": np.zeros((1 + pieces[-1].rows.max(), 3))}
    sums["n"] = np.zeros((len(sums["chi"]), 1))
    for piece in pieces:
        np.add.at(sums["chi"], piece.rows, states[piece.start : piece.stop].sum(axis=0))
        np.add.at(sums["n"], piece.rows, float(piece.stop - piece.start))
    whole, found = block_intervals(
        resampling,
        BlockSums(sums, block_of, target_of),
        lambda some: {"populations": some["chi"] / some["n"]},
        {"populations": "probability"},
    )
    # Pairs at a lag of one frame, of which the last frame is no first one: one frame more.
    longer = np.concatenate([states, states[:1]])
    theirs = resampling.interval(
        resampling.covariances([longer], 1),
        lambda some: some.sum_0 / some.n_pairs[:, None],
        "probability",
    )
    assert block_covariances([longer], 1).n_pairs[0] == 96 * 12
    np.testing.assert_allclose(whole["populations"], states.mean(axis=(0, 1)), rtol=1e-12)
    np.testing.assert_allclose(found["populations"].lower, theirs.lower, rtol=1e-9)
    np.testing.assert_allclose(found["populations"].upper, theirs.upper, rtol=1e-9)
    assert not found["populations"].lower.flags.writeable


def test_the_choice_of_blocks(rng: np.random.Generator) -> None:
    states = [rng.dirichlet(np.ones(2), (2000, 3))]
    assert chosen_resampling(states, [2000], 3, 1).block_length == 40
    assert chosen_resampling(None, [200], 3, 1) == Resampling(10)
    assert chosen_resampling(states, [5], 3, 1).by_target
    assert not chosen_resampling(None, [1], 1, 1).by_target


def test_few_blocks_are_warned_of() -> None:
    blocks = BlockSums({"n": np.ones((3, 1))})
    with pytest.warns(RuntimeWarning, match="intervals rest on only 3 blocks of data"):
        block_intervals(Resampling(1), blocks, lambda some: some)
