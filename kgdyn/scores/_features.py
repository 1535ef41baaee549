"""What loss, metric and score share: pairs of state probabilities without their constant."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

# Ridge on covariances, relative to their mean eigenvalue, and the variance that rounding of
# float32 probabilities leaves where there is none.
RELATIVE_RIDGE = 1e-10
ABSOLUTE_FLOOR = 1.4e-14


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


def project(probabilities: Any) -> Any:
    """(n, n_states) of any float type -> (n, n_states - 1) float64."""
    ops = keras.ops
    basis = ops.convert_to_tensor(constant_free_basis(int(probabilities.shape[-1])), "float64")
    return ops.matmul(ops.cast(probabilities, "float64"), basis)


def split_pairs(y_pred: Any) -> tuple[Any, Any]:
    """(n_pairs, 2, n_states) -> the probabilities at t and at t + lagtime."""
    shape = tuple(y_pred.shape)
    if len(shape) != 3 or shape[1] != 2:
        raise ValueError(
            "y_pred must have shape (n_pairs, 2, n_states), the probabilities at t and at "
            f"t + lagtime, received {shape}"
        )
    return y_pred[:, 0, :], y_pred[:, 1, :]


def score_from_moments(cov_00: Any, cov_0t: Any, cov_tt: Any) -> Any:
    """1 + ||L_0^-1 C_0t L_t^-T||_F^2 from centred float64 covariances (n - 1, n - 1).

    Cholesky factors and triangular solves in place of inverse square roots: the Frobenius norm is
    the same, and the gradient exists where eigenvalues are equal.
    """
    ops = keras.ops
    half = ops.solve_triangular(_factor(cov_00), cov_0t, lower=True)
    whitened = ops.solve_triangular(_factor(cov_tt), ops.transpose(half), lower=True)
    return 1.0 + ops.sum(ops.square(whitened))


def _factor(covariance: Any) -> Any:
    ops = keras.ops
    size = int(covariance.shape[-1])
    ridge = RELATIVE_RIDGE * ops.trace(covariance) / size + ABSOLUTE_FLOOR
    return ops.cholesky(covariance + ridge * ops.eye(size, dtype="float64"))
