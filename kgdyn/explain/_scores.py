"""VAMP-2 of sums over pairs, where states may have stopped to vary."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman import Covariances

__all__ = ["score_sums", "scores_of_sums"]

Float = NDArray[np.float64]

# Variance of probabilities that is rounding: states that vary by 1e-5 or less are constant.
_NO_VARIANCE = 1e-10


def score_sums(covariances: list[Covariances]) -> dict[str, Float]:
    """Sums of several kinds of states over the same pairs: (n_blocks, n_kinds, ...) by name."""
    names = ("cov_00", "cov_0t", "cov_tt", "sum_0", "sum_t", "n_pairs")
    return {name: np.stack([getattr(c, name) for c in covariances], axis=1) for name in names}


def scores_of_sums(sums: dict[str, Float]) -> Float:
    """(n_samples, n_kinds) VAMP-2 of each: mean removed, the constant counted as 1.

    Directions in which the states do not vary count nothing, so that constant states have 1.
    """
    n_pairs = sums["n_pairs"][..., None, None]
    mean_0, mean_t = sums["sum_0"][..., None] / n_pairs, sums["sum_t"][..., None] / n_pairs
    # Rows sum to 1: without the last state the functions are the same, but no direction is null.
    kept = np.s_[..., :-1, :-1]
    cov_00 = (sums["cov_00"] / n_pairs - mean_0 @ mean_0.swapaxes(-1, -2))[kept]
    cov_0t = (sums["cov_0t"] / n_pairs - mean_0 @ mean_t.swapaxes(-1, -2))[kept]
    cov_tt = (sums["cov_tt"] / n_pairs - mean_t @ mean_t.swapaxes(-1, -2))[kept]
    left, right = _inverse(cov_00) @ cov_0t, _inverse(cov_tt) @ cov_0t.swapaxes(-1, -2)
    result: Float = 1.0 + np.einsum("...ij,...ji->...", left, right)
    return result


def _inverse(covariance: Float) -> Float:
    """Pseudo-inverses; NaN where a covariance is not finite."""
    finite = np.isfinite(covariance).all(axis=(-1, -2), keepdims=True)
    values, vectors = np.linalg.eigh(np.where(finite, covariance, 0.0))
    kept = values > np.maximum(_NO_VARIANCE, 1e-10 * values[..., -1:])
    scaled = np.where(kept, 1.0 / np.where(kept, values, 1.0), 0.0)
    inverse = (vectors * scaled[..., None, :]) @ vectors.swapaxes(-1, -2)
    return np.where(finite, inverse, np.nan)
