"""Matrices as heat maps: a number with its error in each cell, a state at each row and column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman import Interval
from kgdyn.plots._numbers import rounded
from kgdyn.plots._style import state_color, state_marker

__all__ = ["draw_cells", "draw_matrix", "mark_states", "matrix_size"]

Float = NDArray[np.float64]


def matrix_size(n_states: int) -> tuple[float, float]:
    """Width and height of a figure with one heat map and its colour bar, inches."""
    cell = 0.85 if n_states <= 4 else 0.72
    return max(3.4, cell * n_states + 1.9), max(2.9, cell * n_states + 1.0)


def draw_matrix(
    ax: Any,
    values: Float,
    interval: Interval | None,
    *,
    label: str,
    diverging: bool = False,
    limits: tuple[float, float] | None = None,
) -> Any:
    """Draw a matrix between states: rows from, columns to.

    Cells of unknown value are grey, with a dash. Where values have two signs, those below zero are
    hatched, too: colours alone are alike in grey.

    Parameters
    ----------
    ax : matplotlib Axes
    values : (n_states, n_states) array
    interval : Interval or None
        Of the same units.
    label : str
        Of the colour bar.
    diverging : bool
        White at zero, red above, blue below.
    limits : (low, high), optional
        Of the colours.

    Returns
    -------
    matplotlib QuadMesh
    """
    n_states = len(values)
    names = [str(state + 1) for state in range(n_states)]
    mesh = draw_cells(
        ax, values, interval, rows=names, columns=names, label=label,
        diverging=diverging, limits=limits,
    )  # fmt: skip
    ax.set(xlabel="to state", ylabel="from state")
    mark_states(ax, n_states)
    return mesh


def mark_states(ax: Any, n_states: int, *, columns: bool = True) -> None:
    """The markers of the states beside their rows, and below their columns."""
    from matplotlib.transforms import offset_copy

    left = offset_copy(ax.get_yaxis_transform(), ax.figure, x=-6, units="points")
    below = offset_copy(ax.get_xaxis_transform(), ax.figure, y=-6, units="points")
    ax.tick_params(axis="both" if columns else "y", pad=11)
    for state in range(n_states):
        mark: dict[str, Any] = {
            "marker": state_marker(state), "color": state_color(state), "markersize": 5,
            "markeredgecolor": "black", "markeredgewidth": 0.4, "clip_on": False, "zorder": 3,
        }  # fmt: skip
        ax.plot([0.0], [state], transform=left, **mark)
        if columns:
            ax.plot([state], [0.0], transform=below, **mark)


def draw_cells(
    ax: Any,
    values: Float,
    interval: Interval | None,
    *,
    rows: list[str],
    columns: list[str],
    label: str,
    diverging: bool = False,
    limits: tuple[float, float] | None = None,
) -> Any:
    """The same for any rows and columns, named as given."""
    from matplotlib import colormaps

    shape = values.shape
    if limits is None:
        finite = values[np.isfinite(values)]
        high = float(np.abs(finite).max()) if finite.size else 1.0
        high = high if high > 0.0 else 1.0
        limits = (-high, high) if diverging else (min(0.0, float(np.min(finite, initial=0))), high)
    # Cells, not an image: sharp at any size in PDF and SVG.
    mesh = ax.pcolormesh(
        np.arange(shape[1] + 1) - 0.5,
        np.arange(shape[0] + 1) - 0.5,
        np.ma.masked_invalid(values),
        cmap=colormaps["RdBu_r" if diverging else "Blues"].with_extremes(bad="0.88"),
        vmin=limits[0],
        vmax=limits[1],
        edgecolors="white",
        linewidth=1.0,
    )
    ax.set_facecolor("0.88")
    ax.set(
        xlim=(-0.5, shape[1] - 0.5),
        ylim=(shape[0] - 0.5, -0.5),
        aspect="equal",
        xticks=np.arange(shape[1]),
        yticks=np.arange(shape[0]),
        xticklabels=columns,
        yticklabels=rows,
    )
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    _write(ax, mesh, values, interval)
    if diverging:
        _hatch_negative(ax, values)
    bar = ax.figure.colorbar(mesh, ax=ax, label=label, shrink=0.9, pad=0.03)
    bar.outline.set_visible(False)
    return mesh


def _write(ax: Any, mesh: Any, values: Float, interval: Interval | None) -> None:
    """The numbers, dark on light cells and light on dark ones; errors smaller below."""
    size = 8.5 if max(values.shape) <= 4 else 8.0 if max(values.shape) <= 6 else 7.5
    for i, j in np.ndindex(*values.shape):
        bounds = (np.nan, np.nan)
        if interval is not None:
            bounds = (float(interval.lower[i, j]), float(interval.upper[i, j]))
        value, error = rounded(float(values[i, j]), *bounds)
        red, green, blue, _ = mesh.cmap(mesh.norm(values[i, j]))
        light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
        color = "black" if light or not np.isfinite(values[i, j]) else "white"
        middle = "center" if not error else "bottom"
        ax.text(j, i, value, ha="center", va=middle, color=color, fontsize=size)
        if error:
            above_below = "/" in error
            text = error.replace(" / ", "\n") if above_below else error
            smaller = size - 1.7
            ax.text(
                j, i + 0.03, text, ha="center", va="top", color=color,
                fontsize=smaller, linespacing=0.95,
            )  # fmt: skip


def _hatch_negative(ax: Any, values: Float) -> None:
    from matplotlib.patches import Rectangle

    for i, j in np.argwhere(values < 0.0):
        corner, edge = (j - 0.5, i - 0.5), (1, 1, 1, 0.45)
        ax.add_patch(Rectangle(corner, 1, 1, fill=False, hatch="//", edgecolor=edge, linewidth=0))
