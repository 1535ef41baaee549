"""Sums over frames kept apart by blocks of time and by target, and the intervals they give."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import readonly
from kgdyn.koopman import Covariances, Interval, Resampling, resampling_for
from kgdyn.koopman.bootstrap import FEWEST_BLOCKS, TARGET_GROUPS
from kgdyn.koopman.intervals import Scale

__all__ = ["BlockSums", "Piece", "block_intervals", "chosen_resampling", "plan_blocks"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]
_BLOCKS_WITHOUT_STATES = 20


@dataclass(frozen=True)
class BlockSums:
    """Named sums, an array each with one row a block; all that the jackknife asks of blocks.

    ``block_of`` and ``target_of`` as in :class:`kgdyn.koopman.Covariances`.
    """

    sums: dict[str, Float]
    block_of: Int | None = None
    target_of: Int | None = None

    @property
    def n_blocks(self) -> int:
        return len(next(iter(self.sums.values())))

    def without_each(self, share: float = 1.0) -> BlockSums:
        """(n_blocks) combined blocks: the sum over all, less ``share`` of one of them."""
        return BlockSums({n: v.sum(axis=0) - share * v for n, v in self.sums.items()})

    def combined(self, weights: Float | None = None) -> BlockSums:
        """One block for each row of ``weights`` (n_samples, n_blocks): all of them if not given."""
        matrix = np.ones((1, self.n_blocks)) if weights is None else np.atleast_2d(weights)
        return BlockSums({n: np.tensordot(matrix, v, axes=1) for n, v in self.sums.items()})


class Piece(NamedTuple):
    """Frames of one trajectory that lie in one block of time, and the rows of their targets."""

    trajectory: int
    start: int
    stop: int
    rows: Int  # (n_targets,)


def plan_blocks(
    offsets: Sequence[Int], n_targets: Sequence[int], resampling: Resampling
) -> tuple[list[Piece], Int | None, Int | None]:
    """Which frames and targets are added to which row of the sums.

    Segments are cut into equal blocks of about ``resampling.block_length`` frames; no block crosses
    a border. Trajectories with as many targets are taken as parts of one system, and more than 60
    targets are joined into 60 groups where targets and blocks of time are combined.

    Parameters
    ----------
    offsets : sequence of (n_segments + 1,) arrays of int
        Borders of the segments of each trajectory.
    n_targets : sequence of int
        Of each trajectory.
    resampling : Resampling

    Returns
    -------
    pieces, block_of (n_rows,) or None, target_of (n_rows,) or None
    """
    apart = resampling.by_target or resampling.two_way
    systems = sorted(set(n_targets))
    first = dict(zip(systems, np.cumsum([0, *systems]).tolist(), strict=False))
    total = sum(systems)
    n_groups = min(total, TARGET_GROUPS) if resampling.two_way else total
    places: dict[tuple[int, int], int] = {}
    pieces = []
    n_blocks = 0
    for number, (borders, count) in enumerate(zip(offsets, n_targets, strict=True)):
        groups = np.zeros(count, np.int64)
        if apart:
            groups = (first[count] + np.arange(count)) * n_groups // total
        for low, high in pairwise(borders.tolist()):
            parts = 1
            if not resampling.by_target:
                parts = max(1, min(high - low, round((high - low) / resampling.block_length)))
            edges = np.round(np.linspace(low, high, parts + 1)).astype(np.int64).tolist()
            for start, stop in pairwise(edges):
                block = 0 if resampling.by_target else n_blocks
                rows = [places.setdefault((block, g), len(places)) for g in groups.tolist()]
                pieces.append(Piece(number, start, stop, np.array(rows, np.int64)))
                n_blocks += 1
    owners = np.array(list(places), np.int64)
    if not resampling.two_way:
        return pieces, None, None
    return pieces, owners[:, 0], owners[:, 1]


def chosen_resampling(
    segments: Sequence[Float] | None, lengths: Sequence[int], n_targets: int, lagtime: int
) -> Resampling:
    """Blocks as :func:`kgdyn.koopman.resampling_for` makes them; targets where frames are few.

    Parameters
    ----------
    segments : list of (n_frames, n_targets, n_states) arrays, or None without states
        Without states blocks are a twentieth of all frames.
    lengths : sequence of int
        Frames of each segment.
    n_targets : int
        Of the trajectory that has fewest.
    lagtime : int, frames
    """
    n_frames = sum(lengths)
    if n_frames < FEWEST_BLOCKS or max(lengths) <= lagtime:
        return Resampling(block_length=1, by_target=n_targets > 1)
    if segments is None:
        return Resampling(block_length=max(1, n_frames // _BLOCKS_WITHOUT_STATES))
    return resampling_for(segments, lagtime)


def block_intervals(
    resampling: Resampling,
    blocks: BlockSums,
    statistics: Callable[[dict[str, Float]], dict[str, Float]],
    scales: dict[str, Scale] | None = None,
) -> tuple[dict[str, Float], dict[str, Interval]]:
    """Quantities of all blocks together, and their 95% intervals, by name.

    Parameters
    ----------
    resampling : Resampling
    blocks : BlockSums
    statistics : callable
        Maps sums (n_samples, ...) to quantities (n_samples, ...), both by name.
    scales : dict, optional
        As for :meth:`kgdyn.koopman.Resampling.intervals`.

    Warns
    -----
    RuntimeWarning
        If there are fewer than 10 blocks. With one block alone all bounds are NaN.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = {n: v[0] for n, v in statistics(blocks.combined().sums).items()}
        if blocks.n_blocks < 2:
            warnings.warn(
                "one block of data has no spread to make intervals of: their bounds are NaN; use "
                "more frames, a shorter block_length, or several targets with by_target=True",
                RuntimeWarning,
                stacklevel=3,
            )
            return whole, {n: _interval(v * np.nan, v * np.nan) for n, v in whole.items()}
        # The jackknife asks of blocks only what BlockSums offers under the same names.
        same = cast(Covariances, blocks)
        resampling.checked(same)
        found = resampling.intervals(
            same, lambda some: statistics(cast(BlockSums, some).sums), scales or {}
        )
    return whole, {n: _interval(bounds.lower, bounds.upper) for n, bounds in found.items()}


def _interval(lower: Float, upper: Float) -> Interval:
    return Interval(readonly(lower), readonly(upper))
