"""What every layer promises: configuration, graph = eager, training, precision, serialization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgdyn import layers

N_ATOMS, N_NEIGHBORS, N_FEATURES, N_BASIS = 7, 4, 6, 5
POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")
# Of one value computed twice, in eager mode and in a graph.
ATOL = {"float32": 1e-6, "mixed_float16": 4e-3, "mixed_bfloat16": 4e-2}
COMPUTE = {"float32": "float32", "mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


def nodes() -> Any:
    return np.random.default_rng(1).normal(size=(N_ATOMS, N_FEATURES)).astype("float32")


def uniform_edges() -> dict[str, Any]:
    rng = np.random.default_rng(2)
    return {
        "nodes": nodes(),
        "neighbors": rng.integers(0, N_ATOMS, (N_ATOMS, N_NEIGHBORS)).astype("int32"),
        "basis": rng.random((N_ATOMS, N_NEIGHBORS, N_BASIS)).astype("float32"),
    }


def ragged_edges() -> dict[str, Any]:
    """Atoms with 4, 0, 1, 2, 4, 3 and 0 neighbours."""
    rng = np.random.default_rng(3)
    centers = np.repeat(np.arange(N_ATOMS), [4, 0, 1, 2, 4, 3, 0]).astype("int32")
    return {
        "nodes": nodes(),
        "neighbors": rng.integers(0, N_ATOMS, len(centers)).astype("int32"),
        "basis": rng.random((len(centers), N_BASIS)).astype("float32"),
        "centers": centers,
    }


def pooled_targets() -> dict[str, Any]:
    return {
        "nodes": nodes(),
        "target_atoms": np.array([3, 0, 1, 2, 5, 5], "int32"),
        "target_of_atom": np.array([0, 1, 1, 1, 2, 3], "int32"),
        "n_targets": 4,
    }


def enveloped(edges: dict[str, Any]) -> dict[str, Any]:
    """The same with logarithms of weights, one of them of no weight."""
    weights = np.random.default_rng(12).random(edges["neighbors"].shape)
    log_envelope = np.log(weights).astype("float32")
    log_envelope[..., 0] = -65.0
    return {**edges, "log_envelope": log_envelope}


def row_distances() -> Any:
    return np.random.default_rng(13).uniform(1.0, 6.0, (N_ATOMS, N_NEIGHBORS)).astype("float32")


def edge_distances() -> dict[str, Any]:
    centers = ragged_edges()["centers"]
    distances = row_distances().reshape(-1)[: len(centers)]
    return {"distances": distances, "centers": centers, "n_atoms": N_ATOMS}


def memberships() -> Any:
    return np.random.default_rng(4).dirichlet(np.ones(3), size=8)


class Case(NamedTuple):
    make: Callable[..., keras.layers.Layer]
    inputs: Callable[[], dict[str, Any]]
    # What the layer gives under every policy; None where it is the compute dtype.
    output_dtype: str | None = None


CASES = {
    "convolution": Case(layers.AttentionConvolution, uniform_edges),
    "convolution, ragged": Case(layers.AttentionConvolution, ragged_edges),
    "convolution, mean": Case(
        lambda **options: layers.AttentionConvolution("mean", final_relu=True, **options),
        uniform_edges,
    ),
    "convolution, released": Case(
        lambda **options: layers.AttentionConvolution(
            "mean", batch_normalization=True, final_relu=True, **options
        ),
        uniform_edges,
    ),
    "convolution, released, ragged": Case(
        lambda **options: layers.AttentionConvolution(
            "mean", batch_normalization=True, final_relu=True, **options
        ),
        ragged_edges,
    ),
    "convolution, enveloped": Case(layers.AttentionConvolution, lambda: enveloped(uniform_edges())),
    "convolution, released, enveloped, ragged": Case(
        lambda **options: layers.AttentionConvolution(
            "mean", batch_normalization=True, final_relu=True, **options
        ),
        lambda: enveloped(ragged_edges()),
    ),
    "envelope": Case(layers.CutoffEnvelope, lambda: {"distances": row_distances()}, "float32"),
    "envelope, ragged": Case(layers.CutoffEnvelope, edge_distances, "float32"),
    "embedding": Case(
        lambda **options: layers.ElementEmbedding([16, 3], N_FEATURES, **options),
        lambda: {"species": np.array([3, 16, 16, 3], "int32")},
    ),
    "radial basis": Case(
        lambda **options: layers.RadialBasis(cutoff=6.0, spacing=0.5, width=0.3, **options),
        lambda: {"distances": np.linspace(0.5, 6.5, 12, dtype="float32").reshape(3, 4)},
    ),
    "pooling": Case(layers.TargetPooling, pooled_targets),
    "pooling, several": Case(
        lambda **options: layers.TargetPooling(("max", "mean", "sum"), **options), pooled_targets
    ),
    "head": Case(
        lambda **options: layers.StateHead(3, n_hidden=2, **options),
        lambda: {"targets": nodes()},
        "float64",
    ),
    "head, regularized": Case(
        lambda **options: layers.StateHead(
            3, n_hidden=1, dropout=0.3, weight_decay=1e-3, **options
        ),
        lambda: {"targets": nodes()},
        "float64",
    ),
    "simplex map": Case(
        lambda **options: layers.SimplexMap(3, **options),
        lambda: {"probabilities": memberships()},
        "float32",
    ),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request: pytest.FixtureRequest) -> Case:
    return request.param  # type: ignore[no-any-return]


def made(case: Case, policy: str = "float32") -> tuple[keras.layers.Layer, dict[str, Any]]:
    """A built layer with random weights, and its inputs."""
    keras.utils.set_random_seed(5)
    layer, inputs = case.make(dtype=policy), case.inputs()
    layer(**inputs)
    rng = np.random.default_rng(6)
    for weight in layer.trainable_weights:
        weight.assign(np.asarray(weight) + 0.1 * rng.normal(size=weight.shape))
    return layer, inputs


def as_float64(tensor: Any) -> Any:
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float64"))


def test_config_rebuilds_the_layer(case: Case) -> None:
    layer, inputs = made(case)
    again = type(layer).from_config(layer.get_config())
    again(**inputs)
    again.set_weights(layer.get_weights())
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(as_float64(again(**inputs)), as_float64(layer(**inputs)))


@pytest.mark.parametrize("policy", POLICIES)
def test_serialized_layer_comes_back(case: Case, policy: str) -> None:
    layer, inputs = made(case, policy)
    again = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(again) is type(layer)
    assert again.dtype_policy.name == policy
    again(**inputs)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(as_float64(again(**inputs)), as_float64(layer(**inputs)))


@pytest.mark.parametrize("policy", POLICIES)
def test_graph_equals_eager(case: Case, policy: str) -> None:
    layer, inputs = made(case, policy)
    eager = as_float64(layer(**inputs))
    graph = as_float64(tf.function(lambda: layer(**inputs))())
    assert np.isfinite(eager).all()
    np.testing.assert_allclose(graph, eager, rtol=0.0, atol=ATOL[policy])


@pytest.mark.parametrize("policy", POLICIES)
def test_precision_of_output_and_weights(case: Case, policy: str) -> None:
    layer, inputs = made(case, policy)
    output = layer(**inputs)
    expected_dtype = case.output_dtype or COMPUTE[policy]
    assert keras.backend.standardize_dtype(output.dtype) == expected_dtype
    exact = as_float64(made(case)[0](**inputs))
    loss_of_digits = {"float32": 1e-6, "mixed_float16": 2e-2, "mixed_bfloat16": 2e-1}
    np.testing.assert_allclose(as_float64(output), exact, rtol=0.0, atol=loss_of_digits[policy])
    assert all(weight.dtype in ("float32", "float64") for weight in layer.weights)


@pytest.mark.parametrize("policy", POLICIES)
def test_one_step_lowers_the_loss(case: Case, policy: str) -> None:
    layer, inputs = made(case, policy)
    if not layer.trainable_weights:
        pytest.skip("nothing to train")
    goal = np.random.default_rng(7).normal(size=layer(**inputs).shape)

    def loss() -> Any:
        error = keras.ops.cast(layer(**inputs, **training), "float64") - goal
        return keras.ops.mean(keras.ops.square(error))

    has_norm = getattr(layer, "batch_normalization", False)
    training = {"training": True} if has_norm else {}
    before = [np.array(weight) for weight in layer.trainable_weights]
    with tf.GradientTape() as tape:
        first = loss()
    gradients = tape.gradient(first, layer.trainable_weights)
    for weight, gradient in zip(layer.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.path
        weight.assign(weight - 0.05 * tf.cast(tf.convert_to_tensor(gradient), weight.dtype))
    for weight, old in zip(layer.trainable_weights, before, strict=True):
        assert np.isfinite(np.asarray(weight)).all(), weight.path
        if has_norm and weight.name == "bias":
            continue  # batch normalization takes any constant away
        assert not np.array_equal(np.asarray(weight), old), weight.path
    assert float(loss()) < float(first)


def test_declared_output_shape(case: Case) -> None:
    layer, inputs = made(case)
    output = layer(**inputs)
    shapes = [np.shape(value) for value in inputs.values()]
    if isinstance(layer, layers.TargetPooling):
        pytest.skip("as many rows as a call argument says")
    assert tuple(layer.compute_output_shape(*shapes)) == tuple(output.shape)


def test_gradient_reaches_the_inputs(case: Case) -> None:
    """Against finite differences, in float64 where the layer allows it."""
    layer, inputs = made(case)
    name = next(iter(inputs))
    if inputs[name].dtype.kind == "i":
        pytest.skip("integers have no gradient")
    values = inputs[name].astype("float64")
    slope = np.random.default_rng(8).normal(size=layer(**inputs).shape)

    def total(array: Any) -> Any:
        return keras.ops.sum(keras.ops.cast(layer(**{**inputs, name: array}), "float64") * slope)

    point = tf.constant(values.astype(inputs[name].dtype))
    with tf.GradientTape() as tape:
        tape.watch(point)
        result = total(point)
    direction = np.random.default_rng(9).normal(size=values.shape)
    expected = float(np.sum(as_float64(tape.gradient(result, point)) * direction))
    step = 1e-3
    up, down = (
        float(total((values + sign * step * direction).astype(inputs[name].dtype)))
        for sign in (1.0, -1.0)
    )
    assert expected == pytest.approx((up - down) / (2 * step), rel=2e-2, abs=2e-2)
