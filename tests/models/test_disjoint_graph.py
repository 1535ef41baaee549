"""Rows of ragged tensors, found in few operations, are those that TensorFlow finds."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from kgdyn.models._disjoint_graph import _row_of_each

LENGTHS = [[3, 1, 2], [0, 4, 0, 0, 1], [2, 0, 0], [0, 0], [5], []]


def ragged(lengths: list[int]) -> tf.RaggedTensor:
    return tf.RaggedTensor.from_row_lengths(np.arange(sum(lengths), dtype=np.float32), lengths)


def nested(lengths: list[int]) -> tf.RaggedTensor:
    """Rows of rows: all in the first, an empty one after it."""
    return tf.RaggedTensor.from_row_lengths(ragged(lengths), [len(lengths), 0])


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_the_row_of_each_value(lengths: list[int], jit_compile: bool) -> None:
    for tensor in (ragged(lengths), nested(lengths)):
        found = tf.function(_row_of_each, jit_compile=jit_compile)(tensor)
        assert found.dtype == tf.int32
        np.testing.assert_array_equal(found, tensor.value_rowids())
