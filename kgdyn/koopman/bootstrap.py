"""95% intervals: resample blocks of data that are as good as independent."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.koopman._spectrum import koopman_matrices, nontrivial_eigenvalues, relaxation_times
from kgdyn.koopman.covariances import Covariances, as_segments, block_covariances

__all__ = ["Interval", "Resampling", "percentile_interval", "resampling_for"]

_FEWEST_BLOCKS = 10
_LEVEL = 0.95
_RELAXATIONS_PER_BLOCK = 10
_WANTED_BLOCKS = 20


@dataclass(frozen=True)
class Interval:
    """Bounds of a 95% interval, arrays of the quantity's own shape; NaN where undefined."""

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]

    def contains(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of ``values`` lie inside."""
        result: NDArray[np.bool_] = (values >= self.lower) & (values <= self.upper)
        return result


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: a bootstrap over blocks of time, or over targets.

    Frames are correlated in time and targets share a box, so single frames are never resampled.

    Parameters
    ----------
    block_length : int, frames
        Length of a block of time; several relaxation times, so that blocks are independent.
    by_target : bool
        Resample targets instead of blocks of time.
    n_samples : int
        Bootstrap samples.
    seed : int
    """

    block_length: int
    by_target: bool = False
    n_samples: int = 1000
    seed: int = 0

    def covariances(self, segments: Sequence[NDArray[np.float64]], lagtime: int) -> Covariances:
        """Covariances in the blocks of this scheme.

        Raises
        ------
        ValueError
            If there is only one block.

        Warns
        -----
        RuntimeWarning
            If there are fewer than 10 blocks.
        """
        if self.by_target:
            found = _merge_targets(block_covariances(segments, lagtime, None, True), segments)
        else:
            found = block_covariances(segments, lagtime, self.block_length)
        if found.n_blocks < 2:
            raise ValueError(
                "intervals need at least 2 blocks of data, received 1: use a shorter "
                f"block_length than {self.block_length} frames, or several targets"
            )
        if found.n_blocks < _FEWEST_BLOCKS:
            warnings.warn(
                f"intervals rest on only {found.n_blocks} blocks of data: take them as a rough "
                "indication",
                RuntimeWarning,
                stacklevel=2,
            )
        return found

    def samples(self, blocks: Covariances) -> Covariances:
        """(n_samples) combined blocks, each from as many blocks drawn with replacement."""
        rng = np.random.default_rng(self.seed)
        n_blocks = blocks.n_blocks
        draws = rng.multinomial(n_blocks, np.full(n_blocks, 1.0 / n_blocks), size=self.n_samples)
        return blocks.combined(draws.astype(np.float64))

    def interval(
        self, blocks: Covariances, statistic: Callable[[Covariances], NDArray[np.float64]]
    ) -> Interval:
        """Percentile interval of ``statistic``, which maps (n_samples) blocks to arrays."""
        return percentile_interval(statistic(self.samples(blocks)))

    def describe(self) -> str:
        """In words, for results."""
        if self.by_target:
            return f"95% bootstrap over targets, {self.n_samples} samples"
        return (
            f"95% bootstrap over time blocks of {self.block_length} frames, "
            f"{self.n_samples} samples"
        )


def resampling_for(
    state_probabilities: ArrayLike | Sequence[ArrayLike], lagtime: int, seed: int = 0
) -> Resampling:
    """A resampling over time blocks of about ten relaxation times, at least 20 of them.

    Where the data are too short for that, targets are resampled, if there are 20 of them; else
    the blocks are shorter.

    Parameters
    ----------
    state_probabilities : array (n_frames, n_targets, n_states) or a sequence of such arrays
        One array a gap-free segment.
    lagtime : int, frames
        That the slowest relaxation time is estimated at.
    seed : int

    Warns
    -----
    RuntimeWarning
        If blocks are shorter than two relaxation times: intervals are then too narrow.
    """
    segments = as_segments(state_probabilities)
    total = block_covariances(segments, lagtime).combined()
    eigenvalues = nontrivial_eigenvalues(koopman_matrices(total.cov_00, total.cov_0t))[0]
    times = relaxation_times(eigenvalues, float(lagtime))
    slowest = float(np.nanmax(times)) if np.isfinite(times).any() else float(lagtime)
    n_frames = sum(len(segment) for segment in segments)
    wanted = _RELAXATIONS_PER_BLOCK * max(slowest, float(lagtime))
    block_length = max(1, int(min(wanted, n_frames / _WANTED_BLOCKS)))
    if block_length < int(wanted):
        if min(segment.shape[1] for segment in segments) >= _WANTED_BLOCKS:
            return Resampling(block_length=block_length, by_target=True, seed=seed)
        if block_length < 2.0 * slowest:
            warnings.warn(
                f"the data hold only {n_frames / slowest:.0f} relaxation times: blocks of "
                f"{block_length} frames are not independent, and intervals too narrow",
                RuntimeWarning,
                stacklevel=2,
            )
    return Resampling(block_length=block_length, seed=seed)


def percentile_interval(samples: NDArray[np.float64]) -> Interval:
    """The central 95% of samples along the first axis; NaN where half of them are undefined."""
    tail = 50.0 * (1.0 - _LEVEL)
    defined = np.isfinite(samples).mean(axis=0) >= 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column of NaN stays NaN
        lower, upper = np.nanpercentile(samples, [tail, 100.0 - tail], axis=0)
    return Interval(np.where(defined, lower, np.nan), np.where(defined, upper, np.nan))


def _merge_targets(blocks: Covariances, segments: Sequence[NDArray[np.float64]]) -> Covariances:
    """One block for each target of a box, its segments joined.

    Segments with the same number of targets are taken as parts of one system.
    """
    used = [segment.shape[1] for segment in segments if len(segment) > blocks.lagtime]
    owner: list[tuple[int, int]] = [(count, target) for count in used for target in range(count)]
    names = sorted(set(owner))
    weights = np.zeros((len(names), len(owner)))
    for column, name in enumerate(owner):
        weights[names.index(name), column] = 1.0
    return blocks.combined(weights)
