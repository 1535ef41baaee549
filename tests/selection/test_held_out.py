"""Scores, errors and drifts against chains whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kgdyn.koopman import estimate_koopman_model
from kgdyn.selection.held_out import (
    combine_folds,
    evaluate_candidates,
    held_out_score,
    score_gains,
    timescale_drifts,
)
from kgdyn.toys import MarkovChain, four_state_chain

Segments = list[NDArray[np.float64]]


def one_hot(labels: NDArray[np.int64], lumps: list[int]) -> NDArray[np.float64]:
    """(n_frames, n_targets, n) memberships of states put together as ``lumps`` says."""
    names = np.array(lumps)
    result: NDArray[np.float64] = np.eye(names.max() + 1)[names[labels]]
    return result


@pytest.fixture(scope="module")
def chains() -> dict[int, list[Segments]]:
    """Two folds of the four-state chain, seen as 2, 3 and 4 states."""
    rng = np.random.default_rng(5)
    folds = [four_state_chain().sample(20_000, 2, rng=rng) for _ in range(2)]
    views = {2: [0, 0, 1, 1], 3: [0, 0, 1, 2], 4: [0, 1, 2, 3]}
    return {n: [[one_hot(fold, view)] for fold in folds] for n, view in views.items()}


def test_score_is_that_of_the_koopman_model(chains: dict[int, list[Segments]]) -> None:
    for parts in chains.values():
        expected = estimate_koopman_model(parts[0], lagtime=5).vamp2_score
        assert held_out_score(parts[0], 5) == pytest.approx(expected, rel=1e-10)


def test_candidates_hold_the_truth(chains: dict[int, list[Segments]]) -> None:
    notes: list[str] = []
    found = evaluate_candidates(chains, [2, 5], 5, 0.5, notes)
    assert [(item.n_states, item.lagtime) for item in found] == [
        (n, lag) for n in (2, 3, 4) for lag in (2, 5)
    ]
    exact = 0.5 * four_state_chain().timescales
    whole = found[-1]
    np.testing.assert_array_less(np.abs(whole.timescales - exact), 3.0 * whole.timescales_error)
    np.testing.assert_array_less(whole.timescales_error, 0.2 * exact)
    assert whole.lagtime_ps == 2.5
    decay = np.exp(-5.0 / four_state_chain().timescales)
    score = 1.0 + (decay**2).sum()
    assert abs(whole.score - score) < 3.0 * whole.score_error
    assert whole.score_error < 0.05
    assert whole.ck_elements == 2 * 4 * 16  # folds, k = 2 to 5, elements
    assert whole.ck_passes
    assert notes == []


def test_gains_are_the_differences_with_smaller_errors(chains: dict[int, list[Segments]]) -> None:
    gains = score_gains(chains, 5, [])
    assert sorted(gains) == [(2, 3), (2, 4), (3, 4)]
    scores = {item.n_states: item for item in evaluate_candidates(chains, [5], 5, 1.0, [])}
    for (fewer, more), gain in gains.items():
        assert gain.value == pytest.approx(scores[more].score - scores[fewer].score, rel=1e-9)
        assert gain.beyond_error
    # An output that is noise gains nothing.
    rng = np.random.default_rng(0)
    noisy: list[Segments] = []
    for part in chains[2]:
        share = rng.random((20_000, 2, 1))
        first, second = part[0][..., :1], part[0][..., 1:]
        noisy.append([np.concatenate([first * share, first * (1.0 - share), second], axis=-1)])
    gain = score_gains({2: chains[2], 3: noisy}, 5, [])[2, 3]
    assert not gain.beyond_error


def test_drift_of_crisp_states_is_none_and_that_of_lumped_ones_is_seen(
    chains: dict[int, list[Segments]],
) -> None:
    drifts = timescale_drifts(chains, [1, 10], 10, [])
    assert sorted(drifts) == [(2, 1, 10), (3, 1, 10), (4, 1, 10)]
    assert not drifts[4, 1, 10].matters.any()
    # A wrong border: states 0 and 2 against 1 and 3 forget by hops within pairs too.
    rng = np.random.default_rng(6)
    labels = [four_state_chain().sample(20_000, 2, rng=rng) for _ in range(2)]
    wrong = {2: [[one_hot(part, [0, 0, 0, 1])] for part in labels]}
    drift = timescale_drifts(wrong, [1, 10], 10, [])[2, 1, 10]
    assert drift.matters[0]
    assert drift.value[0] > 0.05


def test_drift_is_that_of_the_timescales() -> None:
    rng = np.random.default_rng(1)
    chain = MarkovChain(np.array([[0.95, 0.05], [0.1, 0.9]]))
    folds: list[Segments] = [[one_hot(chain.sample(5000, rng=rng), [0, 1])] for _ in range(2)]
    drift = timescale_drifts({2: folds}, [1, 4], 4, [])[2, 1, 4]
    expected = [
        np.log(estimate_koopman_model(part[0], lagtime=4).timescales()[0])
        - np.log(estimate_koopman_model(part[0][:-3], lagtime=1).timescales()[0])
        for part in folds
    ]
    assert drift.value[0] == pytest.approx(np.mean(expected), rel=1e-9)


def test_means_over_folds_by_hand() -> None:
    values = np.array(
        [[1.0, 10.0, np.nan, 5.0], [3.0, 10.0, 2.0, np.nan], [2.0, 10.0, 2.0, np.nan]]
    )
    errors = np.array([[0.1, 3.0, 0.1, 1.0], [0.1, 4.0, 0.3, 1.0], [0.1, 0.0, 0.4, 1.0]])
    mean, error = combine_folds(values, errors)
    np.testing.assert_allclose(mean, [2.0, 10.0, 2.0, np.nan])
    # Of the spread (1 / sqrt(3)), of the errors (5 / 3, 0.5 / 2); too few folds know the last.
    np.testing.assert_allclose(error, [1.0 / np.sqrt(3.0), 5.0 / 3.0, 0.25, np.nan])


def test_warnings_become_notes() -> None:
    rng = np.random.default_rng(2)
    short: list[Segments] = [[one_hot(four_state_chain().sample(60, rng=rng) // 2, [0, 1])]] * 2
    notes: list[str] = []
    evaluate_candidates({2: short}, [2], 2, 1.0, notes)
    assert notes
    assert len(set(notes)) == len(notes)
