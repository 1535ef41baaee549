"""Populations, timescales and latency for TensorBoard."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from kgdyn.live.stream import LiveFrame, LiveStates, StreamInfo

if TYPE_CHECKING:
    from kgdyn.koopman import RunningKoopman

__all__ = ["TensorBoardStates"]


class TensorBoardStates:
    """Scalars over the simulation's step: ``tensorboard --logdir FOLDER``.

    Of this frame: ``population/N``, ``novelty_max``. Of all frames so far: ``mean_population/N``,
    ``timescale/N_lag_L`` at each lag time that has a model (ps, or frames where the frame interval
    is not known), ``transitions``, ``latency_s``.

    Parameters
    ----------
    folder : path
    every_seconds : float
        At most one set of scalars in as many seconds; the last frame is always written.
    """

    def __init__(self, folder: str | PathLike[str], *, every_seconds: float = 10.0) -> None:
        if not every_seconds >= 0.0:
            raise ValueError(f"every_seconds must not be negative, received {every_seconds}")
        self.folder = Path(folder)
        self.every_seconds = float(every_seconds)
        self._events: Any = None
        self._written_at = -np.inf
        self._left: tuple[LiveStates, RunningKoopman] | None = None

    def open(self, info: StreamInfo, n_states: int, statistics: RunningKoopman) -> None:
        from kgdyn.training.event_file import WriteEvents

        self._events = WriteEvents(self.folder)
        self._written_at, self._left = -np.inf, None

    def write(self, states: LiveStates, frame: LiveFrame, statistics: RunningKoopman) -> None:
        self._left = states, statistics
        if monotonic() - self._written_at >= self.every_seconds:
            self._write_left()

    def close(self) -> None:
        if self._events is None:
            return
        try:
            self._write_left()
        finally:
            self._events.on_train_end()
            self._events = None

    def _write_left(self) -> None:
        if self._left is None:
            return
        states, statistics = self._left
        self._left = None
        values = {"latency_s": states.latency, "transitions": float(statistics.n_transitions)}
        for number, value in enumerate(states.state_probabilities.mean(axis=0), start=1):
            values[f"population/{number}"] = float(value)
        for number, value in enumerate(statistics.mean_probabilities, start=1):
            values[f"mean_population/{number}"] = float(value)
        if states.novelty is not None:
            values["novelty_max"] = float(states.novelty.max())
        found = statistics.implied_timescales()
        for lagtime, times in zip(found.lagtimes, found.timescales, strict=True):
            for number, value in enumerate(times, start=1):
                if np.isfinite(value):
                    values[f"timescale/{number}_lag_{lagtime}"] = float(value)
        for tag, value in values.items():
            self._events._write("live", tag, value, states.step)
        for writer in self._events._writers.values():
            writer.flush()
        self._written_at = monotonic()

    def __repr__(self) -> str:
        return f"TensorBoardStates({str(self.folder)!r})"
