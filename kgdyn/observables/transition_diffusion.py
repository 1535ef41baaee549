"""Diffusion coefficients per transition, per state and in all.

D_ij(lag) = 1 / (2 d) times the slope of E[d^2(t) | i -> j] at t = lag (d = 3 dimensions: 1/6),
after Xie et al., Nat. Commun. 10, 2667 (2019). The slope is the central difference

    [E(lag + w) - E(lag - w)] / (2 w),        E(0) = 0,

whose error is of second order in the half window w. A wider window has less noise.

What does and what does not add up: squared displacements do, sum over ij of share_ij E_ij is the
total mean square displacement, exactly. Slopes do not quite, as the shares change with the lag time
too: sum of share_ij D_ij differs from the total D by sum of E_ij d(share_ij)/dt / (2 d), which
vanishes where states move alike, or at lag times beyond the slowest relaxation. The ratio
E / (2 d lag), ``estimate="ratio"``, adds up exactly, and is the slope where all is
linear from 0 on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import cell_volume, readonly
from kgdyn.koopman import Covariances, Interval, Resampling
from kgdyn.koopman._spectrum import koopman_matrices
from kgdyn.koopman.intervals import Scale, Statistics
from kgdyn.koopman.passage_times import residence_vectors
from kgdyn.observables._displacement_stream import displacement_sums
from kgdyn.observables._displacement_sums import DisplacementSums, sums_of
from kgdyn.observables._inputs import AtomValues, checked_lagtime
from kgdyn.observables._unwrapped import Unwrap
from kgdyn.observables._weighted_frames import WeightedSegment, weighted_segments
from kgdyn.observables.transition_msd import checked_request, readonly_interval
from kgdyn.trajectories import Trajectory

__all__ = ["Estimate", "TransitionDiffusion", "transition_diffusion"]

Float = NDArray[np.float64]
Estimate = Literal["slope", "ratio"]

_SCALES: dict[str, Scale] = {
    "msd": "log",
    "shares": "probability",
    "koopman_matrix": "probability",
    "populations": "probability",
    "residence_times": "log",
}


@dataclass(frozen=True, eq=False)
class TransitionDiffusion:
    """Diffusion coefficients in square angstrom per ps (= 1e-8 m^2/s = 1e-4 cm^2/s).

    Attributes
    ----------
    lagtime : int, frames.
    half_window : int, frames
        The slope is taken over ``lagtime`` plus and minus this.
    frame_interval : float, ps.
    diffusion : (n_states, n_states) array
        Of targets that go from state i (rows) to j within the lag time; NaN where never seen.
    state_diffusion : (n_states,) array
        Of targets that begin in state i.
    total_diffusion : float
        Of all targets.
    msd : (n_states, n_states) array, square angstrom
        At the lag time.
    shares : (n_states, n_states) array
        Share of the pairs at the lag time that go from i to j; sums to 1.
    koopman_matrix : (n_states, n_states) array
        C00^-1 C0t of the same pairs; NaN if a state was never visited.
    populations : (n_states,) array
        Mean state probability of the first frames of pairs.
    residence_times : (n_states,) array, ps
        lag / (1 - K_ii), as :func:`kgdyn.koopman.residence_times`.
    diffusion_interval, ... : Interval
        95%, of the quantity that the name begins with, from the same blocks.
    number_density : float or None
        Targets per cubic angstrom, a mean over frames; None without a cell periodic in all
        directions.
    axes, unwrap, remove_drift
        As asked for.
    estimate : {"slope", "ratio"}
    resampling : Resampling
        How the intervals were made.
    sums : DisplacementSums
        What all this is computed from, block by block.
    """

    lagtime: int
    half_window: int
    frame_interval: float
    diffusion: Float
    state_diffusion: Float
    total_diffusion: float
    msd: Float
    shares: Float
    koopman_matrix: Float
    populations: Float
    residence_times: Float
    diffusion_interval: Interval
    state_diffusion_interval: Interval
    total_diffusion_interval: Interval
    msd_interval: Interval
    shares_interval: Interval
    koopman_matrix_interval: Interval
    populations_interval: Interval
    residence_times_interval: Interval
    number_density: float | None
    axes: str
    unwrap: Unwrap
    remove_drift: bool
    estimate: Estimate
    resampling: Resampling = field(repr=False)
    sums: DisplacementSums = field(repr=False)

    @property
    def n_states(self) -> int:
        return len(self.populations)

    def statistics(self, some: Covariances) -> dict[str, Float]:
        """All quantities with an interval, of combined blocks: for what is derived from them."""
        make = _statistics(
            self.lagtime, self.half_window, self.frame_interval, len(self.axes), self.estimate
        )
        return make(some)

    def __repr__(self) -> str:
        low, high = self.total_diffusion_interval.lower, self.total_diffusion_interval.upper
        return (
            f"TransitionDiffusion(n_states={self.n_states}, lagtime={self.lagtime} frames = "
            f"{self.lagtime * self.frame_interval:g} ps, half_window={self.half_window}, "
            f"total_diffusion={self.total_diffusion:.4g} [{low:.4g}, {high:.4g}] square "
            f"angstrom/ps, axes={self.axes!r}, errors: {self.resampling.describe()})"
        )


def transition_diffusion(
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    *,
    lagtime: int,
    half_window: int | None = None,
    estimate: Estimate = "slope",
    axes: str = "xyz",
    unwrap: Unwrap = "auto",
    remove_drift: bool = False,
    masses: AtomValues | None = None,
    resampling: Resampling | None = None,
) -> TransitionDiffusion:
    """D_ij, state-resolved and total diffusion at a lag time, with K, populations and intervals.

    Parameters
    ----------
    trajectories, state_probabilities, axes, unwrap, remove_drift, masses, resampling
        As for :func:`kgdyn.observables.transition_msd`.
    lagtime : int, frames
        Long enough that motion is diffusive, short enough that states still matter.
    half_window : int, frames, optional
        Of the slope; at most ``lagtime``. A quarter of it if not given, at least 1. Segments that
        are no longer than both together are left out.
    estimate : {"slope", "ratio"}
        The slope of the mean square displacement at ``lagtime``, or its ratio to the time.

    Raises
    ------
    TypeError, ValueError
        As :func:`kgdyn.observables.transition_msd`; for an unknown estimate, or a window that
        reaches below lag time 0 or beyond the longest segment.

    Warns
    -----
    RuntimeWarning
        For few blocks of data, or steps too long for the minimum image.
    """
    lagtime = checked_lagtime("lagtime", lagtime)
    window = max(1, lagtime // 4) if half_window is None else half_window
    window = checked_lagtime("half_window", window)
    if window > lagtime:
        raise ValueError(f"half_window must be at most lagtime = {lagtime}, received {window}")
    if estimate not in ("slope", "ratio"):
        raise ValueError(f'estimate must be "slope" or "ratio", received {estimate!r}')
    segments = weighted_segments(trajectories, state_probabilities, masses)
    wanted = [lagtime] if estimate == "ratio" else [lagtime - window, lagtime, lagtime + window]
    lags = [lag for lag in wanted if lag > 0]
    resampling = checked_request(segments, lags[-1], axes, unwrap, resampling)
    sums = displacement_sums(
        segments,
        lags,
        resampling,
        lagtime=lagtime,
        shortest_segment=lags[-1] + 1,
        axes=["xyz".index(axis) for axis in axes],
        unwrap=unwrap,
        remove_drift=remove_drift,
    )
    interval = segments[0].trajectory.frame_interval
    statistics = _statistics(lagtime, window, interval, len(axes), estimate)
    bounds = resampling.intervals(sums, statistics, _SCALES)
    whole = statistics(sums.combined())
    total = float(whole.pop("total_diffusion")[0])
    values: dict[str, Any] = {name: readonly(found[0]) for name, found in whole.items()}
    for name, found in bounds.items():
        values[f"{name}_interval"] = readonly_interval(found)
    return TransitionDiffusion(
        lagtime=lagtime,
        half_window=window,
        frame_interval=interval,
        total_diffusion=total,
        number_density=_number_density(segments),
        axes=axes,
        unwrap=unwrap,
        remove_drift=remove_drift,
        estimate=estimate,
        resampling=resampling,
        sums=sums,
        **values,
    )


def _statistics(
    lagtime: int, window: int, frame_interval: float, n_axes: int, estimate: Estimate
) -> Statistics:
    lag = lagtime * frame_interval

    def coefficient(msd: Float, lags: tuple[int, ...]) -> Float:
        """Lag times along the second axis, which goes."""
        if estimate == "ratio":
            return msd[:, lags.index(lagtime)] / (2.0 * n_axes * lag)
        later = msd[:, lags.index(lagtime + window)]
        if lagtime > window:
            later = later - msd[:, lags.index(lagtime - window)]
        return later / (4.0 * n_axes * window * frame_interval)

    def statistics(some: Covariances) -> dict[str, Float]:
        sums = sums_of(some)
        msd = sums.transition_msd()
        matrices = koopman_matrices(sums.cov_00, sums.cov_0t)
        return {
            "diffusion": coefficient(msd, sums.lagtimes),
            "state_diffusion": coefficient(sums.state_msd(), sums.lagtimes),
            "total_diffusion": coefficient(sums.total_msd(), sums.lagtimes),
            "msd": msd[:, sums.lagtimes.index(lagtime)],
            "shares": sums.shares()[:, sums.lagtimes.index(lagtime)],
            "koopman_matrix": matrices,
            "populations": sums.sum_0 / sums.n_pairs[:, None],
            "residence_times": residence_vectors(matrices, lag),
        }

    return statistics


def _number_density(segments: Sequence[WeightedSegment]) -> float | None:
    targets = volumes = 0.0
    for segment in segments:
        trajectory = segment.trajectory
        if not trajectory.pbc.all():
            return None
        for first in range(segment.start, segment.stop, 4096):
            cells = np.asarray(trajectory.cells[first : min(first + 4096, segment.stop)])
            if (cells == cells[0]).all():
                volumes += len(cells) * cell_volume(cells[0])
            else:
                volumes += float(np.abs(np.linalg.det(cells.astype(np.float64))).sum())
        targets += segment.n_frames * trajectory.n_targets
    return targets / volumes
