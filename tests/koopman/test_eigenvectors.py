"""Eigenvectors: biorthonormal, with the documented signs and scales."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.koopman import KoopmanModel, eigenvectors


def model_of(matrix: list[list[float]]) -> KoopmanModel:
    n_states = len(matrix)
    return KoopmanModel(np.array(matrix), 10, 0.5, 100, np.full(n_states, 1 / n_states), 2.0)


REVERSIBLE = [[0.9, 0.08, 0.02], [0.16, 0.8, 0.04], [0.08, 0.08, 0.84]]
CYCLE = [[0.9, 0.1, 0.0], [0.0, 0.9, 0.1], [0.1, 0.0, 0.9]]
IRREVERSIBLE = [[0.92, 0.07, 0.01], [0.02, 0.9, 0.08], [0.06, 0.02, 0.92]]


@pytest.mark.parametrize("matrix", [REVERSIBLE, CYCLE, IRREVERSIBLE])
def test_they_are_biorthonormal_eigenvectors(matrix: list[list[float]]) -> None:
    model = model_of(matrix)
    left, right, values = model.left_eigenvectors, model.right_eigenvectors, model.eigenvalues
    pi = model.stationary_distribution
    np.testing.assert_allclose(left.T @ right, np.eye(2), rtol=0, atol=1e-12)
    np.testing.assert_allclose(model.koopman_matrix @ right, right * values, rtol=0, atol=1e-12)
    np.testing.assert_allclose(model.koopman_matrix.T @ left, left * values, rtol=0, atol=1e-12)
    np.testing.assert_allclose(left.sum(axis=0), 0.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(pi @ right, 0.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(pi @ np.abs(right) ** 2, 1.0, rtol=1e-12, atol=0)
    size = np.abs(right)  # among equally large components the first
    largest = right[(size >= (1 - 1e-9) * size.max(axis=0)).argmax(axis=0), np.arange(2)]
    assert (largest.real > 0).all()
    np.testing.assert_allclose(largest.imag, 0.0, rtol=0, atol=1e-12)
    assert right.dtype == (np.float64 if np.isreal(values).all() else np.complex128)


def test_two_states_by_hand() -> None:
    """K = [[1 - a, a], [b, 1 - b]]: pi = (b, a) / (a + b), r ~ (a, -b), l ~ (1, -1)."""
    model = model_of([[0.9, 0.1], [0.3, 0.7]])
    right = np.array([[-(3**-0.5)], [3**0.5]])
    np.testing.assert_allclose(model.right_eigenvectors, right, rtol=1e-12, atol=0)
    left = np.array([[0.75], [0.25]]) * right
    np.testing.assert_allclose(model.left_eigenvectors, left, rtol=1e-12, atol=0)
    equal = model_of([[0.9, 0.1], [0.1, 0.9]]).right_eigenvectors
    np.testing.assert_allclose(equal, [[1.0], [-1.0]], rtol=1e-12, atol=0)


def test_complex_pairs_are_conjugate_positive_imaginary_part_first() -> None:
    model = model_of(CYCLE)
    assert model.eigenvalues[0].imag > 0
    for vectors in (model.left_eigenvectors, model.right_eigenvectors):
        np.testing.assert_allclose(vectors[:, 0], vectors[:, 1].conj(), rtol=0, atol=1e-12)


def test_a_defective_matrix_has_none() -> None:
    matrix = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]])
    with pytest.warns(RuntimeWarning, match="defective"):
        left, right = eigenvectors(matrix)
    assert np.isnan(left).all()
    assert np.isnan(right).all()
