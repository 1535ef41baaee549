"""The scores as functions of centred covariances."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["METHODS", "check_method", "ridge_of", "score_from_moments"]

METHODS = ("VAMP1", "VAMP2", "VAMPE")

# Ridge on covariances, relative to their mean eigenvalue, and the variance that rounding of
# float32 probabilities leaves where there is none.
RELATIVE_RIDGE = 1e-10
ABSOLUTE_FLOOR = 1.4e-14

# Singular values below are rounding, which the ridge lets grow to 2e-6: VAMP-1 and its gradient
# fade out there.
NO_SINGULAR_VALUE = 1e-5


def check_method(method: str) -> str:
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, received {method!r}")
    return method


def score_from_moments(covariances: Any, method: str) -> Any:
    """The score of the (3, k, k) float64 covariances C00, C0t, Ctt; NaN where they are not finite.

    With the singular values s of ``M = L_0^-1 C_0t L_t^-T``: 1 + sum(s) or 1 + sum(s^2). Cholesky
    factors and triangular solves in place of inverse square roots: the singular values are the
    same, and the gradient exists where eigenvalues are equal.
    """
    ops = keras.ops
    # A factorization of NaN raises on some backends: it gets zeros, and the NaN is added after.
    finite = ops.all(ops.isfinite(covariances))
    zero, nan = (ops.convert_to_tensor(value, "float64") for value in (0.0, float("nan")))
    cov_00, cov_0t, cov_tt = ops.unstack(ops.where(finite, covariances, zero), 3)
    half = ops.solve_triangular(_factor(cov_00), cov_0t, lower=True)
    whitened = ops.solve_triangular(_factor(cov_tt), ops.transpose(half), lower=True)
    if method == "VAMP1":
        # The nuclear norm is <U V^T, M>, and U V^T is its gradient: no derivative of an SVD.
        score = ops.sum(_polar_factor(ops.stop_gradient(whitened)) * whitened)
    else:
        score = ops.sum(ops.square(whitened))
    return 1.0 + score + ops.sum(ops.where(finite, zero, nan) * covariances)


def ridge_of(covariance: Any) -> Any:
    """What is added to the eigenvalues of a covariance (k, k)."""
    size = int(covariance.shape[-1])
    return RELATIVE_RIDGE * keras.ops.trace(covariance) / size + ABSOLUTE_FLOOR


def _factor(covariance: Any) -> Any:
    ops = keras.ops
    size = int(covariance.shape[-1])
    return ops.cholesky(covariance + ridge_of(covariance) * ops.eye(size, dtype="float64"))


def _polar_factor(matrix: Any) -> Any:
    """U V^T of M = U S V^T; the part of singular values that are none is 0, as in M itself."""
    ops = keras.ops
    left, values, right = ops.svd(matrix, full_matrices=False)
    kept = values / ops.sqrt(ops.square(values) + NO_SINGULAR_VALUE**2)
    return (left * kept) @ right
