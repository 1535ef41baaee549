"""VAMP-E of a Koopman model on pairs that it was not estimated from."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kgdyn.scores._from_moments import ridge_of
from kgdyn.scores._moments import centered_moments, split_pairs

__all__ = ["held_out_vamp_e"]


def held_out_vamp_e(
    train: Any,
    test: Any,
    train_weight: Any = None,
    test_weight: Any = None,
    reversible: bool = False,
) -> float:
    """VAMP-E of the Koopman model of some pairs on other pairs, the constant function counted.

    ``1 + tr(2 P^T C0t - P^T C00 P Ctt)`` with the covariances of ``test`` and
    ``P = C00^-1 C0t Ctt^-1`` of ``train`` (Wu and Noe, J. Nonlinear Sci. 30, 23 (2020), Eq. 30),
    each set about its own mean: deeptime's ``vamp_score(model, "E", covariances_test)``. Up to a
    constant of the dynamics it is minus the squared error of the model's Koopman operator, so
    unlike VAMP-1 and VAMP-2, which score the span of the states alone, it punishes a model whose
    rates are wrong; it can fall below 1.

    Parameters
    ----------
    train, test : (n_pairs, 2, n_states) arrays
        State probabilities at t and at t + lagtime, as a ``GDyNet`` predicts for pairs.
    train_weight, test_weight : (n_pairs,) arrays, optional
        Weight of each pair; not negative.
    reversible : bool
        Whether each pair counts in both directions.

    Returns
    -------
    float; not differentiable. Directions in which ``train`` does not vary count nothing.

    Raises
    ------
    ValueError
        If a shape is wrong, the numbers of states differ, or a value is not finite.
    """
    cov_00, cov_0t, cov_tt = _covariances("train", train, train_weight, reversible)
    test_00, test_0t, test_tt = _covariances("test", test, test_weight, reversible)
    if cov_00.shape != test_00.shape:
        raise ValueError(
            "train and test must have the same number of states, "
            f"received {len(cov_00) + 1} and {len(test_00) + 1}"
        )
    model = _inverse(cov_00) @ cov_0t @ _inverse(cov_tt)
    hit = np.trace(model.T @ test_0t)
    norm = np.trace(model.T @ test_00 @ model @ test_tt)
    return float(1.0 + 2.0 * hit - norm)


def _covariances(name: str, pairs: Any, weight: Any, reversible: bool) -> NDArray[np.float64]:
    """(3, n_states - 1, n_states - 1)"""
    shape = np.shape(pairs)
    if len(shape) != 3 or shape[1] != 2 or shape[2] < 2:
        raise ValueError(
            f"{name} must have shape (n_pairs, 2, n_states) with at least 2 states, "
            f"received {shape}"
        )
    chi_t, chi_lag = split_pairs(keras.ops.convert_to_tensor(pairs, "float64"))
    found: NDArray[np.float64] = keras.ops.convert_to_numpy(
        centered_moments(chi_t, chi_lag, weight, reversible)[2]
    )
    if not np.isfinite(found).all():
        raise ValueError(f"{name} and its weights must be finite, received NaN or infinity")
    return found


def _inverse(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The pseudo-inverse: a model is squared here, and a ridge would let rounding in."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > float(ridge_of(covariance))
    inverse: NDArray[np.float64] = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    return inverse
