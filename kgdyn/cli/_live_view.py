"""How the numbers of a live analysis look: on a screen of any width, and in one line."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from kgdyn.koopman.intervals import Interval

__all__ = ["LiveNumbers", "LiveView", "Timescales", "log_line"]

_WIDTH_WITH_FRAME, _WIDTH_WITH_BARS, _WIDTH_WITH_INTERVALS = 64, 60, 44
_LONGEST_BAR = 30
_WIDTH_OF_TIMES = 24  # of one timescale with its interval
_NO_LIMIT = 100_000


@dataclass(frozen=True)
class Timescales:
    """Implied timescales at one lag time, in the stream's unit of time; NaN where undefined."""

    lagtime: float
    values: NDArray[np.float64]
    interval: Interval | None = None


@dataclass
class LiveNumbers:
    """What is shown; None or empty where nobody knows.

    Attributes
    ----------
    title : str
    elapsed : float, s.
    step, time : of the last frame; time in ``unit``.
    unit : "ps", or "frames" where the time between frames is not known.
    steps_per_second, ns_per_day : speed of the simulation.
    overhead : float
        Share of the simulation's time that handing over takes.
    n_frames, n_dropped, n_segments, queued, queue_size : int
    latency : float, s
        From the hand-over of a frame to its states.
    populations, population_interval, departures : (n_states,) each
        Mean state probability; how often a target leaves the state, a nanosecond (or a thousand
        frames) and target.
    timescales : one for each lag time.
    ck, doubt, alarm, convergence, end : str
        Lines in words.
    """

    title: str = ""
    elapsed: float = 0.0
    step: int | None = None
    time: float | None = None
    unit: str = "ps"
    steps_per_second: float | None = None
    ns_per_day: float | None = None
    overhead: float | None = None
    n_frames: int = 0
    n_dropped: int | None = None
    n_segments: int = 0
    queued: int | None = None
    queue_size: int | None = None
    latency: float | None = None
    populations: NDArray[np.float64] | None = None
    population_interval: Interval | None = None
    departures: NDArray[np.float64] | None = None
    timescales: list[Timescales] = field(default_factory=list)
    ck: str = ""
    doubt: str = ""
    alarm: str = ""
    convergence: str = ""
    end: str = ""


