"""Implied timescales over lag times: constant where the model is Markovian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman._spectrum import koopman_matrices, nontrivial_eigenvalues, relaxation_times
from kgdyn.koopman.bootstrap import Interval, Resampling
from kgdyn.koopman.covariances import Covariances, as_segments, block_covariances

__all__ = ["ImpliedTimescales", "implied_timescales"]


@dataclass(frozen=True)
class ImpliedTimescales:
    """Timescales t_i(tau) = -tau / ln|lambda_i(tau)| of each lag time (Xie et al. 2019, Eq. 5).

    Attributes
    ----------
    lagtimes : (n_lagtimes,) array of int, frames.
    timescales : (n_lagtimes, n_states - 1) array of float64, ps
        NaN where the eigenvalue is negative, complex or at least 1.
    interval : Interval or None
        95%, ps.
    frame_interval : float, ps.
    """

    lagtimes: NDArray[np.int64]
    timescales: NDArray[np.float64]
    interval: Interval | None
    frame_interval: float
    resampling: Resampling | None = None

    @property
    def lagtimes_ps(self) -> NDArray[np.float64]:
        """(n_lagtimes,) in ps."""
        result: NDArray[Any] = self.lagtimes * self.frame_interval
        return result


def implied_timescales(
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    *,
    lagtimes: Sequence[int],
    frame_interval: float = 1.0,
    resampling: Resampling | None = None,
) -> ImpliedTimescales:
    """Timescales of the Koopman models of several lag times.

    Parameters
    ----------
    state_probabilities : array (n_frames, n_targets, n_states) or a sequence of such arrays
        One array a gap-free segment.
    lagtimes : sequence of int, frames.
    frame_interval : float, ps.
    resampling : Resampling, optional
        Makes 95% intervals.

    Raises
    ------
    ValueError
        As :func:`kgdyn.koopman.estimate_koopman_model`, or without a lag time.
    """
    if len(lagtimes) == 0:
        raise ValueError("lagtimes: at least one lag time is needed, received none")
    segments = as_segments(state_probabilities)
    values, lower, upper = [], [], []
    for lagtime in lagtimes:
        lag = lagtime * frame_interval

        def times(blocks: Covariances, lag: float = lag) -> NDArray[np.float64]:
            matrices = koopman_matrices(blocks.cov_00, blocks.cov_0t)
            return relaxation_times(nontrivial_eigenvalues(matrices), lag)

        values.append(times(block_covariances(segments, lagtime).combined())[0])
        if resampling is not None:
            bounds = resampling.interval(resampling.covariances(segments, lagtime), times)
            lower.append(bounds.lower)
            upper.append(bounds.upper)
    return ImpliedTimescales(
        lagtimes=readonly(lagtimes, np.int64),
        timescales=readonly(np.stack(values)),
        interval=Interval(np.stack(lower), np.stack(upper)) if resampling is not None else None,
        frame_interval=float(frame_interval),
        resampling=resampling,
    )
