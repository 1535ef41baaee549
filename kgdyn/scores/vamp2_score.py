"""The VAMP-2 score of pairs of state probabilities, differentiable."""

from __future__ import annotations

from typing import Any

import keras

from kgdyn.scores._features import project, score_from_moments
from kgdyn.scores._replicas import sum_over_replicas

__all__ = ["vamp2_score"]


def vamp2_score(chi_t: Any, chi_lag: Any, sample_weight: Any = None) -> Any:
    """VAMP-2 score, the constant function counted: 1 for no memory, at most ``n_states``.

    ``1 + ||C00^-1/2 C0t Ctt^-1/2||_F^2`` with the mean removed (Wu and Noe, J. Nonlinear Sci. 30,
    23 (2020); Xie et al. 2019, Eq. 3). This is deeptime's ``vamp_score(..., r=2)``; the 2019
    gdynet code reports the same number without removing the mean.

    Parameters
    ----------
    chi_t, chi_lag : (n_pairs, n_states) arrays or tensors
        State probabilities at t and at t + lagtime; rows sum to 1.
    sample_weight : (n_pairs,) array or tensor, optional
        Weight of each pair in all means; not negative.

    Returns
    -------
    Scalar float64 tensor.

    Raises
    ------
    ValueError
        If the shapes differ or are not (n_pairs, n_states) with at least two states.
    """
    ops = keras.ops
    chi_t, chi_lag = ops.convert_to_tensor(chi_t), ops.convert_to_tensor(chi_lag)
    shapes = tuple(chi_t.shape), tuple(chi_lag.shape)
    unequal = any(a != b for a, b in zip(*shapes, strict=False) if None not in (a, b))
    if len(shapes[0]) != 2 or len(shapes[1]) != 2 or unequal:
        raise ValueError(
            "chi_t and chi_lag must have the same shape (n_pairs, n_states), "
            f"received {shapes[0]} and {shapes[1]}"
        )
    if shapes[0][1] is None or shapes[0][1] < 2:
        raise ValueError(f"n_states must be at least 2, received shape {shapes[0]}")
    return score_from_moments(*centered_moments(chi_t, chi_lag, sample_weight)[2:])


def centered_moments(chi_t: Any, chi_lag: Any, sample_weight: Any = None) -> tuple[Any, ...]:
    """Weight, means (2, n - 1) and centred covariances of projected features, in two passes."""
    ops = keras.ops
    left, right = project(chi_t), project(chi_lag)
    if sample_weight is None:
        weight = ops.ones_like(left[:, :1])
    else:
        weight = ops.reshape(ops.cast(sample_weight, "float64"), (-1, 1))
    total = sum_over_replicas(ops.sum(weight))
    divisor = ops.maximum(total, 1e-300)  # without weight all moments are 0, not NaN
    # A shift of the mean does not change the centred moments to first order: no gradient.
    sums = ops.stack([ops.sum(weight * left, axis=0), ops.sum(weight * right, axis=0)])
    means = sum_over_replicas(ops.stop_gradient(sums)) / divisor
    left, right = left - means[0], right - means[1]
    weighted_left, weighted_right = weight * left, weight * right
    moments = ops.stack(
        [
            ops.matmul(ops.transpose(weighted_left), left),
            ops.matmul(ops.transpose(weighted_left), right),
            ops.matmul(ops.transpose(weighted_right), right),
        ]
    )
    cov_00, cov_0t, cov_tt = ops.unstack(sum_over_replicas(moments) / divisor, 3)
    return total, means, cov_00, cov_0t, cov_tt