class LiveView:
    """A picture of the numbers that fits the console on which it is drawn.

    Parameters
    ----------
    numbers : LiveNumbers
    colors : (n_states) names of colours, "" for the console's own.
    whole : bool
        Draw all rows, also on a low screen.
    framed : bool
        Draw a frame if there is room for it.
    """

    def __init__(
        self, numbers: LiveNumbers, colors: list[str], whole: bool = False, framed: bool = True
    ) -> None:
        self.numbers = numbers
        self.framed = framed
        self.colors = colors
        self.whole = whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        framed = self.framed and options.max_width >= _WIDTH_WITH_FRAME
        width = options.max_width - (4 if framed else 0)
        ascii_only = options.ascii_only
        numbers = self.numbers
        counts = [Text(text) for text in _packed(_speed(numbers) + _frames(numbers), width)]
        words = [Text(text, style=style) for text, style in _words(numbers) if text]
        taken = 2 + len(counts) + sum(-(-len(text) // width) for text in words)
        rows = _NO_LIMIT if self.whole else console.size.height - 1 - taken
        n_states = 0 if numbers.populations is None else len(numbers.populations)
        n_lags = len(numbers.timescales)
        # Each of both tables has a header; lag times give way first, down to one.
        shown_lags = max(min(n_lags, rows - n_states - 2), min(n_lags, 1))
        shown_states = max(min(n_states, rows - shown_lags - 2), 1)
        loose = rows >= n_states + n_lags + 2 + 4
        sections: list[list[Table | Text]] = [[*counts]]
        if numbers.populations is not None:
            states = self._states(numbers.populations, width, shown_states, ascii_only)
            sections.append([states])
        if n_lags:
            sections.append([_times(numbers, width, shown_lags)])
        sections.append([*words])
        parts: list[Table | Text] = []
        for section in sections:
            parts += [Text("")] if loose and parts and section else []
            parts += section
        if framed:
            title = Text(f" {_head(numbers, width - 6)} ", style="bold")
            yield Panel(Group(*parts), title=title, border_style="dim", box=box.ROUNDED)
        else:
            head = [Text(_head(numbers, width), style="bold"), *([Text("")] if loose else [])]
            yield Group(*head, *parts)

    def _states(
        self, populations: NDArray[np.float64], width: int, rows: int, ascii_only: bool
    ) -> Table:
        numbers = self.numbers
        bars = width >= _WIDTH_WITH_BARS
        intervals = width >= _WIDTH_WITH_INTERVALS and numbers.population_interval is not None
        table = _table()
        table.add_column("state")
        if bars:
            table.add_column("")
        table.add_column("population", justify="right")
        if intervals:
            table.add_column("95%")
        if numbers.departures is not None:
            table.add_column(
                "leaves/ns" if numbers.unit == "ps" else "leaves/1000", justify="right"
            )
        length = min(_LONGEST_BAR, width - 48)
        for state, share in enumerate(populations[:rows]):
            color = self.colors[state]
            row = [Text(f"{'#' if ascii_only else '■'} {state + 1}", style=color)]
            if bars:
                row.append(Text(_bar(self._bounds(state, share), length, ascii_only), style=color))
            row.append(Text(f"{100 * share:.2f}%"))
            if intervals and numbers.population_interval is not None:
                bounds = numbers.population_interval
                row.append(Text(_range(100 * bounds.lower[state], 100 * bounds.upper[state], "%")))
            if numbers.departures is not None:
                row.append(Text(_number(numbers.departures[state])))
            table.add_row(*row)
        if len(populations) > rows:
            table.caption = f"and {len(populations) - rows} more"
        return table

    def _bounds(self, state: int, share: float) -> tuple[float, float]:
        interval = self.numbers.population_interval
        if interval is None or not np.isfinite(interval.upper[state] - interval.lower[state]):
            return share, share
        return float(interval.lower[state]), float(interval.upper[state])


def log_line(numbers: LiveNumbers) -> str:
    """The same in one line, for the log of a batch job."""
    parts = _packed(_speed(numbers) + _frames(numbers), _NO_LIMIT)
    if numbers.populations is not None:
        shares = []
        bounds = numbers.population_interval
        for state, share in enumerate(numbers.populations):
            text = f"{100 * share:.2f}%"
            if bounds is not None and np.isfinite(bounds.upper[state]):
                text += f" [{_range(100 * bounds.lower[state], 100 * bounds.upper[state], '')}]"
            shares.append(text)
        parts.append("populations " + ", ".join(shares))
    defined = [row for row in numbers.timescales if np.isfinite(row.values).any()]
    if defined:
        last = defined[-1]
        times = ", ".join(_time_with_range(last, index) for index in range(len(last.values)))
        parts.append(f"timescales at {last.lagtime:g} {numbers.unit}: {times} {numbers.unit}")
    parts += [text for text in (numbers.alarm, numbers.convergence, numbers.end) if text]
    return "; ".join(parts)


def _head(numbers: LiveNumbers, width: int) -> str:
    hours, rest = divmod(int(numbers.elapsed), 3600)
    clock = f"{hours:d}:{rest // 60:02d}:{rest % 60:02d}"
    title, room = numbers.title, width - len(clock) - 2
    if len(title) > room:
        title = title[: max(room - 3, 0)] + "..."
    return f"{title}, {clock}"


def _words(numbers: LiveNumbers) -> list[tuple[str, str]]:
    """Lines in words, each with its style."""
    return [
        (numbers.ck, ""),
        (numbers.doubt, "yellow"),
        (numbers.alarm, "bold red"),
        (numbers.convergence, ""),
        (numbers.end, "bold"),
    ]


def _speed(numbers: LiveNumbers) -> list[str]:
    parts = []
    if numbers.step is not None:
        parts.append(f"step {numbers.step:,}")
    if numbers.time is not None:
        parts.append(_time(numbers.time, numbers.unit))
    if numbers.steps_per_second is not None:
        parts.append(f"{_number(numbers.steps_per_second)} steps/s")
    if numbers.ns_per_day is not None:
        parts.append(f"{_number(numbers.ns_per_day)} ns/day")
    if numbers.overhead is not None:
        parts.append(f"hand-over {100 * numbers.overhead:.2f}%")
    return parts


def _frames(numbers: LiveNumbers) -> list[str]:
    parts = [f"{numbers.n_frames:,} frames"]
    if numbers.n_dropped is not None:
        parts.append(f"{numbers.n_dropped:,} dropped")
    if numbers.n_segments > 1:
        parts.append(f"{numbers.n_segments:,} segments")
    if numbers.queued is not None:
        size = "" if numbers.queue_size is None else f" of {numbers.queue_size}"
        parts.append(f"queue {numbers.queued}{size}")
    if numbers.latency is not None:
        parts.append(f"latency {1000 * numbers.latency:.3g} ms")
    return parts


def _packed(parts: list[str], width: int) -> list[str]:
    """Pieces joined to as few lines as fit."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + 3 + len(part) <= width:
            lines[-1] += f"   {part}" if width < _NO_LIMIT else f", {part}"
        else:
            lines.append(part)
    return lines


def _times(numbers: LiveNumbers, width: int, rows: int) -> Table:
    table = _table()
    table.add_column(f"lag ({numbers.unit})", justify="right")
    room = (width - 12) // _WIDTH_OF_TIMES
    n_times = len(numbers.timescales[0].values)
    n_shown = min(n_times, max(room, 1))
    for index in range(n_shown):
        table.add_column(f"timescale {index + 1} ({numbers.unit})")
    # The longest lag times are the least biased: they stay on a low screen.
    for row in numbers.timescales[-rows:]:
        table.add_row(
            f"{row.lagtime:g}", *[Text(_time_with_range(row, index)) for index in range(n_shown)]
        )
    return table


def _time_with_range(row: Timescales, index: int) -> str:
    value = row.values[index]
    if not np.isfinite(value):
        return "-"
    bounds = row.interval
    if bounds is None or not np.isfinite(bounds.upper[index]):
        return _number(value)
    return f"{_number(value)} [{_range(bounds.lower[index], bounds.upper[index], '')}]"


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")


def _bar(bounds: tuple[float, float], length: int, ascii_only: bool) -> str:
    """Full up to the lower bound, lighter up to the upper one."""
    lower, upper = (round(float(np.clip(bound, 0.0, 1.0)) * length) for bound in bounds)
    full, unsure, empty = "#+." if ascii_only else "█▓░"
    return full * lower + unsure * (upper - lower) + empty * (length - upper)


def _range(lower: float, upper: float, unit: str) -> str:
    if not (np.isfinite(lower) and np.isfinite(upper)):
        return "-"
    return f"{_number(lower)} to {_number(upper)}{unit}"


def _number(value: float) -> str:
    """Four digits are more than any interval bears."""
    if not np.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _time(value: float, unit: str) -> str:
    if unit != "ps":
        return f"{value:g} {unit}"
    return f"{value / 1000:.6g} ns" if abs(value) >= 1000 else f"{value:.6g} ps"
