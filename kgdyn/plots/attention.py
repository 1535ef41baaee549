"""What a model attends to: which neighbours, how far away, in which state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kgdyn.plots._style import draw_curve, legend_above, state_color
from kgdyn.plots.state_rdf import chosen_selections

if TYPE_CHECKING:
    from kgdyn.explain import NeighborAttention

__all__ = ["plot_attention"]


def plot_attention(
    result: NeighborAttention,
    axes: Any = None,
    elements: Sequence[str] | None = None,
    convolutions: Sequence[int] | None = None,
) -> Any:
    """Draw the share of attention by distance with 95% bands: rows convolutions, columns elements.

    Dotted lines are the shares if all neighbours weighed the same: what lies above is looked at
    more than its number explains.

    Parameters
    ----------
    result : kgdyn.explain.NeighborAttention
    axes : (n_convolutions, n_elements) array of matplotlib Axes, optional
    elements : sequence of str, optional
        Of the columns; all if not given.
    convolutions : sequence of int, optional
        Of the rows, from 0; all if not given.

    Returns
    -------
    (n_convolutions, n_elements) array of matplotlib Axes

    Raises
    ------
    ValueError
        For an element or a convolution that the result does not have, or another shape of axes.
    """
    names = chosen_selections(result.elements, elements, "elements")
    rows = list(range(result.n_convolutions)) if convolutions is None else list(convolutions)
    if not rows or not all(0 <= row < result.n_convolutions for row in rows):
        raise ValueError(
            f"convolutions must be from 0 to {result.n_convolutions - 1}, received {rows}"
        )
    own = axes is None
    shape = (len(rows), len(names))
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(
            *shape,
            figsize=(max(3.6, 2.4 * shape[1]), max(2.8, 1.8 * shape[0] + 0.4)),
            sharex=True,
            sharey="row",
            layout="constrained",
            squeeze=False,
        )
    axes = np.asarray(axes, dtype=object)
    if axes.shape != shape:
        raise ValueError(
            f"axes must have shape (n_convolutions, n_elements) = {shape}, received {axes.shape}"
        )
    even = result.even_share
    for (i, j), ax in np.ndenumerate(axes):
        row, column = rows[i], result.elements.index(names[j])
        for state in range(result.n_states):
            draw_curve(
                ax,
                result.radii,
                result.share[row, state, column],
                result.share_interval.lower[row, state, column],
                result.share_interval.upper[row, state, column],
                state,
                result.n_states,
            )
            ax.plot(result.radii, even[state, column], ":", color=state_color(state), lw=1.0)
        ax.set_xlim(result.edges[0], result.edges[-1])
        if i == 0:
            ax.set_title(names[j])
        if i == len(rows) - 1:
            ax.set_xlabel("r (Å)")
        if j == 0:
            ax.set_ylabel(f"attention,\nconvolution {row + 1}")
    for ax in axes.flat:  # once all are drawn: panels of a row share their limits
        ax.set_ylim(bottom=0.0)
    axes[0, 0].plot([], [], ":", color="0.3", lw=1.0, label="all alike")
    legend_above(axes, own)
    return axes
