"""Mean square displacement of targets that go from state i to state j.

E[d^2(t) | i -> j] = sum over t0 of d^2(t0, t0 + t) chi_i(t0) chi_j(t0 + t)
                   / sum over t0 of chi_i(t0) chi_j(t0 + t)        (Xie et al. 2019)

over all frames, targets, segments and trajectories at once. No pair crosses from one segment to the
next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman import Covariances, Interval, Resampling, resampling_for
from kgdyn.koopman.intervals import Scale
from kgdyn.observables._displacement_stream import displacement_sums
from kgdyn.observables._displacement_sums import DisplacementSums, sums_of
from kgdyn.observables._inputs import AtomValues, checked_lagtime
from kgdyn.observables._unwrapped import Unwrap, check_unwrap
from kgdyn.observables._weighted_frames import WeightedSegment, weighted_segments
from kgdyn.trajectories import Trajectory

__all__ = ["TransitionMSD", "transition_msd"]

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TransitionMSD:
    """Mean square displacements at some lag times, in square angstrom, with 95% intervals.

    Attributes
    ----------
    lagtimes : (n_lagtimes,) array of int, frames.
    frame_interval : float, ps.
    msd : (n_lagtimes, n_states, n_states) array
        From state i (rows) to j; NaN where that was never seen.
    state_msd : (n_lagtimes, n_states) array
        From state i to wherever.
    total_msd : (n_lagtimes,) array
        Of all targets.
    shares : (n_lagtimes, n_states, n_states) array
        Share of the pairs that go from i to j; sums to 1.
    msd_interval, state_msd_interval, total_msd_interval : Interval
    axes : str
        Cartesian components in the displacement, for example ``"xyz"``.
    unwrap : str
        As asked for.
    remove_drift : bool
        Whether displacements are relative to the centre of all atoms.
    resampling : Resampling
        How the intervals were made.
    sums : DisplacementSums
        What all this is computed from, block by block.
    """

    lagtimes: NDArray[np.int64]
    frame_interval: float
    msd: Float
    state_msd: Float
    total_msd: Float
    shares: Float
    msd_interval: Interval
    state_msd_interval: Interval
    total_msd_interval: Interval
    axes: str
    unwrap: Unwrap
    remove_drift: bool
    resampling: Resampling = field(repr=False)
    sums: DisplacementSums = field(repr=False)

    @property
    def times(self) -> Float:
        """(n_lagtimes,) lag times in ps."""
        result: Float = self.lagtimes * np.float64(self.frame_interval)
        return result

    @property
    def n_states(self) -> int:
        return int(self.msd.shape[1])

    def __repr__(self) -> str:
        return (
            f"TransitionMSD(n_states={self.n_states}, times={self.times[0]:g} to "
            f"{self.times[-1]:g} ps, total_msd={self.total_msd[0]:.4g} to "
            f"{self.total_msd[-1]:.4g} square angstrom, axes={self.axes!r}, "
            f"errors: {self.resampling.describe()})"
        )


def transition_msd(
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    *,
    lagtimes: Sequence[int],
    axes: str = "xyz",
    unwrap: Unwrap = "auto",
    remove_drift: bool = False,
    masses: AtomValues | None = None,
    resampling: Resampling | None = None,
) -> TransitionMSD:
    """Mean square displacement per transition, per state and in all, at some lag times.

    Time grows with frames times targets times lag times; memory with the longest lag time only.

    Parameters
    ----------
    trajectories : Trajectory or sequence of them
    state_probabilities : (n_frames, n_targets, n_states) array, or one for each trajectory
        Rows sum to 1. Memory maps are read in pieces (but see ``resampling``).
    lagtimes : sequence of int, frames
        Segments that are too short for one of them count at the shorter ones.
    axes : str
        Components that count: "xyz", "xy", "z" ...
    unwrap : {"auto", "images", "minimum_image", "none"}
        How paths go on across periodic borders. "images": by the images of the trajectory.
        "minimum_image": each step between frames is the shortest, right where no atom moves by half
        the height of the cell between two frames. "none": positions are unwrapped already. "auto":
        images where there are some, else the minimum image. Steps are taken in fractional
        coordinates, so that a cell that changes adds no noise. In such a cell displacements are as
        seen from the middle of the system in the first frame; with ``remove_drift`` that is no
        matter of choice.
    remove_drift : bool
        Displacements relative to the centre of all atoms (all of them are read then).
    masses : (n_atoms,) array or mapping from element to mass, optional
        The centre of a target of several atoms, and of all atoms, is the centre of mass; without
        masses it is the mean of positions.
    resampling : Resampling, optional
        How intervals are made. :func:`kgdyn.koopman.resampling_for` at the longest lag time if not
        given: give one for state probabilities that do not fit into memory as float64.

    Raises
    ------
    TypeError, ValueError
        For arguments that do not fit together, lag times longer than every segment, a bad frame,
        and ``unwrap="images"`` without images.

    Warns
    -----
    RuntimeWarning
        For few blocks of data, or steps too long for the minimum image.
    """
    lags = sorted({checked_lagtime("lagtimes", lag) for lag in lagtimes})
    if not lags:
        raise ValueError("lagtimes: at least one is needed, received none")
    segments = weighted_segments(trajectories, state_probabilities, masses)
    resampling = checked_request(segments, lags[-1], axes, unwrap, resampling)
    sums = displacement_sums(
        segments,
        lags,
        resampling,
        lagtime=lags[0],
        shortest_segment=lags[0] + 1,
        axes=["xyz".index(axis) for axis in axes],
        unwrap=unwrap,
        remove_drift=remove_drift,
    )
    scales: dict[str, Scale] = {"msd": "log", "state_msd": "log", "total_msd": "log"}
    bounds = resampling.intervals(sums, _statistics, scales)
    whole = sums_of(sums.combined())
    return TransitionMSD(
        lagtimes=readonly(lags, np.int64),
        frame_interval=segments[0].trajectory.frame_interval,
        msd=readonly(whole.transition_msd()[0]),
        state_msd=readonly(whole.state_msd()[0]),
        total_msd=readonly(whole.total_msd()[0]),
        shares=readonly(whole.shares()[0]),
        msd_interval=readonly_interval(bounds["msd"]),
        state_msd_interval=readonly_interval(bounds["state_msd"]),
        total_msd_interval=readonly_interval(bounds["total_msd"]),
        axes=axes,
        unwrap=unwrap,
        remove_drift=remove_drift,
        resampling=resampling,
        sums=sums,
    )


def checked_request(
    segments: Sequence[WeightedSegment],
    longest: int,
    axes: str,
    unwrap: Unwrap,
    resampling: Resampling | None,
) -> Resampling:
    """The resampling to use, once all else is known to fit together."""
    if not axes or len(set(axes)) != len(axes) or not set(axes) <= set("xyz"):
        raise ValueError(f'axes must name some of "xyz", each once, received {axes!r}')
    for segment in segments:
        check_unwrap(segment.trajectory, unwrap)
    longest_segment = max(segment.n_frames for segment in segments)
    if longest >= longest_segment:
        raise ValueError(
            f"lag times must be shorter than the longest segment, which has {longest_segment} "
            f"frames, received {longest}"
        )
    if resampling is not None:
        return resampling
    for segment in segments:  # so that messages name the frame
        for first in range(0, segment.n_frames, 4096):
            segment.weights(first, min(first + 4096, segment.n_frames))
    long_enough = [s.own_probabilities() for s in segments if s.n_frames > longest]
    return resampling_for(long_enough, longest)


def readonly_interval(interval: Interval) -> Interval:
    """The same, in arrays that cannot be written to."""
    return Interval(readonly(interval.lower), readonly(interval.upper))


def _statistics(some: Covariances) -> dict[str, Float]:
    sums = sums_of(some)
    return {
        "msd": sums.transition_msd(),
        "state_msd": sums.state_msd(),
        "total_msd": sums.total_msd(),
    }
