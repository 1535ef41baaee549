"""Linear VAMP: the slowest linear functions of features, from their covariances.

Wu and Noe, J. Nonlinear Sci. 30, 23 (2020), Sec. 3: the singular value decomposition of
``C00^-1/2 C0t Ctt^-1/2``, mean removed. Without a ridge these are the numbers of deeptime's
``VAMP``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.baselines._sums import LaggedSums

__all__ = ["LinearVAMP", "fit_linear_vamp", "held_out_singular_values", "projected"]

Float = NDArray[np.float64]

# As the scores of a training have them: relative to the mean variance, and the variance that
# rounding of float32 probabilities leaves where there is none.
_RELATIVE_RIDGE = 1e-10
_ABSOLUTE_FLOOR = 1.4e-14

# Features that vary less than this, relative to the one that varies most, are constants that
# carry the rounding of their coordinates.
_MOVING = 1e-4


@dataclass(frozen=True)
class LinearVAMP:
    """Pairs of linear functions: u = x left - shift_0 at t, v = y right - shift_t at t + lagtime.

    Attributes
    ----------
    left, right : (n_features, n_processes) arrays
    shift_0, shift_t : (n_processes,) arrays
        The functions' means over the data that were fitted.
    singular_values : (n_processes,) array
        Of the data that were fitted: not to be trusted as those of other data.
    """

    left: Float
    right: Float
    shift_0: Float
    shift_t: Float
    singular_values: Float

    @property
    def n_processes(self) -> int:
        return int(self.left.shape[1])


def fit_linear_vamp(
    sums: LaggedSums, n_processes: int, ridge: float = 1e-3, project_out: int = 0
) -> LinearVAMP:
    """Fit to one combined block of covariance sums.

    Parameters
    ----------
    sums : LaggedSums with one block.
    n_processes : int
        The slowest so many.
    ridge : float
        Added to the variance of every direction of the features, each scaled to variance 1:
        directions of less variance than this are not trusted.
    project_out : int
        The last so many columns are not fitted, but taken out of the others by linear regression,
        at each of both times: what is left is uncorrelated with them.

    Raises
    ------
    ValueError
        If ``ridge`` is negative, or no feature varies.
    """
    if ridge < 0.0:
        raise ValueError(f"ridge must not be negative, received {ridge}")
    cov_00, cov_0t, cov_tt = (values[0] for values in sums.centered())
    n_columns = len(cov_00)
    n_features = n_columns - project_out
    scale = np.sqrt(np.diag(cov_00)[:n_features])
    moving = scale > _MOVING * scale.max(initial=0.0)
    if not moving.any():
        raise ValueError("features must vary, received constant ones")
    # From all columns to the features that are left: scaled, and without the regression.
    onto_0, onto_t = (
        _without(cov, n_features)[:, moving] / scale[moving] for cov in (cov_00, cov_tt)
    )
    white_0 = _whitening(onto_0.T @ cov_00 @ onto_0, ridge)
    white_t = _whitening(onto_t.T @ cov_tt @ onto_t, ridge)
    left, values, right = np.linalg.svd(white_0.T @ (onto_0.T @ cov_0t @ onto_t) @ white_t)
    kept = min(n_processes, len(values))
    functions_0, functions_t = onto_0 @ white_0 @ left[:, :kept], onto_t @ white_t @ right[:kept].T
    return LinearVAMP(
        functions_0,
        functions_t,
        sums.sum_0[0] / sums.n_pairs[0] @ functions_0,
        sums.sum_t[0] / sums.n_pairs[0] @ functions_t,
        values[:kept],
    )


def projected(sums: LaggedSums, model: LinearVAMP) -> LaggedSums:
    """The sums of the functions u at t and v at t + lagtime, in place of those of the features."""
    left, right = model.left, model.right
    n_pairs = sums.n_pairs[:, None]
    shift_0, shift_t = model.shift_0, model.shift_t
    sum_0, sum_t = sums.sum_0 @ left, sums.sum_t @ right

    def product(cov: Float, a: Any, b: Any) -> Float:
        (first, f_sum, f_shift), (second, s_sum, s_shift) = a, b
        moved: Float = (
            first.T @ cov @ second
            - f_sum[:, :, None] * s_shift
            - f_shift[:, None] * s_sum[:, None, :]
            + n_pairs[..., None] * f_shift[:, None] * s_shift
        )
        return moved

    now, later = (left, sum_0, shift_0), (right, sum_t, shift_t)
    return LaggedSums(
        product(sums.cov_00, now, now),
        product(sums.cov_0t, now, later),
        product(sums.cov_tt, later, later),
        sum_0 - n_pairs * shift_0,
        sum_t - n_pairs * shift_t,
        sums.n_pairs,
    )


def held_out_singular_values(cov_00: Float, cov_0t: Float, cov_tt: Float) -> Float:
    """(..., k) singular values of the whitened cross-covariance of k functions, mean removed.

    ``1 + sum(s^2)`` is their VAMP-2 score, the constant counted, as ``kgdyn.scores`` has it.
    """
    factor_0, factor_t = (np.linalg.cholesky(_ridged(cov)) for cov in (cov_00, cov_tt))
    half = np.linalg.solve(factor_0, cov_0t)
    whitened = np.linalg.solve(factor_t, np.swapaxes(half, -1, -2))
    values: Float = np.linalg.svd(whitened, compute_uv=False)
    return values


def _ridged(cov: Float) -> Float:
    size = cov.shape[-1]
    trace = np.trace(cov, axis1=-2, axis2=-1)[..., None, None]
    result: Float = cov + (_RELATIVE_RIDGE * trace / size + _ABSOLUTE_FLOOR) * np.eye(size)
    return result


def _without(cov: Float, n_features: int) -> Float:
    """(n_columns, n_features): features minus their regression on the columns after them."""
    onto = np.eye(len(cov))[:, :n_features]
    if len(cov) > n_features:
        others = _ridged(cov[n_features:, n_features:])
        onto[n_features:] = -np.linalg.solve(others, cov[n_features:, :n_features])
    return onto


def _whitening(cov: Float, ridge: float) -> Float:
    """Inverse square root; directions without variance, to rounding, are left out."""
    values, vectors = np.linalg.eigh(cov)
    kept = values > 1e-10 * values.max()
    result: Float = vectors[:, kept] / np.sqrt(values[kept] + ridge)
    return result
