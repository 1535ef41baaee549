"""Transitions counted by hand, without those that only touch the border."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kgdyn.koopman import count_transitions, estimate_koopman_model, one_hot, validate_koopman
from kgdyn.toys import MarkovChain

CHAIN = MarkovChain(np.array([[0.95, 0.05], [0.1, 0.9]]))


def of_first(memberships: list[float]) -> NDArray[np.float64]:
    """(n_frames, 1, 2) from those of the first state."""
    first = np.array(memberships)[:, None]
    return np.stack([first, 1.0 - first], axis=-1)


def test_hard_states_are_counted_as_they_are(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 3, (200, 4))
    found = count_transitions(one_hot(labels, 3))
    expected = np.zeros((3, 3), int)
    for before, after in zip(labels[:-1].ravel(), labels[1:].ravel(), strict=True):
        expected[before, after] += before != after
    np.testing.assert_array_equal(found.counts, expected)
    np.testing.assert_array_equal(found.entered, expected.sum(axis=0))
    np.testing.assert_array_equal(found.left, expected.sum(axis=1))
    np.testing.assert_array_equal(found.visitors, 4)
    assert found.n_targets == 4
    assert not found.few.any()
    assert found.note == ""


def test_a_border_that_is_touched_is_not_crossed() -> None:
    to_and_fro = of_first([1.0, 0.9, 0.4, 0.6, 0.3, 0.8, 0.26, 0.75, 1.1])
    np.testing.assert_array_equal(count_transitions(to_and_fro).counts, 0)
    across = of_first([0.6, 1.04, 0.4, 0.6, 0.25, 0.6, 0.4, 0.9])
    np.testing.assert_array_equal(count_transitions(across).counts, [[0, 1], [1, 0]])


def test_no_transition_from_target_to_target_or_over_a_border() -> None:
    """One target always in the first state, one in the second; and the other way round."""
    parts = [one_hot(np.array([[0, 1]] * 5), 2), one_hot(np.array([[1, 0]] * 5), 2)]
    found = count_transitions(parts)
    np.testing.assert_array_equal(found.counts, 0)
    np.testing.assert_array_equal(found.visitors, [2, 2])
    assert found.n_targets == 2
    other = count_transitions([parts[0], one_hot(np.array([[0, 0, 1]] * 5), 2)])
    np.testing.assert_array_equal(other.visitors, [3, 2])
    assert other.n_targets == 5


def test_what_happened_once_is_said() -> None:
    """A perfect score, and nothing known: one of 20 targets changes once."""
    labels = np.zeros((400, 20), int)
    labels[150:, 7] = 1
    model = estimate_koopman_model(one_hot(labels, 2), lagtime=5)
    assert model.vamp2_score > 1.97
    found = count_transitions(one_hot(labels, 2))
    np.testing.assert_array_equal(found.counts, [[0, 1], [0, 0]])
    assert found.note.startswith(
        "state 1 (20 of 20 targets) was never entered and left once; "
        "state 2 (1 of 20 targets) was entered once and never left: fewer than 10 events"
    )
    assert "entered=[0, 1]" in repr(found)


def test_a_state_that_is_never_clear() -> None:
    found = count_transitions(np.full((50, 2, 3), 1.0 / 3.0))
    assert found.note.startswith("no target was ever clearly in state 1; no target")


@pytest.mark.parametrize(("n_events", "few"), [(9, True), (10, False)])
def test_ten_events_are_enough(n_events: int, few: bool) -> None:
    found = count_transitions(one_hot(np.array([0, 1] * n_events + [0]), 2))
    np.testing.assert_array_equal(found.entered, n_events)
    np.testing.assert_array_equal(found.left, n_events)
    assert found.few.all() == found.few.any() == few
    assert f"entered {n_events} times and left {n_events} times" in found.note or not few


def test_a_validation_has_them(rng: np.random.Generator) -> None:
    states = one_hot(CHAIN.sample(500, 5, rng=rng), 2)
    found = validate_koopman(states, lagtime=2).transitions
    np.testing.assert_array_equal(found.counts, count_transitions(states).counts)
    # The probability of a step, from the events and the time in each state.
    n_frames = states[:-1].sum(axis=(0, 1))
    np.testing.assert_allclose(found.left / n_frames, [0.05, 0.1], rtol=0.2, atol=0)


def test_refuses_what_are_no_states() -> None:
    with pytest.raises(ValueError, match="state_probabilities"):
        count_transitions(np.zeros((5, 2)))
