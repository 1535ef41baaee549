"""Left and right eigenvectors of K, projected on states (Xie et al. 2019, Figs. 3e and 4e)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman._spectrum import stationary_distributions

__all__ = ["eigenvectors"]

# Above this condition number the eigenvectors do not span the states.
_DEFECTIVE = 1e12
# Components this near to the largest, relatively, are as large: the first of them sets the sign.
_TIE = 1e-8


def eigenvectors(matrix: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Left and right eigenvectors of K, without the equilibrium's.

    Columns are ordered as ``KoopmanModel.eigenvalues``, and biorthonormal:
    ``left.T @ right`` is the identity (no complex conjugation).

    - right: functions on states, of mean 0 and mean square 1 under the stationary distribution pi
      (sum_i pi_i |r_i|^2 = 1; |pi_i| where an element of pi is negative). The component of
      largest magnitude is positive; among equally large ones the first.
    - left: the shape in which probability flows as the process decays; they sum to 0. For
      reversible dynamics between crisp states l_i = pi_i r_i.
    - complex: the two of a conjugate pair are conjugate columns, that of the positive imaginary
      part first, and the phase makes the component of largest magnitude real and positive.

    Parameters
    ----------
    matrix : (n_states, n_states) array, rows sum to 1.

    Returns
    -------
    left, right : (n_states, n_states - 1) arrays
        float64 where all eigenvalues are real, else complex128.

    Warns
    -----
    RuntimeWarning
        If K is defective (it has fewer eigenvectors than states): all are NaN.
    """
    values, vectors = np.linalg.eig(matrix)
    n_states = len(matrix)
    equilibrium = int(np.argmin(np.abs(values - 1.0)))
    rest = np.delete(np.arange(n_states), equilibrium)
    rest = rest[np.argsort(-np.abs(values[rest]), kind="stable")]
    if np.linalg.cond(vectors) > _DEFECTIVE:
        warnings.warn(
            "the Koopman matrix is defective: it has fewer eigenvectors than states, and they "
            "are NaN",
            RuntimeWarning,
            stacklevel=2,
        )
        nothing = np.full((n_states, n_states - 1), np.nan)
        return nothing, nothing.copy()
    weights = np.abs(stationary_distributions(matrix))
    vectors = vectors / np.sqrt(weights @ np.abs(vectors) ** 2)
    size = np.abs(vectors)
    largest = np.argmax(size >= (1.0 - _TIE) * size.max(axis=0), axis=0)
    pivots = vectors[largest, np.arange(n_states)]
    vectors = vectors * (np.conj(pivots) / np.abs(pivots))
    return np.linalg.inv(vectors).T[:, rest], vectors[:, rest]
