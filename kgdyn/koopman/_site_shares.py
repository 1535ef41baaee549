"""How the probability to move to another state is shared among the sites of that state."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]

# Elements of K down to this are rounding: no way is needed for them.
_ROUNDING = 1e-12


def site_shares(
    matrix: Float, site_states: ArrayLike, adjacency: ArrayLike
) -> tuple[NDArray[np.int64], Float]:
    """States of sites, and the share of K_ij that goes from site a to site b, (n, n) summing to 1
    over the sites of each state; that of a site to its own state is all its own."""
    n_states = len(matrix)
    states = np.asarray(site_states)
    if states.ndim != 1 or not np.issubdtype(states.dtype, np.integer):
        raise ValueError(
            "site_states must be an array of int of shape (n_sites,), received "
            f"{states.dtype} of shape {states.shape}"
        )
    if not np.array_equal(np.unique(states), np.arange(n_states)):
        raise ValueError(
            f"site_states must hold each of the states 0 to {n_states - 1}, received "
            f"{np.unique(states).tolist()}"
        )
    joined = np.asarray(adjacency, dtype=np.float64)
    n_sites = len(states)
    if joined.shape != (n_sites, n_sites):
        raise ValueError(f"adjacency must have shape {(n_sites, n_sites)}, received {joined.shape}")
    if not (np.isfinite(joined).all() and (joined >= 0).all() and (joined == joined.T).all()):
        raise ValueError("adjacency must be symmetric, with finite numbers that are not negative")
    shares: Float = np.eye(n_sites)
    for state in range(n_states):
        columns = np.flatnonzero(states == state)
        open_rows = states != state
        # A way into this state ends there: from its sites no step goes on.
        onward = np.where(states == state, 0.0, 1.0)[:, None] * joined
        ways = np.eye(n_sites)
        for _ in range(n_sites):
            ways = onward @ ways
            reached = open_rows & (ways[:, columns].sum(axis=1) > 0)
            some = ways[np.ix_(reached, columns)]
            shares[np.ix_(reached, columns)] = some / some.sum(axis=1, keepdims=True)
            open_rows &= ~reached
        for site in np.flatnonzero(open_rows):
            if abs(matrix[states[site], state]) > _ROUNDING:
                raise ValueError(
                    f"adjacency: no way leads from site {site} to a site of state {state}, but K "
                    f"moves there with probability {matrix[states[site], state]:.3g}"
                )
    return states.astype(np.int64), shares
