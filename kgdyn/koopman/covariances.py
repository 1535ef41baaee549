"""Covariances of state probabilities a lag time apart, block by block."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly

__all__ = ["Covariances", "as_segments", "block_covariances"]


@dataclass(frozen=True)
class Covariances:
    """Sums over pairs of frames, mean not removed, for each of some blocks of data.

    Attributes
    ----------
    cov_00, cov_0t, cov_tt : (n_blocks, n_states, n_states) arrays of float64
        Sums (not means) of chi(t) chi(t)^T, chi(t) chi(t + lagtime)^T and
        chi(t + lagtime) chi(t + lagtime)^T.
    sum_0, sum_t : (n_blocks, n_states) arrays of float64
        Sums of chi(t) and of chi(t + lagtime).
    n_pairs : (n_blocks,) array of float64
        Pairs of frames times targets.
    lagtime : int, frames.
    block_of, target_of : (n_blocks,) arrays of int, or None
        Which block of time, and which target, a block is of; None once blocks are combined, and
        for targets that are kept together. Segments with the same number of targets are taken as
        parts of one system.
    """

    cov_00: NDArray[np.float64]
    cov_0t: NDArray[np.float64]
    cov_tt: NDArray[np.float64]
    sum_0: NDArray[np.float64]
    sum_t: NDArray[np.float64]
    n_pairs: NDArray[np.float64]
    lagtime: int
    block_of: NDArray[np.int64] | None = None
    target_of: NDArray[np.int64] | None = None

    @property
    def n_blocks(self) -> int:
        return len(self.n_pairs)

    def without_each(self, share: float = 1.0) -> Covariances:
        """(n_blocks) combined blocks: the sum over all blocks, less ``share`` of one of them."""

        def leave(sums: NDArray[np.float64]) -> NDArray[np.float64]:
            return readonly(sums.sum(axis=0) - share * sums)

        return self._each(leave)

    def merged(self, labels: NDArray[np.int64]) -> Covariances:
        """Blocks with the same label added up; one block for each label, in rising order."""
        names, places = np.unique(labels, return_inverse=True)

        def add(sums: NDArray[np.float64]) -> NDArray[np.float64]:
            result = np.zeros((len(names), *sums.shape[1:]))
            np.add.at(result, places, sums)
            return readonly(result)

        return self._each(add)

    def combined(self, weights: ArrayLike | None = None) -> Covariances:
        """One block: the sum over all blocks, each counted ``weights`` times.

        Parameters
        ----------
        weights : (n_blocks,) or (n_samples, n_blocks) array, optional
            Rows of a matrix give one combined block each (a bootstrap).
        """
        matrix = np.ones((1, self.n_blocks)) if weights is None else np.atleast_2d(weights)

        def add(sums: NDArray[np.float64]) -> NDArray[np.float64]:
            return readonly(np.tensordot(matrix, sums, axes=1))

        return self._each(add)

    def _each(self, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Covariances:
        return Covariances(
            change(self.cov_00),
            change(self.cov_0t),
            change(self.cov_tt),
            change(self.sum_0),
            change(self.sum_t),
            change(self.n_pairs),
            self.lagtime,
        )


def as_segments(
    state_probabilities: ArrayLike | Sequence[ArrayLike],
) -> list[NDArray[np.float64]]:
    """One array (n_frames, n_targets, n_states) a gap-free segment, checked, float64.

    Parameters
    ----------
    state_probabilities : array (n_frames, n_targets, n_states) or (n_frames, n_states), or a
        sequence of such arrays, one for each segment or trajectory.

    Raises
    ------
    ValueError
        For another shape, different numbers of states, values that are not finite, or rows that
        do not sum to 1.
    """
    parts: Sequence[Any] = (
        [state_probabilities]
        if isinstance(state_probabilities, np.ndarray)
        else list(state_probabilities)  # type: ignore[arg-type]
    )
    segments: list[NDArray[np.float64]] = []
    for number, values in enumerate(parts):
        segment = np.asarray(values, dtype=np.float64)
        if segment.ndim == 2:
            segment = segment[:, None, :]
        if segment.ndim != 3 or 0 in segment.shape or segment.shape[2] < 2:
            raise ValueError(
                "state_probabilities must have shape (n_frames, n_targets, n_states) with at "
                f"least two states, received {np.shape(values)} for segment {number}"
            )
        if segments and segment.shape[2] != segments[0].shape[2]:
            raise ValueError(
                "state_probabilities must have the same number of states in all segments, "
                f"received {segments[0].shape[2]} and {segment.shape[2]}"
            )
        finite = np.isfinite(segment).all(axis=(1, 2))
        if not finite.all():
            raise ValueError(
                "state_probabilities must be finite, received NaN or infinity in segment "
                f"{number}, frame {int(np.argmin(finite))}"
            )
        off = np.abs(segment.sum(axis=2) - 1.0).max(axis=1)
        if off.max() > 1e-4:
            frame = int(np.argmax(off))
            raise ValueError(
                "rows of state_probabilities must sum to 1, received a sum of "
                f"{segment[frame].sum(axis=-1)[0]:.6g} in segment {number}, frame {frame}"
            )
        segments.append(segment)
    if not segments:
        raise ValueError("state_probabilities: at least one segment is needed, received none")
    return segments


def block_covariances(
    segments: Sequence[NDArray[np.float64]],
    lagtime: int,
    block_length: int | None = None,
    by_target: bool = False,
) -> Covariances:
    """Sum products over pairs, kept apart by blocks of time and, on request, by target.

    A pair belongs to the block that its first frame lies in.

    Parameters
    ----------
    segments : list of (n_frames, n_targets, n_states) arrays, as :func:`as_segments` returns.
    lagtime : int, frames, at least 1.
    block_length : int, frames, optional
        One block a segment if not given. Segments are cut into equal blocks of about this length.
    by_target : bool
        One block for each target (of each time block).

    Raises
    ------
    ValueError
        If no segment is longer than ``lagtime``.
    """
    if lagtime < 1:
        raise ValueError(f"lagtime must be at least 1 frame, received {lagtime}")
    if all(len(segment) <= lagtime for segment in segments):
        raise ValueError(
            "lagtime must be shorter than the longest segment, which has "
            f"{max(len(segment) for segment in segments)} frames, received {lagtime}"
        )
    sums: list[list[NDArray[np.float64]]] = [[] for _ in range(6)]
    owners: list[tuple[int, int, int]] = []
    n_time = 0
    for segment in segments:
        n_pairs = len(segment) - lagtime
        if n_pairs <= 0:
            continue
        n_blocks = 1 if block_length is None else max(1, round(n_pairs / block_length))
        for start, stop in _equal_parts(n_pairs, n_blocks):
            now, later = segment[start:stop], segment[start + lagtime : stop + lagtime]
            if by_target:  # (n_targets, n_frames, n_states)
                now, later = now.transpose(1, 0, 2), later.transpose(1, 0, 2)
            else:
                now, later = (part.reshape(1, -1, part.shape[2]) for part in (now, later))
            turned = now.transpose(0, 2, 1)
            found = (
                turned @ now,
                turned @ later,
                later.transpose(0, 2, 1) @ later,
                now.sum(axis=1),
                later.sum(axis=1),
                np.full(len(now), float(now.shape[1])),
            )
            for store, values in zip(sums, found, strict=True):
                store.append(values)
            owners += [(n_time, segment.shape[1], target) for target in range(len(now))]
            n_time += 1
    systems = sorted({owner[1:] for owner in owners})
    names = {system: number for number, system in enumerate(systems)}
    cov_00, cov_0t, cov_tt, sum_0, sum_t, count = (
        readonly(np.concatenate(store)) for store in sums
    )
    return Covariances(
        cov_00,
        cov_0t,
        cov_tt,
        sum_0,
        sum_t,
        count,
        lagtime,
        block_of=readonly([owner[0] for owner in owners], np.int64),
        target_of=readonly([names[owner[1:]] for owner in owners], np.int64) if by_target else None,
    )


def _equal_parts(length: int, n_parts: int) -> list[tuple[int, int]]:
    borders = np.round(np.linspace(0, length, n_parts + 1)).astype(int)
    return [(int(a), int(b)) for a, b in itertools.pairwise(borders) if b > a]
