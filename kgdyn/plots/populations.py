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
    ax = axes_or_new(ax, (3.2, 3.2))
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
    ax.bar_label(bars, [f"{100 * value:.1f}%" for value in model.populations], padding=3)
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
    ax.legend(frameon=False, fontsize="small", loc="upper right", bbox_to_anchor=(1.0, 0.92))
    return ax
