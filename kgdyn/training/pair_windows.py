"""Pairs of frames that share frames, kept together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.trajectories.lagged_pairs import LaggedPairs

__all__ = ["PairWindows", "pair_windows"]


@dataclass(frozen=True)
class PairWindows:
    """Pairs grouped in windows t, t + lagtime, ..., t + k lagtime.

    Attributes
    ----------
    pairs : (n_pairs,) array of int
        Indices of pairs, window after window.
    lengths : (n_windows,) array of int
        Pairs of each window.
    """

    pairs: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def in_order(self, rng: np.random.Generator | None) -> NDArray[np.int64]:
        """All pairs, windows shuffled by ``rng``; as they are if None."""
        if rng is None:
            return self.pairs
        order = rng.permutation(len(self.lengths))
        ends = np.cumsum(self.lengths)
        starts, lengths = (ends - self.lengths)[order], self.lengths[order]
        offsets = np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
        result: NDArray[np.int64] = self.pairs[np.arange(len(self.pairs)) + offsets]
        return result


def pair_windows(pairs: LaggedPairs, window: int = 1, stride: int = 1) -> PairWindows:
    """Group every ``stride``-th pair in windows of up to ``window`` pairs that continue each other.

    Parameters
    ----------
    pairs : LaggedPairs
    window : int
        At least 1; 1 groups nothing.
    stride : int
        At least 1.
    """
    chosen = np.arange(0, len(pairs), stride)
    if window == 1:
        return PairWindows(chosen, np.ones(len(chosen), np.int64))
    # A chain joins pairs whose first frames differ by the lag time; windows are cut from chains.
    place = {(int(pairs.trajectory[k]), int(pairs.first[k])): int(k) for k in chosen}
    lag = pairs.lagtime
    groups: list[list[int]] = []
    for (trajectory, first), k in place.items():
        if (trajectory, first - lag) in place:
            continue
        chain, frame = [k], first + lag
        while (trajectory, frame) in place:
            chain.append(place[trajectory, frame])
            frame += lag
        groups += [chain[start : start + window] for start in range(0, len(chain), window)]
    return PairWindows(
        np.array([k for group in groups for k in group], np.int64),
        np.array([len(group) for group in groups], np.int64),
    )
