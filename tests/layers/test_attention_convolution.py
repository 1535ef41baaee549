"""The graph convolution against a loop over the equations of the paper, with nothing split."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from kgdyn.layers import AttentionConvolution

N_ATOMS, M, N_FEATURES, N_BASIS = 9, 5, 6, 7
ATOL = 2e-6


def graph(rng: np.random.Generator) -> dict[str, Any]:
    return {
        "nodes": rng.normal(size=(N_ATOMS, N_FEATURES)).astype("float32"),
        "neighbors": rng.integers(0, N_ATOMS, (N_ATOMS, M)).astype("int32"),
        "basis": rng.random((N_ATOMS, M, N_BASIS)).astype("float32"),
    }


def ragged(inputs: dict[str, Any], counts: list[int]) -> dict[str, Any]:
    """The first ``counts[i]`` neighbours of each atom."""
    kept = np.arange(M) < np.array(counts)[:, None]
    return {
        "nodes": inputs["nodes"],
        "neighbors": inputs["neighbors"][kept],
        "basis": inputs["basis"][kept],
        "centers": np.repeat(np.arange(N_ATOMS), counts).astype("int32"),
    }


def randomized(inputs: dict[str, Any], rng: np.random.Generator, **options: Any) -> Any:
    """A built layer none of whose weights, normalizations included, is trivial."""
    layer = AttentionConvolution(**options)
    layer(**inputs)
    for weight in layer.weights:
        values = rng.normal(size=weight.shape)
        positive = weight.name in ("gamma", "moving_variance")
        weight.assign(np.abs(values) + 0.5 if positive else 0.7 * values)
    return layer


def normalized(norm: Any, values: Any) -> Any:
    """Batch normalization at inference."""
    gamma, beta, mean, variance = (
        np.asarray(weight, dtype=np.float64)
        for weight in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    return gamma * (values - mean) / np.sqrt(variance + 1e-3) + beta


def slow_convolution(
    layer: Any,
    nodes: Any,
    neighbors: list[Any],
    basis: list[Any],
    rng: np.random.Generator,
    weights_of: Any = None,
) -> Any:
    """Atom by atom and edge by edge, z_ij in one piece.

    The attention has weights for v_i and a bias, which the layer lacks, at random: they cancel.
    """
    kernels = layer.center_kernel, layer.neighbor_kernel, layer.basis_kernel
    weights = np.concatenate([np.asarray(kernel, dtype=np.float64) for kernel in kernels])
    attention = np.concatenate(
        [
            rng.normal(size=(N_FEATURES, 1)),
            np.asarray(layer.neighbor_attention, dtype=np.float64),
            np.asarray(layer.basis_attention, dtype=np.float64),
        ]
    )
    attention_bias = rng.normal()
    bias = np.asarray(layer.bias, dtype=np.float64)
    nodes = nodes.astype(np.float64)
    result = []
    for i in range(len(nodes)):
        logits, messages = [], []
        for j, u_ij in zip(neighbors[i], basis[i], strict=True):
            z_ij = np.concatenate([nodes[i], nodes[j], u_ij.astype(np.float64)])
            logits.append((z_ij @ attention).item() + attention_bias)
            message = z_ij @ weights + bias
            if layer.message_norm is not None:
                message = normalized(layer.message_norm, message)
            messages.append(np.maximum(message, 0.0))
        reduced = np.zeros(N_FEATURES)
        if messages:
            alpha = np.exp(logits) * (1.0 if weights_of is None else weights_of[i])
            alpha = alpha / np.sum(alpha)
            reduced = np.sum(alpha[:, None] * np.array(messages), axis=0)
            if layer.reduction == "mean":
                reduced = reduced / len(messages)
        if layer.reduced_norm is not None:
            reduced = normalized(layer.reduced_norm, reduced)
        row = nodes[i] + reduced
        result.append(np.maximum(row, 0.0) if layer.final_relu else row)
    return np.array(result)


VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "mean": {"reduction": "mean"},
    "normalized": {"batch_normalization": True},
    "relu": {"final_relu": True},
    "released": {"reduction": "mean", "batch_normalization": True, "final_relu": True},
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_equals_the_equations_of_the_paper(
    options: dict[str, Any], rng: np.random.Generator
) -> None:
    inputs = graph(rng)
    layer = randomized(inputs, rng, **options)
    slow = slow_convolution(
        layer, inputs["nodes"], list(inputs["neighbors"]), list(inputs["basis"]), rng
    )
    assert np.abs(slow - inputs["nodes"]).max() > 0.5
    np.testing.assert_allclose(layer(**inputs, training=False), slow, rtol=1e-5, atol=ATOL)


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_ragged_equals_the_equations_of_the_paper(
    options: dict[str, Any], rng: np.random.Generator
) -> None:
    counts = [5, 1, 0, 3, 5, 2, 4, 1, 0]
    full = graph(rng)
    inputs = ragged(full, counts)
    layer = randomized(inputs, rng, **options)
    slow = slow_convolution(
        layer,
        full["nodes"],
        [row[:count] for row, count in zip(full["neighbors"], counts, strict=True)],
        [row[:count] for row, count in zip(full["basis"], counts, strict=True)],
        rng,
    )
    np.testing.assert_allclose(layer(**inputs, training=False), slow, rtol=1e-5, atol=ATOL)


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("form", ["uniform", "ragged"])
def test_envelope_multiplies_the_weights(
    form: str, options: dict[str, Any], rng: np.random.Generator
) -> None:
    counts = [M] * N_ATOMS if form == "uniform" else [5, 1, 0, 3, 5, 2, 4, 1, 0]
    full = graph(rng)
    weights = rng.uniform(0.05, 1.0, (N_ATOMS, M))
    weights[:, 0] = 1e-28  # of no weight beside others, of all where it is alone
    log_envelope = np.log(weights).astype("float32")
    inputs = {**full, "log_envelope": log_envelope}
    if form == "ragged":
        kept = np.arange(M) < np.array(counts)[:, None]
        inputs = {**ragged(full, counts), "log_envelope": log_envelope[kept]}
    layer = randomized(inputs, rng, **options)
    slow = slow_convolution(
        layer,
        full["nodes"],
        [row[:count] for row, count in zip(full["neighbors"], counts, strict=True)],
        [row[:count] for row, count in zip(full["basis"], counts, strict=True)],
        rng,
        [row[:count] for row, count in zip(weights, counts, strict=True)],
    )
    np.testing.assert_allclose(layer(**inputs, training=False), slow, rtol=1e-5, atol=ATOL)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_ragged_form_of_a_uniform_graph_is_the_same(
    options: dict[str, Any], training: bool, rng: np.random.Generator
) -> None:
    inputs = graph(rng)
    layer = randomized(inputs, rng, **options)
    expected = layer(**inputs, training=training)
    again = layer(**ragged(inputs, [M] * N_ATOMS), training=training)
    np.testing.assert_allclose(again, expected, rtol=1e-5, atol=ATOL)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_an_atom_without_neighbors_keeps_its_features(
    reduction: str, rng: np.random.Generator
) -> None:
    inputs = ragged(graph(rng), [5, 0, 5, 5, 1, 0, 2, 5, 0])
    result = np.asarray(randomized(inputs, rng, reduction=reduction)(**inputs))
    np.testing.assert_array_equal(result[[1, 5, 8]], inputs["nodes"][[1, 5, 8]])
    assert np.abs(result - inputs["nodes"])[[0, 2, 3, 4, 6, 7]].max(axis=1).min() > 1e-3


def test_no_edge_at_all(rng: np.random.Generator) -> None:
    layer = randomized(graph(rng), rng)
    inputs = ragged(graph(rng), [0] * N_ATOMS)
    np.testing.assert_array_equal(layer(**inputs), inputs["nodes"])


@pytest.mark.parametrize("form", ["uniform", "ragged"])
def test_large_logits_do_not_overflow(form: str, rng: np.random.Generator) -> None:
    inputs = graph(rng) if form == "uniform" else ragged(graph(rng), [M] * N_ATOMS)
    layer = randomized(inputs, rng)
    layer.neighbor_attention.assign(1e4 * np.asarray(layer.neighbor_attention))
    assert np.isfinite(np.asarray(layer(**inputs))).all()


def test_order_of_neighbors_does_not_matter(rng: np.random.Generator) -> None:
    inputs = graph(rng)
    layer = randomized(inputs, rng)
    order = rng.permutation(M)
    shuffled = {**inputs, "neighbors": inputs["neighbors"][:, order]}
    shuffled["basis"] = inputs["basis"][:, order]
    np.testing.assert_allclose(layer(**shuffled), layer(**inputs), rtol=1e-5, atol=ATOL)


def test_initial_weights_are_those_of_one_unsplit_dense_layer() -> None:
    keras.utils.set_random_seed(0)
    layer = AttentionConvolution()
    layer.build((None, 32), (None, 12), (None, 12, 41))
    kernels = [layer.center_kernel, layer.neighbor_kernel, layer.basis_kernel]
    limit = np.sqrt(6.0 / (2 * 32 + 41 + 32))
    assert 0.995 * limit < max(np.abs(np.asarray(kernel)).max() for kernel in kernels) <= limit
    assert min(np.abs(np.asarray(kernel)).max() for kernel in kernels) > 0.98 * limit
    limit = np.sqrt(6.0 / (2 * 32 + 41 + 1))
    for kernel in (layer.neighbor_attention, layer.basis_attention):
        assert 0.85 * limit < np.abs(np.asarray(kernel)).max() <= limit
    assert not np.asarray(layer.bias).any()


def test_normalization_moves_only_in_training(rng: np.random.Generator) -> None:
    inputs = graph(rng)
    layer = randomized(inputs, rng, **VARIANTS["released"])
    before = [np.array(weight) for weight in layer.non_trainable_weights]
    layer(**inputs, training=False)
    after = [np.array(weight) for weight in layer.non_trainable_weights]
    assert len(before) == 4
    assert all(map(np.array_equal, before, after))
    layer(**inputs, training=True)
    assert not any(map(np.array_equal, before, layer.get_weights()[-4:]))


def test_attention_is_not_lost_in_half_precision(rng: np.random.Generator) -> None:
    inputs = graph(rng)
    exact = randomized(inputs, rng)
    half = AttentionConvolution(dtype="mixed_float16")
    half(**inputs)
    half.set_weights(exact.get_weights())
    result = np.asarray(half(**inputs), dtype=np.float64)
    np.testing.assert_allclose(result, exact(**inputs), rtol=1e-2, atol=2e-2)


def test_unknown_reduction() -> None:
    with pytest.raises(ValueError, match=r"reduction must be one of .*received 'max'"):
        AttentionConvolution(reduction="max")


def test_ragged_without_centers(rng: np.random.Generator) -> None:
    inputs = ragged(graph(rng), [M] * N_ATOMS)
    del inputs["centers"]
    with pytest.raises(ValueError, match=r"centers must say whose neighbour .* \(45,\)"):
        AttentionConvolution()(**inputs)
