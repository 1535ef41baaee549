"""Covariances of state probabilities a lag time apart, block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman._pair_sums import PairSums, equal_borders, segment_sums

__all__ = [
    "Covariances",
    "as_segments",
    "block_covariances",
    "many_block_covariances",
]


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
    return many_block_covariances(segments, [lagtime], block_length, by_target)[0]


def many_block_covariances(
    segments: Sequence[NDArray[np.float64]],
    lagtimes: Sequence[int],
    block_length: int | None = None,
    by_target: bool = False,
    *,
    together: bool = False,
) -> list[Covariances]:
    """The same at several lag times, for which the data are read once.

    Sums over single frames differ between lag times only at the borders of blocks and the ends of
    segments. They are made once, over the stretches between all borders, and added up.

    Parameters
    ----------
    segments, block_length, by_target
        As for :func:`block_covariances`.
    lagtimes : sequence of int, frames
    together : bool
        As many blocks at all lag times as at the first, so that block k is of about the same frames
        at each. Blocks of segments that are too short for a lag time are there, and empty.

    Raises
    ------
    ValueError
        If no segment is longer than the longest lag time.
    """
    for lagtime in lagtimes:
        if lagtime < 1:
            raise ValueError(f"lagtime must be at least 1 frame, received {lagtime}")
        if all(len(segment) <= lagtime for segment in segments):
            raise ValueError(
                "lagtime must be shorter than the longest segment, which has "
                f"{max(len(segment) for segment in segments)} frames, received {lagtime}"
            )
    found: list[list[PairSums]] = [[] for _ in lagtimes]
    for segment in segments:
        borders: list[NDArray[np.int64]] = []
        n_blocks = 0
        for lagtime in lagtimes:
            n_pairs = max(len(segment) - lagtime, 0)
            if not (together and borders):
                n_blocks = 1 if block_length is None else max(1, round(n_pairs / block_length))
                n_blocks = min(n_blocks, n_pairs)
            borders.append(equal_borders(n_pairs, n_blocks, keep_empty=together))
        parts = segment_sums(segment, lagtimes, borders, by_target)
        for store, part in zip(found, parts, strict=True):
            store.append(part)
    n_targets = [segment.shape[1] for segment in segments]
    return [
        _gathered(store, n_targets, lagtime, by_target)
        for store, lagtime in zip(found, lagtimes, strict=True)
    ]


def _gathered(
    parts: Sequence[PairSums], n_targets: Sequence[int], lagtime: int, by_target: bool
) -> Covariances:
    """Blocks of all segments behind each other; of a block of time, one target after the other."""
    owners: list[tuple[int, int, int]] = []
    n_time = 0
    for part, number in zip(parts, n_targets, strict=True):
        n_blocks, n_kept = part.n_pairs.shape
        owners += [(n_time + b, number, t) for b in range(n_blocks) for t in range(n_kept)]
        n_time += n_blocks
    systems = sorted({owner[1:] for owner in owners})
    names = {system: number for number, system in enumerate(systems)}

    def joined(name: str) -> NDArray[np.float64]:
        found = [getattr(part, name) for part in parts]
        return readonly(np.concatenate([values.reshape(-1, *values.shape[2:]) for values in found]))

    return Covariances(
        joined("cov_00"),
        joined("cov_0t"),
        joined("cov_tt"),
        joined("sum_0"),
        joined("sum_t"),
        joined("n_pairs"),
        lagtime,
        block_of=readonly([owner[0] for owner in owners], np.int64),
        target_of=readonly([names[owner[1:]] for owner in owners], np.int64) if by_target else None,
    )
