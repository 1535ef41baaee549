"""Sums over pairs of frames that mean square displacements follow from, block by block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman import Covariances

__all__ = ["SMALLEST_WEIGHT", "DisplacementSums", "ratio", "sums_of"]

Float = NDArray[np.float64]

# Leaving out the only block with pairs leaves rounding, not 0.
SMALLEST_WEIGHT = 1e-9


@dataclass(frozen=True, kw_only=True)
class DisplacementSums(Covariances):
    """Covariances of states, and with them squared displacements, in the same blocks.

    Being covariances, they are resampled and jackknifed as those are. ``lagtime`` is that of the
    inherited sums.

    Attributes
    ----------
    squares : (n_blocks, n_lagtimes, n_states, n_states) array, square angstrom
        Sum of chi_i(t) chi_j(t + lag) |r(t + lag) - r(t)|^2.
    weights : (n_blocks, n_lagtimes, n_states, n_states) array
        Sum of chi_i(t) chi_j(t + lag).
    lagtimes : tuple of int, frames.
    """

    squares: Float
    weights: Float
    lagtimes: tuple[int, ...]

    def _each(self, change: Callable[[Float], Float]) -> DisplacementSums:
        return DisplacementSums(
            change(self.cov_00),
            change(self.cov_0t),
            change(self.cov_tt),
            change(self.sum_0),
            change(self.sum_t),
            change(self.n_pairs),
            self.lagtime,
            squares=change(self.squares),
            weights=change(self.weights),
            lagtimes=self.lagtimes,
        )

    def transition_msd(self) -> Float:
        """(n_blocks, n_lagtimes, n_states, n_states) weighted means, square angstrom."""
        return ratio(self.squares, self.weights)

    def state_msd(self) -> Float:
        """(n_blocks, n_lagtimes, n_states): of all that start in a state, wherever they end."""
        return ratio(self.squares.sum(axis=-1), self.weights.sum(axis=-1))

    def total_msd(self) -> Float:
        """(n_blocks, n_lagtimes) of all targets."""
        return ratio(self.squares.sum(axis=(-2, -1)), self.weights.sum(axis=(-2, -1)))

    def shares(self) -> Float:
        """(n_blocks, n_lagtimes, n_states, n_states) share of the pairs; each matrix sums to 1."""
        return ratio(self.weights, self.weights.sum(axis=(-2, -1), keepdims=True))


def sums_of(blocks: Covariances) -> DisplacementSums:
    """``blocks``, known to be displacement sums.

    Raises
    ------
    TypeError
        If they are covariances alone.
    """
    if not isinstance(blocks, DisplacementSums):
        raise TypeError(f"blocks must be DisplacementSums, received {type(blocks).__name__}")
    return blocks


def ratio(squares: Float, weights: Float) -> Float:
    """Means; NaN where nothing was seen."""
    seen = weights > SMALLEST_WEIGHT
    return np.where(seen, squares / np.where(seen, weights, 1.0), np.nan)
