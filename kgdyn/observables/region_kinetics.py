"""States and their kinetics in parts of a system: bulk against interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman import Interval, Resampling
from kgdyn.koopman._spectrum import koopman_matrices, nontrivial_eigenvalues, relaxation_times
from kgdyn.koopman.intervals import Scale
from kgdyn.observables._block_sums import (
    BlockSums,
    block_intervals,
    chosen_resampling,
    plan_blocks,
)
from kgdyn.observables._inputs import checked_lagtime
from kgdyn.observables._weighted_frames import WeightedSegment, weighted_segments
from kgdyn.trajectories import Trajectory

__all__ = ["RegionKinetics", "region_kinetics"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

_ROWS_AT_ONCE = 2**16
_SCALES: dict[str, Scale] = {
    "populations": "probability",
    "shares": "probability",
    "staying": "probability",
    "koopman_matrix": "probability",
    "timescales": "log",
}


@dataclass(frozen=True, eq=False, repr=False)
class RegionKinetics:
    """Populations, Koopman matrix and timescales of each region.

    Attributes
    ----------
    names : tuple of str
    populations : (n_regions, n_states) array
        Mean state probabilities of the targets in a region, over all frames; rows sum to 1, NaN
        for a region without a target.
    populations_interval : Interval, 95%.
    koopman_matrix : (n_regions, n_states, n_states) array
        K = C00^-1 C0t from the pairs that begin in the region (and end there with ``stay``); rows
        are from-states and sum to 1. NaN where a state is never seen there.
    koopman_matrix_interval : Interval
        95%. A transition that was never seen has no width, which says nothing.
    timescales : (n_regions, n_states - 1) array, ps
        -lagtime / ln(lambda), slowest first; NaN without a relaxation time (a negative or complex
        eigenvalue, or one of at least 1).
    timescales_interval : Interval, 95%.
    shares : (n_regions,) array
        Share of targets, over all frames, that are in each region.
    shares_interval : Interval, 95%.
    staying : (n_regions,) array
        Share of the targets of a region that are in it a lag time later. Where it is far below 1,
        K tells of what becomes of targets that begin there, and not of a region.
    staying_interval : Interval, 95%.
    n_pairs : (n_regions,) array of int
        Pairs of frames times targets that K is made of.
    lagtime : int, frames
    frame_interval : float, ps
    stay : bool
        Pairs end in the region too.
    resampling : Resampling
    """

    names: tuple[str, ...]
    populations: Float
    populations_interval: Interval
    koopman_matrix: Float
    koopman_matrix_interval: Interval
    timescales: Float
    timescales_interval: Interval
    shares: Float
    shares_interval: Interval
    staying: Float
    staying_interval: Interval
    n_pairs: Int
    lagtime: int
    frame_interval: float
    stay: bool
    resampling: Resampling

    @property
    def n_regions(self) -> int:
        return len(self.names)

    @property
    def n_states(self) -> int:
        return int(self.populations.shape[1])

    def __repr__(self) -> str:
        shares = {n: round(float(s), 3) for n, s in zip(self.names, self.shares, strict=True)}
        return (
            f"RegionKinetics(shares={shares}, n_states={self.n_states}, "
            f"lagtime={self.lagtime} frames = {self.lagtime * self.frame_interval:g} ps, "
            f"stay={self.stay}, intervals={self.resampling.describe()!r})"
        )


def region_kinetics(
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    regions: ArrayLike | Sequence[ArrayLike],
    *,
    lagtime: int,
    names: Sequence[str] | None = None,
    stay: bool = False,
    resampling: Resampling | None = None,
) -> RegionKinetics:
    """How states are populated and change, by where a target is when a pair of frames begins.

    Targets enter and leave regions, so K of a region is the dynamics of the targets that begin
    there. With ``stay``, pairs end there as well: of a region that targets leave quickly this keeps
    slow ones, and its K is that of a selected part. In between a target may have been elsewhere.

    Parameters
    ----------
    trajectories : Trajectory, or a sequence of them
    state_probabilities : (n_frames, n_targets, n_states) array, or one a trajectory
    regions : (n_frames, n_targets) array of int, or one a trajectory
        Region of each target, from 0; negative in none of them.
        :func:`kgdyn.observables.slab_regions` makes them.
    lagtime : int, frames
    names : sequence of str, optional
        Of all regions; "region 1" and so on if not given.
    stay : bool
    resampling : Resampling, optional
        Blocks for the intervals. :func:`kgdyn.koopman.resampling_for` chooses them at ``lagtime``
        if not given; targets that stay in a region for long need longer ones.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit together, a lag time longer than every segment, no target in
        any region, or names that are too few.

    Warns
    -----
    RuntimeWarning
        If intervals rest on too little.
    """
    lagtime = checked_lagtime("lagtime", lagtime)
    segments = weighted_segments(trajectories, state_probabilities)
    longest = max(segment.n_frames for segment in segments)
    if lagtime >= longest:
        raise ValueError(
            f"lagtime must be shorter than the longest segment, which has {longest} frames, "
            f"received {lagtime}"
        )
    labels = _labels(segments, regions)
    n_regions = 1 + max(int(own.max()) for own in labels)
    if n_regions < 1:
        raise ValueError("regions: at least one target must be in one, received none")
    names = [f"region {k + 1}" for k in range(n_regions)] if names is None else list(names)
    if len(names) < n_regions or len(set(names)) != len(names):
        raise ValueError(f"names must be of all {n_regions} regions, each once, received {names}")
    n_regions, n_states = len(names), segments[0].probabilities.shape[2]
    frame_interval = segments[0].trajectory.frame_interval
    lengths = [segment.n_frames for segment in segments]
    n_targets = [segment.trajectory.n_targets for segment in segments]
    if resampling is None:
        states = [segment.own_probabilities() for segment in segments]
        resampling = chosen_resampling(states, lengths, min(n_targets), lagtime)
    pieces, block_of, target_of = plan_blocks(
        [np.array([0, length]) for length in lengths], n_targets, resampling
    )
    n_rows = 1 + max(int(piece.rows.max()) for piece in pieces)
    sums = {
        "inside": np.zeros((n_rows, n_regions, n_states)),
        "cov_00": np.zeros((n_rows, n_regions, n_states, n_states)),
        "cov_0t": np.zeros((n_rows, n_regions, n_states, n_states)),
        "begin": np.zeros((n_rows, n_regions)),
        "remain": np.zeros((n_rows, n_regions)),
        "all": np.zeros((n_rows, 1)),
    }
    for piece in pieces:
        segment, own = segments[piece.trajectory], labels[piece.trajectory]
        for part in _parts(segment, own, piece.start, piece.stop, lagtime):
            _add(sums, part, piece.rows, stay)

    def statistics(sums: dict[str, Float]) -> dict[str, Float]:
        targets = sums["inside"].sum(axis=-1)
        # What is left of a block's own targets by rounding is no target.
        seen = np.where(targets > 1e-9, targets, np.nan)
        begin = np.where(sums["begin"] > 1e-9, sums["begin"], np.nan)
        matrices = koopman_matrices(sums["cov_00"], sums["cov_0t"])
        values = nontrivial_eigenvalues(matrices)
        return {
            "populations": sums["inside"] / seen[..., None],
            "koopman_matrix": matrices,
            "timescales": relaxation_times(values, lagtime * frame_interval),
            "shares": targets / sums["all"],
            "staying": sums["remain"] / begin,
        }

    found, intervals = block_intervals(
        resampling, BlockSums(sums, block_of, target_of), statistics, _SCALES
    )
    values: dict[str, Any] = {name: readonly(value) for name, value in found.items()}
    values |= {f"{name}_interval": interval for name, interval in intervals.items()}
    n_pairs = sums["remain" if stay else "begin"].sum(axis=0)
    return RegionKinetics(
        names=tuple(names),
        n_pairs=readonly(np.rint(n_pairs), np.int64),
        lagtime=lagtime,
        frame_interval=frame_interval,
        stay=stay,
        resampling=resampling,
        **values,
    )


def _labels(segments: Sequence[WeightedSegment], regions: Any) -> list[Int]:
    """Regions of each segment, (n_frames, n_targets)."""
    runs = [segment.trajectory for segment in segments if segment.start == 0]
    several = [regions] if isinstance(regions, np.ndarray) and regions.ndim == 2 else list(regions)
    if several and not isinstance(regions, np.ndarray) and np.ndim(several[0]) == 1:
        several = [np.asarray(several)]
    if len(several) != len(runs):
        raise ValueError(
            f"regions must be one array for each trajectory, received {len(several)} for "
            f"{len(runs)}"
        )
    found = []
    for run, given in zip(runs, several, strict=True):
        array = np.asarray(given)
        wanted = (run.n_frames, run.n_targets)
        if array.shape != wanted or array.dtype.kind not in "iub":
            raise ValueError(
                f"{run.source}: regions must be integers of shape (n_frames, n_targets) = "
                f"{wanted}, received {array.dtype} of shape {array.shape}"
            )
        found += np.split(array.astype(np.int64), run.offsets[1:-1])
    return found


class _Part(NamedTuple):
    """Some frames, and what comes a lag time after the first of them."""

    states: Float
    labels: Int
    later: Float  # as many as there are pairs
    later_labels: Int


def _parts(
    segment: WeightedSegment, labels: Int, start: int, stop: int, lagtime: int
) -> Iterator[_Part]:
    step = max(1, _ROWS_AT_ONCE // segment.trajectory.n_targets)
    for low in range(start, stop, step):
        high = min(low + step, stop)
        first = min(low + lagtime, segment.n_frames)
        last = min(high + lagtime, segment.n_frames)
        yield _Part(
            segment.weights(low, high),
            labels[low:high],
            segment.weights(first, last),
            labels[first:last],
        )


def _add(sums: dict[str, Float], part: _Part, rows: Int, stay: bool) -> None:
    n_regions = sums["begin"].shape[1]
    n_pairs = len(part.later)
    np.add.at(sums["all"], rows, float(len(part.states)))
    for region in range(n_regions):
        here = (part.labels == region).astype(np.float64)
        inside = np.einsum("ft,fti->ti", here, part.states)
        np.add.at(sums["inside"][:, region], rows, inside)
        begin = here[:n_pairs]
        both = begin * (part.later_labels == region)
        np.add.at(sums["begin"][:, region], rows, begin.sum(axis=0))
        np.add.at(sums["remain"][:, region], rows, both.sum(axis=0))
        weighted = (both if stay else begin)[..., None] * part.states[:n_pairs]
        for name, other in (("cov_00", part.states[:n_pairs]), ("cov_0t", part.later)):
            products = np.einsum("fti,ftj->tij", weighted, other)
            np.add.at(sums[name][:, region], rows, products)
