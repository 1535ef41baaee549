"""The linear map that turns features of a VAMP model into states.

A VAMP score is the same for any invertible linear change of its features, so a network's softmax
outputs need not be the states: trainings with equal scores assigned all or none of a state's
frames. The states are the vertices of the simplex that the slow functions fill (Deuflhard and
Weber, Linear Algebra Appl. 398, 161 (2005): PCCA+).
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.koopman._vertices import crispest_weights, inner_simplex_weights, smoothed_points

__all__ = ["SIMPLEX_METHODS", "SimplexMethod", "fit_simplex_map", "lumping_map"]

Float = NDArray[np.float64]
SimplexMethod = Literal["means", "pcca", "inner"]
SIMPLEX_METHODS = ("means", "pcca", "inner")

# Directions of chi with less variance than this, relative to the largest, are rounding.
_RANK_TOLERANCE = 1e-9
# Means nearer to each other than this, in memberships, make no simplex.
_SMALLEST_SIMPLEX = 0.05
_MOST_MOVES = 20
# Starts for "means": the inner simplex of means over so many near points.
_NEAR = (5, 15)
# Scores that differ by less are equal: then the first start, PCCA+, is taken.
_SAME_SCORE = 1e-12


def fit_simplex_map(
    chi_t: ArrayLike,
    chi_lag: ArrayLike,
    n_states: int | None = None,
    method: SimplexMethod = "means",
) -> NDArray[np.float64]:
    """Find the matrix A so that ``chi @ A`` are memberships of states, ordered by population.

    The slow functions are the left singular functions of the whitened Koopman matrix (they are
    its eigenfunctions where dynamics is reversible, and real where it is not). With the constant
    the n_states - 1 slowest of them fill a simplex, whose vertices are the states. With more
    outputs than states the faster functions are left out.

    Parameters
    ----------
    chi_t, chi_lag : (n_pairs, n_outputs) arrays
        Network outputs at t and t + lagtime, rows sum to 1.
    n_states : int, optional
        From 2 to n_outputs, which it is if not given.
    method : {"means", "pcca", "inner"}
        - "inner": the vertices are the frames that lie farthest apart (inner simplex). Frames
          outside of their simplex have memberships outside of [0, 1].
        - "pcca": from there, memberships are made non-negative on all given frames, and for more
          than two states their crispness is maximised under that condition (PCCA+).
        - "means": from both, and from the inner simplex of local means, each vertex is moved to
          the mean over the frames that are assigned to its state, again and again as long as the
          VAMP-2 score of the assignments rises; the start that ends highest is taken. Extremes
          are single frames, so that with them for vertices the spread of a common state leaks
          into a rare one (on Li in fcc sulfur the population of the rare state is 3.3% counted,
          7.4% with "pcca"), and a few odd frames move the vertices of "pcca" far out; with means
          populations are the shares of assigned frames. The price: single memberships leave
          [0, 1] by the spread of a state. Where states overlap widely that is much, and only
          means over many frames have a meaning; see :func:`kgdyn.koopman.crispness`.

    Returns
    -------
    (n_outputs, n_states) array
        Rows sum to 1. Column 0 is the most populated state, and so on.

    Raises
    ------
    ValueError
        If the shapes differ, values are not finite, ``n_states`` is not between 2 and n_outputs,
        or the method is unknown.

    Warns
    -----
    RuntimeWarning
        If the features span fewer directions than there are states (a collapsed network): the
        identity is returned, since no map can make states out of it. With more outputs than
        states it is :func:`lumping_map`.
    """
    chi_t, chi_lag = _checked(chi_t, chi_lag)
    n_outputs = chi_t.shape[1]
    n_states = n_outputs if n_states is None else n_states
    if not 2 <= n_states <= n_outputs:
        raise ValueError(
            f"n_states must be between 2 and the number of outputs, {n_outputs}, "
            f"received {n_states}"
        )
    if method not in SIMPLEX_METHODS:
        raise ValueError(f"method must be one of {SIMPLEX_METHODS}, received {method!r}")
    from_chi = _slow_functions(chi_t, chi_lag, n_states)
    if from_chi is None:
        warnings.warn(
            f"the {n_outputs} outputs span fewer than {n_states} states: the network has "
            "collapsed, and its outputs are left as they are",
            RuntimeWarning,
            stacklevel=2,
        )
        return lumping_map(n_outputs, n_states)
    points = chi_t @ from_chi
    if method == "means":
        matrix = _means_map(from_chi, points, chi_t, chi_lag)
    else:
        find = crispest_weights if method == "pcca" else inner_simplex_weights
        matrix = from_chi @ find(points)
        matrix /= matrix.sum(axis=1, keepdims=True)
    order = np.argsort(-(chi_t @ matrix).mean(axis=0), kind="stable")
    result: Float = matrix[:, order]
    return result


def lumping_map(n_outputs: int, n_states: int) -> NDArray[np.float64]:
    """(n_outputs, n_states): output k counts to state k modulo n_states; the identity if equal.

    Makes probabilities of states, whose rows sum to 1, before anything is known of them.
    """
    result: Float = np.eye(n_states)[np.arange(n_outputs) % n_states]
    return result


def _checked(chi_t: ArrayLike, chi_lag: ArrayLike) -> tuple[Float, Float]:
    left = np.asarray(chi_t, dtype=np.float64)
    right = np.asarray(chi_lag, dtype=np.float64)
    if left.ndim != 2 or left.shape != right.shape or left.shape[1] < 2:
        raise ValueError(
            "chi_t and chi_lag must have the same shape (n_pairs, n_outputs), "
            f"received {left.shape} and {right.shape}"
        )
    if not (np.isfinite(left).all() and np.isfinite(right).all()):
        raise ValueError("chi_t and chi_lag must be finite, received NaN or infinity")
    return left, right


def _means_map(from_chi: Float, points: Float, chi_t: Float, chi_lag: Float) -> Float:
    """The best of several starts, whose vertices have moved to means."""
    starts = [crispest_weights(points), inner_simplex_weights(points)]
    for n_near in _NEAR:
        with suppress(np.linalg.LinAlgError):  # means over few points may coincide
            starts.append(inner_simplex_weights(smoothed_points(points, n_near)))
    found = []
    for weights in starts:
        matrix = from_chi @ weights
        found.append(_settled(matrix / matrix.sum(axis=1, keepdims=True), chi_t, chi_lag))
    highest = max(score for _, score in found)
    return next(matrix for matrix, score in found if score >= highest - _SAME_SCORE)


def _settled(matrix: Float, chi_t: Float, chi_lag: Float) -> tuple[Float, float]:
    """The map after as many moves of its vertices as raise the score, and that score."""
    best = _to_means(matrix, chi_t)
    score = _score_of_assignments(best, chi_t, chi_lag)
    for _ in range(_MOST_MOVES):
        moved = _to_means(best, chi_t)
        value = _score_of_assignments(moved, chi_t, chi_lag)
        if value <= score:
            break
        best, score = moved, value
    return best, score


def _score_of_assignments(matrix: Float, chi_t: Float, chi_lag: Float) -> float:
    """VAMP-2 of the hard assignments, the constant counted: what they keep of the dynamics."""
    n_states = matrix.shape[1]
    pair = (chi_t @ matrix).argmax(axis=1) * n_states + (chi_lag @ matrix).argmax(axis=1)
    counts = np.bincount(pair, minlength=n_states**2).reshape(n_states, n_states)
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0))
    return float((counts**2 / np.maximum(expected, 1)).sum())


def _to_means(matrix: Float, chi: Float) -> Float:
    """The map whose vertices are the means over the frames assigned to each state.

    The map as it is, where a state has no frame, or means do not span a simplex.
    """
    n_states = matrix.shape[1]
    mapped = chi @ matrix
    assigned = mapped.argmax(axis=1)
    counts = np.bincount(assigned, minlength=n_states)
    if (counts == 0).any():
        return matrix
    sums = np.zeros((n_states, n_states))
    np.add.at(sums, assigned, mapped)
    means: Float = sums / counts[:, None]
    # Rows of chi sum to 1 to float32 only, which a map that stretches would magnify.
    means /= means.sum(axis=1, keepdims=True)
    if np.linalg.svd(means, compute_uv=False)[-1] < _SMALLEST_SIMPLEX:
        return matrix
    result: Float = matrix @ np.linalg.inv(means)
    result /= result.sum(axis=1, keepdims=True)
    return result


def _slow_functions(chi_t: Float, chi_lag: Float, n_states: int) -> Float | None:
    """(n_outputs, n_states) matrix that makes of chi the constant and the n_states - 1 slowest
    functions; None where chi spans fewer."""
    n_outputs = chi_t.shape[1]
    mean_0, mean_t = chi_t.mean(axis=0), chi_lag.mean(axis=0)
    left, right = chi_t - mean_0, chi_lag - mean_t
    whiten_0 = _inverse_root(left.T @ left / len(left), n_states - 1)
    whiten_t = _inverse_root(right.T @ right / len(right), n_states - 1)
    if whiten_0 is None or whiten_t is None:
        return None
    rotation, _, _ = np.linalg.svd(whiten_0.T @ (left.T @ right / len(left)) @ whiten_t)
    linear = whiten_0 @ rotation[:, : n_states - 1]
    # Rows of chi sum to 1, so a constant c is c times the row sum: c added to every row.
    return np.concatenate([np.ones((n_outputs, 1)), linear - mean_0 @ linear], axis=1)


def _inverse_root(covariance: Float, fewest: int) -> Float | None:
    """(n_outputs, rank) whitening of a covariance; None if its rank is below ``fewest``.

    The rank is at most n_outputs - 1, since rows of chi sum to 1.
    """
    values, vectors = np.linalg.eigh(covariance)
    kept = values > _RANK_TOLERANCE * values[-1]
    kept[0] = False
    if kept.sum() < fewest or values[-1] <= 1e-12:
        return None
    result: Float = vectors[:, kept] / np.sqrt(values[kept])
    return result
