"""Implied timescales against lag time, as in Fig. 2c of Xie et al. 2019."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgdyn.koopman.implied_timescales import ImpliedTimescales
from kgdyn.plots._style import axes_or_new, plain_log_ticks, state_color, state_marker

__all__ = ["plot_implied_timescales"]


def plot_implied_timescales(
    result: ImpliedTimescales, ax: Any = None, reference: ImpliedTimescales | None = None
) -> Any:
    """Draw timescales with their 95% bands; what lies in grey is shorter than the lag time.

    Parameters
    ----------
    result : ImpliedTimescales
    ax : matplotlib Axes, optional
    reference : ImpliedTimescales, optional
        Drawn as dashed lines, for example those of known states.

    Returns
    -------
    matplotlib Axes
    """
    ax = axes_or_new(ax)
    lag = result.lagtimes_ps
    for process in range(result.timescales.shape[1]):
        color = state_color(process)
        ax.plot(
            lag,
            result.timescales[:, process],
            state_marker(process) + "-",
            ms=4,
            color=color,
            label=f"process {process + 1}",
        )
        if result.interval is not None:
            ax.fill_between(
                lag,
                result.interval.lower[:, process],
                result.interval.upper[:, process],
                color=color,
                alpha=0.2,
                linewidth=0,
            )
    if reference is not None:
        for process in range(min(result.timescales.shape[1], reference.timescales.shape[1])):
            ax.plot(
                reference.lagtimes_ps,
                reference.timescales[:, process],
                "--",
                color="black",
                linewidth=1,
                label="true states" if process == 0 else None,
            )
    values = [result.timescales, lag]
    if result.interval is not None:
        values += [result.interval.lower, result.interval.upper]
    if reference is not None:
        values.append(reference.timescales)
    finite = np.concatenate([np.ravel(value) for value in values])
    finite = finite[np.isfinite(finite) & (finite > 0)]
    edge = np.array([lag.min() * 0.8, lag.max() * 1.25])
    bottom, top = finite.min() * 0.7, finite.max() * 1.5
    ax.fill_between(edge, min(bottom, edge[0]), edge, color="0.9", linewidth=0, zorder=0)
    ax.set(
        xscale="log",
        yscale="log",
        xlim=edge,
        ylim=(bottom, top),
        xlabel="lag time (ps)",
        ylabel="implied timescale (ps)",
    )
    plain_log_ticks(ax.xaxis)
    plain_log_ticks(ax.yaxis)
    many = result.timescales.shape[1] > 3
    ax.legend(
        frameon=False, loc="best", fontsize="x-small" if many else "small", ncols=2 if many else 1
    )
    return ax
