"""The vectors of elements, and NaN for those that the model does not know."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgdyn.layers import ElementEmbedding


def test_each_element_has_its_row() -> None:
    layer = ElementEmbedding([16, 3, 8], 4)
    species = np.array([3, 8, 16, 16, 3], "int32")
    vectors = np.asarray(layer(species))
    np.testing.assert_array_equal(vectors, np.asarray(layer.vectors)[[1, 2, 0, 0, 1]])
    assert len(np.unique(vectors[:, 0])) == 3


@pytest.mark.parametrize("unknown", [-5, -1, 0, 1, 4, 15, 17, 18, 119, 2**31 - 1])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_unknown_species_gives_nan_and_only_there(unknown: int, policy: str) -> None:
    layer = ElementEmbedding([3, 16], 4, dtype=policy)
    vectors = np.asarray(layer(np.array([3, unknown, 16], "int32")))
    np.testing.assert_array_equal(np.isnan(vectors).all(axis=1), [False, True, False])
    assert np.isfinite(vectors[[0, 2]]).all()


def test_bead_types_beyond_the_periodic_table() -> None:
    layer = ElementEmbedding([1, 500], 2)
    assert np.isfinite(np.asarray(layer(np.array([1, 500], "int32")))).all()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_gradient_is_summed_over_the_atoms_of_an_element(policy: str) -> None:
    """In full precision: 4,096 times 0.9 is no sum that half precision can make."""
    layer = ElementEmbedding([3, 16, 8], 2, dtype=policy)
    species = np.array([3] * 4096 + [16, 99, 16], "int32")
    with tf.GradientTape() as tape:
        rows = layer(species)
        total = tf.reduce_sum(tf.where(tf.math.is_nan(rows), 0.0, rows) * tf.cast(0.9, rows.dtype))
    gradient = tape.gradient(total, layer.vectors.value)
    assert not isinstance(gradient, tf.IndexedSlices)
    np.testing.assert_allclose(gradient, [[3686.4] * 2, [1.8] * 2, [0.0] * 2], rtol=5e-4)


def test_gradient_where_only_some_rows_are_used() -> None:
    layer = ElementEmbedding([3, 16], 2)
    with tf.GradientTape() as tape:
        rows = tf.gather(layer(np.array([3, 16, 16], "int32")), [2, 2, 0])
        total = tf.reduce_sum(rows)
    np.testing.assert_array_equal(tape.gradient(total, layer.vectors.value), [[1, 1], [2, 2]])


def test_adam_divides_by_the_whole_gradient() -> None:
    """Its first step is the learning rate, however many atoms an element has."""
    layer, optimizer = ElementEmbedding([3, 16], 2), keras.optimizers.Adam(0.01)
    layer.build((None,))
    before = layer.vectors.numpy()
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(np.array([3, 3, 3, 3, 16], "int32")))
    optimizer.apply(tape.gradient(total, layer.trainable_weights), layer.trainable_weights)
    np.testing.assert_allclose(before - layer.vectors.numpy(), 0.01, rtol=1e-4)


@pytest.mark.parametrize("elements", [[], [0, 3], [-1], [3, 16, 3]])
def test_elements_must_be_distinct_and_positive(elements: list[int]) -> None:
    with pytest.raises(ValueError, match=r"elements must be distinct positive ints, received \["):
        ElementEmbedding(elements, 4)


def test_at_least_one_feature() -> None:
    with pytest.raises(ValueError, match="n_features must be at least 1, received 0"):
        ElementEmbedding([3], 0)
