"""Clusters of rows, their covariances, and distances from them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from kgdyn.novelty import fit_gaussians


def correlated(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(n_rows, 4)) @ rng.normal(size=(4, 4)) + [1.0, -2.0, 0.0, 5.0]


def test_one_cluster_against_scipy(rng: np.random.Generator) -> None:
    rows, others = correlated(500, rng), correlated(50, rng)
    found = fit_gaussians(rows, 1, floor=0.1)
    covariance = np.cov(rows.T, bias=True)
    covariance = 0.99 * covariance + 0.01 * np.diag(np.diag(covariance)) + 0.01 * np.eye(4)
    expected = cdist(others, rows.mean(axis=0)[None], "mahalanobis", VI=np.linalg.inv(covariance))
    np.testing.assert_allclose(found.nearest(others), expected[:, 0], rtol=1e-10, atol=0.0)
    np.testing.assert_allclose(found.deviations[0] ** 2, np.diag(covariance), rtol=1e-12, atol=0)


def test_finds_clusters_of_different_shape(rng: np.random.Generator) -> None:
    """One is long in one direction, the other in the other: a point at an end is near its own."""
    n = 4000
    first = rng.normal(size=(n, 2)) * [1.0, 0.1]
    second = rng.normal(size=(n, 2)) * [0.1, 1.0] + [12.0, 0.0]
    found = fit_gaussians(np.concatenate([first, second]), 2, floor=1e-3)
    assert found.means.shape == (2, 2)
    order = found.means[:, 0].argsort()
    np.testing.assert_allclose(found.means[order], [[0, 0], [12, 0]], rtol=0, atol=0.1)
    np.testing.assert_allclose(found.deviations[order], [[1, 0.1], [0.1, 1]], rtol=0.1, atol=0)
    points = np.array([[2.0, 0.0], [0.0, 2.0], [12.0, 2.0]])
    np.testing.assert_allclose(found.nearest(points), [2, 20, 2], rtol=0.1, atol=0)


def test_clusters_lean_on_each_other(rng: np.random.Generator) -> None:
    """Rows of all clusters count as twice the features in each covariance."""
    wide = rng.normal(size=(300, 2))
    narrow = 1e-6 * rng.normal(size=(100, 2)) + [50.0, 0.0]
    found = fit_gaussians(np.concatenate([wide, narrow]), 2, floor=1e-6)
    small, large = found.means[:, 0].argsort()[::-1]
    shared = np.var(wide, axis=0) * 300 / 400
    np.testing.assert_allclose(found.deviations[small] ** 2, shared * 4 / 104, rtol=1e-6, atol=0)
    expected = (300 * np.var(wide, axis=0) + 4 * shared) / 304
    np.testing.assert_allclose(found.deviations[large] ** 2, expected, rtol=1e-6, atol=0)


def test_what_never_varies_has_a_floor(rng: np.random.Generator) -> None:
    rows = np.stack([rng.normal(size=300), np.full(300, 2.0)], axis=1)
    found = fit_gaussians(rows, 4, floor=0.05)
    middle = found.means[[0]] + [[0.0, 1.0]]
    assert found.distances(middle)[0, 0] == pytest.approx(20.0, rel=1e-6)
    same = fit_gaussians(np.ones((9, 3)), 4, floor=0.05)
    np.testing.assert_allclose(same.nearest(np.array([[1.0, 1, 1], [1, 1.1, 1]])), [0, 2])


def test_the_same_every_time(rng: np.random.Generator) -> None:
    rows = rng.normal(size=(6000, 5))
    first, again = (fit_gaussians(rows, 5, 0.05) for _ in range(2))
    np.testing.assert_array_equal(first.whitening, again.whitening)
    assert len(first.means) == 5
