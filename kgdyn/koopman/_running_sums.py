"""Lagged sums of state probabilities that come frame by frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman._running_blocks import TimeBlocks
from kgdyn.koopman.bootstrap import MANY_TARGETS, TARGET_GROUPS
from kgdyn.koopman.covariances import Covariances

__all__ = ["RunningSums"]

Float = NDArray[np.float64]

_BLOCKS = 1024
_GROUPED_BLOCKS = 64
# Numbers in the frames that are added up at once.
_CHUNK = 2**16


class RunningSums:
    """Sums over pairs of frames at several lag times, by blocks of time.

    Frames are copied into a buffer, behind as many older ones as the longest lag time needs, and
    added up many at once: when the buffer is full, or when a result is asked for.

    Kept are, each in a fixed amount of memory: sums over all targets in up to 1024 blocks of time;
    for at least 20 targets also sums in up to 64 blocks of time of each target, or of each of 60
    groups of targets if there are more (the groups that :class:`Resampling` makes too); and
    the mean state probabilities of each target or group in up to 1024 blocks of time.

    Parameters
    ----------
    n_states, n_targets : int
    lagtimes : sequence of int, frames
    """

    def __init__(self, n_states: int, n_targets: int, lagtimes: Sequence[int]) -> None:
        self.n_states, self.n_targets = n_states, n_targets
        self.lagtimes = tuple(lagtimes)
        self.n_frames = 0
        n_groups = min(n_targets, TARGET_GROUPS)
        group_of = np.arange(n_targets) * n_groups // n_targets
        self.group_sizes = np.bincount(group_of, minlength=n_groups)
        widest = int(self.group_sizes.max())
        # Groups are padded with zeros to one size: a target's place among n_groups * widest.
        firsts = np.concatenate([[0], np.cumsum(self.group_sizes)[:-1]])
        self._places = group_of * widest + np.arange(n_targets) - firsts[group_of]
        self._grouped = n_targets >= MANY_TARGETS
        longest = max(self.lagtimes)
        self._chunk = int(np.clip(_CHUNK // (n_groups * widest * n_states), 32, 1024))
        length = 2 * longest + self._chunk
        self._frames = np.zeros((length, n_groups, widest, n_states))
        self._held = self._done = 0

        self._square = n_states**2
        single = self._square + n_states  # chi chi^T and chi
        width = 2 * single + self._square + 1  # of the first frame, of the later, crossed, number
        self._single = single
        self.states = TimeBlocks(_BLOCKS, (n_groups, n_states))
        n_lagtimes = len(self.lagtimes)
        # Each record: its blocks, what single frames add to it, and how many targets a group has.
        self._records = [
            (
                TimeBlocks(_BLOCKS, (n_lagtimes, 1, width)),
                np.zeros((length, 1, single)),
                np.array([n_targets]),
            )
        ]
        if self._grouped:
            self._records.append(
                (
                    TimeBlocks(_GROUPED_BLOCKS, (n_lagtimes, n_groups, width)),
                    np.zeros((length, n_groups, single)),
                    self.group_sizes,
                )
            )
        self.changes = np.zeros(n_targets, dtype=np.int64)
        self.n_steps = 0

    def begin_segment(self) -> None:
        """Frames to come are not paired with those before."""
        self.absorb()
        self._held = self._done = 0

    def append(self, frames: Float) -> None:
        """(n_frames, n_targets, n_states) of the current segment."""
        start = 0
        while start < len(frames):
            if self._held == len(self._frames):
                self._make_room()
            # Few at once, as products of them are held in memory.
            stop = min(len(frames), start + self._chunk, start + len(self._frames) - self._held)
            flat = self._frames.reshape(len(self._frames), -1, self.n_states)
            flat[self._held : self._held + stop - start, self._places] = frames[start:stop]
            self._held += stop - start
            self.n_frames += stop - start
            if self._held - self._done >= self._chunk:
                self.absorb()
            start = stop

    def absorb(self) -> None:
        """Add up the frames that wait."""
        new = slice(self._done, self._held)
        n_new = self._held - self._done
        if n_new == 0:
            return
        first = self.n_frames - n_new
        values = self._frames[new]
        sums = values.sum(axis=2)
        self.states.reach(self.n_frames)
        self.states.add(first, sums)
        self._count_changes()
        for number, (blocks, singles, sizes) in enumerate(self._records):
            blocks.reach(self.n_frames)
            frames = self._as_record(self._frames, number)
            singles[new, :, : self._square] = _products(frames[new], frames[new])
            singles[new, :, self._square :] = sums if number else sums.sum(axis=1, keepdims=True)
            for index, lagtime in enumerate(self.lagtimes):
                start, stop = max(0, self._done - lagtime), self._held - lagtime
                if stop > start:
                    self._add_pairs(number, index, start, stop, lagtime, sizes)
        self._done = self._held

    def covariances(self, index: int, *, by_target: bool = False) -> Covariances:
        """Of one lag time (its number), in the kept blocks of time (and groups of targets)."""
        blocks = self._records[1 if by_target else 0][0]
        sums = blocks.sums[:, index]  # (n_blocks, n_groups, width)
        n_groups, width = sums.shape[1:]
        flat = sums.reshape(-1, width)
        n, square, single = self.n_states, self._square, self._single
        shape = (len(flat), n, n)
        labels = np.arange(len(flat))
        return Covariances(
            cov_00=flat[:, :square].reshape(shape),
            cov_0t=flat[:, 2 * single : 2 * single + square].reshape(shape),
            cov_tt=flat[:, single : single + square].reshape(shape),
            sum_0=flat[:, square:single],
            sum_t=flat[:, single + square : 2 * single],
            n_pairs=flat[:, -1],
            lagtime=self.lagtimes[index],
            block_of=labels // n_groups,
            target_of=labels % n_groups if by_target else None,
        )

    def frame_sums(self, *, by_target: bool = False) -> Covariances:
        """Of lag time 0, in the blocks of :meth:`covariances`: ``sum_0`` and ``n_pairs`` only."""
        blocks, sums = self.states, self.states.sums  # (n_blocks, n_groups, n_states)
        counts = np.full(len(sums), float(blocks.block_length))
        counts[-1] = self.n_frames - blocks.block_length * (len(sums) - 1)
        pairs: Float = counts[:, None] * self.group_sizes
        if by_target:  # blocks of that record are twice as long, or four times, ...
            ratio = self.block_length(by_target=True) // blocks.block_length
            borders = np.arange(0, len(sums), ratio)
            sums, pairs = (np.add.reduceat(part, borders, axis=0) for part in (sums, pairs))
        else:
            sums, pairs = (part.sum(axis=1, keepdims=True) for part in (sums, pairs))
        n_groups = sums.shape[1]
        flat = sums.reshape(-1, self.n_states)
        nothing = np.zeros((len(flat), 0, 0))
        labels = np.arange(len(flat))
        return Covariances(
            nothing,
            nothing,
            nothing,
            flat,
            flat,
            pairs.ravel(),
            lagtime=0,
            block_of=labels // n_groups,
            target_of=labels % n_groups if by_target else None,
        )

    def block_length(self, *, by_target: bool = False) -> int:
        """Frames in a kept block."""
        return self._records[1 if by_target else 0][0].block_length

    def _as_record(self, frames: Float, number: int) -> Float:
        """(n_frames, n_groups, targets in a group, n_states): all in one group for the first."""
        return frames if number else frames.reshape(len(frames), 1, -1, self.n_states)

    def _add_pairs(
        self, number: int, index: int, start: int, stop: int, lagtime: int, sizes: NDArray[np.int64]
    ) -> None:
        blocks, singles, _ = self._records[number]
        frames = self._as_record(self._frames, number)
        now, later = slice(start, stop), slice(start + lagtime, stop + lagtime)
        first = self.n_frames - self._held + start
        single = self._single
        crossed = _products(frames[now], frames[later])
        number_of = np.broadcast_to(sizes.astype(np.float64), (stop - start, len(sizes)))
        for values, columns in (
            (singles[now], slice(0, single)),
            (singles[later], slice(single, 2 * single)),
            (crossed, slice(2 * single, 2 * single + self._square)),
            (number_of, -1),
        ):
            blocks.add(first, values, (index, slice(None), columns))

    def _count_changes(self) -> None:
        begin = max(0, self._done - 1)
        labels = self._frames[begin : self._held].argmax(axis=-1)
        changed = (labels[1:] != labels[:-1]).sum(axis=0).ravel()
        self.changes += changed[self._places]
        self.n_steps += len(labels) - 1

    def _make_room(self) -> None:
        self.absorb()
        kept = max(self.lagtimes)
        for store in (self._frames, *(singles for _, singles, _ in self._records)):
            store[:kept] = store[self._held - kept : self._held].copy()
        self._held = self._done = kept


def _products(now: Float, later: Float) -> Float:
    """Sums of chi chi^T over the targets of each group: (n_frames, n_groups, n_states^2)."""
    result = now.swapaxes(-1, -2) @ later
    return result.reshape(*result.shape[:2], -1)
