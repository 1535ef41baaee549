"""Memberships as shares, and when one of them is clear."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_shares", "clear_states"]

# A frame is clear where its largest membership is at least this: halfway from the border between
# two states to the vertex.
_CLEAR = 0.75


def as_shares(memberships: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., n_states) of the same shape: values outside of [0, 1] clipped, rows sum to 1 again."""
    inside = np.clip(memberships, 0.0, 1.0)
    shares: NDArray[np.float64] = inside / inside.sum(axis=-1, keepdims=True)
    return shares


def clear_states(shares: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The most probable state of each row, and whether it is clear; each of shape (...)."""
    states = shares.argmax(axis=-1)
    return states, np.take_along_axis(shares, states[..., None], -1)[..., 0] >= _CLEAR
