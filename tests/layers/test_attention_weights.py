"""`AttentionConvolution.attention_weights`: what `call` weighs messages with."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from kgdyn.layers import AttentionConvolution

N, M = 7, 4


@pytest.fixture
def inputs(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "nodes": rng.normal(size=(N, 5)).astype("float32"),
        "neighbors": rng.integers(0, N, (N, M)).astype("int32"),
        "basis": rng.random((N, M, 6)).astype("float32"),
    }


@pytest.mark.parametrize("with_envelope", [False, True])
def test_messages_with_these_weights_are_the_call(
    with_envelope: bool, inputs: dict[str, Any], rng: np.random.Generator
) -> None:
    layer = AttentionConvolution()
    if with_envelope:
        inputs["log_envelope"] = -5.0 * rng.random((N, M)).astype("float32")
    result = np.asarray(layer(**inputs))
    alpha = np.asarray(layer.attention_weights(**inputs))
    assert alpha.dtype == np.float32
    np.testing.assert_allclose(alpha.sum(axis=1), 1.0, rtol=1e-6)
    nodes, neighbors = inputs["nodes"], inputs["neighbors"]
    kernels = layer.center_kernel, layer.neighbor_kernel, layer.basis_kernel
    center, neighbor, basis = (np.asarray(weight) for weight in kernels)
    bias = np.asarray(layer.bias)
    messages = (nodes @ center)[:, None] + (nodes @ neighbor)[neighbors] + inputs["basis"] @ basis
    heard = (alpha[..., None] * np.maximum(messages + bias, 0.0)).sum(axis=1)
    np.testing.assert_allclose(result, nodes + heard, rtol=1e-5, atol=2e-6)


def test_ragged_edges_and_some_rows(inputs: dict[str, Any], rng: np.random.Generator) -> None:
    layer = AttentionConvolution()
    layer(**inputs)
    whole = np.asarray(layer.attention_weights(**inputs))
    some = {name: inputs[name][2:4] for name in ("neighbors", "basis")}
    found = layer.attention_weights(inputs["nodes"], **some)
    np.testing.assert_allclose(found, whole[2:4], rtol=1e-6)
    # Of edges that an atom has fewer of, the weights are those of a softmax over fewer.
    kept = rng.random((N, M)) < 0.6
    kept[3] = False
    ragged = layer.attention_weights(
        inputs["nodes"],
        inputs["neighbors"][kept],
        inputs["basis"][kept],
        centers=np.nonzero(kept)[0].astype("int32"),
    )
    expected = np.where(kept, whole, 0.0)
    expected /= np.maximum(expected.sum(axis=1, keepdims=True), 1e-9)
    np.testing.assert_allclose(ragged, expected[kept], rtol=1e-5)


def test_half_precision_sums_to_one(inputs: dict[str, Any]) -> None:
    layer = AttentionConvolution(dtype=keras.dtype_policies.DTypePolicy("mixed_float16"))
    layer(**inputs)
    alpha = np.asarray(layer.attention_weights(**inputs))
    assert alpha.dtype == np.float32
    np.testing.assert_allclose(alpha.sum(axis=1), 1.0, rtol=1e-6)
