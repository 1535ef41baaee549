"""Coordination numbers by state: their means, and how they are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kgdyn.koopman import Interval
from kgdyn.plots._style import (
    axes_or_new,
    legend_above,
    panels_or_new,
    state_bars,
)
from kgdyn.plots.state_rdf import chosen_selections

if TYPE_CHECKING:
    from kgdyn.observables import CoordinationNumbers

__all__ = ["plot_coordination_distribution", "plot_coordination_numbers"]


def plot_coordination_numbers(result: CoordinationNumbers, ax: Any = None) -> Any:
    """Draw mean numbers of neighbours with 95% bars: a group for each selection, a bar a state.

    Parameters
    ----------
    result : kgdyn.observables.CoordinationNumbers
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    own = ax is None
    n_states, n_selections = result.mean.shape
    ax = axes_or_new(ax, (max(3.4, 0.22 * n_states * n_selections + 0.35 * n_selections + 1.0), 3))
    width = 0.8 / n_states
    for state in range(n_states):
        places = np.arange(n_selections) + width * (state - 0.5 * (n_states - 1))
        bars = state_bars(
            ax,
            result.mean[state],
            Interval(result.mean_interval.lower[state], result.mean_interval.upper[state]),
            places=places,
            states=[state] * n_selections,
            width=width,
        )
        bars.set_label(f"state {state + 1}")
    ax.set(
        ylabel="neighbours within the cut-off",
        xticks=np.arange(n_selections),
        xticklabels=[f"{name}\n{result.cutoffs[name]:g} Å" for name in result.selections],
    )
    ax.tick_params(axis="x", length=0)
    ax.set_ylim(bottom=0.0)
    legend_above(ax, own)
    return ax


def plot_coordination_distribution(
    result: CoordinationNumbers, axes: Any = None, selections: Sequence[str] | None = None
) -> Any:
    """Draw how often targets of each state have 0, 1, 2, ... neighbours, with 95% bars.

    Parameters
    ----------
    result : kgdyn.observables.CoordinationNumbers
    axes : (n_selections,) array of matplotlib Axes, or one, optional
    selections : sequence of str, optional
        Which of them, in the order of the panels; all if not given.

    Returns
    -------
    (n_selections,) array of matplotlib Axes

    Raises
    ------
    ValueError
        For a selection that the result does not have, or another number of axes.
    """
    from matplotlib.ticker import MaxNLocator

    names = chosen_selections(result.selections, selections)
    panels = panels_or_new(axes, len(names))
    n_states = len(result.mean)
    width = 0.84 / n_states
    for ax, name in zip(panels, names, strict=True):
        number = result.selections.index(name)
        share = result.distribution[:, number]
        # Numbers that some state has in at least one target of a thousand.
        common = np.flatnonzero((np.nan_to_num(share) > 1e-3).any(axis=0))
        first, last = (int(common[0]), int(common[-1])) if common.size else (0, 0)
        counts = np.arange(first, last + 1)
        for state in range(n_states):
            bars = state_bars(
                ax,
                share[state, counts],
                Interval(
                    result.distribution_interval.lower[state, number, counts],
                    result.distribution_interval.upper[state, number, counts],
                ),
                places=counts + width * (state - 0.5 * (n_states - 1)),
                states=[state] * len(counts),
                width=width,
            )
            bars.set_label(f"state {state + 1}")
        ax.set(
            title=name,
            xlabel=f"neighbours within {result.cutoffs[name]:g} Å",
            ylabel="share of targets",
            xlim=(first - 0.6, last + 0.6),
        )
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_ylim(bottom=0.0)
    legend_above(panels, axes is None)
    return panels
