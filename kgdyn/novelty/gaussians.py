"""A distribution as a few Gaussians, and how far a point is from the nearest of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

__all__ = ["Gaussians", "fit_gaussians"]

Float = NDArray[np.float64]

_ROWS_TO_CLUSTER = 4000
_ITERATIONS, _RESTARTS = 20, 4
# Share of each covariance that is its diagonal alone.
_SHRINKAGE = 0.01
# Rows of all clusters that count in each covariance, in units of the features.
_SHARED_ROWS = 2.0


@dataclass(frozen=True, eq=False)
class Gaussians:
    """Means and covariances of clusters of rows.

    Attributes
    ----------
    means : (n_clusters, n_features) array of float64
    whitening : (n_clusters, n_features, n_features) array of float64
        Inverse Cholesky factors of the covariances, lower triangles.
    deviations : (n_clusters, n_features) array of float64
        Standard deviation of each feature.
    """

    means: Float
    whitening: Float
    deviations: Float

    def distances(self, rows: Float) -> Float:
        """(n_clusters, n_rows) Mahalanobis distances to each."""
        return np.stack(
            [
                np.linalg.norm((rows - mean) @ whitening.T, axis=1)
                for mean, whitening in zip(self.means, self.whitening, strict=True)
            ]
        )

    def nearest(self, rows: Float) -> Float:
        """(n_rows,) the smallest of the distances."""
        found: Float = self.distances(rows).min(axis=0)
        return found


def fit_gaussians(rows: Float, n_clusters: int, floor: float, seed: int = 0) -> Gaussians:
    """Cluster rows and give each cluster a Gaussian.

    Clusters are those of k-means in whitened coordinates. Each covariance leans on that of all
    clusters (as in regularized discriminant analysis: Friedman, J. Am. Stat. Assoc. 84, 165
    (1989)), so that clusters of a few rows are no worse than with one shared covariance.

    Parameters
    ----------
    rows : (n_rows, n_features) array of float64
    n_clusters : int
        At most.
    floor : float
        Added to each feature's standard deviation (as variances add): some never vary.
    seed : int
        Of k-means.
    """
    n_rows, n_features = rows.shape
    whole = _gaussians([rows], np.zeros((n_features, n_features)), floor)
    labels = _k_means((rows - whole.means[0]) @ whole.whitening[0].T, n_clusters, seed)
    clusters = [rows[labels == label] for label in np.unique(labels)]
    residuals = np.concatenate([cluster - cluster.mean(axis=0) for cluster in clusters])
    return _gaussians(clusters, residuals.T @ residuals / n_rows, floor)


def _gaussians(clusters: list[Float], shared: Float, floor: float) -> Gaussians:
    n_features = len(shared)
    means, whitening, deviations = [], [], []
    n_shared = _SHARED_ROWS * n_features if len(clusters) > 1 else 0.0
    for cluster in clusters:
        residuals = cluster - cluster.mean(axis=0)
        covariance = residuals.T @ residuals + n_shared * shared
        covariance /= len(cluster) + n_shared
        covariance *= 1.0 - _SHRINKAGE * (1.0 - np.eye(n_features))
        covariance += floor**2 * np.eye(n_features)
        means.append(cluster.mean(axis=0))
        factor = np.linalg.cholesky(covariance)
        whitening.append(solve_triangular(factor, np.eye(n_features), lower=True))
        deviations.append(np.sqrt(np.diag(covariance)))
    return Gaussians(np.stack(means), np.stack(whitening), np.stack(deviations))


def _k_means(rows: Float, n_clusters: int, seed: int) -> NDArray[np.int64]:
    """(n_rows,) labels: the tightest of several clusterings of some rows, then all rows."""
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), _ROWS_TO_CLUSTER)).astype(int)]
    rng = np.random.default_rng(seed)
    found = [_centers(some, n_clusters, rng) for _ in range(_RESTARTS)]
    spreads = [_squared_distances(some, centers).min(axis=1).sum() for centers in found]
    labels: NDArray[np.int64] = _squared_distances(rows, found[int(np.argmin(spreads))]).argmin(1)
    return labels


def _centers(rows: Float, n_clusters: int, rng: np.random.Generator) -> Float:
    """(at most n_clusters, n_features) by k-means++ starts and Lloyd's steps."""
    centers = rows[[rng.integers(len(rows))]]
    while len(centers) < n_clusters:
        gaps = _squared_distances(rows, centers).min(axis=1)
        if not gaps.sum() > 1e-9 * len(rows):
            break  # fewer distinct rows than clusters
        centers = np.concatenate([centers, rows[[rng.choice(len(rows), p=gaps / gaps.sum())]]])
    for _ in range(_ITERATIONS):
        labels = _squared_distances(rows, centers).argmin(axis=1)
        centers = np.stack([rows[labels == label].mean(axis=0) for label in np.unique(labels)])
    result: Float = centers
    return result


def _squared_distances(rows: Float, centers: Float) -> Float:
    """(n_rows, n_centers), never below 0."""
    squares = (rows**2).sum(axis=1)[:, None] + (centers**2).sum(axis=1)
    found: Float = np.maximum(squares - 2.0 * rows @ centers.T, 0.0)
    return found
