"""The fixed linear map: identity until set, then a matrix product in float64."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.koopman.simplex_map import lumping_map
from kgdyn.layers import SimplexMap


def test_identity_until_set(rng: np.random.Generator) -> None:
    probabilities = rng.dirichlet(np.ones(3), 5)
    layer = SimplexMap(3)
    np.testing.assert_array_equal(layer(probabilities), probabilities.astype("float32"))


def test_matrix_product_and_reset(rng: np.random.Generator) -> None:
    probabilities = rng.dirichlet(np.ones(3), 5)
    matrix = rng.dirichlet(np.ones(3), 3)
    layer = SimplexMap(3)
    layer.build((None, 3))
    layer.set_matrix(matrix)
    mapped = np.asarray(layer(probabilities))
    assert mapped.dtype == np.float32
    np.testing.assert_allclose(mapped, probabilities @ matrix, rtol=1e-6, atol=1e-7)
    layer.reset()
    np.testing.assert_array_equal(layer(probabilities), probabilities.astype("float32"))


def test_small_differences_may_be_stretched() -> None:
    """Float64 up to the product: differences of 1e-8 become 1e-2."""
    stretch = 1e6
    layer = SimplexMap(2)
    layer.build((None, 2))
    layer.set_matrix(
        np.array([[0.5 + stretch / 2, 0.5 - stretch / 2], [0.5 - stretch / 2, 0.5 + stretch / 2]])
    )
    left = np.array([0.5, 0.5 + 1e-8, 0.5 + 3e-8])
    mapped = np.asarray(layer(np.stack([left, 1.0 - left], axis=1)))
    np.testing.assert_allclose(mapped[:, 0], [0.5, 0.51, 0.53], rtol=0.0, atol=1e-6)


def test_nothing_trains_it() -> None:
    layer = SimplexMap(2)
    layer.build((None, 2))
    layer.trainable = True
    assert layer.trainable_weights == []
    assert len(layer.weights) == 1


def test_matrix_of_another_shape() -> None:
    layer = SimplexMap(2)
    layer.build((None, 2))
    with pytest.raises(ValueError, match=r"matrix must have shape \(2, 2\), received \(3, 3\)"):
        layer.set_matrix(np.eye(3))


@pytest.mark.parametrize("bad", [[[1.0, 0.01], [0.0, 1.0]], [[1.0, 0.0], [np.nan, 1.0]]])
def test_rows_must_sum_to_one(bad: list[list[float]]) -> None:
    layer = SimplexMap(2)
    layer.build((None, 2))
    with pytest.raises(ValueError, match="rows of matrix must sum to 1, received"):
        layer.set_matrix(bad)


def test_at_least_two_states() -> None:
    with pytest.raises(ValueError, match="n_states must be at least 2, received 1"):
        SimplexMap(1)


def test_more_outputs_than_states(rng: np.random.Generator) -> None:
    """Until a matrix is set, output k counts to state k modulo 2."""
    probabilities = rng.dirichlet(np.ones(5), 6)
    layer = SimplexMap(2, n_outputs=5)
    lumped = np.stack([probabilities[:, ::2].sum(axis=1), probabilities[:, 1::2].sum(axis=1)], 1)
    np.testing.assert_allclose(layer(probabilities), lumped, rtol=1e-6, atol=0.0)
    assert layer.compute_output_shape((None, 5)) == (None, 2)
    matrix = rng.dirichlet(np.ones(2), 5)
    layer.set_matrix(matrix)
    np.testing.assert_allclose(layer(probabilities), probabilities @ matrix, rtol=1e-6, atol=0.0)
    with pytest.raises(ValueError, match=r"matrix must have shape \(5, 2\), received \(2, 2\)"):
        layer.set_matrix(np.eye(2))
    layer.reset()
    np.testing.assert_array_equal(layer.matrix, lumping_map(5, 2))
    again = SimplexMap.from_config(layer.get_config())
    assert (again.n_states, again.n_outputs) == (2, 5)


def test_fewer_outputs_than_states() -> None:
    with pytest.raises(ValueError, match="n_outputs must be at least n_states, 3, received 2"):
        SimplexMap(3, n_outputs=2)
