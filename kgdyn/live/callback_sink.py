"""A user's function, called with the states of each frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kgdyn.live.stream import LiveFrame, LiveStates, StreamInfo

if TYPE_CHECKING:
    from kgdyn.koopman import RunningKoopman

__all__ = ["CallbackSink"]


class CallbackSink:
    """Call a function with every frame's states.

    An exception in it ends the analysis and is raised to the user, with its own traceback. The
    simulation may be waiting meanwhile: what takes long belongs elsewhere.

    Parameters
    ----------
    function : callable
        Called as ``function(states, frame, statistics)`` with a LiveStates, a LiveFrame and the
        RunningKoopman.
    every : int
        Only each ``every``-th frame.
    """

    def __init__(
        self, function: Callable[[LiveStates, LiveFrame, RunningKoopman], object], every: int = 1
    ) -> None:
        if not callable(function):
            raise TypeError(f"function must be callable, received {function!r}")
        if every < 1:
            raise ValueError(f"every must be at least 1, received {every}")
        self.function, self.every = function, every
        self._n_frames = 0

    def open(self, info: StreamInfo, n_states: int, statistics: RunningKoopman) -> None:
        """Nothing to open."""

    def write(self, states: LiveStates, frame: LiveFrame, statistics: RunningKoopman) -> None:
        self._n_frames += 1
        if (self._n_frames - 1) % self.every == 0:
            self.function(states, frame, statistics)

    def close(self) -> None:
        """Nothing to close."""
