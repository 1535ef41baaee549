"""Koopman matrices of reversible dynamics: symmetrised, and reweighted to equilibrium.

The reweighting is that of Wu, Nüske, Paul, Klus, Koltai and Noé, J. Chem. Phys. 146, 154104
(2017): pairs of frames get the weight u(x_t), linear in the state probabilities, for which the
data are as if sampled in the equilibrium of the plain K.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.koopman._spectrum import koopman_matrices, stationary_distributions
from kgdyn.koopman.covariances import Covariances, as_segments

__all__ = [
    "ESTIMATORS",
    "Estimator",
    "equilibrium_moments",
    "estimate_matrices",
    "estimate_moments",
    "estimator_columns",
    "with_products",
]

Float = NDArray[np.float64]
Estimator = Literal["plain", "reversible", "stationary"]
ESTIMATORS = ("plain", "reversible", "stationary")


def with_products(segments: Sequence[Float]) -> list[Float]:
    """Segments of n states with the n^2 products chi_k chi_i behind: n + n^2 columns.

    Weights are linear in chi, so the weighted sums of any weights follow from the covariances of
    these columns: the data are read once, also where resampling changes the weights.
    """
    return [
        np.concatenate(
            [part, (part[..., :, None] * part[..., None, :]).reshape(*part.shape[:-1], -1)], axis=-1
        )
        for part in segments
    ]


def equilibrium_moments(blocks: Covariances, n_states: int) -> tuple[Float, Float]:
    """(n_blocks, n_states, n_states) reweighted means of chi chi^T and chi(t) chi(t + lagtime)^T.

    Parameters
    ----------
    blocks : Covariances
        Of segments that went through :func:`with_products`.
    n_states : int

    Returns
    -------
    cov_00, cov_0t
        cov_00 is the mean over both ends of the pairs. cov_0t is not symmetrised: it is symmetric
        where the dynamics is reversible. NaN where K is not defined.
    """
    n = n_states
    cov_00, cov_0t = blocks.cov_00[:, :n, :n], blocks.cov_0t[:, :n, :n]
    stationary = stationary_distributions(koopman_matrices(cov_00, cov_0t))
    weights = np.full_like(stationary, np.nan)
    good = np.isfinite(stationary).all(axis=1)
    weights[good] = np.linalg.solve(cov_00[good], stationary[good][..., None])[..., 0]
    shape = (-1, n, n, n)
    # Axes: the weight's k (always of the first frame), then i and j of the product.
    first = blocks.cov_00[:, n:, :n].reshape(shape)
    second = blocks.cov_0t[:, :n, n:].reshape(shape)
    crossed = blocks.cov_0t[:, n:, :n].reshape(shape)
    return (
        np.einsum("sk,skij->sij", weights, 0.5 * (first + second)),
        np.einsum("sk,skij->sij", weights, crossed),
    )


def estimate_moments(
    blocks: Covariances, estimator: Estimator, n_states: int
) -> tuple[Float, Float]:
    """(n_blocks, n_states, n_states) <chi chi^T> and <chi(t) chi(t + lagtime)^T>, up to a factor.

    As the estimator takes them; "stationary" needs the columns of :func:`with_products`.

    Raises
    ------
    ValueError
        For an unknown estimator.
    """
    if estimator == "plain":
        return blocks.cov_00, blocks.cov_0t
    if estimator == "reversible":
        cov_00, cov_0t = 0.5 * (blocks.cov_00 + blocks.cov_tt), blocks.cov_0t
    elif estimator == "stationary":
        cov_00, cov_0t = equilibrium_moments(blocks, n_states)
    else:
        raise ValueError(
            f'estimator must be "plain", "reversible" or "stationary", received {estimator!r}'
        )
    return cov_00, 0.5 * (cov_0t + np.swapaxes(cov_0t, -1, -2))


def estimate_matrices(blocks: Covariances, estimator: Estimator, n_states: int) -> Float:
    """(n_blocks, n_states, n_states) K of each block; NaN where it is not defined.

    As :func:`estimate_moments`.
    """
    cov_00, cov_0t = estimate_moments(blocks, estimator, n_states)
    matrices = koopman_matrices(cov_00, cov_0t)
    if estimator == "plain":
        return matrices
    # Weights can be negative. Without a positive cov_00 eigenvalues need not be real.
    defined = np.flatnonzero(np.isfinite(matrices).all(axis=(1, 2)))
    matrices[defined[np.linalg.eigvalsh(cov_00[defined])[:, 0] <= 0.0]] = np.nan
    return matrices


def estimator_columns(
    state_probabilities: ArrayLike | Sequence[ArrayLike], estimator: Estimator
) -> tuple[list[Float], list[Float]]:
    """Segments of state probabilities, and the columns whose covariances the estimator needs.

    Raises
    ------
    ValueError
        For an unknown estimator, or as :func:`kgdyn.koopman.as_segments`.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator must be one of {ESTIMATORS}, received {estimator!r}")
    segments = as_segments(state_probabilities)
    return segments, with_products(segments) if estimator == "stationary" else segments
