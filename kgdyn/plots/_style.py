"""Colours, lines and axes shared by all figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.koopman import Interval

__all__ = [
    "HATCHES",
    "LINE_STYLES",
    "MARKERS",
    "STATE_COLORS",
    "TEXT_AS_TEXT",
    "axes_or_new",
    "draw_curve",
    "error_bars",
    "figure_style",
    "legend_above",
    "panels_or_new",
    "plain_log_ticks",
    "state_bars",
    "state_color",
    "state_hatch",
    "state_marker",
]

# Okabe and Ito (2008): told apart by all kinds of colour vision; ordered to differ in grey too.
STATE_COLORS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#56B4E9",
    "#F0E442",
    "#000000",
)
# Lines of one picture are told apart by these too, in print without colours.
MARKERS = "os^Dv<>p"
LINE_STYLES: tuple[Any, ...] = (
    "-",
    (0, (6, 1.5)),
    (0, (2, 1)),
    (0, (6, 1.5, 1, 1.5)),
    "-",
    (0, (6, 1.5)),
    (0, (2, 1)),
    (0, (6, 1.5, 1, 1.5)),
)
# And areas by these.
HATCHES = ("", "///", "...", "\\\\\\", "xx", "--", "||", "")
# More points than this get a marker at some of them only.
_MARKED = 25
# In SVG and PDF, to be searched and edited.
TEXT_AS_TEXT: Any = {"svg.fonttype": "none", "pdf.fonttype": 42, "ps.fonttype": 42}
_STYLE: Any = {
    **TEXT_AS_TEXT,
    "font.size": 9.0,
    "axes.labelsize": 9.0,
    "axes.titlesize": 9.0,
    "legend.fontsize": 8.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.0,
    "hatch.linewidth": 0.6,
    "savefig.dpi": 200.0,
}


@contextmanager
def figure_style() -> Iterator[None]:
    """The look of figures for print, for as long as the context lasts.

    Sizes are those of a journal's column: text of 8 to 9 points. Text in SVG and PDF is text, not
    outlines. Outside of the context matplotlib's settings are as before.
    """
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def state_color(state: int) -> str:
    """The colour of a state, the same in every figure."""
    return STATE_COLORS[state % len(STATE_COLORS)]


def state_marker(state: int) -> str:
    """The marker of a state or process."""
    return MARKERS[state % len(MARKERS)]


def state_hatch(state: int) -> str:
    """The hatch of a state's area."""
    return HATCHES[state % len(HATCHES)]


def axes_or_new(ax: Any, figsize: tuple[float, float] = (4.2, 3.2)) -> Any:
    """``ax``, or a new one in a figure of its own."""
    if ax is not None:
        if np.shape(ax) != ():
            raise ValueError(f"ax must be one matplotlib Axes, received shape {np.shape(ax)}")
        return ax
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=figsize, layout="constrained")
    return ax


