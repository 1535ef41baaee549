"""A live screen of states, or a line a minute where nobody looks: a sink of a live analysis."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from kgdyn.cli import _console
from kgdyn.cli._live_statistics import PacedStatistics
from kgdyn.cli._live_view import LiveNumbers, LiveView, log_line
from kgdyn.plots._style import state_color

if TYPE_CHECKING:
    from kgdyn.live import LiveFrame, LiveStates, StreamInfo

__all__ = ["LiveScreen", "SourceStatus"]

_REDRAWN_EVERY = 0.25  # s
_SHARE_OF_DRAWING = 0.02  # of the time, at most
_SPEED_OVER = 10.0  # s
_BLACK = "#000000"  # a console's own colour is used instead: its ground may be black


@dataclass(frozen=True)
class SourceStatus:
    """What a source of frames knows of itself; None where it does not.

    Attributes
    ----------
    queued, queue_size : frames that wait, and that may.
    n_dropped : frames that were not analysed.
    overhead : share of the simulation's time that handing over takes.
    """

    queued: int | None = None
    queue_size: int | None = None
    n_dropped: int | None = None
    overhead: float | None = None


class LiveScreen:
    """Shows the running statistics of a live analysis; a sink as of :mod:`kgdyn.live`.

    On a terminal a picture, redrawn at most four times a second and 2% of the time; elsewhere a
    log line now and then. Intervals cost more than frames do: they are computed anew so seldom that
    they take a few per cent of the time. At the end the whole picture is printed and stays.

    Parameters
    ----------
    title : str
    lagtimes : sequence of int, frames
        Those of the running statistics.
    status : callable, optional
        Returns the SourceStatus of this moment.
    until : Convergence, optional
        ``until.describe(statistics)`` is shown.
    log_every : float, s
        Between two log lines.
    quiet : bool
        Only the picture at the end.
    console : rich.console.Console, optional
    clock : callable, optional
        As ``time.perf_counter``.
    """

    def __init__(
        self,
        title: str,
        lagtimes: Sequence[int],
        *,
        status: Callable[[], SourceStatus] | None = None,
        until: Any = None,
        log_every: float = 60.0,
        quiet: bool = False,
        console: Console | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not log_every > 0:
            raise ValueError(f"log_every must be positive, received {log_every}")
        self.console = _console.console if console is None else console
        self.status = status
        self.log_every = log_every
        self.quiet = quiet
        self.numbers = LiveNumbers(title=title)
        self._clock = clock
        self._paced = PacedStatistics(lagtimes, until, clock)
        self._colors: list[str] = []
        self._live: Live | None = None
        self._recent: deque[tuple[float, int, float | None]] = deque()
        self._began = self._drawn = self._logged = clock()
        self._pause = _REDRAWN_EVERY
        self._n_alarms = 0
        self._n_known = self._n_written = 0
        self._statistics: Any = None
        self._closed = False

    @property
    def on_terminal(self) -> bool:
        """Whether there is a screen that can be drawn on again."""
        return self.console.is_terminal and not self.console.is_dumb_terminal and not self.quiet

    def open(self, info: StreamInfo, n_states: int, statistics: Any) -> None:
        colors = [state_color(state) for state in range(n_states)]
        self._colors = ["" if color == _BLACK else color for color in colors]
        self._statistics = statistics
        self._paced.frame_interval = info.frame_interval
        self.numbers.unit = "frames" if info.frame_interval is None else "ps"
        self._began = self._drawn = self._logged = self._clock()
        if self.on_terminal and self._live is None and not self._closed:
            self._live = Live(
                LiveView(self.numbers, self._colors),
                console=self.console,
                auto_refresh=False,
                vertical_overflow="ellipsis",
            )
            self._live.start(refresh=True)

    def write(self, states: LiveStates, frame: LiveFrame, statistics: Any) -> None:
        numbers, now = self.numbers, self._clock()
        numbers.step, numbers.latency = states.step, states.latency
        numbers.time = states.time
        self._n_written += 1
        self._statistics = statistics
        self._measure_speed(states, frame)
        self._watch_novelty(states)
        self._paced.count(states, statistics)
        if self.quiet:
            return
        if self._live is not None:
            if now - self._drawn >= self._pause:
                self._paced.update(statistics)
                self._draw(now)
        elif now - self._logged >= self.log_every:
            self._logged = now
            self._paced.update_all(statistics)
            self._take_over(now)
            self.console.print(log_line(numbers), highlight=False, markup=False, soft_wrap=True)

    def refresh(self) -> None:
        """Draw again although no frame came: for sources that wait."""
        now = self._clock()
        if self._live is not None and now - self._drawn >= self._pause:
            self._draw(now)

    def end(self, message: str) -> None:
        """How it ended, for the last line of the picture."""
        self.numbers.end = message

    def close(self) -> None:
        """The last picture, with all numbers of this moment; the terminal is itself again."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._n_written:
                self._paced.update_all(self._statistics)
            self._take_over(self._clock())
        finally:
            if self._live is not None:
                self._live.update(Text(""))
                self._live.transient = True
                self._live.stop()
                self._live = None
        if self._n_written:
            self.console.print(LiveView(self.numbers, self._colors, whole=True))

    def __enter__(self) -> LiveScreen:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _draw(self, now: float) -> None:
        self._drawn = now
        self._take_over(now)
        if self._live is not None:
            begun = self._clock()
            self._live.update(LiveView(self.numbers, self._colors), refresh=True)
            self._pause = max(_REDRAWN_EVERY, (self._clock() - begun) / _SHARE_OF_DRAWING)

    def _take_over(self, now: float) -> None:
        """All that is not counted frame by frame."""
        self.numbers.elapsed = now - self._began
        self._paced.fill(self.numbers)
        if self.status is not None:
            status = self.status()
            self.numbers.queued, self.numbers.queue_size = status.queued, status.queue_size
            self.numbers.n_dropped, self.numbers.overhead = status.n_dropped, status.overhead

    def _measure_speed(self, states: LiveStates, frame: LiveFrame) -> None:
        """From when frames were handed over, of the last seconds; not across a gap backwards."""
        recent, numbers = self._recent, self.numbers
        if recent and states.step <= recent[-1][1]:
            recent.clear()
        recent.append((frame.received, states.step, states.time))
        while len(recent) > 2 and recent[-1][0] - recent[1][0] > _SPEED_OVER:
            recent.popleft()
        (begin, first, start), (end, last, stop) = recent[0], recent[-1]
        if end > begin:
            numbers.steps_per_second = (last - first) / (end - begin)
            if start is not None and stop is not None:
                numbers.ns_per_day = (stop - start) / 1000.0 / (end - begin) * 86400.0

    def _watch_novelty(self, states: LiveStates) -> None:
        if states.novelty is None:
            return
        self._n_known += 1
        if not states.alarms:
            return
        self._n_alarms += 1
        novelty = states.novelty
        worst = max(states.alarms, key=lambda target: float(novelty[target]))
        self.numbers.alarm = (
            f"surroundings that the model never saw in {self._n_alarms:,} of {self._n_known:,} "
            f"frames; last: step {states.step:,}, target {worst} (from 0), "
            f"{novelty[worst]:.3g} times the threshold"
        )
