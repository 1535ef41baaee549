"""The hand-written gradient against automatic differentiation of the plain formula."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from kgdyn.layers._attend import attend


def plain(from_neighbor: Any, from_basis: Any, from_center: Any, neighbors: Any) -> Any:
    edges = tf.gather(from_neighbor, neighbors) + from_basis
    messages = tf.nn.relu(edges[..., :-1] + from_center[:, None, :])
    attention = tf.nn.softmax(edges[..., -1], axis=-1)
    return tf.reduce_sum(attention[..., None] * messages, axis=1)


@pytest.mark.parametrize("n_rows", [30, 11])
def test_value_and_gradient_equal_automatic_differentiation(
    rng: np.random.Generator, n_rows: int
) -> None:
    n_atoms, n_neighbors, n_features = 30, 7, 5
    arrays = (
        rng.normal(size=(n_atoms, n_features + 1)),
        rng.normal(size=(n_rows, n_neighbors, n_features + 1)),
        rng.normal(size=(n_rows, n_features)),
    )
    neighbors = tf.constant(rng.integers(0, n_atoms, (n_rows, n_neighbors)), tf.int32)
    weight = tf.constant(rng.normal(size=(n_rows, n_features)), tf.float32)
    found = []
    for function in (plain, attend, tf.function(attend)):
        inputs = [tf.Variable(array.astype(np.float32)) for array in arrays]
        with tf.GradientTape() as tape:
            value = function(*[tf.convert_to_tensor(array) for array in inputs], neighbors)
            loss = tf.reduce_sum(weight * value)
        gradients = [tf.convert_to_tensor(part) for part in tape.gradient(loss, inputs)]
        found.append([value, *gradients])
    for other in found[1:]:
        for mine, reference in zip(other, found[0], strict=True):
            np.testing.assert_allclose(mine, reference, rtol=0, atol=2e-6)