def panels_or_new(
    axes: Any, n_panels: int, size: tuple[float, float] = (2.6, 2.3), most_columns: int = 3
) -> NDArray[Any]:
    """(n_panels,) array of Axes: those given, or new ones in rows of a figure of their own.

    Parameters
    ----------
    axes : array of matplotlib Axes, or one, or None
    n_panels : int
    size : (float, float), inches
        Of one new panel.
    most_columns : int
        Of new panels.

    Raises
    ------
    ValueError
        For no panel, or another number of axes.
    """
    if n_panels < 1:
        raise ValueError("there is nothing to draw: no panel is asked for")
    if axes is not None:
        given = np.asarray(axes, dtype=object)
        given = given.reshape(1) if given.shape == () else given
        if given.shape != (n_panels,):
            raise ValueError(f"axes must have shape ({n_panels},), received {np.shape(axes)}")
        return given
    import matplotlib.pyplot as plt

    n_columns = min(n_panels, most_columns)
    n_rows = -(-n_panels // n_columns)
    # One panel alone is as large as a figure of one.
    width, height = (4.2, 3.2) if n_panels == 1 else (size[0] * n_columns, size[1] * n_rows)
    _, grid = plt.subplots(
        n_rows, n_columns, figsize=(width, height), layout="constrained", squeeze=False
    )
    flat = np.ravel(grid)
    for ax in flat[n_panels:]:
        ax.remove()
    return np.asarray(flat[:n_panels], dtype=object)


def legend_above(axes: Any, own: bool, markers: float = 1.0) -> None:
    """A legend of the labels of the first panel: above all of a figure of our own, else inside.

    Above, it can never lie over data. ``markers``: how much larger they are there.
    """
    first = np.ravel(np.asarray(axes, dtype=object))[0]
    handles, labels = first.get_legend_handles_labels()
    if not handles:
        return
    if not own:
        first.legend(frameon=False, fontsize="small", loc="best", markerscale=markers)
        return
    longest = max(len(label) for label in labels)
    room = first.figure.get_size_inches()[0] / (0.45 + 0.07 * longest)
    first.figure.legend(
        handles,
        labels,
        frameon=False,
        fontsize="small",
        loc="outside upper center",
        ncols=max(1, min(len(labels), int(room))),
        columnspacing=1.2,
        handlelength=2.2,
        markerscale=markers,
    )


def plain_log_ticks(axis: Any) -> None:
    """Ticks at 1, 2 and 5 times powers of ten where a logarithmic axis spans little."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axis.get_view_interval()
    if not 0.0 < low < high < 100.0 * low:
        return
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def error_bars(values: ArrayLike, interval: Interval | None) -> NDArray[np.float64] | None:
    """(2, n) lengths below and above, as matplotlib takes them; never negative, NaN for none."""
    if interval is None:
        return None
    given = np.asarray(values, dtype=np.float64)
    return np.stack(
        [
            np.maximum(given - np.asarray(interval.lower), 0.0),
            np.maximum(np.asarray(interval.upper) - given, 0.0),
        ]
    )


def draw_curve(
    ax: Any,
    x: ArrayLike,
    values: ArrayLike,
    lower: ArrayLike,
    upper: ArrayLike,
    state: int,
    n_states: int,
    label: str | None = None,
) -> None:
    """One state's line with its 95% band; of many points some have markers, of few all."""
    n_points = len(np.asarray(x))
    step = max(1, n_points // 6)
    first = (step * state) // max(n_states, 1)
    ax.plot(
        x,
        values,
        color=state_color(state),
        linestyle=LINE_STYLES[state % len(LINE_STYLES)],
        linewidth=1.4,
        marker=state_marker(state),
        markersize=4,
        markevery=1 if n_points <= _MARKED else (first, step),
        label=f"state {state + 1}" if label is None else label,
    )
    ax.fill_between(x, lower, upper, color=state_color(state), alpha=0.2, linewidth=0)


def state_bars(
    ax: Any,
    values: ArrayLike,
    interval: Interval | None,
    *,
    places: ArrayLike | None = None,
    states: Sequence[int] | None = None,
    width: float = 0.8,
) -> Any:
    """Bars in the colours and hatches of their states, with 95% bars; x is labelled from 1."""
    heights = np.asarray(values, dtype=np.float64)
    numbers = list(range(len(heights))) if states is None else list(states)
    at = np.arange(len(heights), dtype=float) if places is None else np.asarray(places)
    bars = ax.bar(
        at,
        heights,
        width,
        yerr=error_bars(heights, interval),
        capsize=3,
        color=[state_color(state) for state in numbers],
        edgecolor="black",
        linewidth=0.6,
        error_kw={"elinewidth": 1.0, "ecolor": "black"},
    )
    for bar, state in zip(bars, numbers, strict=True):
        bar.set_hatch(state_hatch(state))
    if places is None:
        ax.set(xlabel="state", xticks=at, xticklabels=[str(state + 1) for state in numbers])
    return bars
