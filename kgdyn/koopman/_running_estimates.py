"""What running sums say now: models, timescales, tests; each made once between two frames."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import readonly
from kgdyn.koopman._running_intervals import RunningScheme, states_time
from kgdyn.koopman._running_sums import RunningSums
from kgdyn.koopman._spectrum import nontrivial_eigenvalues, relaxation_times
from kgdyn.koopman.bootstrap import FEWEST_BLOCKS, FEWEST_TIMES
from kgdyn.koopman.ck_test import ChapmanKolmogorovTest, ck_from_covariances
from kgdyn.koopman.covariances import Covariances
from kgdyn.koopman.implied_timescales import ImpliedTimescales
from kgdyn.koopman.intervals import Interval, JackknifeErrors
from kgdyn.koopman.koopman_model import KoopmanModel, vamp2_of
from kgdyn.koopman.model_intervals import (
    FEWEST_INDEPENDENT,
    model_intervals,
    model_statistics,
    timescales_interval,
)
from kgdyn.koopman.reversible import Estimator, estimate_matrices

__all__ = ["RunningEstimates"]

Float = NDArray[np.float64]
Result = TypeVar("Result")


class RunningEstimates:
    """Reads :class:`RunningSums`. Lag times go by their number.

    Parameters
    ----------
    sums : RunningSums
    frame_interval : float, ps; 1 if it is not known.
    """

    def __init__(self, sums: RunningSums, frame_interval: float) -> None:
        self.sums, self.frame_interval = sums, frame_interval
        self.lock = threading.RLock()
        self._known: dict[Any, Any] = {}
        self._known_at = -1

    def once(self, key: Any, make: Callable[[], Result]) -> Result:
        """Results are made once for each number of frames."""
        with self.lock:
            self.sums.absorb()
            if self._known_at != self.sums.n_frames:
                self._known.clear()
                self._known_at = self.sums.n_frames
            if key not in self._known:
                self._known[key] = make()
            result: Result = self._known[key]
            return result

    def lag(self, index: int) -> float:
        """In ps, or frames."""
        return self.sums.lagtimes[index] * self.frame_interval

    def mean_probabilities(self) -> Float:
        """(n_states,)"""
        if self.sums.n_frames == 0:
            return np.full(self.sums.n_states, np.nan)
        total: Float = self.sums.states.sums.sum(axis=(0, 1))
        return total / (self.sums.n_frames * self.sums.n_targets)

    def total(self, index: int) -> Covariances:
        return self.once(("total", index), lambda: self.sums.covariances(index).combined())

    def scheme(self, index: int, longest: int | None = None) -> RunningScheme:
        states = self.once(("states",), lambda: states_time(self.sums))
        return self.once(
            ("scheme", index, longest), lambda: RunningScheme(self.sums, index, states, longest)
        )

    def errors(self, index: int, estimator: Estimator) -> dict[str, JackknifeErrors] | None:
        """Of all quantities of a model; None without two blocks."""

        def make() -> dict[str, JackknifeErrors] | None:
            scheme = self.scheme(index)
            blocks = scheme.blocks(index)
            if scheme.n_blocks(blocks) < 2:
                return None
            statistics = model_statistics(self.lag(index), estimator, self.sums.n_states)
            return scheme.resampling.errors(blocks, statistics)

        return self.once(("errors", index, estimator), make)

    def matrix(self, index: int, estimator: Estimator) -> Float:
        total, lagtime = self.total(index), self.sums.lagtimes[index]
        if total.n_pairs[0] == 0:
            raise ValueError(
                f"lagtime: no two frames of a segment are {lagtime} frames apart yet, of "
                f"{self.sums.n_frames} frames"
            )
        matrix: Float = estimate_matrices(total, estimator, self.sums.n_states)[0]
        if not np.isfinite(matrix).all():
            raise ValueError(
                "state_probabilities: the covariance of the states is singular, so that K is not "
                f"defined yet after {self.sums.n_frames} frames; some state was not visited, or is "
                "a combination of the others"
            )
        return matrix

    def model(self, index: int, estimator: Estimator) -> KoopmanModel:
        matrix, total, lag = self.matrix(index, estimator), self.total(index), self.lag(index)
        errors = self.errors(index, estimator)
        scheme = self.scheme(index)
        if errors is None:
            empty = model_statistics(lag, estimator, self.sums.n_states)(total)
            intervals = {
                f"{name}_interval": Interval(*(np.full(value.shape[1:], np.nan) for _ in range(2)))
                for name, value in empty.items()
            }
            independent = 1.0
        else:
            intervals, independent = model_intervals(
                scheme.resampling,
                scheme.blocks(index),
                lag,
                estimator,
                self.sums.n_states,
                errors,
                warn=False,
            )
        return KoopmanModel(
            koopman_matrix=readonly(matrix),
            lagtime=self.sums.lagtimes[index],
            frame_interval=float(self.frame_interval),
            n_pairs=round(float(total.n_pairs[0])),
            populations=readonly(self.mean_probabilities()),
            vamp2_score=vamp2_of(total),
            resampling=scheme.resampling,
            estimator=estimator,
            independent_blocks=independent,
            **intervals,
        )

    def populations(self) -> Interval:
        nothing = np.full(self.sums.n_states, np.nan)
        if self.sums.n_frames < 2:
            return Interval(nothing, nothing)
        scheme = self.scheme(0)
        blocks = scheme.joined([self.sums.frame_sums(by_target=scheme.resampling.two_way)])[0]
        if scheme.n_blocks(blocks) < 2:
            return Interval(nothing, nothing)
        found = scheme.resampling.interval(
            blocks, lambda some: some.sum_0 / some.n_pairs[:, None], "probability"
        )
        varied = found.upper > found.lower
        return Interval(*(np.where(varied, b, np.nan) for b in (found.lower, found.upper)))

    def timescales(self, estimator: Estimator) -> ImpliedTimescales:
        shape = (len(self.sums.lagtimes), self.sums.n_states - 1)
        values, lower, upper = (np.full(shape, np.nan) for _ in range(3))
        for index in range(len(self.sums.lagtimes)):
            try:
                matrix = self.matrix(index, estimator)
            except ValueError:
                continue
            lag = self.lag(index)
            values[index] = relaxation_times(nontrivial_eigenvalues(matrix), lag)
            scheme = self.scheme(index)
            blocks = scheme.blocks(index)
            if scheme.n_blocks(blocks) < 2:
                continue
            bounds = timescales_interval(
                scheme.resampling, blocks, lag, estimator, self.sums.n_states
            )
            lower[index], upper[index] = bounds.lower, bounds.upper
        return ImpliedTimescales(
            lagtimes=readonly(self.sums.lagtimes, np.int64),
            timescales=readonly(values),
            interval=Interval(lower, upper),
            frame_interval=float(self.frame_interval),
            estimator=estimator,
        )

    def ck_test(
        self, index: int, n_steps: int | None, estimator: Estimator
    ) -> ChapmanKolmogorovTest:
        self.matrix(index, estimator)  # raises
        lagtime = self.sums.lagtimes[index]
        chosen = sorted(
            (lag // lagtime, place)
            for place, lag in enumerate(self.sums.lagtimes)
            if lag % lagtime == 0 and (n_steps is None or lag // lagtime <= n_steps)
            if self.total(place).n_pairs[0] > 0
        )
        if len(chosen) < 2:
            raise ValueError(
                f"lagtime: no multiple of {lagtime} has pairs of frames yet among the lag times "
                f"{list(self.sums.lagtimes)}"
                + ("" if n_steps is None else f", n_steps = {n_steps}")
            )
        steps = np.array([step for step, _ in chosen])
        scheme = self.scheme(index, int(steps[-1]) * lagtime)
        kept = [
            self.sums.covariances(place, by_target=scheme.resampling.two_way) for _, place in chosen
        ]
        blocks = scheme.joined(kept)
        enough = scheme.n_blocks(blocks[0]) >= 2
        return ck_from_covariances(
            steps,
            [self.total(place) for _, place in chosen],
            blocks if enough else None,
            lagtime=lagtime,
            frame_interval=float(self.frame_interval),
            resampling=scheme.resampling if enough else None,
            estimator=estimator,
            n_states=self.sums.n_states,
        )

    def independent_blocks(self, index: int, estimator: Estimator) -> dict[str, Float]:
        """Degrees of freedom of each quantity's error; 0 where there is none."""
        errors = self.errors(index, estimator)
        if errors is not None:
            return {
                name: np.where(np.isfinite(value.error), value.degrees, 0.0)
                for name, value in errors.items()
            }
        self.matrix(index, estimator)  # raises
        statistics = model_statistics(self.lag(index), estimator, self.sums.n_states)
        return {k: np.zeros(v.shape[1:]) for k, v in statistics(self.total(index)).items()}

    def doubt(self, index: int, independent: float | None) -> str | None:
        """Why intervals are not to be trusted yet."""
        model = self.once(("model", index, "plain"), lambda: self.model(index, "plain"))
        scheme = self.scheme(index)
        count = scheme.n_blocks(scheme.blocks(index))
        if count < FEWEST_BLOCKS:
            return f"only {count} blocks of data, at least {FEWEST_BLOCKS} are wanted"
        length, memory = scheme.resampling.block_length, scheme.correlation_time
        if not scheme.resampling.two_way and length < FEWEST_TIMES * memory:
            return (
                f"only {self.sums.n_frames / memory:.0f} correlation times of data: blocks of "
                f"{length} frames are not independent"
            )
        fewest = model.independent_blocks if independent is None else independent
        if fewest is not None and not fewest >= FEWEST_INDEPENDENT:
            return (
                f"only {fewest:.1f} independent blocks, at least {FEWEST_INDEPENDENT:g} are wanted"
            )
        return None
