"""Chapman-Kolmogorov test against plain loops, and chains that pass or fail it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kgdyn.koopman import Resampling, ck_test, estimate_koopman_model, one_hot
from kgdyn.toys import MarkovChain

CHAIN = np.array([[0.95, 0.05], [0.1, 0.9]])


def soft_segments(n_states: int, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    matrix = 0.9 * np.eye(n_states) + 0.1 / n_states
    labels = [MarkovChain(matrix).sample(n, k, rng=rng) for n, k in ((70, 3), (9, 1), (60, 2))]
    soft = [one_hot(part, n_states) + 0.3 * rng.random((*part.shape, n_states)) for part in labels]
    return [part / part.sum(axis=-1, keepdims=True) for part in soft]


def loop_matrix(segments: list[NDArray[np.float64]], lagtime: int) -> NDArray[np.float64]:
    n_states = segments[0].shape[-1]
    cov_00, cov_0t = np.zeros((n_states, n_states)), np.zeros((n_states, n_states))
    for segment in segments:
        for start in range(len(segment) - lagtime):
            for target in range(segment.shape[1]):
                cov_00 += np.outer(segment[start, target], segment[start, target])
                cov_0t += np.outer(segment[start, target], segment[start + lagtime, target])
    return np.linalg.inv(cov_00) @ cov_0t


@pytest.mark.parametrize("n_states", [2, 3, 4, 5])
def test_equals_the_loop(n_states: int, rng: np.random.Generator) -> None:
    segments = soft_segments(n_states, rng)
    found = ck_test(segments, lagtime=3, n_steps=4, frame_interval=0.5)
    one_step = loop_matrix(segments, 3)
    power = np.eye(n_states)
    for step in range(1, 5):
        power = power @ one_step
        np.testing.assert_allclose(found.predictions[step - 1], power, rtol=0, atol=1e-8)
        np.testing.assert_allclose(
            found.estimates[step - 1], loop_matrix(segments, 3 * step), rtol=0, atol=1e-8
        )
    np.testing.assert_array_equal(found.steps, [1, 2, 3, 4])
    assert (found.lagtime, found.frame_interval) == (3, 0.5)
    difference = np.abs(found.predictions - found.estimates).max()
    np.testing.assert_allclose(found.largest_difference, difference, rtol=1e-12, atol=0)


def test_a_markov_chain_passes(rng: np.random.Generator) -> None:
    chi = one_hot(MarkovChain(CHAIN).sample(4000, 5, rng=rng), 2)
    found = ck_test(chi, lagtime=2, n_steps=5, resampling=Resampling(200, n_samples=300))
    assert found.agrees.shape == (5, 2, 2)
    assert found.agrees[0].all()  # at n = 1 both are the same
    assert found.agrees.all()
    assert found.largest_difference < 0.03


def test_95_of_100_elements_of_a_markov_chain_are_inside(rng: np.random.Generator) -> None:
    """Of 30 runs; elements of one run go together. The estimates' intervals hold all of them."""
    labels = MarkovChain(CHAIN).sample(1500, 30, rng=rng)
    inside, in_estimate = [], []
    for run in labels.T:
        found = ck_test(one_hot(run[:, None], 2), lagtime=2, n_steps=4, resampling=Resampling(60))
        inside.append(found.agrees[1:])
        in_estimate.append(found.inside[1:])
    assert 0.88 <= np.mean(inside) <= 0.995
    assert np.mean(in_estimate) > 0.995


