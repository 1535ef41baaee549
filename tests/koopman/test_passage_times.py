"""Passage and residence times against chains solved by hand, and deeptime."""

from __future__ import annotations

import numpy as np
import pytest
from deeptime.markov.tools.analysis import mfpt

from kgdyn.koopman import (
    KoopmanModel,
    Resampling,
    estimate_koopman_model,
    mean_first_passage_times,
    one_hot,
    residence_times,
)
from kgdyn.toys import MarkovChain


def model_of(matrix: list[list[float]]) -> KoopmanModel:
    n_states = len(matrix)
    return KoopmanModel(np.array(matrix), 10, 0.5, 100, np.full(n_states, 1 / n_states), 2.0)


def test_two_states_by_hand() -> None:
    """A step is 5 ps; the first state is left after 1 / 0.1 steps, the second after 1 / 0.25."""
    model = model_of([[0.9, 0.1], [0.25, 0.75]])
    np.testing.assert_allclose(
        mean_first_passage_times(model), [[0.0, 50.0], [20.0, 0.0]], rtol=1e-12, atol=0
    )
    np.testing.assert_allclose(residence_times(model), [50.0, 20.0], rtol=1e-12, atol=0)


def test_three_states_by_hand() -> None:
    """To the last: m0 = 1 + m0/2 + m1/2, m1 = 1 + m0/4 + m1/2, so m0 = 8 and m1 = 6 steps."""
    matrix = [[0.5, 0.5, 0.0], [0.25, 0.5, 0.25], [0.0, 0.1, 0.9]]
    model = model_of(matrix)
    times = mean_first_passage_times(model)
    np.testing.assert_allclose(times[:, 2], [40.0, 30.0, 0.0], rtol=1e-12, atol=0)
    np.testing.assert_allclose(residence_times(model), [10.0, 10.0, 50.0], rtol=1e-12, atol=0)
    for end in range(3):
        expected = mfpt(np.array(matrix), end) * 5.0
        np.testing.assert_allclose(times[:, end], expected, rtol=1e-10, atol=0)


def test_negative_elements_have_no_times() -> None:
    model = model_of([[0.9, 0.11, -0.01], [0.1, 0.8, 0.1], [0.0, 0.1, 0.9]])
    with pytest.warns(RuntimeWarning, match="negative elements"):
        stays = residence_times(model)
    np.testing.assert_array_equal(np.isnan(stays), [True, False, False])
    with pytest.warns(RuntimeWarning, match="mean first passage times are NaN"):
        times = mean_first_passage_times(model)
    np.testing.assert_array_equal(np.isnan(times).all(axis=0), [False, True, True])
    assert np.isfinite(times[:, 0]).all()  # the first row is not used on the way there
    assert np.isfinite(residence_times(model_of([[0.9, 0.1 + 1e-12], [0.1, 0.9]]))).all()


def test_a_state_that_is_never_left_has_no_times() -> None:
    model = model_of([[1.0, 0.0], [0.5, 0.5]])
    with pytest.warns(RuntimeWarning, match="never reached or left"):
        np.testing.assert_array_equal(residence_times(model), [np.nan, 10.0])
    with pytest.warns(RuntimeWarning, match="never reached or left"):
        times = mean_first_passage_times(model)
    np.testing.assert_allclose(times, [[0.0, np.nan], [10.0, 0.0]], rtol=1e-12, atol=0)


def test_intervals_hold_the_exact_times(rng: np.random.Generator) -> None:
    exact = [[0.95, 0.05], [0.1, 0.9]]
    labels = MarkovChain(np.array(exact)).sample(3000, 4, rng=rng)
    model = estimate_koopman_model(
        one_hot(labels, 2), lagtime=1, frame_interval=0.5, resampling=Resampling(100, n_samples=200)
    )
    passages, stays = model.mean_first_passage_times_interval, model.residence_times_interval
    assert passages is not None
    assert stays is not None
    assert stays.contains(residence_times(model)).all()
    assert stays.contains(np.array([10.0, 5.0])).all()
    np.testing.assert_allclose(passages.lower[[0, 1], [1, 0]], stays.lower, rtol=1e-12, atol=0)
    assert (stays.upper - stays.lower < 0.3 * stays.upper).all()
