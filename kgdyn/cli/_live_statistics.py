"""Running statistics for the eye: recomputed so seldom that they cost little."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.cli._live_view import LiveNumbers, Timescales
from kgdyn.koopman.intervals import Interval

if TYPE_CHECKING:
    from kgdyn.koopman import ChapmanKolmogorovTest, KoopmanModel, RunningKoopman
    from kgdyn.live import LiveStates

__all__ = ["PacedStatistics"]

_ALL_IN = 1.0  # s: each part once in this time, if it costs little
_SHARE = 0.03  # of the time, at most


class PacedStatistics:
    """One part of the statistics at a time: each lag time, the CK test, what is said in words.

    A part that takes long makes the next one wait, so that all of them take at most 3% of the time.

    Parameters
    ----------
    lagtimes : sequence of int, frames
    until : Convergence, optional
    clock : callable
        As ``time.perf_counter``.
    """

    def __init__(
        self,
        lagtimes: Sequence[int],
        until: Any = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.lagtimes = tuple(lagtimes)
        self.until = until
        self.frame_interval: float | None = None
        self._clock = clock
        self._models: dict[int, KoopmanModel] = {}
        self._populations: NDArray[np.float64] | None = None
        self._interval: Interval | None = None
        self._ck = self._convergence = self._doubt = ""
        self._n_frames = self._n_segments = 0
        self._last: NDArray[np.intp] | None = None
        self._departures: NDArray[np.float64] | None = None
        self._n_steps = 0
        parts = [lambda s, lag=lag: self._take_model(s, lag) for lag in self.lagtimes]
        self._parts: list[Callable[[RunningKoopman], None]] = [
            *parts, self._take_populations, self._take_ck, self._take_words
        ]  # fmt: skip
        self._next_part = 0
        self._due = -np.inf

    def count(self, states: LiveStates, statistics: RunningKoopman) -> None:
        """What changes with each frame and costs nothing."""
        self._n_frames, self._n_segments = statistics.n_frames, statistics.n_segments
        most_probable = states.state_probabilities.argmax(axis=1)
        if self._departures is None:
            self._departures = np.zeros(states.state_probabilities.shape[1])
        if self._last is not None and not states.new_segment:
            left = self._last[most_probable != self._last]
            np.add.at(self._departures, left, 1.0)
            self._n_steps += 1
        self._last = most_probable

    def update(self, statistics: RunningKoopman) -> None:
        """Compute the next parts, if it is time."""
        for _ in self._parts:
            begun = self._clock()
            if begun < self._due:
                return
            self._parts[self._next_part](statistics)
            self._next_part = (self._next_part + 1) % len(self._parts)
            ended = self._clock()
            self._due = ended + max(_ALL_IN / len(self._parts), (ended - begun) / _SHARE)

    def update_all(self, statistics: RunningKoopman) -> None:
        """Compute all parts now."""
        for part in self._parts:
            part(statistics)
        self._n_frames, self._n_segments = statistics.n_frames, statistics.n_segments

    def fill(self, numbers: LiveNumbers) -> None:
        """Copy what is known into what is shown."""
        numbers.n_frames, numbers.n_segments = self._n_frames, self._n_segments
        numbers.populations, numbers.population_interval = self._populations, self._interval
        numbers.ck, numbers.convergence = self._ck, self._convergence
        numbers.doubt = self._doubt
        numbers.departures = None
        if self._departures is not None and self._last is not None and self._n_steps:
            time = self._n_steps * len(self._last) * (self.frame_interval or 1.0) / 1000.0
            numbers.departures = self._departures / time
        numbers.timescales = [self._row(lag) for lag in sorted(self._models)]

    def _row(self, lagtime: int) -> Timescales:
        model = self._models[lagtime]
        physical = lagtime * (self.frame_interval or 1.0)
        values = model.eigenvalues
        real = (np.abs(values.imag) < 1e-12) & (values.real > 0.0) & (values.real < 1.0)
        rates = np.log(np.where(real, values.real, 0.5))
        return Timescales(
            physical, np.where(real, -physical / rates, np.nan), model.timescales_interval
        )

    def _take_model(self, statistics: RunningKoopman, lagtime: int) -> None:
        try:
            self._models[lagtime] = statistics.koopman_model(lagtime)
        except ValueError:
            return  # too few frames yet

    def _take_populations(self, statistics: RunningKoopman) -> None:
        self._populations = np.asarray(statistics.mean_probabilities)
        self._interval = statistics.populations()

    def _take_ck(self, statistics: RunningKoopman) -> None:
        """The smallest lag time of which others are multiples."""
        for lagtime in self.lagtimes:
            try:
                self._ck = self._verdict(statistics.ck_test(lagtime))
            except ValueError:
                continue
            return

    def _verdict(self, test: ChapmanKolmogorovTest) -> str:
        unit = "frames" if self.frame_interval is None else "ps"
        lag = test.lagtime * (self.frame_interval or 1.0)
        inside = test.state_inside[test.steps > 1]
        bounds = test.state_estimate_interval
        if bounds is None or not np.isfinite(bounds.upper[test.steps > 1]).all():
            return f"CK test at {lag:g} {unit}: no intervals yet"
        return (
            f"CK test at {lag:g} {unit}, to {lag * test.steps.max():g} {unit}: "
            f"{inside.sum()} of {inside.size} predictions in the interval"
        )

    def _take_words(self, statistics: RunningKoopman) -> None:
        if self.until is not None:
            self._convergence = str(self.until.describe(statistics))
        try:
            reason = statistics.doubt()
        except ValueError as error:
            reason = str(error)
        told = reason is None or reason in self._convergence
        self._doubt = "" if told else f"intervals are not to be trusted yet: {reason}"
