"""VAMP scores of pairs of state probabilities, differentiable."""

from __future__ import annotations

from typing import Any

import keras

from kgdyn.scores._from_moments import check_method, score_from_moments
from kgdyn.scores._moments import centered_moments

__all__ = ["vamp2_score", "vamp_score"]


def vamp_score(
    chi_t: Any,
    chi_lag: Any,
    method: str = "VAMP2",
    sample_weight: Any = None,
    reversible: bool = False,
) -> Any:
    """VAMP score, the constant function counted: 1 for no memory, at most ``n_states``.

    With the singular values s of ``C00^-1/2 C0t Ctt^-1/2``, mean removed (Wu and Noe, J. Nonlinear
    Sci. 30, 23 (2020)):

    - ``"VAMP1"``: 1 + sum(s), Eq. 33 with r = 1;
    - ``"VAMP2"``: 1 + sum(s^2), Eq. 33 with r = 2; Eq. 3 of Xie et al. 2019;
    - ``"VAMPE"``: Eq. 30 for the Koopman model of full rank that is estimated from these very
      pairs, ``1 + tr(2 P^T C0t - P^T C00 P Ctt)`` with ``P = C00^-1 C0t Ctt^-1``. This is
      1 + sum(2 s^2 - s^2): the number and the gradient of VAMP-2, and a loss of VAMP-E trains as
      VAMP-2 does. They differ where model and pairs do: :func:`kgdyn.scores.held_out_vamp_e`.

    They equal deeptime's ``vamp_score(model, r)`` with r = 1, 2 and "E". The 2019 gdynet code
    removes the mean as well and does not add the 1: at most n_states - 1.

    All is computed in float64, with a ridge of 1e-10 of the mean variance (plus the variance of
    rounded float32 probabilities). The gradient exists also where singular values are equal; at
    a singular value of 0 VAMP-1 has a kink and the gradient of its middle, 0, is given.

    Parameters
    ----------
    chi_t, chi_lag : (n_pairs, n_states) arrays or tensors
        State probabilities at t and at t + lagtime; rows sum to 1.
    method : "VAMP1", "VAMP2" or "VAMPE"
    sample_weight : (n_pairs,) array or tensor, optional
        Weight of each pair in all means; not negative.
    reversible : bool
        Count every pair in both directions, which is the estimate for dynamics known to be
        reversible: (C00 + Ctt) / 2 for both covariances and (C0t + C0t^T) / 2, about the pooled
        mean. Singular values are then eigenvalues without their sign. Biased where few long
        trajectories are not at equilibrium.

    Returns
    -------
    Scalar float64 tensor; NaN if an input is not finite.

    Raises
    ------
    ValueError
        If ``method`` is none of the three, if the shapes differ or are not (n_pairs, n_states)
        with at least two states, or if there is not one weight a pair.

    Notes
    -----
    On JAX float64 must be enabled (``jax_enable_x64``).
    """
    check_method(method)
    ops = keras.ops
    chi_t, chi_lag = (ops.convert_to_tensor(chi, "float64") for chi in (chi_t, chi_lag))
    check_shapes(tuple(chi_t.shape), tuple(chi_lag.shape))
    return score_from_moments(
        centered_moments(chi_t, chi_lag, sample_weight, reversible)[2], method
    )


def vamp2_score(chi_t: Any, chi_lag: Any, sample_weight: Any = None) -> Any:
    """VAMP-2 score: :func:`vamp_score` with the method that trains by default."""
    return vamp_score(chi_t, chi_lag, "VAMP2", sample_weight)


def check_shapes(shape_t: tuple[int | None, ...], shape_lag: tuple[int | None, ...]) -> None:
    unequal = any(a != b for a, b in zip(shape_t, shape_lag, strict=False) if None not in (a, b))
    if len(shape_t) != 2 or len(shape_lag) != 2 or unequal:
        raise ValueError(
            "chi_t and chi_lag must have the same shape (n_pairs, n_states), "
            f"received {shape_t} and {shape_lag}"
        )
    if shape_t[1] is None or shape_t[1] < 2:
        raise ValueError(f"n_states must be at least 2, received shape {shape_t}")
