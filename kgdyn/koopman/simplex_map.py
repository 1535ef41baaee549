"""The linear map that turns features of a VAMP model into states.

A VAMP score is the same for any invertible linear change of its features, so a network's softmax
outputs need not be the states: trainings with equal scores assigned all or none of a state's
frames. The states are the vertices of the simplex that the slow functions fill (Deuflhard and
Weber, Linear Algebra Appl. 398, 161 (2005): PCCA+).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

__all__ = ["fit_simplex_map"]

# Directions of chi with less variance than this, relative to the largest, are rounding.
_RANK_TOLERANCE = 1e-9
# Means nearer to each other than this, in memberships, make no simplex.
_SMALLEST_SIMPLEX = 0.05


def fit_simplex_map(chi_t: ArrayLike, chi_lag: ArrayLike) -> NDArray[np.float64]:
    """Find the matrix A so that ``chi @ A`` are the crispest memberships, by population.

    The slow functions are the left singular functions of the whitened Koopman matrix (they are
    its eigenfunctions where dynamics is reversible, and real where it is not). The inner simplex
    algorithm takes as vertices the frames that lie farthest apart; its memberships are made
    non-negative on all given frames, and for more than two states their crispness is then
    maximised under that condition (PCCA+). For two states that is: the extremes of the second
    function are the states.

    Extremes are single frames. So each vertex is then moved to the mean over the frames that are
    assigned to its state: populations become the shares of assigned frames, and a common state's
    spread does not leak into a rare one (on Li in fcc sulfur the population of the rare state is
    3.3% counted, 7.4% with extremes for vertices). The price: single memberships leave [0, 1] by
    the spread of a state. Where states overlap widely that is much, and only means over many
    frames have a meaning.

    Parameters
    ----------
    chi_t, chi_lag : (n_pairs, n_states) arrays
        State probabilities at t and t + lagtime, rows sum to 1.

    Returns
    -------
    (n_states, n_states) array
        Rows sum to 1. Column 0 is the most populated state, and so on.

    Raises
    ------
    ValueError
        If the shapes differ, or values are not finite.

    Warns
    -----
    RuntimeWarning
        If the features span fewer directions than there are states (a collapsed network): the
        identity is returned, since no map can make states out of it.
    """
    chi_t = np.asarray(chi_t, dtype=np.float64)
    chi_lag = np.asarray(chi_lag, dtype=np.float64)
    if chi_t.ndim != 2 or chi_t.shape != chi_lag.shape or chi_t.shape[1] < 2:
        raise ValueError(
            "chi_t and chi_lag must have the same shape (n_pairs, n_states), "
            f"received {chi_t.shape} and {chi_lag.shape}"
        )
    if not (np.isfinite(chi_t).all() and np.isfinite(chi_lag).all()):
        raise ValueError("chi_t and chi_lag must be finite, received NaN or infinity")
    n_states = chi_t.shape[1]
    coordinates = _slow_functions(chi_t, chi_lag)
    if coordinates is None:
        warnings.warn(
            f"the {n_states} outputs span fewer than {n_states} states: the network has "
            "collapsed, and its outputs are left as they are",
            RuntimeWarning,
            stacklevel=2,
        )
        return np.eye(n_states)
    points, from_chi = coordinates
    candidates = points[_extreme_points(points)]
    weights: NDArray[Any] = np.linalg.inv(candidates[_inner_simplex(candidates)])
    weights = _feasible(weights, candidates)
    if n_states > 2:
        # Once more on all points: the candidates are not all of the hull.
        weights = _feasible(_crispest(weights, candidates), points)
    matrix: NDArray[Any] = from_chi @ weights
    matrix /= matrix.sum(axis=1, keepdims=True)
    matrix = _to_means(matrix, chi_t)
    order = np.argsort(-(chi_t @ matrix).mean(axis=0), kind="stable")
    result: NDArray[np.float64] = matrix[:, order]
    return result


def _to_means(matrix: NDArray[np.float64], chi: NDArray[np.float64]) -> NDArray[np.float64]:
    """The map whose vertices are the mean chi of the frames assigned to each state.

    The map as it is, where a state has no frame, or means do not span a simplex.
    """
    assigned = (chi @ matrix).argmax(axis=1)
    counts = np.bincount(assigned, minlength=len(matrix))
    if (counts == 0).any():
        return matrix
    sums = np.zeros_like(matrix)
    np.add.at(sums, assigned, chi)
    means: NDArray[Any] = sums / counts[:, None]
    # Rows sum to 1 also after rounding in float32, which the inverse would magnify.
    means /= means.sum(axis=1, keepdims=True)
    overlap = np.linalg.svd(means @ matrix, compute_uv=False)[-1]
    if overlap < _SMALLEST_SIMPLEX:
        return matrix
    result: NDArray[np.float64] = np.linalg.inv(means)
    return result


def _slow_functions(
    chi_t: NDArray[np.float64], chi_lag: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The constant and the n - 1 slow functions, and the matrix that makes them from chi."""
    n_states = chi_t.shape[1]
    mean_0, mean_t = chi_t.mean(axis=0), chi_lag.mean(axis=0)
    left, right = chi_t - mean_0, chi_lag - mean_t
    whiten_0 = _inverse_root(left.T @ left / len(left))
    whiten_t = _inverse_root(right.T @ right / len(right))
    if whiten_0 is None or whiten_t is None:
        return None
    rotation, _, _ = np.linalg.svd(whiten_0.T @ (left.T @ right / len(left)) @ whiten_t)
    linear = whiten_0 @ rotation  # (n, n - 1)
    # Rows of chi sum to 1, so a constant c is c times the row sum: c added to every row.
    from_chi = np.concatenate([np.ones((n_states, 1)), linear - mean_0 @ linear], axis=1)
    return chi_t @ from_chi, from_chi


