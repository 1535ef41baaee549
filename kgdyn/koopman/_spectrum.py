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
    for number, (left, right) in enumerate(zip(stack_00, stack_0t, strict=True)):
        if np.isfinite(left).all() and np.linalg.cond(left) < 1e14:
            result[number] = np.linalg.solve(left, right)
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

    Solved as a linear system, pi (K - 1) = 0 with sum(pi) = 1.
    """
    shape = matrices.shape
    n_states = shape[-1]
    flat = matrices.reshape(-1, n_states, n_states)
    result = np.full((len(flat), n_states), np.nan)
    right_side = np.zeros(n_states + 1)
    right_side[-1] = 1.0
    for number, matrix in enumerate(flat):
        if np.isfinite(matrix).all():
            system = np.vstack([matrix.T - np.eye(n_states), np.ones((1, n_states))])
            result[number] = np.linalg.lstsq(system, right_side, rcond=None)[0]
    return result.reshape(*shape[:-2], n_states)
