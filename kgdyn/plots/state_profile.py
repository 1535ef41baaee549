"""States along an axis, as in Fig. 4 of Xie et al. 2019 (a solid-liquid interface)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kgdyn.koopman import Interval
from kgdyn.plots._style import (
    axes_or_new,
    draw_curve,
    error_bars,
    legend_above,
    state_color,
    state_hatch,
)

if TYPE_CHECKING:
    from kgdyn.observables import StateProfile

__all__ = ["plot_state_profile"]

Kind = Literal["lines", "stacked", "density"]


def plot_state_profile(result: StateProfile, ax: Any = None, kind: Kind = "lines") -> Any:
    """Draw which states targets are in along an axis, with 95% intervals.

    Parameters
    ----------
    result : kgdyn.observables.StateProfile
    ax : matplotlib Axes, optional
    kind : {"lines", "stacked", "density"}
        Shares of the states as lines with bands; the same as areas on top of each other, each with
        the error of its own share at its upper end; or number densities with bands. Slabs without
        targets have no share and stay empty.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        For another kind.
    """
    if kind not in ("lines", "stacked", "density"):
        raise ValueError(f'kind must be "lines", "stacked" or "density", received {kind!r}')
    own = ax is None
    ax = axes_or_new(ax, (4.8, 3.0))
    if kind == "stacked":
        _draw_stacked(result, ax)
    else:
        values, interval = result.share, result.share_interval
        if kind == "density":
            values, interval = result.density, result.density_interval
        n_states = len(values)
        for state in range(n_states):
            draw_curve(
                ax,
                result.positions,
                values[state],
                interval.lower[state],
                interval.upper[state],
                state,
                n_states,
            )
    ax.set(
        xlabel=f"position along {'abc'[result.axis]} (Å)",
        ylabel="density (1/Å³)" if kind == "density" else "share of targets",
        xlim=(result.edges[0], result.edges[-1]),
    )
    if kind == "density":
        ax.set_ylim(bottom=0.0)
    else:
        ax.set_ylim(0.0, 1.0)
    legend_above(ax, own)
    return ax


def _draw_stacked(result: StateProfile, ax: Any) -> None:
    """Steps from edge to edge: a slab is a mean over its thickness."""
    tops = np.cumsum(result.share, axis=0)
    bottoms = tops - result.share
    n_states = len(tops)
    slab = result.edges[1] - result.edges[0]
    for state in range(n_states):
        low, high = (np.append(rows[state], rows[state, -1]) for rows in (bottoms, tops))
        ax.fill_between(
            result.edges,
            low,
            high,
            step="post",
            facecolor=state_color(state),
            edgecolor="black",
            linewidth=0.4,
            hatch=state_hatch(state),
            label=f"state {state + 1}",
        )
    for state in range(n_states - 1):
        interval = Interval(result.share_interval.lower[state], result.share_interval.upper[state])
        # Apart from each other where areas are thin.
        shift = slab * 0.5 * (state - 0.5 * (n_states - 2)) / max(n_states - 1, 1)
        ax.errorbar(
            result.positions + shift,
            tops[state],
            error_bars(result.share[state], interval),
            fmt="none",
            ecolor="black",
            elinewidth=0.9,
            capsize=1.5,
        )
