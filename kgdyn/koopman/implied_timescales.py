"""Implied timescales over lag times: constant where the model is Markovian."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman._spectrum import nontrivial_eigenvalues, relaxation_times
from kgdyn.koopman.bootstrap import Resampling
from kgdyn.koopman.covariances import many_block_covariances
from kgdyn.koopman.intervals import Interval
from kgdyn.koopman.model_intervals import timescales_interval
from kgdyn.koopman.reversible import Estimator, estimate_matrices, estimator_columns

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
    estimator: Estimator = "plain"

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
    estimator: Estimator = "plain",
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
    estimator : {"plain", "reversible", "stationary"}
        As for :func:`kgdyn.koopman.estimate_koopman_model`.

    Raises
    ------
    ValueError
        As :func:`kgdyn.koopman.estimate_koopman_model`, or without a lag time.
    """
    if len(lagtimes) == 0:
        raise ValueError("lagtimes: at least one lag time is needed, received none")
    segments, columns = estimator_columns(state_probabilities, estimator)
    n_states = segments[0].shape[-1]
    blocks = (
        many_block_covariances(columns, lagtimes)
        if resampling is None
        else resampling.many_covariances(columns, lagtimes)
    )
    values, lower, upper = [], [], []
    for part in blocks:
        lag = part.lagtime * frame_interval
        matrices = estimate_matrices(part.combined(), estimator, n_states)
        values.append(relaxation_times(nontrivial_eigenvalues(matrices), lag)[0])
        if resampling is not None:
            bounds = timescales_interval(resampling, part, lag, estimator, n_states)
            lower.append(bounds.lower)
            upper.append(bounds.upper)
    return ImpliedTimescales(
        lagtimes=readonly(lagtimes, np.int64),
        timescales=readonly(np.stack(values)),
        interval=Interval(np.stack(lower), np.stack(upper)) if resampling is not None else None,
        frame_interval=float(frame_interval),
        resampling=resampling,
        estimator=estimator,
    )
