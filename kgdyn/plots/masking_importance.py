"""What a model cannot do without: the score and the states when it is kept from seeing things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kgdyn.plots._style import error_bars, legend_above, state_color, state_marker

if TYPE_CHECKING:
    from kgdyn.explain import MaskingImportance

__all__ = ["plot_masking_importance"]


def plot_masking_importance(result: MaskingImportance, axes: Any = None) -> Any:
    """Draw what each mask costs: left in score, right in frames of each state that change.

    A row for each mask, with 95% bars. Masks that hid nothing are pale.

    Parameters
    ----------
    result : kgdyn.explain.MaskingImportance
    axes : (2,) array of matplotlib Axes, optional

    Returns
    -------
    (2,) array of matplotlib Axes

    Raises
    ------
    ValueError
        If ``axes`` are not two.
    """
    own = axes is None
    n_masks, n_states = len(result.masks), result.n_states
    if axes is None:
        import matplotlib.pyplot as plt

        height = max(2.4, n_masks * max(0.28, 0.1 * n_states) + 1.1)
        _, axes = plt.subplots(1, 2, figsize=(7.0, height), sharey=True, layout="constrained")
    axes = np.asarray(axes, dtype=object)
    if axes.shape != (2,):
        raise ValueError(f"axes must have shape (2,), received {axes.shape}")
    rows = np.arange(n_masks)
    hidden = result.masked_neighbors > 0.0
    axes[0].barh(
        rows,
        result.score_drop,
        0.7,
        xerr=error_bars(result.score_drop, result.score_drop_interval),
        capsize=2,
        color=["0.55" if seen else "0.9" for seen in hidden],
        edgecolor="black",
        linewidth=0.6,
        error_kw={"elinewidth": 1.0, "ecolor": "black"},
    )
    axes[0].axvline(0.0, color="black", lw=0.8)
    axes[0].set(
        xlabel=f"loss of VAMP-2 (of {result.score:.3f})",
        yticks=rows,
        yticklabels=[name.replace("angstrom", "Å") for name in result.names],
        ylim=(n_masks - 0.4, -0.6),
    )
    bounds = result.changed_interval
    for state in range(n_states):
        shift = 0.7 / n_states * (state - 0.5 * (n_states - 1))
        values = result.changed[:, state]
        below, above = values - bounds.lower[:, state], bounds.upper[:, state] - values
        axes[1].errorbar(
            100.0 * values,
            rows + shift,
            xerr=100.0 * np.maximum([below, above], 0.0),
            fmt=state_marker(state),
            color=state_color(state),
            markeredgecolor="black",
            markeredgewidth=0.4,
            markersize=5,
            elinewidth=1.0,
            capsize=2,
            label=f"state {state + 1}",
        )
    for row in rows[:-1]:
        axes[1].axhline(row + 0.5, color="0.85", lw=0.6, zorder=0)
    axes[1].set(xlabel="frames in another state (%)", ylim=(n_masks - 0.4, -0.6), xlim=(-3, 103))
    legend_above(axes[1], own)
    return axes
