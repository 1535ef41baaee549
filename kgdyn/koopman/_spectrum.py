"""Eigenvalues, timescales and equilibrium of Koopman matrices, many at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

# An eigenvalue whose imaginary part is larger than this has no relaxation time.
_IMAGINARY = 1e-9
# An eigenvalue nearer to 1 than this is 1: rounding would make it a timescale of 1e16 lag times.
_UNITY = 1e-12


def koopman_matrices(cov_00: Float, cov_0t: Float) -> Float:
    """K = C00^-1 C0t for (..., n, n) sums; NaN where C00 is singular."""
    stack_00 = cov_00.reshape(-1, *cov_00.shape[-2:])
    stack_0t = cov_0t.reshape(stack_00.shape)
    result = np.full(stack_00.shape, np.nan)
    good = np.flatnonzero(np.isfinite(stack_00).all(axis=(1, 2)))
    good = good[np.linalg.cond(stack_00[good]) < 1e14]
    result[good] = np.linalg.solve(stack_00[good], stack_0t[good])
    return result.reshape(cov_00.shape)


def nontrivial_eigenvalues(matrices: Float) -> NDArray[np.complex128]:
    """(..., n - 1) eigenvalues by falling magnitude, the one nearest to 1 (equilibrium) left out.

    Rows of K sum to 1 where rows of chi do, so 1 is an eigenvalue to rounding.
    """
    shape = matrices.shape
    flat = matrices.reshape(-1, *shape[-2:])
    result = np.full((len(flat), shape[-1] - 1), np.nan, dtype=np.complex128)
    good = np.isfinite(flat).all(axis=(1, 2))
    if good.any():
        values = np.linalg.eigvals(flat[good]).astype(np.complex128)
        equilibrium = np.argmin(np.abs(values - 1.0), axis=1)
        keep = np.arange(shape[-1]) != equilibrium[:, None]
        rest = values[keep].reshape(len(values), -1)
        order = np.argsort(-np.abs(rest), axis=1, kind="stable")
        result[good] = np.take_along_axis(rest, order, axis=1)
    return result.reshape(*shape[:-2], shape[-1] - 1)


def relaxation_times(eigenvalues: NDArray[np.complex128], lagtime: float) -> Float:
    """t = -lagtime / ln(lambda); NaN where lambda is negative, zero, complex or at least 1."""
    real = eigenvalues.real
    valid = (np.abs(eigenvalues.imag) <= _IMAGINARY) & (real > 0.0) & (real < 1.0 - _UNITY)
    result = np.full(real.shape, np.nan)
    result[valid] = -lagtime / np.log(real[valid])
    return result


def stationary_distributions(matrices: Float) -> Float:
    """(..., n) left eigenvectors of K for eigenvalue 1, summing to 1; NaN for NaN matrices.

    Least squares of the system pi (K - 1) = 0 with sum(pi) = 1; the shortest pi where states do not
    reach each other and there are many.
    """
    shape = matrices.shape
    n_states = shape[-1]
    flat = matrices.reshape(-1, n_states, n_states)
    result = np.full((len(flat), n_states), np.nan)
    good = np.isfinite(flat).all(axis=(1, 2))
    systems = np.concatenate(
        [
            np.swapaxes(flat[good], 1, 2) - np.eye(n_states),
            np.ones((int(good.sum()), 1, n_states)),
        ],
        axis=1,
    )
    result[good] = np.linalg.pinv(systems, rcond=1e-14)[..., -1]
    return result.reshape(*shape[:-2], n_states)