def test_difference_is_made_again_without_each_block(rng: np.random.Generator) -> None:
    """The jackknife of K(1)^2 - K(2), done by hand over blocks with the same first frames."""
    chi = one_hot(MarkovChain(CHAIN).sample(402, 2, rng=rng), 2)
    found = ck_test(chi, lagtime=1, n_steps=2, resampling=Resampling(40))

    def difference(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        powers = []
        for lagtime in (1, 2):
            n_pairs = len(chi) - lagtime
            borders = np.round(np.linspace(0, n_pairs, 11)).astype(int)
            each = np.repeat(weights, np.diff(borders))[:, None]
            now, later = chi[:-lagtime], chi[lagtime:]
            cov_00 = np.einsum("tn,tni,tnj->ij", np.repeat(each, 2, axis=1), now, now)
            cov_0t = np.einsum("tn,tni,tnj->ij", np.repeat(each, 2, axis=1), now, later)
            powers.append(np.linalg.matrix_power(np.linalg.inv(cov_00) @ cov_0t, 3 - lagtime))
        return powers[0] - powers[1]

    whole = difference(np.ones(10))
    steps = np.stack([whole - difference(1.0 - np.eye(10)[k]) for k in range(10)])
    steps -= steps.mean(axis=0)
    error = np.sqrt(0.9 * (steps**2).sum(axis=0))
    assert found.difference_interval is not None
    lower, upper = found.difference_interval.lower[1], found.difference_interval.upper[1]
    np.testing.assert_allclose(0.5 * (lower + upper), whole, rtol=0, atol=1e-10)
    # Student's t: 2.26 for 9 degrees of freedom; more, up to 12.7, where few blocks count.
    reach = 0.5 * (upper - lower) / error
    assert ((reach > 2.262 - 1e-3) & (reach < 12.71)).all()
    np.testing.assert_allclose(found.difference_interval.upper[0], 0.0, rtol=0, atol=1e-9)


def test_a_segment_too_short_for_a_later_step_is_no_trouble(rng: np.random.Generator) -> None:
    chi = one_hot(MarkovChain(CHAIN).sample(600, 2, rng=rng), 2)
    segments = [chi[:300], chi[300:304], chi[310:311], chi[320:]]
    found = ck_test(segments, lagtime=2, n_steps=3, resampling=Resampling(30))
    for step in (1, 2, 3):
        np.testing.assert_allclose(
            found.estimates[step - 1], loop_matrix(segments, 2 * step), rtol=0, atol=1e-10
        )
    assert np.isfinite(found.difference_interval.upper).all()  # type: ignore[union-attr]


def test_lumped_states_fail(rng: np.random.Generator) -> None:
    """Three states in a row, the last two taken for one: there is memory."""
    chain = np.array([[0.9, 0.1, 0.0], [0.1, 0.88, 0.02], [0.0, 0.01, 0.99]])
    labels = np.minimum(MarkovChain(chain).sample(4000, 5, rng=rng), 1)
    found = ck_test(one_hot(labels, 2), lagtime=2, resampling=Resampling(200, n_samples=300))
    assert not found.agrees[3:].any()
    assert not found.state_agrees[3:].any()
    assert found.largest_difference > 0.03


def test_intervals_hold_their_values(rng: np.random.Generator) -> None:
    chi = one_hot(MarkovChain(CHAIN).sample(500, 5, rng=rng), 2)
    found = ck_test(chi, lagtime=2, n_steps=3, resampling=Resampling(25, n_samples=200))
    assert found.prediction_interval is not None
    assert found.estimate_interval is not None
    assert found.prediction_interval.contains(found.predictions).all()
    assert found.estimate_interval.contains(found.estimates).all()
    assert (found.estimate_interval.lower < found.estimate_interval.upper).all()
    np.testing.assert_allclose(
        found.prediction_interval.lower[0], found.estimate_interval.lower[0], rtol=0, atol=1e-12
    )


def test_without_resampling_nothing_is_inside(rng: np.random.Generator) -> None:
    found = ck_test(soft_segments(2, rng), lagtime=1)
    assert found.estimate_interval is None
    with pytest.raises(ValueError, match="made without resampling: there are no intervals"):
        found.agrees  # noqa: B018


def test_refuses_no_step() -> None:
    with pytest.raises(ValueError, match="n_steps must be at least 1, received 0"):
        ck_test(np.full((5, 2), 0.5), lagtime=1, n_steps=0)


def test_refuses_more_steps_than_frames() -> None:
    with pytest.raises(ValueError, match=r"which has 20 frames, received 5 \* 4"):
        ck_test(np.full((20, 2), 0.5), lagtime=4, n_steps=5)


@pytest.mark.parametrize("n_states", [2, 4])
def test_state_probabilities_equal_the_loop(n_states: int, rng: np.random.Generator) -> None:
    """Of soft states: the share of chi_j after chi_i, and what one lag time predicts."""
    segments = soft_segments(n_states, rng)
    found = ck_test(segments, lagtime=3, n_steps=3)
    first = np.zeros((n_states, n_states))
    for segment in segments:
        for start in range(len(segment) - 3):
            for target in range(segment.shape[1]):
                first += np.outer(segment[start, target], segment[start, target])
    power = np.eye(n_states)
    for step in range(1, 4):
        counted = np.zeros((n_states, n_states))
        weight = np.zeros(n_states)
        for segment in segments:
            for start in range(len(segment) - 3 * step):
                for target in range(segment.shape[1]):
                    now, later = segment[start, target], segment[start + 3 * step, target]
                    counted += np.outer(now, later)
                    weight += now
        power = power @ loop_matrix(segments, 3)
        predicted = first @ power / first.sum(axis=1)[:, None]
        assert found.state_estimates is not None
        assert found.state_predictions is not None
        np.testing.assert_allclose(
            found.state_estimates[step - 1], counted / weight[:, None], rtol=0, atol=1e-10
        )
        np.testing.assert_allclose(found.state_predictions[step - 1], predicted, rtol=0, atol=1e-8)
        np.testing.assert_allclose(found.state_predictions[step - 1].sum(axis=1), 1, atol=1e-9)
    np.testing.assert_allclose(found.state_predictions[0], found.state_estimates[0], atol=1e-9)


def test_crisp_states_move_as_k_says(rng: np.random.Generator) -> None:
    chi = one_hot(MarkovChain(CHAIN).sample(3000, 2, rng=rng), 2)
    found = ck_test(chi, lagtime=2, n_steps=4, resampling=Resampling(150))
    np.testing.assert_allclose(found.state_predictions, found.predictions, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.state_estimates, found.estimates, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(found.state_agrees, found.agrees)
    assert found.inside.all()


@pytest.mark.parametrize("estimator", ["reversible", "stationary"])
def test_other_estimators(estimator: str, rng: np.random.Generator) -> None:
    segments = soft_segments(3, rng)
    found = ck_test(segments, lagtime=2, n_steps=2, estimator=estimator)  # type: ignore[arg-type]
    for step in (1, 2):
        model = estimate_koopman_model(
            segments,
            lagtime=2 * step,
            estimator=estimator,  # type: ignore[arg-type]
        )
        np.testing.assert_allclose(
            found.estimates[step - 1], model.koopman_matrix, rtol=0, atol=1e-12
        )
    power = found.estimates[0] @ found.estimates[0]
    np.testing.assert_allclose(found.predictions[1], power, rtol=0, atol=1e-12)
    assert found.estimator == estimator


def test_an_unknown_estimator_is_refused() -> None:
    with pytest.raises(ValueError, match=r"estimator must be one of .* received 'fast'"):
        ck_test(np.full((9, 2), 0.5), lagtime=1, estimator="fast")  # type: ignore[arg-type]
