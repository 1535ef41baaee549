"""The head against numpy, and its precision."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from kgdyn.layers import StateHead


def randomized(layer: StateHead, targets: Any, rng: np.random.Generator) -> StateHead:
    layer(targets)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


@pytest.mark.parametrize("n_hidden", [0, 1, 3])
def test_dense_layers_then_softmax(n_hidden: int, rng: np.random.Generator) -> None:
    targets = rng.normal(size=(6, 5)).astype("float32")
    layer = randomized(StateHead(4, n_hidden), targets, rng)
    values = targets.astype(np.float64)
    for hidden in layer.hidden:
        values = np.maximum(values @ np.asarray(hidden.kernel) + np.asarray(hidden.bias), 0.0)
    logits = values @ np.asarray(layer.logits.kernel) + np.asarray(layer.logits.bias)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert len(layer.hidden) == n_hidden
    np.testing.assert_allclose(layer(targets), expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_softmax_is_float64_under_every_policy(policy: str, rng: np.random.Generator) -> None:
    targets = rng.normal(size=(50, 5)).astype("float32")
    layer = randomized(StateHead(4, dtype=policy), targets, rng)
    probabilities = np.asarray(layer(targets))
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=0.0, atol=1e-14)
    assert layer.logits.compute_dtype == "float32"
    assert all(hidden.dtype_policy.name == policy for hidden in layer.hidden)


def test_small_differences_survive(rng: np.random.Generator) -> None:
    """Logits of 1e-7 make probabilities apart by 2.5e-8, which float32 would lose."""
    layer = randomized(StateHead(2, n_hidden=0), np.zeros((1, 1), "float32"), rng)
    layer.logits.kernel.assign([[1.0, 0.0]])
    layer.logits.bias.assign([0.0, 0.0])
    low, high = np.asarray(layer(np.array([[0.0], [1e-7]], "float32")))[:, 0]
    assert high - low == pytest.approx(2.5e-8, rel=1e-4)


def test_dropout_acts_in_training_only(rng: np.random.Generator) -> None:
    targets = rng.normal(size=(2000, 5)).astype("float32")
    layer = randomized(StateHead(3, 1, dropout=0.4), targets, rng)
    plain = StateHead(3, 1)
    plain(targets)
    plain.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(targets), plain(targets))
    assert np.abs(np.asarray(layer(targets, training=True)) - plain(targets)).max() > 0.1


def test_dropout_leaves_out_the_same_features_of_all_targets() -> None:
    """As many as was asked for; the others are scaled up, so that the mean stays."""
    keras.utils.set_random_seed(0)
    layer = StateHead(3, 1, dropout=0.4)
    layer.build((None, 5000))
    masked = np.asarray(layer.dropouts[0](np.ones((3, 5000), "float32"), training=True))
    np.testing.assert_array_equal(masked[1:], masked[:2])
    assert (masked == 0.0).mean() == pytest.approx(0.4, abs=0.03)
    np.testing.assert_allclose(masked[masked > 0.0], 1.0 / 0.6, rtol=1e-6)


def test_dropout_follows_the_seed_and_goes_on() -> None:
    targets = np.random.default_rng(0).normal(size=(20, 5)).astype("float32")

    def masked(seed: int) -> tuple[Any, Any]:
        keras.utils.set_random_seed(seed)
        layer = StateHead(3, 2, dropout=0.5)
        return [np.asarray(layer(targets, training=True)) for _ in range(2)]

    first, second = masked(4)
    np.testing.assert_array_equal(first, masked(4)[0])
    np.testing.assert_array_equal(second, masked(4)[1])
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, masked(5)[0])


def test_weight_decay_is_the_square_of_all_kernels(rng: np.random.Generator) -> None:
    targets = rng.normal(size=(6, 5)).astype("float32")
    layer = randomized(StateHead(4, 2, weight_decay=0.01), targets, rng)
    layer(targets)
    kernels = [*(hidden.kernel for hidden in layer.hidden), layer.logits.kernel]
    expected = 0.01 * sum(np.sum(np.asarray(kernel, np.float64) ** 2) for kernel in kernels)
    assert len(layer.losses) == len(kernels) == 3
    assert float(sum(layer.losses)) == pytest.approx(expected, rel=1e-5)
    assert not randomized(StateHead(4, 2), targets, rng).losses


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_dropout_is_a_share(value: float) -> None:
    with pytest.raises(ValueError, match="dropout must be at least 0 and below 1, received"):
        StateHead(2, dropout=value)


def test_dropout_without_hidden_layers() -> None:
    with pytest.raises(ValueError, match=r"dropout acts on hidden layers, received 0.5 and n_hid"):
        StateHead(2, n_hidden=0, dropout=0.5)


@pytest.mark.parametrize("value", [-1e-9, float("inf"), float("nan")])
def test_weight_decay_is_not_negative(value: float) -> None:
    with pytest.raises(ValueError, match="weight_decay must be finite and not negative, received"):
        StateHead(2, weight_decay=value)


def test_at_least_two_states() -> None:
    with pytest.raises(ValueError, match="n_states must be at least 2, received 1"):
        StateHead(1)


def test_hidden_layers_are_not_negative() -> None:
    with pytest.raises(ValueError, match="n_hidden must not be negative, received -1"):
        StateHead(2, n_hidden=-1)
