"""Chapman-Kolmogorov test: does one step, repeated, predict many?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman._spectrum import koopman_matrices
from kgdyn.koopman.bootstrap import Interval, Resampling, percentile_interval
from kgdyn.koopman.covariances import Covariances, as_segments, block_covariances

__all__ = ["ChapmanKolmogorovTest", "ck_test"]


@dataclass(frozen=True)
class ChapmanKolmogorovTest:
    """K(lagtime)^n beside K(n lagtime), element by element (Xie et al. 2019, Eq. 6).

    Attributes
    ----------
    steps : (n_steps,) array of int
        n.
    predictions, estimates : (n_steps, n_states, n_states) arrays
        K(lagtime)^n, and K(n lagtime).
    prediction_interval, estimate_interval : Interval or None
        95% of each.
    lagtime : int, frames.
    frame_interval : float, ps.
    """

    steps: NDArray[np.int64]
    predictions: NDArray[np.float64]
    estimates: NDArray[np.float64]
    prediction_interval: Interval | None
    estimate_interval: Interval | None
    lagtime: int
    frame_interval: float
    resampling: Resampling | None = None

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(n_steps, n_states, n_states): the prediction lies in the estimate's interval."""
        if self.estimate_interval is None:
            raise ValueError("ck_test was made without resampling: there are no intervals")
        rounding = 1e-12  # at n = 1 both are the same number
        bounds = self.estimate_interval
        result: NDArray[np.bool_] = (self.predictions >= bounds.lower - rounding) & (
            self.predictions <= bounds.upper + rounding
        )
        return result

    @property
    def largest_difference(self) -> float:
        """Over all elements and steps."""
        return float(np.abs(self.predictions - self.estimates).max())


def ck_test(
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    *,
    lagtime: int,
    n_steps: int = 5,
    frame_interval: float = 1.0,
    resampling: Resampling | None = None,
) -> ChapmanKolmogorovTest:
    """Compare K(lagtime)^n with K(n lagtime) for n = 1 ... n_steps.

    Parameters
    ----------
    state_probabilities : array (n_frames, n_targets, n_states) or a sequence of such arrays
        One array a gap-free segment.
    lagtime : int, frames.
    n_steps : int
    frame_interval : float, ps.
    resampling : Resampling, optional
        Makes 95% intervals.

    Raises
    ------
    ValueError
        If no segment is longer than ``n_steps * lagtime``, or as
        :func:`kgdyn.koopman.estimate_koopman_model`.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, received {n_steps}")
    segments = as_segments(state_probabilities)
    longest = max(len(segment) for segment in segments)
    if longest <= n_steps * lagtime:
        raise ValueError(
            f"n_steps * lagtime must be shorter than the longest segment, which has {longest} "
            f"frames, received {n_steps} * {lagtime}"
        )

    def power(blocks: Covariances, exponent: int) -> NDArray[np.float64]:
        matrices = koopman_matrices(blocks.cov_00, blocks.cov_0t)
        result: NDArray[np.float64] = np.linalg.matrix_power(matrices, exponent)
        return result

    one_step = block_covariances(segments, lagtime).combined()
    steps = np.arange(1, n_steps + 1)
    predictions = np.stack([power(one_step, int(n))[0] for n in steps])
    estimates = np.stack(
        [power(block_covariances(segments, int(n) * lagtime).combined(), 1)[0] for n in steps]
    )
    predicted = estimated = None
    if resampling is not None:
        samples = resampling.samples(resampling.covariances(segments, lagtime))
        predicted = _stack([percentile_interval(power(samples, int(n))) for n in steps])
        estimated = _stack(
            [
                resampling.interval(
                    resampling.covariances(segments, int(n) * lagtime),
                    lambda blocks: power(blocks, 1),
                )
                for n in steps
            ]
        )
    return ChapmanKolmogorovTest(
        steps=readonly(steps),
        predictions=readonly(predictions),
        estimates=readonly(estimates),
        prediction_interval=predicted,
        estimate_interval=estimated,
        lagtime=int(lagtime),
        frame_interval=float(frame_interval),
        resampling=resampling,
    )


def _stack(intervals: Sequence[Interval]) -> Interval:
    return Interval(
        np.stack([interval.lower for interval in intervals]),
        np.stack([interval.upper for interval in intervals]),
    )
