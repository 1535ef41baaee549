"""Sums over lagged pairs of features, and of state probabilities beside them, as they stream by."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from kgdyn.baselines._sums import LaggedSums
from kgdyn.baselines.neighbor_distances import NeighborDistances
from kgdyn.trajectories import Trajectory

Float = NDArray[np.float64]
Progress = Callable[[int, int], None]


def segments_of(trajectories: Sequence[Trajectory]) -> list[tuple[Trajectory, int, int]]:
    """Trajectory, first frame and last frame + 1 of each gap-free segment."""
    return [
        (trajectory, int(start), int(stop))
        for trajectory in trajectories
        for start, stop in itertools.pairwise(trajectory.offsets)
    ]


def lagged_sums(
    trajectories: Sequence[Trajectory],
    features: NeighborDistances,
    lagtimes: Sequence[int],
    block_length: int | None = None,
    n_target_groups: int = 1,
    state_probabilities: Sequence[Float] | None = None,
    progress: Progress | None = None,
) -> list[LaggedSums]:
    """Covariance sums of features, followed by all state probabilities but the last.

    Parameters
    ----------
    trajectories : sequence of Trajectory
    features : NeighborDistances
    lagtimes : sequence of int, frames, ascending
        Blocks are those of the first, which a segment must exceed to count.
    block_length : int, frames, optional
        Segments are cut into equal blocks of about this length, one block each if not given; a
        pair belongs to the block of its first frame. With several groups of targets there are no
        blocks of time.
    n_target_groups : int
        Above 1: one block for each group of targets, every n-th target, over all segments.
    state_probabilities : one (n_frames, n_targets, n_states) array a segment, optional
    progress : callable, optional
        Called with the frames done and the frames in all.

    Returns
    -------
    LaggedSums for each lag time, about the mean of the first frames (which changes nothing once
    the mean is removed, and keeps digits). A block without a pair at a longer lag time is zero.
    """
    segments = segments_of(trajectories)
    n_frames = sum(stop - start for _, start, stop in segments)
    blocks = _Blocks(n_target_groups, len(lagtimes))
    done = 0
    for number, (trajectory, start, stop) in enumerate(segments):
        n_pairs = stop - start - lagtimes[0]
        if n_pairs >= 1:
            n_blocks = 1 if block_length is None else max(1, round(n_pairs / block_length))
            blocks.open(n_pairs, n_blocks)
            waiting = [_Waiting(lagtime) for lagtime in lagtimes]
            for begin, end, values in features.chunks(trajectory, start, stop):
                if state_probabilities is not None:
                    chi = state_probabilities[number][begin - start : end - start, :, :-1]
                    values = np.concatenate([values, chi], axis=2)
                for which, queue in enumerate(waiting):
                    for first, now, later in queue.pairs(values):
                        blocks.add(which, first, now, later)
                if progress is not None:
                    progress(done + end - start, n_frames)
        done += stop - start
    return [blocks.result(which) for which in range(len(lagtimes))]


class _Waiting:
    """The last frames of a stream, which wait for those a lag time after them."""

    def __init__(self, lagtime: int) -> None:
        self.lagtime, self.first, self.n_frames = lagtime, 0, 0
        self.values: list[Float] = []

    def pairs(self, values: Float) -> Iterator[tuple[int, Float, Float]]:
        """First frame of the new pairs; values at t; values at t + lagtime."""
        self.values.append(values)
        self.n_frames += len(values)
        if self.n_frames > self.lagtime:
            joined = np.concatenate(self.values)
            yield self.first, joined[: -self.lagtime], joined[self.lagtime :]
            self.first += len(joined) - self.lagtime
            self.values, self.n_frames = [joined[-self.lagtime :]], self.lagtime


class _Blocks:
    """Sums of each block: of a stretch of time, or of a group of targets."""

    def __init__(self, n_groups: int, n_lagtimes: int) -> None:
        self.n_groups = n_groups
        self.sums: list[dict[int, list[Float]]] = [{} for _ in range(n_lagtimes)]
        self.offset: Float | None = None
        self.n_opened = 0
        self.borders: list[int] = []

    def open(self, n_pairs: int, n_blocks: int) -> None:
        """A segment begins: its blocks of time are new ones."""
        self.n_opened += max(len(self.borders) - 1, 0)
        n_blocks = 1 if self.n_groups > 1 else n_blocks
        borders = np.unique(np.round(np.linspace(0, n_pairs, n_blocks + 1)))
        self.borders = [int(border) for border in borders]

    def add(self, which: int, first: int, now: Float, later: Float) -> None:
        offset = now.mean(axis=(0, 1)) if self.offset is None else self.offset
        self.offset = offset
        for number, (low, high) in enumerate(itertools.pairwise(self.borders)):
            begin, end = max(low - first, 0), min(high - first, len(now))
            if begin >= end:
                continue
            for group in range(self.n_groups):
                part = (slice(begin, end), slice(group, None, self.n_groups))
                name = group if self.n_groups > 1 else self.n_opened + number
                _add(self.sums[which], name, now[part] - offset, later[part] - offset)

    def result(self, which: int) -> LaggedSums:
        names = sorted(self.sums[0])
        nothing = [np.zeros_like(array) for array in self.sums[0][names[0]]]
        rows = [self.sums[which].get(name, nothing) for name in names]
        cov_00, cov_0t, cov_tt, sum_0, sum_t, n_pairs = map(np.stack, zip(*rows, strict=True))
        return LaggedSums(cov_00, cov_0t, cov_tt, sum_0, sum_t, n_pairs)


def _add(sums: dict[int, list[Float]], name: int, now: Float, later: Float) -> None:
    """The products of some frames' values to those of a block."""
    if now.size == 0:
        return
    x, y = now.reshape(-1, now.shape[2]), later.reshape(-1, now.shape[2])
    new = [x.T @ x, x.T @ y, y.T @ y, x.sum(axis=0), y.sum(axis=0), np.array(float(len(x)))]
    if name in sums:
        new = [old + more for old, more in zip(sums[name], new, strict=True)]
    sums[name] = new
