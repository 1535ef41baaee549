"""States against labels that somebody knew before: a table of how often both are met."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgdyn.koopman import Interval
from kgdyn.plots._heat_map import draw_cells, mark_states, matrix_size
from kgdyn.plots._numbers import rounded
from kgdyn.plots._style import axes_or_new

if TYPE_CHECKING:
    from kgdyn.observables import LabelAgreement

__all__ = ["plot_label_agreement"]


def plot_label_agreement(result: LabelAgreement, ax: Any = None) -> Any:
    """Draw the share of target-frames of each state (rows) and label (columns), with 95% errors.

    Boxes are around the label that each state stands for. The title has the adjusted Rand index: 1
    where states and labels are the same, 0 where they know nothing of each other.

    Parameters
    ----------
    result : kgdyn.observables.LabelAgreement
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    from matplotlib.patches import Rectangle

    n_states, n_labels = result.table.shape
    width, _ = matrix_size(n_labels)
    _, height = matrix_size(n_states)
    ax = axes_or_new(ax, (max(width, 3.8), height))
    bounds = result.table_interval
    draw_cells(
        ax,
        100.0 * result.table,
        Interval(100.0 * bounds.lower, 100.0 * bounds.upper),
        rows=[str(state + 1) for state in range(n_states)],
        columns=list(result.names),
        label="share of all (%)",
    )
    mark_states(ax, n_states, columns=False)
    if max(len(name) for name in result.names) > 9:
        for tick in ax.get_xticklabels():
            tick.set(rotation=30, ha="right", rotation_mode="anchor")
    for state, label in enumerate(result.assignment.tolist()):
        if label >= 0:
            corner = (label - 0.47, state - 0.47)
            ax.add_patch(Rectangle(corner, 0.94, 0.94, fill=False, edgecolor="black", lw=1.8))
    interval = result.adjusted_rand_interval
    value, error = rounded(result.adjusted_rand, float(interval.lower), float(interval.upper))
    ax.set(xlabel="label", ylabel="state")
    ax.set_title(f"adjusted Rand index {value} {error.replace(' / ', ' ')}", fontsize="medium")
    return ax
