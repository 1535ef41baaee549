"""95% intervals: which blocks of data are as good as independent, and how they are resampled."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.koopman.correlation_times import correlation_time
from kgdyn.koopman.covariances import Covariances, as_segments, many_block_covariances
from kgdyn.koopman.intervals import (
    Interval,
    JackknifeErrors,
    Scale,
    Statistics,
    jackknife,
    percentile_interval,
)

__all__ = [
    "FEWEST_BLOCKS",
    "FEWEST_TIMES",
    "MANY_TARGETS",
    "TARGET_GROUPS",
    "TIMES_PER_BLOCK",
    "Interval",
    "Resampling",
    "percentile_interval",
    "resampling_for",
    "resampling_scheme",
]

TIMES_PER_BLOCK = 10
# Correlation times that a block must have, or intervals are too narrow.
FEWEST_TIMES = 4.0
FEWEST_BLOCKS = 10
_MOST_BLOCKS = 50
MANY_TARGETS = 20
TARGET_GROUPS = 60


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: over blocks of time, over targets, or over both.

    Frames are correlated in time and targets share a box, so single frames are never resampled.
    Blocks of time hold all targets, which is right also where targets move together. Targets alone
    are right only where they are independent of each other.

    Parameters
    ----------
    block_length : int, frames
        Length of a block of time; several correlation times, so that blocks are independent.
    by_target : bool
        Resample targets instead of blocks of time.
    n_samples : int
        Bootstrap samples of ``method="percentile"``.
    seed : int
        Of those.
    two_way : bool
        Combine blocks of time and targets: each target may remember its state longer than a block,
        and targets may move together within one. For many targets over a short time.
    method : {"jackknife", "percentile"}
        How bounds follow: :func:`kgdyn.koopman.intervals.jackknife`, or the percentiles of a
        bootstrap, which are too narrow with few blocks.
    correlation_time : float, frames
        What blocks of time share over their borders, if this is known: the variance over blocks of
        length L is too small by the factor 1 - (T / L) (1 - exp(-L / T)) for memory of exp(-t / T),
        and is divided by it. Not for ``two_way``, where the variance over targets has no borders.

    Raises
    ------
    ValueError
        For another ``method``, or both ``by_target`` and ``two_way``.
    """

    block_length: int
    by_target: bool = False
    n_samples: int = 1000
    seed: int = 0
    two_way: bool = False
    method: Literal["jackknife", "percentile"] = "jackknife"
    correlation_time: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in ("jackknife", "percentile"):
            raise ValueError(
                f'method must be "jackknife" or "percentile", received {self.method!r}'
            )
        if self.by_target and self.two_way:
            raise ValueError("by_target and two_way exclude each other, received True for both")

    def covariances(self, segments: Sequence[NDArray[np.float64]], lagtime: int) -> Covariances:
        """Covariances in the blocks of this scheme.

        Raises
        ------
        ValueError
            If there is only one block.

        Warns
        -----
        RuntimeWarning
            If there are fewer than 10 blocks (of time, or targets, of either for both).
        """
        return self.many_covariances(segments, [lagtime])[0]

    def many_covariances(
        self,
        segments: Sequence[NDArray[np.float64]],
        lagtimes: Sequence[int],
        *,
        together: bool = False,
    ) -> list[Covariances]:
        """The same at several lag times, for which the data are read once.

        ``together`` as for :func:`kgdyn.koopman.covariances.many_block_covariances`; raises and
        warns as :meth:`covariances`.
        """
        apart = self.by_target or self.two_way
        length = None if self.by_target else self.block_length
        found = many_block_covariances(segments, lagtimes, length, apart, together=together)
        if self.by_target:
            found = [part.merged(_checked(part.target_of)) for part in found]
        elif self.two_way:
            found = [_grouped(part) for part in found]
        return [self.checked(part) for part in found]

    def checked(self, found: Covariances) -> Covariances:
        """``found``, if it has blocks enough; raises and warns as :meth:`covariances`."""
        count = found.n_blocks
        if self.two_way:
            count = min(len(np.unique(_checked(k))) for k in (found.block_of, found.target_of))
        if count < 2:
            raise ValueError(
                "intervals need at least 2 blocks of data, received 1: use a shorter "
                f"block_length than {self.block_length} frames, or several targets"
            )
        if count < FEWEST_BLOCKS:
            warnings.warn(
                f"intervals rest on only {count} blocks of data, at least {FEWEST_BLOCKS} are "
                "wanted: take them as a rough indication",
                RuntimeWarning,
                stacklevel=3,
            )
        return found

    def samples(self, blocks: Covariances) -> Covariances:
        """(n_samples) combined blocks, each from as many blocks drawn with replacement.

        Of both, blocks of time and targets are drawn, and what they share is taken.
        """
        rng = np.random.default_rng(self.seed)

        def draw(count: int) -> NDArray[np.float64]:
            shares = np.full(count, 1.0 / count)
            return rng.multinomial(count, shares, size=self.n_samples).astype(np.float64)

        if not self.two_way:
            return blocks.combined(draw(blocks.n_blocks))
        weights = np.ones((self.n_samples, blocks.n_blocks))
        for labels in (_checked(blocks.block_of), _checked(blocks.target_of)):
            names, places = np.unique(labels, return_inverse=True)
            weights *= draw(len(names))[:, places]
        return blocks.combined(weights)

    def errors(self, blocks: Covariances, statistics: Statistics) -> dict[str, JackknifeErrors]:
        """Standard errors of quantities, by :func:`kgdyn.koopman.intervals.jackknife`."""
        found = jackknife(blocks, statistics)
        if self.by_target or self.two_way or self.correlation_time <= 0.0:
            return found
        ratio = self.correlation_time / self.block_length
        factor = (1.0 - ratio * (1.0 - np.exp(-1.0 / ratio))) ** -0.5
        return {name: replace(value, error=factor * value.error) for name, value in found.items()}

    def intervals(
        self,
        blocks: Covariances,
        statistics: Statistics,
        scales: dict[str, Scale],
        errors: dict[str, JackknifeErrors] | None = None,
    ) -> dict[str, Interval]:
        """Of each quantity of ``statistics``, on its scale (linear if it has none).

        ``errors`` saves computing them again.
        """
        if self.method == "percentile":
            drawn = statistics(self.samples(blocks))
            return {name: percentile_interval(values) for name, values in drawn.items()}
        found = self.errors(blocks, statistics) if errors is None else errors
        return {name: value.interval(scales.get(name, "linear")) for name, value in found.items()}

    def interval(
        self,
        blocks: Covariances,
        statistic: Callable[[Covariances], NDArray[np.float64]],
        scale: Scale = "linear",
    ) -> Interval:
        """Of one quantity, which ``statistic`` makes of (n_samples) blocks."""
        return self.intervals(blocks, lambda some: {"it": statistic(some)}, {"it": scale})["it"]

    def describe(self) -> str:
        """In words, for results."""
        over = f"time blocks of {self.block_length} frames"
        if self.by_target:
            over = "targets"
        elif self.two_way:
            over += " and targets"
        if self.method == "percentile":
            return f"95% bootstrap over {over}, {self.n_samples} samples"
        return f"95% jackknife over {over}"


