"""What `neighbor_attention` finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman import Interval, Resampling

__all__ = ["NeighborAttention"]

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class NeighborAttention:
    """How the targets of each state spread their attention over their neighbours.

    Attention sums to 1 over the M neighbours of an atom, so that over all elements, bins and what
    lies beyond the last bin ``share`` sums to 1, and ``neighbors`` to M.

    Attributes
    ----------
    radii : (n_bins,) array, angstrom
        Middle of each bin of the distance from an atom of the target to its neighbour.
    edges : (n_bins + 1,) array, angstrom
    share : (n_convolutions, n_states, n_elements, n_bins) array
        Of all attention of the targets' atoms, what falls on neighbours of an element at this
        distance; NaN for a state that is never visited.
    share_interval : Interval, 95%.
    share_beyond : (n_convolutions, n_states, n_elements) array
        What falls on neighbours beyond ``edges[-1]``.
    mean_weight : (n_convolutions, n_states, n_elements, n_bins) array
        Mean of alpha_ij over such neighbours, between 0 and 1; NaN where there is none.
    mean_weight_interval : Interval, 95%.
    neighbors : (n_states, n_elements, n_bins) array
        Mean number of such neighbours, among the M, of an atom of a target.
    neighbors_beyond : (n_states, n_elements) array
    elements : tuple of str
        Of the neighbours.
    populations : (n_states,) array
    n_frames, n_targets : int
        Frames looked at, of all trajectories; targets of the first one.
    n_neighbors : int
        M.
    stride : int, frames
    resampling : Resampling
        Blocks that the intervals are made of, in frames of the trajectories.
    """

    radii: Float
    edges: Float
    share: Float
    share_interval: Interval
    share_beyond: Float
    mean_weight: Float
    mean_weight_interval: Interval
    neighbors: Float
    neighbors_beyond: Float
    elements: tuple[str, ...]
    populations: Float
    n_frames: int
    n_targets: int
    n_neighbors: int
    stride: int
    resampling: Resampling

    @property
    def n_convolutions(self) -> int:
        return len(self.share)

    @property
    def n_states(self) -> int:
        return len(self.populations)

    @property
    def even_share(self) -> Float:
        """(n_states, n_elements, n_bins) what ``share`` was if all neighbours weighed the same."""
        result: Float = self.neighbors / self.n_neighbors
        return result

    def share_within(self, low: float, high: float) -> Float:
        """(n_convolutions, n_states, n_elements) share of all bins between two distances.

        Of a bin that is cut, the part of its width. ``high`` beyond the last bin takes all that
        lies there.
        """
        if not low < high:
            raise ValueError(f"low must be below high, received {low} and {high}")
        lower, upper = self.edges[:-1], self.edges[1:]
        part = (np.minimum(upper, high) - np.maximum(lower, low)) / (upper - lower)
        result: Float = self.share @ np.clip(part, 0.0, 1.0)
        return result + self.share_beyond if high > self.edges[-1] else result

    def __repr__(self) -> str:
        return (
            f"NeighborAttention(n_convolutions={self.n_convolutions}, n_states={self.n_states}, "
            f"elements={list(self.elements)}, n_neighbors={self.n_neighbors}, "
            f"r_max={self.edges[-1]:g} angstrom, n_bins={len(self.radii)}, "
            f"n_frames={self.n_frames}, n_targets={self.n_targets}, stride={self.stride}, "
            f"intervals={self.resampling.describe()!r})"
        )
