"""Sums over the pairs of frames of one segment, at several lag times at once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["PairSums", "equal_borders", "segment_sums"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]


class PairSums(NamedTuple):
    """Of one segment at one lag time; axes: block of time, target (or one for all), states."""

    cov_00: Float
    cov_0t: Float
    cov_tt: Float
    sum_0: Float
    sum_t: Float
    n_pairs: Float


def equal_borders(n_pairs: int, n_blocks: int, keep_empty: bool = False) -> Int:
    """(n_blocks + 1,) first frames of equal blocks, and their end; fewer without empty ones."""
    borders = np.round(np.linspace(0, n_pairs, n_blocks + 1)).astype(np.int64)
    return borders if keep_empty else np.unique(borders)


def segment_sums(
    segment: Float, lagtimes: Sequence[int], borders: Sequence[Int], by_target: bool
) -> list[PairSums]:
    """Sums of each lag time, in blocks of its own borders.

    Parameters
    ----------
    segment : (n_frames, n_targets, n_states) array
    lagtimes : sequence of int, frames
    borders : sequence of (n_blocks + 1,) arrays of int
        Of the first frames of pairs, for each lag time.
    by_target : bool
    """
    # A block's first frames and its later ones each fill whole stretches between these points.
    points = np.unique(
        np.concatenate(
            [
                np.zeros(1, dtype=np.int64),
                *(part + lag for part, own in _zip(borders, lagtimes) for lag in (0, own)),
            ]
        ).clip(max=len(segment))
    )
    n_kept = segment.shape[1] if by_target else 1
    n_states = segment.shape[2]
    squares = np.zeros((max(len(points) - 1, 0), n_kept, n_states, n_states))
    means = np.zeros((len(squares), n_kept, n_states))
    for number, (start, stop) in enumerate(itertools.pairwise(points)):
        part = _apart(segment[start:stop], by_target)
        squares[number] = part.swapaxes(1, 2) @ part
        means[number] = (np.ones((1, part.shape[1])) @ part)[:, 0]
    found = []
    for own, lagtime in _zip(borders, lagtimes):
        now, later = (np.searchsorted(points, own + lag) for lag in (0, lagtime))
        crossed = np.zeros((len(own) - 1, n_kept, n_states, n_states))
        for number, (start, stop) in enumerate(itertools.pairwise(own)):
            if stop > start:
                first = _apart(segment[start:stop], by_target)
                second = _apart(segment[start + lagtime : stop + lagtime], by_target)
                crossed[number] = first.swapaxes(1, 2) @ second
        n_together = 1 if by_target else segment.shape[1]
        count = np.diff(own)[:, None] * np.full((1, n_kept), float(n_together))
        found.append(
            PairSums(
                cov_00=_added(squares, now),
                cov_0t=crossed,
                cov_tt=_added(squares, later),
                sum_0=_added(means, now),
                sum_t=_added(means, later),
                n_pairs=count,
            )
        )
    return found


def _zip(borders: Sequence[Int], lagtimes: Sequence[int]) -> list[tuple[Int, int]]:
    return list(zip(borders, lagtimes, strict=True))


def _apart(frames: Float, by_target: bool) -> Float:
    """(n_targets, n_frames, n_states), or all in one row."""
    return frames.transpose(1, 0, 2) if by_target else frames.reshape(1, -1, frames.shape[2])


def _added(values: Float, places: Int) -> Float:
    """Sums of ``values`` from each place up to the next."""
    result = np.zeros((len(places) - 1, *values.shape[1:]))
    filled = np.diff(places) > 0
    if filled.any():
        result[filled] = np.add.reduceat(values[: places[-1]], places[:-1][filled], axis=0)
    return result
