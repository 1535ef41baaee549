"""The Koopman matrix as a heat map."""

from __future__ import annotations

from typing import Any

from kgdyn.koopman import KoopmanModel
from kgdyn.plots._heat_map import draw_matrix, matrix_size
from kgdyn.plots._style import axes_or_new

__all__ = ["plot_koopman_matrix"]


def plot_koopman_matrix(model: KoopmanModel, ax: Any = None) -> Any:
    """Draw K, rows from, columns to, with its 95% errors where the model has them.

    Parameters
    ----------
    model : KoopmanModel
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = axes_or_new(ax, matrix_size(model.n_states))
    lag = model.lagtime * model.frame_interval
    draw_matrix(
        ax,
        model.koopman_matrix,
        model.koopman_matrix_interval,
        label=f"probability after {lag:g} ps",
        limits=(0.0, 1.0),
    )
    return ax
