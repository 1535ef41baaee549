"""Which blocks of running sums are as good as independent: the rules of resampling_for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman._running_sums import RunningSums
from kgdyn.koopman._spectrum import koopman_matrices, nontrivial_eigenvalues, relaxation_times
from kgdyn.koopman.bootstrap import (
    FEWEST_BLOCKS,
    TIMES_PER_BLOCK,
    Resampling,
    resampling_scheme,
)
from kgdyn.koopman.correlation_times import integrated_time
from kgdyn.koopman.covariances import Covariances

__all__ = ["RunningScheme", "states_time"]

Float = NDArray[np.float64]

# Bootstrap samples for timescales that are not told apart; offline there are more.
_SAMPLES = 300


def states_time(sums: RunningSums) -> float:
    """The longest integrated correlation time of states, of targets and of their sum, in frames.

    From means over the kept blocks of time, as :func:`kgdyn.koopman.correlation_time` from bins:
    up to half a block too long. Of more than 60 targets, groups take the place of single ones.
    """
    blocks = sums.states
    used = max(blocks.n_full, 1)
    means = blocks.sums[:used] / blocks.block_length  # (n_blocks, n_groups, n_states)
    off = means - means.mean(axis=0).sum(axis=0) / sums.n_targets * sums.group_sizes[:, None]
    found = max(integrated_time([off]), integrated_time([off.sum(axis=1)]))
    return blocks.block_length * found


def _matrix_time(sums: RunningSums, index: int) -> float:
    """The same of the errors of K, and the slowest relaxation time of K; 0 if K is undefined."""
    blocks = sums.covariances(index)
    total = blocks.combined()
    matrix = koopman_matrices(total.cov_00, total.cov_0t)[0]
    if not np.isfinite(matrix).all():
        return 0.0
    times = relaxation_times(nontrivial_eigenvalues(matrix), float(blocks.lagtime))
    slowest = float(np.nanmax(times, initial=0.0))
    filled = blocks.n_pairs >= 0.5 * sums.block_length() * sums.n_targets
    if not filled.any():
        return slowest
    misses = blocks.cov_0t[filled] - blocks.cov_00[filled] @ matrix
    series = (misses / blocks.n_pairs[filled, None, None]).reshape(len(misses), -1)
    return max(slowest, sums.block_length() * integrated_time([series]))


class RunningScheme:
    """Blocks for the intervals at one lag time, now.

    Kept blocks of time are joined, always equally many, until they cover ten correlation times and
    there are at most about 50; with too little data for ten such blocks, until there are about ten.
    The rules are those of :func:`kgdyn.koopman.resampling_for`; the only differences are that block
    lengths are multiples of the length of kept blocks, and that blocks go on over gaps.

    Parameters
    ----------
    sums : RunningSums
    index : int
        Of the lag time.
    correlation_of_states : float, frames
        Of :func:`states_time`.
    longest_lagtime : int, optional, frames
        As for :func:`kgdyn.koopman.resampling_for`.
    """

    def __init__(
        self,
        sums: RunningSums,
        index: int,
        correlation_of_states: float,
        longest_lagtime: int | None = None,
    ) -> None:
        lagtime = sums.lagtimes[index]
        self.correlation_time = max(
            correlation_of_states, _matrix_time(sums, index), float(lagtime)
        )
        n_pairs = float(sums.covariances(index).n_pairs.sum()) / sums.n_targets
        n_blocks = float(np.round(n_pairs / (TIMES_PER_BLOCK * self.correlation_time)))
        found = resampling_scheme(
            self.correlation_time,
            sums.n_frames,
            available=n_blocks,
            n_targets=sums.n_targets,
            longest_lagtime=longest_lagtime,
        )
        kept = sums.block_length(by_target=found.two_way)
        # Long enough where there is enough; else enough of them.
        joined = found.block_length / kept
        self._joined = max(1, int(np.ceil(joined) if n_blocks >= FEWEST_BLOCKS else joined))
        self.resampling: Resampling = replace(
            found, block_length=self._joined * kept, n_samples=_SAMPLES
        )
        self._sums = sums

    def blocks(self, index: int) -> Covariances:
        """Of the lag time ``index``, joined; without blocks that hold no pairs."""
        by_target = self.resampling.two_way
        return self.joined([self._sums.covariances(index, by_target=by_target)])[0]

    def joined(self, kept: Sequence[Covariances]) -> list[Covariances]:
        """Kept blocks of several lag times, joined in one way: as the first of them asks."""
        times = _labels(kept[0]) // self._joined
        pairs = np.bincount(times, kept[0].n_pairs)
        if len(pairs) > 1 and pairs[-1] < 0.5 * pairs.max():
            times = np.minimum(times, len(pairs) - 2)  # the last one is not full yet
        held = np.bincount(times, kept[0].n_pairs) > 0.0
        targets = kept[0].target_of
        if targets is None:
            return [_some(part.merged(times), held) for part in kept]
        n_groups = int(targets.max()) + 1
        cells = np.arange(len(held) * n_groups)
        return [
            _some(
                replace(
                    part.merged(times * n_groups + targets),
                    block_of=cells // n_groups,
                    target_of=cells % n_groups,
                ),
                np.repeat(held, n_groups),
            )
            for part in kept
        ]

    def n_blocks(self, blocks: Covariances) -> int:
        """Of time."""
        return len(np.unique(_labels(blocks))) if self.resampling.two_way else blocks.n_blocks


def _labels(blocks: Covariances) -> NDArray[np.int64]:
    if blocks.block_of is None:
        raise ValueError("blocks: each must be of one block of time; they are not")
    return blocks.block_of


def _some(blocks: Covariances, which: NDArray[np.bool_]) -> Covariances:
    if which.all():
        return blocks
    return Covariances(
        blocks.cov_00[which],
        blocks.cov_0t[which],
        blocks.cov_tt[which],
        blocks.sum_0[which],
        blocks.sum_t[which],
        blocks.n_pairs[which],
        blocks.lagtime,
        None if blocks.block_of is None else blocks.block_of[which],
        None if blocks.target_of is None else blocks.target_of[which],
    )
