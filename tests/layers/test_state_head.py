"""The head against numpy, and its precision."""

from __future__ import annotations

from typing import Any

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


def test_at_least_two_states() -> None:
    with pytest.raises(ValueError, match="n_states must be at least 2, received 1"):
        StateHead(1)


def test_hidden_layers_are_not_negative() -> None:
    with pytest.raises(ValueError, match="n_hidden must not be negative, received -1"):
        StateHead(2, n_hidden=-1)
