"""Populations of the states, with their equilibrium values."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgdyn.koopman.koopman_model import KoopmanModel
from kgdyn.plots._style import axes_or_new, state_color

__all__ = ["plot_populations"]


def plot_populations(model: KoopmanModel, ax: Any = None) -> Any:
    """Draw the mean state probabilities with 95% intervals, and the stationary distribution.

    Parameters
    ----------
    model : KoopmanModel
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = axes_or_new(ax, (max(3.2, 0.55 * model.n_states + 0.8), 3.2))
    states = np.arange(model.n_states)
    errors = None
    if model.populations_interval is not None:
        errors = np.stack(
            [
                np.maximum(model.populations - model.populations_interval.lower, 0),
                np.maximum(model.populations_interval.upper - model.populations, 0),
            ]
        )
    bars = ax.bar(
        states,
        model.populations,
        yerr=errors,
        capsize=4,
        color=[state_color(int(state)) for state in states],
    )
    ax.bar_label(
        bars,
        [f"{100 * value:.1f}%" for value in model.populations],
        padding=4,
        fontsize="small" if model.n_states <= 4 else "x-small",
    )
    ax.plot(
        states,
        model.stationary_distribution,
        "D",
        color="white",
        markeredgecolor="black",
        label="stationary distribution of K",
    )
    ax.set(
        xlabel="state",
        ylabel="population",
        xticks=states,
        xticklabels=[str(state + 1) for state in states],
        ylim=(0, max(1.0, float(model.populations.max())) * 1.12),
    )
    # Above the axes: a bar may reach to their top.
    ax.legend(
        frameon=False,
        fontsize="small",
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        borderaxespad=0.1,
        handletextpad=0.2,
    )
    return ax
