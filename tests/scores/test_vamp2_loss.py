"""VAMP2Loss: the negative score of a batch."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from kgdyn.scores import VAMP2Loss, vamp2_score


@pytest.fixture
def pairs(rng: np.random.Generator) -> NDArray[np.float32]:
    """(n_pairs, 2, n_states)"""
    now = rng.normal(size=(200, 4))
    later = 0.8 * now + 0.4 * rng.normal(size=(200, 4))
    powers = np.exp(np.stack([now, later], axis=1))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def test_is_minus_the_score(pairs: NDArray[np.float32]) -> None:
    expected = -float(vamp2_score(pairs[:, 0], pairs[:, 1]))
    loss = VAMP2Loss()
    for value in (loss(None, pairs), loss(np.zeros(200), pairs), loss.call(None, pairs)):
        assert value.dtype == tf.float32
        np.testing.assert_allclose(float(value), expected, rtol=2e-7, atol=0)


def test_weights(pairs: NDArray[np.float32], rng: np.random.Generator) -> None:
    weights = rng.random(200)
    expected = -float(vamp2_score(pairs[:, 0], pairs[:, 1], weights))
    value = float(VAMP2Loss()(None, pairs, sample_weight=weights))
    np.testing.assert_allclose(value, expected, rtol=2e-7, atol=0)


def test_swapping_now_and_later_keeps_the_value(pairs: NDArray[np.float32]) -> None:
    loss = VAMP2Loss()
    np.testing.assert_allclose(
        float(loss(None, pairs)), float(loss(None, pairs[:, ::-1])), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", "none"])
def test_config_makes_the_same_loss(reduction: str, pairs: NDArray[np.float32]) -> None:
    loss = VAMP2Loss(name="score", reduction=reduction)
    config = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(config)
    assert isinstance(again, VAMP2Loss)
    assert again.name == "score"
    assert again.get_config() == loss.get_config()
    np.testing.assert_allclose(float(again(None, pairs)), float(loss(None, pairs)), rtol=0, atol=0)


def test_descent_raises_the_score(pairs: NDArray[np.float32]) -> None:
    logits = tf.Variable(np.log(pairs) * 0.3)
    loss, optimizer = VAMP2Loss(), keras.optimizers.Adam(0.05)
    values = []
    for _ in range(20):
        with tf.GradientTape() as tape:
            value = loss(None, tf.nn.softmax(logits, axis=-1))
        optimizer.apply_gradients([(tape.gradient(value, logits), logits)])
        values.append(float(value))
    assert values[-1] < values[0] - 0.1


@pytest.mark.parametrize("shape", [(8, 3), (8, 3, 3), (8, 2, 3, 1)])
def test_refuses_bad_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"y_pred must have shape \(n_pairs, 2, n_states\)"):
        VAMP2Loss()(None, np.ones(shape))
