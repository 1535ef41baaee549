"""Covariance sums of lagged pairs, block by block, and 95% intervals from them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman import Interval

Float = NDArray[np.float64]

_N_SAMPLES = 1000


@dataclass(frozen=True)
class LaggedSums:
    """Sums over pairs (x, y) a lag time apart, mean not removed, for each of some blocks.

    Attributes
    ----------
    cov_00, cov_0t, cov_tt : (n_blocks, n_columns, n_columns) arrays of x x^T, x y^T, y y^T.
    sum_0, sum_t : (n_blocks, n_columns) arrays of x and y.
    n_pairs : (n_blocks,) array
    """

    cov_00: Float
    cov_0t: Float
    cov_tt: Float
    sum_0: Float
    sum_t: Float
    n_pairs: Float

    @property
    def n_blocks(self) -> int:
        return len(self.n_pairs)

    @property
    def n_columns(self) -> int:
        return int(self.sum_0.shape[1])

    def combined(self, weights: Float | None = None) -> LaggedSums:
        """One block, each counted once; or one for each row of (n_samples, n_blocks) weights."""
        matrix = np.ones((1, self.n_blocks)) if weights is None else np.atleast_2d(weights)
        return LaggedSums(*(np.tensordot(matrix, values, axes=1) for values in self._arrays()))

    def blocks(self, which: NDArray[np.bool_]) -> LaggedSums:
        """Some of the blocks."""
        return LaggedSums(*(values[which] for values in self._arrays()))

    def columns(self, n_columns: int) -> LaggedSums:
        """The first columns."""
        c = slice(0, n_columns)
        cov_00, cov_0t, cov_tt = (cov[:, c, c] for cov in (self.cov_00, self.cov_0t, self.cov_tt))
        return LaggedSums(cov_00, cov_0t, cov_tt, self.sum_0[:, c], self.sum_t[:, c], self.n_pairs)

    def followed_by(self, other: LaggedSums) -> LaggedSums:
        """The blocks of both."""
        pairs = zip(self._arrays(), other._arrays(), strict=True)
        return LaggedSums(*(np.concatenate(pair) for pair in pairs))

    def centered(self) -> tuple[Float, Float, Float]:
        """C00, C0t, Ctt with the mean removed, (n_blocks, n_columns, n_columns) each."""
        n_pairs = self.n_pairs[:, None]
        mean_0, mean_t = self.sum_0 / n_pairs, self.sum_t / n_pairs

        def without(cov: Float, first: Float, second: Float) -> Float:
            result: Float = cov / n_pairs[..., None] - first[:, :, None] * second[:, None, :]
            return result

        return (
            without(self.cov_00, mean_0, mean_0),
            without(self.cov_0t, mean_0, mean_t),
            without(self.cov_tt, mean_t, mean_t),
        )

    def _arrays(self) -> tuple[Float, ...]:
        return self.cov_00, self.cov_0t, self.cov_tt, self.sum_0, self.sum_t, self.n_pairs


def bootstrap_weights(n_blocks: int, seed: int) -> Float:
    """(1000, n_blocks) how often each block is drawn."""
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(n_blocks, np.full(n_blocks, 1.0 / n_blocks), size=_N_SAMPLES)
    return draws.astype(np.float64)


def interval_of(samples: Float) -> Interval:
    """The central 95% along the first axis; NaN where half of the samples are undefined."""
    defined = np.isfinite(samples).mean(axis=0) >= 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column of NaN stays NaN
        lower, upper = np.nanpercentile(samples, [2.5, 97.5], axis=0)
    return Interval(np.where(defined, lower, np.nan), np.where(defined, upper, np.nan))