def _inverse_root(covariance: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """(n, n - 1) whitening of a covariance whose rank is n - 1; None if it is less."""
    values, vectors = np.linalg.eigh(covariance)
    if values[1] <= _RANK_TOLERANCE * values[-1] or values[-1] <= 1e-12:
        return None
    result: NDArray[np.float64] = vectors[:, 1:] / np.sqrt(values[1:])
    return result


def _extreme_points(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Points that may be vertices: those farthest out in many directions (all, if few)."""
    n_points, n_states = points.shape
    if n_points <= 2000:
        return np.arange(n_points)
    if n_states == 2:
        return np.array([points[:, 1].argmin(), points[:, 1].argmax()])
    directions = np.random.default_rng(0).normal(size=(n_states - 1, 2000))
    directions = np.concatenate([directions, np.eye(n_states - 1), -np.eye(n_states - 1)], axis=1)
    best = np.zeros(directions.shape[1], np.int64)
    largest = np.full(directions.shape[1], -np.inf)
    for start in range(0, n_points, 20_000):
        reach = points[start : start + 20_000, 1:] @ directions
        row = reach.argmax(axis=0)
        value = reach[row, np.arange(reach.shape[1])]
        better = value > largest
        best[better], largest[better] = row[better] + start, value[better]
    return np.unique(best)


def _inner_simplex(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of n_states points that lie farthest apart, chosen one after the other."""
    n_states = points.shape[1]
    remaining = points[:, 1:].copy()
    first = int(np.argmax((remaining**2).sum(axis=1)))
    chosen = [first]
    remaining -= remaining[first]
    for _ in range(n_states - 1):
        lengths = np.sqrt((remaining**2).sum(axis=1))
        farthest = int(np.argmax(lengths))
        chosen.append(farthest)
        direction = remaining[farthest] / max(lengths[farthest], 1e-300)
        remaining -= np.outer(remaining @ direction, direction)
    return np.array(chosen)


def _feasible(weights: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest weights with memberships >= 0 at all points and rows that sum to 1."""
    weights = weights.copy()
    weights[1:, 0] = -weights[1:, 1:].sum(axis=1)
    weights[0] = -(points[:, 1:] @ weights[1:]).min(axis=0)
    result: NDArray[np.float64] = weights / weights[0].sum()
    return result


def _crispest(weights: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maximise the crispness over the free elements, keeping memberships feasible."""
    size = weights.shape[0] - 1
    start = weights[1:, 1:]

    def unpack(flat: NDArray[np.float64]) -> NDArray[np.float64]:
        trial = np.zeros_like(weights)
        trial[1:, 1:] = flat.reshape(size, size)
        return _feasible(trial, points)

    def fuzziness(flat: NDArray[np.float64]) -> float:
        trial = unpack(flat)
        # Trace of the memberships' overlap, normalised (Roeblitz and Weber 2013, Eq. 20).
        return -float(((trial**2).sum(axis=0) / np.maximum(trial[0], 1e-300)).sum())

    found = minimize(
        fuzziness, start.ravel(), method="Nelder-Mead", options={"maxiter": 500 * size * size}
    )
    better = found.fun < fuzziness(start.ravel())
    return unpack(found.x) if better else weights
