"""Covariances of state probabilities a lag time apart, block by block."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
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
    """

    cov_00: NDArray[np.float64]
    cov_0t: NDArray[np.float64]
    cov_tt: NDArray[np.float64]
    sum_0: NDArray[np.float64]
    sum_t: NDArray[np.float64]
    n_pairs: NDArray[np.float64]
    lagtime: int

    @property
    def n_blocks(self) -> int:
        return len(self.n_pairs)

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

        return Covariances(
            add(self.cov_00),
            add(self.cov_0t),
            add(self.cov_tt),
            add(self.sum_0),
            add(self.sum_t),
            add(self.n_pairs),
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
    parts: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for segment in segments:
        n_pairs = len(segment) - lagtime
        if n_pairs <= 0:
            continue
        n_blocks = 1 if block_length is None else max(1, round(n_pairs / block_length))
        for start, stop in _equal_parts(n_pairs, n_blocks):
            now, later = segment[start:stop], segment[start + lagtime : stop + lagtime]
            if by_target:
                parts += [(now[:, k], later[:, k]) for k in range(segment.shape[1])]
            else:
                n_states = segment.shape[2]
                parts.append((now.reshape(-1, n_states), later.reshape(-1, n_states)))
    return Covariances(
        cov_00=readonly(np.stack([now.T @ now for now, _ in parts])),
        cov_0t=readonly(np.stack([now.T @ later for now, later in parts])),
        cov_tt=readonly(np.stack([later.T @ later for _, later in parts])),
        sum_0=readonly(np.stack([now.sum(axis=0) for now, _ in parts])),
        sum_t=readonly(np.stack([later.sum(axis=0) for _, later in parts])),
        n_pairs=readonly(np.array([float(len(now)) for now, _ in parts])),
        lagtime=lagtime,
    )


def _equal_parts(length: int, n_parts: int) -> list[tuple[int, int]]:
    borders = np.round(np.linspace(0, length, n_parts + 1)).astype(int)
    return [(int(a), int(b)) for a, b in itertools.pairwise(borders) if b > a]
