"""VAMP2Score: the score of a whole set from its batches."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from kgdyn.scores import VAMP2Loss, VAMP2Score, vamp2_score

BORDERS = [0, 3, 200, 201, 650, 1000]


@pytest.fixture
def pairs(rng: np.random.Generator) -> NDArray[np.float32]:
    """(n_pairs, 2, n_states), drifting, so that the means of batches differ."""
    now = rng.normal(size=(1000, 3)) + np.linspace(-1, 1, 1000)[:, None] * [1.0, 0.0, -1.0]
    later = 0.7 * now + 0.5 * rng.normal(size=(1000, 3))
    powers = np.exp(np.stack([now, later], axis=1))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def whole(pairs: NDArray[np.float32], weights: NDArray[np.float64] | None = None) -> float:
    return float(vamp2_score(pairs[:, 0], pairs[:, 1], weights))


def test_uneven_batches_give_the_score_of_the_set(pairs: NDArray[np.float32]) -> None:
    metric = VAMP2Score(3)
    for start, stop in itertools.pairwise(BORDERS):
        metric.update_state(None, pairs[start:stop])
    np.testing.assert_allclose(float(metric.result()), whole(pairs), rtol=0, atol=1e-7)
    averaged = np.mean([whole(pairs[a:b]) for a, b in itertools.pairwise(BORDERS[1:]) if b - a > 1])
    assert abs(averaged - whole(pairs)) > 1e-2


def test_weights(pairs: NDArray[np.float32], rng: np.random.Generator) -> None:
    weights = rng.random(1000)
    metric = VAMP2Score(3)
    for start, stop in itertools.pairwise(BORDERS):
        metric.update_state(None, pairs[start:stop], sample_weight=weights[start:stop])
    np.testing.assert_allclose(float(metric.result()), whole(pairs, weights), rtol=0, atol=1e-7)
    assert abs(whole(pairs, weights) - whole(pairs)) > 1e-4


@pytest.mark.parametrize("first", [True, False])
def test_a_batch_without_weight_changes_nothing(first: bool, pairs: NDArray[np.float32]) -> None:
    metric = VAMP2Score(3)
    if not first:
        metric.update_state(None, pairs)
    metric.update_state(None, pairs[:10], sample_weight=np.zeros(10))
    if first:
        metric.update_state(None, pairs)
    np.testing.assert_allclose(float(metric.result()), whole(pairs), rtol=0, atol=1e-7)


def test_order_of_batches_does_not_matter(pairs: NDArray[np.float32]) -> None:
    metric = VAMP2Score(3)
    for start, stop in list(itertools.pairwise(BORDERS))[::-1]:
        metric.update_state(None, pairs[start:stop])
    np.testing.assert_allclose(float(metric.result()), whole(pairs), rtol=0, atol=1e-7)


def test_reset_and_before_the_first_batch(pairs: NDArray[np.float32]) -> None:
    metric = VAMP2Score(3)
    assert float(metric.result()) == 1.0
    metric.update_state(None, pairs[:500])
    metric.reset_state()
    assert float(metric.result()) == 1.0
    metric.update_state(None, pairs[500:])
    np.testing.assert_allclose(float(metric.result()), whole(pairs[500:]), rtol=0, atol=1e-7)


def test_nearly_uniform_probabilities_keep_their_digits(pairs: NDArray[np.float32]) -> None:
    """Sums of products, in place of centred moments, would lose them."""
    faint = 1 / 3 + 1e-4 * (pairs.astype(np.float64) - 1 / 3)
    metric = VAMP2Score(3)
    for start, stop in itertools.pairwise(BORDERS):
        metric.update_state(None, faint[start:stop])
    np.testing.assert_allclose(float(metric.result()), whole(faint), rtol=0, atol=1e-7)
    np.testing.assert_allclose(whole(faint), whole(pairs), rtol=0, atol=1e-4)


def test_in_evaluate(pairs: NDArray[np.float32]) -> None:
    inputs = keras.Input((2, 3))
    model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    model.compile(loss=VAMP2Loss(), metrics=[VAMP2Score(3)])
    data = tf.data.Dataset.from_tensor_slices((pairs, np.zeros(1000))).batch(137)
    found = model.evaluate(data, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["vamp2"], whole(pairs), rtol=2e-7, atol=0)


def test_best_is_highest() -> None:
    """Early stopping and checkpoints ask the metric in their `auto` mode."""
    assert VAMP2Score(2)._direction == "up"


def test_config_makes_the_same_metric(pairs: NDArray[np.float32]) -> None:
    metric = VAMP2Score(3, name="score")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert isinstance(again, VAMP2Score)
    assert (again.name, again.n_states) == ("score", 3)
    assert again.get_config() == metric.get_config()
    again.update_state(None, pairs)
    np.testing.assert_allclose(float(again.result()), whole(pairs), rtol=0, atol=1e-7)


def test_refuses_one_state() -> None:
    with pytest.raises(ValueError, match="n_states must be at least 2, received 1"):
        VAMP2Score(1)


def test_refuses_bad_shapes() -> None:
    with pytest.raises(ValueError, match=r"y_pred must have shape \(n_pairs, 2, n_states\)"):
        VAMP2Score(3).update_state(None, np.ones((8, 3)))
