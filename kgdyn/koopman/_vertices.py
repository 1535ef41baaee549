"""Vertices of the simplex that slow functions fill: inner simplex algorithm and PCCA+."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial import cKDTree

Float = NDArray[np.float64]

# Up to this many points all may be vertices; beyond, as many directions are searched.
_DIRECTIONS = 2000
_CHUNK = 2_000
# Enough points to find means of near ones in, also of a state that holds one in 200.
_POINTS_TO_SMOOTH = 5000


def inner_simplex_weights(points: Float) -> Float:
    """(n_states, n_states) matrix that is the identity at the points that lie farthest apart.

    The inner simplex algorithm: Weber and Galliat, ZIB-Report 02-12 (2002).

    Parameters
    ----------
    points : (n_points, n_states) array
        The constant 1 and n_states - 1 slow functions.

    Returns
    -------
    (n_states, n_states) array
        ``points @ weights`` are memberships, whose rows sum to 1. Those of points outside of the
        simplex leave [0, 1].
    """
    weights: NDArray[Any] = np.linalg.inv(points[_farthest_apart(points)])
    return weights


def smoothed_points(points: Float, n_near: int) -> Float:
    """Means over the ``n_near`` nearest points: a single odd point is a vertex no more.

    Points that coincide count as one, and where few are left, they stay as they are.

    Parameters
    ----------
    points : (n_points, n_states) array
    n_near : int

    Returns
    -------
    (at most 5,000, n_states) array
    """
    chosen = np.random.default_rng(0).permutation(len(points))[:_POINTS_TO_SMOOTH]
    some: Float = np.unique(points[chosen], axis=0)
    if len(some) < 10 * n_near:
        return some
    _, nearest = cKDTree(some[:, 1:]).query(some[:, 1:], n_near)
    result: Float = some[nearest].mean(axis=1)
    return result


def crispest_weights(points: Float) -> Float:
    """Weights whose memberships are >= 0 at all points, and as crisp as possible.

    PCCA+: Deuflhard and Weber, Linear Algebra Appl. 398, 161 (2005), started from the inner
    simplex; the crispness is that of Roeblitz and Weber, Adv. Data Anal. Classif. 7, 147 (2013).
    For two states there is nothing to choose: the extremes of the slow function are the vertices.

    Parameters and result as :func:`inner_simplex_weights`.
    """
    candidates = points[_extreme_points(points)]
    weights = _feasible(inner_simplex_weights(candidates), candidates)
    if points.shape[1] > 2:
        # Once more on all points: the candidates are not all of the hull.
        weights = _feasible(_crispest(weights, candidates), points)
    return weights


def _extreme_points(points: Float) -> NDArray[np.int64]:
    """Points that may be vertices: those farthest out in many directions (all, if few)."""
    n_points, n_states = points.shape
    if n_points <= _DIRECTIONS:
        return np.arange(n_points)
    if n_states == 2:
        return np.array([points[:, 1].argmin(), points[:, 1].argmax()])
    directions = np.random.default_rng(0).normal(size=(n_states - 1, _DIRECTIONS)).T
    directions = np.concatenate([directions, np.eye(n_states - 1), -np.eye(n_states - 1)])
    best = np.zeros(len(directions), np.int64)
    largest = np.full(len(directions), -np.inf)
    for start in range(0, n_points, _CHUNK):
        reach = directions @ points[start : start + _CHUNK, 1:].T
        row = reach.argmax(axis=1)
        value = reach[np.arange(len(reach)), row]
        better = value > largest
        best[better], largest[better] = row[better] + start, value[better]
    return np.unique(best)


def _farthest_apart(points: Float) -> NDArray[np.int64]:
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


def _feasible(weights: Float, points: Float) -> Float:
    """The nearest weights with memberships >= 0 at all points and rows that sum to 1."""
    weights = weights.copy()
    weights[1:, 0] = -weights[1:, 1:].sum(axis=1)
    weights[0] = -(points[:, 1:] @ weights[1:]).min(axis=0)
    result: Float = weights / weights[0].sum()
    return result


def _crispest(weights: Float, points: Float) -> Float:
    """Maximise the crispness over the free elements, keeping memberships feasible."""
    size = weights.shape[0] - 1
    start = weights[1:, 1:]

    def unpack(flat: Float) -> Float:
        trial = np.zeros_like(weights)
        trial[1:, 1:] = flat.reshape(size, size)
        return _feasible(trial, points)

    def fuzziness(flat: Float) -> float:
        trial = unpack(flat)
        # Trace of the memberships' overlap, normalised (Roeblitz and Weber 2013, Eq. 20).
        return -float(((trial**2).sum(axis=0) / np.maximum(trial[0], 1e-300)).sum())

    found = minimize(
        fuzziness, start.ravel(), method="Nelder-Mead", options={"maxiter": 500 * size * size}
    )
    better = found.fun < fuzziness(start.ravel())
    return unpack(found.x) if better else weights
