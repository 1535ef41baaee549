"""Chapman-Kolmogorov test: does one step, repeated, predict many?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman.bootstrap import Resampling
from kgdyn.koopman.covariances import Covariances, many_block_covariances
from kgdyn.koopman.intervals import Interval, Scale
from kgdyn.koopman.reversible import (
    Estimator,
    estimate_matrices,
    estimate_moments,
    estimator_columns,
)

__all__ = ["ChapmanKolmogorovTest", "ck_from_covariances", "ck_test"]

_SCALES: dict[str, Scale] = {"matrix": "probability", "states": "probability"}


@dataclass(frozen=True)
class ChapmanKolmogorovTest:
    """K(lagtime)^n beside K(n lagtime), element by element (Xie et al. 2019, Eq. 6).

    The same is asked of what is seen of states: the probability of state j, n lag times after a
    start in state i,

        P_ij(n) = <chi_i(t) chi_j(t + n lagtime)> / <chi_i(t)>,

    counted in the data, against (C00 K^n)_ij / sum_j (C00)_ij from the pairs one lag time apart.
    Its rows sum to 1. For crisp states it is K(n lagtime) itself; for soft ones it is not, is never
    negative, and needs no inverse, so that its error is smaller.

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
    state_predictions, state_estimates : (n_steps, n_states, n_states) arrays
        P_ij(n), from one lag time and counted; moments as ``estimator`` takes them.
    state_prediction_interval, state_estimate_interval : Interval or None
        95% of each.
    estimator : str
    difference_interval, state_difference_interval : Interval or None
        95% of ``predictions - estimates``, and of the same of states.
    """

    steps: NDArray[np.int64]
    predictions: NDArray[np.float64]
    estimates: NDArray[np.float64]
    prediction_interval: Interval | None
    estimate_interval: Interval | None
    lagtime: int
    frame_interval: float
    resampling: Resampling | None = None
    state_predictions: NDArray[np.float64] | None = None
    state_estimates: NDArray[np.float64] | None = None
    state_prediction_interval: Interval | None = None
    state_estimate_interval: Interval | None = None
    estimator: Estimator = "plain"
    difference_interval: Interval | None = None
    state_difference_interval: Interval | None = None

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(n_steps, n_states, n_states): the prediction lies in the interval of the estimate.

        As a figure of both shows it. Of a Markov chain this is nearly always true, as the errors of
        both go together; :attr:`agrees` asks more.
        """
        return _inside(self.predictions, None, None, self.estimate_interval)

    @property
    def state_inside(self) -> NDArray[np.bool_]:
        """The same of the state-to-state probabilities."""
        return _inside(self.state_predictions, None, None, self.state_estimate_interval)

    @property
    def agrees(self) -> NDArray[np.bool_]:
        """(n_steps, n_states, n_states): the 95% interval of the difference holds 0.

        Prediction and estimate are of the same data, so their difference is made again without each
        block of data. Elements are far from independent: where one is off by chance, those of the
        same rows and of later steps are with it. Of results that are made without that interval:
        as :attr:`inside`.
        """
        return _inside(
            self.predictions, self.estimates, self.difference_interval, self.estimate_interval
        )

    @property
    def state_agrees(self) -> NDArray[np.bool_]:
        """The same of the state-to-state probabilities."""
        return _inside(
            self.state_predictions,
            self.state_estimates,
            self.state_difference_interval,
            self.state_estimate_interval,
        )

    @property
    def largest_difference(self) -> float:
        """Over all elements of K and steps."""
        return float(np.abs(self.predictions - self.estimates).max())


def ck_test(
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    *,
    lagtime: int,
    n_steps: int = 5,
    frame_interval: float = 1.0,
    resampling: Resampling | None = None,
    estimator: Estimator = "plain",
) -> ChapmanKolmogorovTest:
    """Compare K(lagtime)^n with K(n lagtime) for n = 1 ... n_steps, and what is seen of states.

    Parameters
    ----------
    state_probabilities : array (n_frames, n_targets, n_states) or a sequence of such arrays
        One array a gap-free segment.
    lagtime : int, frames.
    n_steps : int
    frame_interval : float, ps.
    resampling : Resampling, optional
        Makes 95% intervals.
    estimator : {"plain", "reversible", "stationary"}
        As for :func:`kgdyn.koopman.estimate_koopman_model`.

    Raises
    ------
    ValueError
        If no segment is longer than ``n_steps * lagtime``, or as
        :func:`kgdyn.koopman.estimate_koopman_model`.
    """
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1, received {n_steps}")
    segments, columns = estimator_columns(state_probabilities, estimator)
    n_states = segments[0].shape[-1]
    longest = max(len(segment) for segment in segments)
    if longest <= n_steps * lagtime:
        raise ValueError(
            f"n_steps * lagtime must be shorter than the longest segment, which has {longest} "
            f"frames, received {n_steps} * {lagtime}"
        )

    steps = np.arange(1, n_steps + 1)
    lagtimes = [int(n) * lagtime for n in steps]
    blocks = None
    if resampling is None:
        totals = many_block_covariances(columns, lagtimes)
    else:
        blocks = resampling.many_covariances(columns, lagtimes, together=True)
        totals = blocks
    return ck_from_covariances(
        steps,
        [part.combined() for part in totals],
        blocks,
        lagtime=lagtime,
        frame_interval=frame_interval,
        resampling=resampling,
        estimator=estimator,
        n_states=n_states,
    )


