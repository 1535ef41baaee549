"""The compiled attention against the same mathematics in keras.ops."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from kgdyn.layers import AttentionConvolution, CutoffEnvelope, RadialBasis
from kgdyn.layers import _compiled_attention as compiled
from kgdyn.layers._compiled_kernels import exponential, locate
from kgdyn.layers._radial_table import radial_table

Case = tuple[AttentionConvolution, RadialBasis, NDArray[np.float32], NDArray[np.int32], tf.Tensor]


def case(
    rng: np.random.Generator,
    n_features: int = 16,
    n_atoms: int = 40,
    n_rows: int | None = None,
    n_neighbors: int = 12,
    reduction: str = "sum",
    final_relu: bool = False,
) -> Case:
    layer = AttentionConvolution(reduction=reduction, final_relu=final_relu)
    basis = RadialBasis()
    shape = (n_atoms if n_rows is None else n_rows, n_neighbors)
    distances = rng.uniform(0.0, 12.0, shape).astype(np.float32)
    distances[0, :4] = [0.0, 8.0, 9.3, 700.0]
    neighbors = rng.integers(0, n_atoms, shape).astype(np.int32)
    nodes = tf.constant(rng.normal(size=(n_atoms, n_features)).astype(np.float32))
    layer.build((None, n_features), (None, n_neighbors), (None, n_neighbors, basis.n_basis))
    layer.bias.assign(rng.normal(size=n_features))
    return layer, basis, distances, neighbors, nodes


def outputs_and_gradients(
    the_case: Case,
    use_compiled: bool,
    log_envelope: tf.Tensor | None = None,
) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
    layer, basis, distances, neighbors, nodes = the_case
    with tf.GradientTape() as tape:
        tape.watch(nodes)
        if use_compiled:
            result = layer.call_compiled(
                nodes, neighbors, distances, radial_table(basis), log_envelope
            )
        else:
            result = layer(nodes, neighbors, basis(distances), log_envelope=log_envelope)
        weights = tf.cos(tf.reshape(tf.range(tf.size(result), dtype=tf.float32), tf.shape(result)))
        total = tf.reduce_sum(weights * result)
    gradients = tape.gradient(total, [nodes, *layer.trainable_weights])
    return result.numpy(), [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]


def assert_same(the_case: Case, log_envelope: tf.Tensor | None = None) -> None:
    found, found_gradients = outputs_and_gradients(the_case, True, log_envelope)
    expected, expected_gradients = outputs_and_gradients(the_case, False, log_envelope)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert len(found_gradients) == 7
    for gradient, reference in zip(found_gradients, expected_gradients, strict=True):
        scale = np.abs(reference).max()
        np.testing.assert_allclose(gradient, reference, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("n_features", [1, 3, 16, 40, 64])
def test_equal_to_keras_ops_for_any_width(rng: np.random.Generator, n_features: int) -> None:
    assert_same(case(rng, n_features))


@pytest.mark.parametrize("options", [{"reduction": "mean"}, {"final_relu": True}, {"n_rows": 17}])
def test_equal_to_keras_ops_for_all_options(
    rng: np.random.Generator, options: dict[str, object]
) -> None:
    assert_same(case(rng, **options))  # type: ignore[arg-type]


def test_equal_to_keras_ops_with_an_envelope(rng: np.random.Generator) -> None:
    the_case = case(rng)
    assert_same(the_case, CutoffEnvelope()(the_case[2]))


def test_threads_change_nothing_but_rounding(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    the_case = case(rng, n_atoms=3000)
    results = []
    for n_threads in (1, 3):
        monkeypatch.setattr(compiled, "_threads", lambda n=n_threads: n)
        results.append(outputs_and_gradients(the_case, True))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    for one, three in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(one, three, rtol=0, atol=3e-6 * np.abs(one).max())
    again = outputs_and_gradients(the_case, True)
    for three, repeated in zip(results[1][1], again[1], strict=True):
        np.testing.assert_array_equal(three, repeated)


def test_gradient_arrives_where_only_some_rows_are_taken(rng: np.random.Generator) -> None:
    layer, basis, distances, neighbors, nodes = case(rng)

    def taken(use_compiled: bool) -> NDArray[np.float32]:
        with tf.GradientTape() as tape:
            if use_compiled:
                result = layer.call_compiled(nodes, neighbors, distances, radial_table(basis))
            else:
                result = layer(nodes, neighbors, basis(distances))
            total = tf.reduce_sum(tf.gather(result, [3, 5, 3]) ** 2)
        gradient: NDArray[np.float32] = tape.gradient(total, layer.center_kernel).numpy()
        return gradient

    np.testing.assert_allclose(taken(True), taken(False), rtol=1e-4, atol=1e-4)


def test_no_rows_are_no_error(rng: np.random.Generator) -> None:
    layer, basis, _, _, nodes = case(rng)
    distances = np.zeros((0, 12), np.float32)
    empty = layer.call_compiled(nodes, np.zeros((0, 12), np.int32), distances, radial_table(basis))
    assert empty.shape == (0, 16)


def test_not_a_number_stays_in_its_row(rng: np.random.Generator) -> None:
    layer, basis, distances, neighbors, nodes = case(rng)
    distances[7, 3] = np.nan
    result = layer.call_compiled(nodes, neighbors, distances, radial_table(basis)).numpy()
    assert np.isnan(result[7]).all()
    assert np.isfinite(np.delete(result, 7, axis=0)).all()


@pytest.mark.parametrize("wrong", [-1e-6, -0.3, -1e6, -np.inf])
def test_what_is_no_distance_stays_inside_of_the_table(
    rng: np.random.Generator, wrong: float
) -> None:
    the_case = case(rng)
    the_case[2][7, 3] = 0.0
    expected = outputs_and_gradients(the_case, True)
    the_case[2][7, 3] = wrong
    found = outputs_and_gradients(the_case, True)
    np.testing.assert_array_equal(found[0], expected[0])
    for one, other in zip(found[1], expected[1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("wrong", [-1, 40])
def test_a_neighbour_that_is_no_atom_is_refused(rng: np.random.Generator, wrong: int) -> None:
    layer, basis, distances, neighbors, nodes = case(rng)
    neighbors[2, 2] = wrong
    with pytest.raises(ValueError, match="neighbors must be from 0 to 39"):
        layer.call_compiled(nodes, neighbors, distances, radial_table(basis))


@pytest.mark.parametrize("options", [{}, {"width": 0.3}, {"spacing": 0.25, "cutoff": 6.0}])
def test_a_table_holds_the_basis(rng: np.random.Generator, options: dict[str, float]) -> None:
    """At places, between them, at both ends and beyond."""
    basis = RadialBasis(**options)
    rows, step = radial_table(basis)
    distances = np.concatenate([rng.uniform(0.0, 10.0, 500), step * np.arange(40), [8.0, 50.0]])
    shares, first = np.empty(4 * len(distances), np.float32), np.empty(len(distances), np.int32)
    given = distances.astype(np.float32)[None]
    locate(0, given, 1.0 / step, len(rows) // 2 - 2.0, shares, first)
    shares = shares.reshape(4, -1)
    found = sum(shares[k, :, None] * rows[first + k] for k in range(4))
    exact = np.exp(-(((given.T - basis.spacing * np.arange(basis.n_basis)) / basis.width) ** 2))
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-6)
    assert 0 <= first.min() <= first.max() == len(rows) - 4


def test_a_table_is_made_once() -> None:
    assert radial_table(RadialBasis()) is radial_table(RadialBasis())
    assert radial_table(RadialBasis()) is not radial_table(RadialBasis(cutoff=6.0))


@pytest.mark.parametrize("width", [0.1, 0.35])
def test_equal_to_keras_ops_for_any_basis(rng: np.random.Generator, width: float) -> None:
    layer, _, *others = case(rng)
    assert_same((layer, RadialBasis(width=width), *others))  # type: ignore[arg-type]


def test_exponential_is_exact_to_float32() -> None:
    values = np.linspace(-86.0, 80.0, 2001, dtype=np.float32)
    found = np.array([exponential(value) for value in values])
    np.testing.assert_allclose(found, np.exp(values.astype(np.float64)), rtol=2.5e-7)


def test_what_cannot_be_compiled_says_so(rng: np.random.Generator) -> None:
    layer, *_ = case(rng)
    assert layer.can_be_compiled()
    half = AttentionConvolution(dtype=keras.DTypePolicy("mixed_float16"))
    half.build((None, 4), (None, 2), (None, 2, 41))
    assert not half.can_be_compiled()
    normalized = AttentionConvolution(batch_normalization=True)
    normalized.build((None, 4), (None, 2), (None, 2, 41))
    assert not normalized.can_be_compiled()
