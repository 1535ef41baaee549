"""Whether learned states are what somebody thought: contact counts, true sites, phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman import Interval, Resampling, as_segments
from kgdyn.observables._block_sums import (
    BlockSums,
    block_intervals,
    chosen_resampling,
    plan_blocks,
)

__all__ = ["LabelAgreement", "compare_labels"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class LabelAgreement:
    """States against labels of the same targets in the same frames.

    All but the table go by the most probable state of each target and frame.

    Attributes
    ----------
    table : (n_states, n_labels) array
        Mean of the probability of a state where the label holds; sums to 1.
    table_interval : Interval, 95%.
    adjusted_rand : float
        Agreement of the two partitions corrected for chance: 1 where they are the same, 0 where
        they are independent (Hubert and Arabie, J. Classif. 2, 193 (1985)).
    adjusted_rand_interval : Interval, 95%, arrays of shape (), cut off at -1 and 1.
    explained : float
        Mutual information over the entropy of the labels: what share of the uncertainty of the
        label the state removes, 0 to 1.
    explained_interval : Interval, 95%, cut off at 0 and 1.
    accuracy : float
        Share of targets and frames whose state stands for their label, in the best assignment of
        states to labels one to one.
    accuracy_interval : Interval
        95%, the assignment held fixed.
    commonest_label : float
        Share of the commonest label: the accuracy of saying it always.
    assignment : (n_states,) array of int
        Label that each state stands for, -1 where there are more states than labels.
    names : tuple of str
        Of labels.
    populations : (n_states,) array
        Mean state probabilities.
    n_frames : int
    n_compared : int
        Targets times frames that have a label.
    resampling : Resampling
    """

    table: Float
    table_interval: Interval
    adjusted_rand: float
    adjusted_rand_interval: Interval
    explained: float
    explained_interval: Interval
    accuracy: float
    accuracy_interval: Interval
    commonest_label: float
    assignment: Int
    names: tuple[str, ...]
    populations: Float
    n_frames: int
    n_compared: int
    resampling: Resampling

    @property
    def n_states(self) -> int:
        return len(self.table)

    @property
    def labels_of_states(self) -> Float:
        """(n_states, n_labels) share of each label within a state; rows sum to 1."""
        with np.errstate(invalid="ignore"):
            result: Float = self.table / self.table.sum(axis=1, keepdims=True)
        return result

    @property
    def states_of_labels(self) -> Float:
        """(n_states, n_labels) share of each state within a label; columns sum to 1."""
        with np.errstate(invalid="ignore"):
            result: Float = self.table / self.table.sum(axis=0)
        return result

    def sentence(self) -> str:
        """The agreement in words, whichever way it comes out."""
        low, high = self.adjusted_rand_interval.lower, self.adjusted_rand_interval.upper
        if not np.isfinite(self.adjusted_rand):
            return "there is one state or one label only: nothing to compare"
        if high < 0.1:
            said = "the states are not these labels"
        elif low > 0.8:
            said = "the states are these labels"
        else:
            said = "the states are related to these labels, and not the same"
        return (
            f"{said}: adjusted Rand index {self.adjusted_rand:.2f} ({low:.2f} to {high:.2f}; "
            f"1 the same, 0 by chance); the state removes {100 * self.explained:.0f}% of the "
            f"uncertainty of the label; the best assignment is right in "
            f"{100 * self.accuracy:.0f}% of cases, the commonest label alone in "
            f"{100 * self.commonest_label:.0f}%"
        )

    def __repr__(self) -> str:
        return (
            f"LabelAgreement(n_states={self.n_states}, labels={list(self.names)}, "
            f"adjusted_rand={self.adjusted_rand:.3f}, explained={self.explained:.3f}, "
            f"accuracy={self.accuracy:.3f} (commonest label {self.commonest_label:.3f}), "
            f"intervals={self.resampling.describe()!r})"
        )


def compare_labels(
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    labels: ArrayLike | Sequence[ArrayLike],
    *,
    names: Sequence[str] | None = None,
    resampling: Resampling | None = None,
    lagtime: int = 1,
) -> LabelAgreement:
    """Compare states with given labels.

    Parameters
    ----------
    state_probabilities : (n_frames, n_targets, n_states) array, or one a gap-free segment
    labels : (n_frames, n_targets) array of int, or one a segment
        From 0; negative where there is none, which is left out.
    names : sequence of str, optional
        Of labels, at least as many as there are; their numbers if not given.
    resampling : Resampling, optional
        Blocks for the intervals. :func:`kgdyn.koopman.resampling_for` chooses them at ``lagtime``
        if not given, by the memory of the states; where labels live longer, give longer blocks.
    lagtime : int, frames

    Raises
    ------
    ValueError
        For shapes that do not fit, labels that are no integers, none that is not negative, or
        names that are too few.

    Warns
    -----
    RuntimeWarning
        If intervals rest on too little.
    """
    segments = as_segments(state_probabilities)
    given = _labels(segments, labels)
    n_labels = 1 + max(int(own.max()) for own in given)
    if n_labels < 1:
        raise ValueError("labels: at least one must not be negative, received none")
    names = [str(k) for k in range(n_labels)] if names is None else [str(n) for n in names]
    if len(names) < n_labels:
        raise ValueError(f"names must be of all {n_labels} labels, received {names}")
    n_labels, n_states = len(names), segments[0].shape[2]
    lengths = [len(segment) for segment in segments]
    n_targets = [segment.shape[1] for segment in segments]
    if resampling is None:
        resampling = chosen_resampling(segments, lengths, min(n_targets), lagtime)
    pieces, block_of, target_of = plan_blocks(
        [np.array([0, length]) for length in lengths], n_targets, resampling
    )
    n_rows = 1 + max(int(piece.rows.max()) for piece in pieces)
    sums = {name: np.zeros((n_rows, n_states, n_labels)) for name in ("soft", "hard")}
    for piece in pieces:
        chi = segments[piece.trajectory][piece.start : piece.stop]
        own = given[piece.trajectory][piece.start : piece.stop]
        assigned = chi.argmax(axis=2)
        owners = np.broadcast_to(piece.rows, own.shape)
        good = own >= 0
        np.add.at(sums["hard"], (owners[good], assigned[good], own[good]), 1.0)
        soft = np.swapaxes(sums["soft"], 1, 2)
        np.add.at(soft, (owners[good], own[good]), chi[good])
    whole = sums["hard"].sum(axis=0)
    assignment = _best_assignment(whole)
    matched = np.flatnonzero(assignment >= 0)

    def statistics(sums: dict[str, Float]) -> dict[str, Float]:
        soft, hard = sums["soft"], sums["hard"]
        right = hard[:, matched, assignment[matched]].sum(axis=1)
        return {
            "table": soft / soft.sum(axis=(1, 2), keepdims=True),
            "adjusted_rand": _adjusted_rand(hard),
            "explained": _explained(hard),
            "accuracy": right / hard.sum(axis=(1, 2)),
        }

    blocks = BlockSums(sums, block_of, target_of)
    found, intervals = block_intervals(
        resampling, blocks, statistics, {"table": "probability", "accuracy": "probability"}
    )
    for name, low in (("adjusted_rand", -1.0), ("explained", 0.0)):
        bounds = (intervals[name].lower, intervals[name].upper)
        intervals[name] = Interval(*(readonly(np.clip(bound, low, 1.0)) for bound in bounds))
    total = sum(segment.sum(axis=(0, 1)) for segment in segments)
    return LabelAgreement(
        table=readonly(found["table"]),
        table_interval=intervals["table"],
        adjusted_rand=float(found["adjusted_rand"]),
        adjusted_rand_interval=intervals["adjusted_rand"],
        explained=float(found["explained"]),
        explained_interval=intervals["explained"],
        accuracy=float(found["accuracy"]),
        accuracy_interval=intervals["accuracy"],
        commonest_label=float(whole.sum(axis=0).max() / whole.sum()),
        assignment=readonly(assignment),
        names=tuple(names),
        populations=readonly(total / np.sum(total)),
        n_frames=sum(lengths),
        n_compared=int(whole.sum()),
        resampling=resampling,
    )


def _labels(segments: Sequence[Float], labels: Any) -> list[Int]:
    several = [labels] if isinstance(labels, np.ndarray) else list(labels)
    if several and np.ndim(several[0]) == 0:
        several = [np.asarray(several)]
    if len(several) != len(segments):
        raise ValueError(
            f"labels must be one array for each segment, received {len(several)} for "
            f"{len(segments)}"
        )
    found = []
    for number, (segment, values) in enumerate(zip(segments, several, strict=True)):
        array = np.asarray(values)
        if array.ndim == 1 and segment.shape[1] == 1:
            array = array[:, None]
        if array.shape != segment.shape[:2] or array.dtype.kind not in "iub":
            raise ValueError(
                "labels must be integers of shape (n_frames, n_targets) = "
                f"{segment.shape[:2]}, received {array.dtype} of shape {array.shape} for segment "
                f"{number}"
            )
        found.append(array.astype(np.int64))
    return found


def _best_assignment(table: Float) -> Int:
    from scipy.optimize import linear_sum_assignment

    result = np.full(len(table), -1, np.int64)
    states, labels = linear_sum_assignment(table, maximize=True)
    result[states] = labels
    return result


def _adjusted_rand(tables: Float) -> Float:
    """(n_samples,) of (n_samples, n_states, n_labels) counts."""

    def pairs(counts: Float) -> Float:
        result: Float = 0.5 * counts * (counts - 1.0)
        return result

    both = pairs(tables).sum(axis=(1, 2))
    states = pairs(tables.sum(axis=2)).sum(axis=1)
    labels = pairs(tables.sum(axis=1)).sum(axis=1)
    total = pairs(tables.sum(axis=(1, 2)))
    expected = states * labels / total
    most = 0.5 * (states + labels)
    result: Float = np.where(most > expected, (both - expected) / (most - expected), np.nan)
    return result


def _explained(tables: Float) -> Float:
    """(n_samples,) mutual information over the entropy of labels; NaN for one label alone."""
    from scipy.special import xlogy

    shares = np.clip(tables, 0.0, None) / tables.sum(axis=(1, 2), keepdims=True)
    joint = xlogy(shares, shares).sum(axis=(1, 2))
    states = shares.sum(axis=2)
    labels = shares.sum(axis=1)
    entropy = -xlogy(labels, labels).sum(axis=1)
    information = joint - xlogy(states, states).sum(axis=1) + entropy
    result: Float = np.where(entropy > 1e-12, information / entropy, np.nan)
    return result