def ck_from_covariances(
    steps: NDArray[np.int64],
    totals: Sequence[Covariances],
    blocks: Sequence[Covariances] | None,
    *,
    lagtime: int,
    frame_interval: float,
    resampling: Resampling | None,
    estimator: Estimator,
    n_states: int,
) -> ChapmanKolmogorovTest:
    """The test from sums over pairs.

    Parameters
    ----------
    steps : (n_steps,) array of int, rising, the first 1
    totals : sequence of Covariances
        One block for each step.
    blocks : sequence of Covariances, optional
        The same in blocks; block k of each step is of about the same frames. With ``resampling``.
    lagtime, frame_interval, resampling, estimator, n_states
        As for :func:`ck_test`.
    """

    def predict(some: Covariances) -> dict[str, NDArray[np.float64]]:
        """(n_blocks, n_steps, n_states, n_states) each."""
        matrices = estimate_matrices(some, estimator, n_states)
        powers = np.stack([np.linalg.matrix_power(matrices, int(n)) for n in steps], axis=1)
        start = estimate_moments(some, estimator, n_states)[0]
        return {"matrix": powers, "states": _shares(start[:, None] @ powers)}

    def estimate(some: Covariances) -> dict[str, NDArray[np.float64]]:
        """(n_blocks, n_states, n_states) each."""
        later = estimate_moments(some, estimator, n_states)[1]
        return {"matrix": estimate_matrices(some, estimator, n_states), "states": _shares(later)}

    def differ(some: Covariances) -> dict[str, NDArray[np.float64]]:
        """Both, (n_blocks, n_steps, n_states, n_states) each, of :func:`_joined` blocks."""
        predicted = predict(_one(some, 0))
        counted = [estimate(_one(some, number)) for number in range(len(steps))]
        return {
            name: values - np.stack([found[name] for found in counted], axis=1)
            for name, values in predicted.items()
        }

    predicted = predict(totals[0])
    estimated = [estimate(part) for part in totals]
    around: dict[str, Interval] = {}
    between: dict[str, Interval] = {}
    counted: list[dict[str, Interval]] = []
    if resampling is not None and blocks is not None:
        around = resampling.intervals(blocks[0], predict, _SCALES)
        counted = [resampling.intervals(part, estimate, _SCALES) for part in blocks]
        between = resampling.intervals(_joined(blocks), differ, {})
    return ChapmanKolmogorovTest(
        steps=readonly(steps),
        predictions=readonly(predicted["matrix"][0]),
        estimates=readonly(np.stack([found["matrix"][0] for found in estimated])),
        prediction_interval=around.get("matrix"),
        estimate_interval=_stack([found["matrix"] for found in counted]),
        lagtime=int(lagtime),
        frame_interval=float(frame_interval),
        resampling=resampling,
        state_predictions=readonly(predicted["states"][0]),
        state_estimates=readonly(np.stack([found["states"][0] for found in estimated])),
        state_prediction_interval=around.get("states"),
        state_estimate_interval=_stack([found["states"] for found in counted]),
        estimator=estimator,
        difference_interval=between.get("matrix"),
        state_difference_interval=between.get("states"),
    )


def _joined(blocks: Sequence[Covariances]) -> Covariances:
    """Blocks of several lag times as one, with the lag times along a second axis."""
    first = blocks[0]

    def join(name: str) -> NDArray[np.float64]:
        return np.stack([getattr(part, name) for part in blocks], axis=1)

    return Covariances(
        join("cov_00"),
        join("cov_0t"),
        join("cov_tt"),
        join("sum_0"),
        join("sum_t"),
        join("n_pairs"),
        first.lagtime,
        first.block_of,
        first.target_of,
    )


def _one(blocks: Covariances, number: int) -> Covariances:
    return Covariances(
        blocks.cov_00[:, number],
        blocks.cov_0t[:, number],
        blocks.cov_tt[:, number],
        blocks.sum_0[:, number],
        blocks.sum_t[:, number],
        blocks.n_pairs[:, number],
        blocks.lagtime,
    )


def _shares(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows that sum to 1. Rows of moments sum to <chi_i>, as states sum to 1."""
    with np.errstate(invalid="ignore", divide="ignore"):
        result: NDArray[np.float64] = moments / moments.sum(axis=-1, keepdims=True)
    return result


def _inside(
    predictions: NDArray[np.float64] | None,
    estimates: NDArray[np.float64] | None,
    difference: Interval | None,
    bounds: Interval | None,
) -> NDArray[np.bool_]:
    values, around = predictions, bounds
    if difference is not None and predictions is not None and estimates is not None:
        # Bounds are around the difference, which is asked whether it may be 0.
        values, around = np.zeros_like(predictions), difference
    if around is None or values is None:
        raise ValueError("ck_test was made without resampling: there are no intervals")
    rounding = 1e-12  # at n = 1 both are the same number
    result: NDArray[np.bool_] = (values >= around.lower - rounding) & (
        values <= around.upper + rounding
    )
    return result


def _stack(intervals: Sequence[Interval]) -> Interval | None:
    if not intervals:
        return None
    return Interval(
        np.stack([interval.lower for interval in intervals]),
        np.stack([interval.upper for interval in intervals]),
    )
