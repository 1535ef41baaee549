"""Moments of pairs of state probabilities without their constant: all that a score needs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kgdyn.scores._replicas import sum_over_replicas

__all__ = ["centered_moments", "positive", "split_pairs"]


def split_pairs(y_pred: Any) -> tuple[Any, Any]:
    """(n_pairs, 2, n_states) -> the probabilities at t and at t + lagtime."""
    shape = tuple(y_pred.shape)
    if len(shape) != 3 or shape[1] != 2:
        raise ValueError(
            "y_pred must have shape (n_pairs, 2, n_states), the probabilities at t and at "
            f"t + lagtime, received {shape}"
        )
    return y_pred[:, 0, :], y_pred[:, 1, :]


def centered_moments(
    chi_t: Any, chi_lag: Any, sample_weight: Any = None, reversible: bool = False
) -> tuple[Any, Any, Any]:
    """Weight, means and covariances of all replicas' pairs, float64, in two passes.

    The features are the ``k = n_states - 1`` projections of `constant_free_basis`. Reversible
    moments count each pair in both directions, half each: then the two means are one pooled mean,
    and the covariances about it are (C00 + Ctt) / 2 twice and (C0t + C0t^T) / 2.

    Returns
    -------
    Total weight (), means (2, k), and covariances C00, C0t, Ctt as one (3, k, k) tensor.
    """
    ops = keras.ops
    left, right = _project(chi_t), _project(chi_lag)
    weight = _column_of_weights(sample_weight, left)
    if reversible:
        left, right = ops.concatenate([left, right]), ops.concatenate([right, left])
        weight = ops.concatenate([weight, weight]) / 2.0
    total = sum_over_replicas(ops.sum(weight))
    divisor = positive(total)
    # A shift of the mean does not change the centred moments to first order: no gradient.
    sums = ops.stack([ops.sum(weight * left, axis=0), ops.sum(weight * right, axis=0)])
    means = sum_over_replicas(ops.stop_gradient(sums)) / divisor
    left, right = left - means[0], right - means[1]
    weighted_left, weighted_right = weight * left, weight * right
    moments = ops.stack(
        [
            ops.transpose(weighted_left) @ left,  # ops.matmul gives float32 on torch
            ops.transpose(weighted_left) @ right,
            ops.transpose(weighted_right) @ right,
        ]
    )
    return total, means, sum_over_replicas(moments) / divisor


def positive(total: Any) -> Any:
    """A sum of weights to divide by: moments without weight are then 0, not NaN."""
    return keras.ops.where(total > 0.0, total, keras.ops.ones_like(total))


def constant_free_basis(n_states: int) -> NDArray[np.float64]:
    """(n_states, n_states - 1) orthonormal columns orthogonal to the constant vector.

    Rows of state probabilities sum to 1: projected on these columns they keep all that varies,
    and their covariance is not singular by construction.
    """
    basis = np.zeros((n_states, n_states - 1))
    for column in range(n_states - 1):
        basis[: column + 1, column] = 1.0
        basis[column + 1, column] = -(column + 1.0)
        basis[:, column] /= np.sqrt((column + 1.0) * (column + 2.0))
    return basis


def _project(probabilities: Any) -> Any:
    """(n, n_states) of any float type -> (n, n_states - 1) float64."""
    ops = keras.ops
    basis = ops.convert_to_tensor(constant_free_basis(int(probabilities.shape[-1])), "float64")
    return ops.convert_to_tensor(probabilities, "float64") @ basis


def _column_of_weights(sample_weight: Any, features: Any) -> Any:
    """(n_pairs, 1) float64; ones where no weights are given."""
    ops = keras.ops
    ones = ops.ones_like(features[:, :1])
    if sample_weight is None:
        return ones
    weight = ops.convert_to_tensor(sample_weight, "float64")
    shape, n_pairs = tuple(weight.shape), features.shape[0]
    if None not in (*shape, n_pairs) and np.prod(shape) != n_pairs:
        raise ValueError(
            f"sample_weight must have shape (n_pairs,) = ({n_pairs},), received {shape}"
        )
    return ops.reshape(weight, ops.shape(ones))