def resampling_for(
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    lagtime: int,
    seed: int = 0,
    *,
    longest_lagtime: int | None = None,
) -> Resampling:
    """Blocks of time of at least ten correlation times, of which there are up to 50.

    Longer blocks are better, as what reaches over their borders counts less, so data of more than
    50 such blocks are cut into 50. Where there are fewer than 10, blocks of time and targets are
    combined, if there are 20 targets; else the blocks are shorter, so that there are 10. Segments
    shorter than a block are a block each: independent trajectories count as what they are.

    Parameters
    ----------
    state_probabilities : array (n_frames, n_targets, n_states) or a sequence of such arrays
        One array a gap-free segment.
    lagtime : int, frames
        That :func:`kgdyn.koopman.correlation_time` is estimated at.
    seed : int
    longest_lagtime : int, optional, frames
        The longest of a series of lag times; blocks are at least five of them where 30 remain.

    Warns
    -----
    RuntimeWarning
        If blocks are shorter than four correlation times: intervals are then too narrow.
    """
    segments = as_segments(state_probabilities)
    memory = max(correlation_time(segments, lagtime), float(lagtime))
    n_frames = sum(len(segment) for segment in segments)
    lengths = np.array([len(segment) - lagtime for segment in segments if len(segment) > lagtime])
    wanted = TIMES_PER_BLOCK * memory
    found = resampling_scheme(
        memory,
        n_frames,
        available=float(np.maximum(1, np.round(lengths / wanted)).sum()),
        n_targets=min(segment.shape[1] for segment in segments),
        seed=seed,
        longest_lagtime=longest_lagtime,
    )
    if not found.two_way and found.block_length < FEWEST_TIMES * memory:
        warnings.warn(
            f"the data hold only {n_frames / memory:.0f} correlation times, at least "
            f"{FEWEST_BLOCKS * TIMES_PER_BLOCK} are wanted: blocks of {found.block_length} frames "
            "are not independent, and intervals too narrow",
            RuntimeWarning,
            stacklevel=2,
        )
    return found


def resampling_scheme(
    memory: float,
    n_frames: int,
    *,
    available: float,
    n_targets: int,
    seed: int = 0,
    longest_lagtime: int | None = None,
) -> Resampling:
    """The rule of :func:`resampling_for`, for data of which only a few numbers are known.

    Parameters
    ----------
    memory : float, frames
        The correlation time, at least the lag time.
    n_frames : int
    available : float
        Blocks of ten correlation times that there are.
    n_targets : int
        In the segment that has fewest.
    seed, longest_lagtime
        As for :func:`resampling_for`.
    """
    wanted = TIMES_PER_BLOCK * memory
    if available < FEWEST_BLOCKS:
        block_length = max(1, int(min(wanted, n_frames / FEWEST_BLOCKS)))
        if n_targets >= MANY_TARGETS:
            return Resampling(block_length=block_length, two_way=True, seed=seed)
        return Resampling(block_length=block_length, seed=seed, correlation_time=memory)
    block_length = int(max(wanted, n_frames / _MOST_BLOCKS))
    if longest_lagtime is not None:
        block_length = int(max(block_length, min(5 * longest_lagtime, n_frames / 30)))
    return Resampling(block_length=block_length, seed=seed, correlation_time=memory)


def _grouped(cells: Covariances) -> Covariances:
    """Very many targets joined into groups, so that blocks stay few enough to leave each out."""
    blocks, targets = _checked(cells.block_of), _checked(cells.target_of)
    count = int(targets.max()) + 1
    if count <= TARGET_GROUPS:
        return cells
    groups = targets * TARGET_GROUPS // count
    labels = blocks * TARGET_GROUPS + groups
    merged = cells.merged(labels)
    names = np.unique(labels)
    return Covariances(
        merged.cov_00,
        merged.cov_0t,
        merged.cov_tt,
        merged.sum_0,
        merged.sum_t,
        merged.n_pairs,
        merged.lagtime,
        block_of=names // TARGET_GROUPS,
        target_of=names % TARGET_GROUPS,
    )


def _checked(labels: NDArray[np.int64] | None) -> NDArray[np.int64]:
    if labels is None:
        raise ValueError("blocks: each must be of one target and one block of time; they are not")
    return labels
