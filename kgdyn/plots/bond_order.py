"""Bond order of targets of each state (Steinhardt's), to compare learned states with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kgdyn.plots._style import LINE_STYLES, legend_above, panels_or_new, state_color

if TYPE_CHECKING:
    from kgdyn.observables import StateBondOrder

__all__ = ["plot_bond_order"]

Quantity = Literal["magnitude", "correlation"]


def plot_bond_order(
    result: StateBondOrder,
    axes: Any = None,
    quantity: Quantity = "correlation",
    degrees: Sequence[int] | None = None,
) -> Any:
    """Draw the distribution of bond order by state with 95% bands, a panel for each degree.

    Steps are the bins. Small vertical lines at the top are the means, with their 95% intervals.

    Parameters
    ----------
    result : kgdyn.observables.StateBondOrder
    axes : (n_degrees,) array of matplotlib Axes, or one, optional
    quantity : {"correlation", "magnitude"}
        With the neighbours, or of a target itself.
    degrees : sequence of int, optional
        Which of them, in the order of the panels; all if not given.

    Returns
    -------
    (n_degrees,) array of matplotlib Axes

    Raises
    ------
    ValueError
        For another quantity, a degree that the result does not have, or another number of axes.
    """
    if quantity not in ("magnitude", "correlation"):
        raise ValueError(f'quantity must be "magnitude" or "correlation", received {quantity!r}')
    chosen = list(result.degrees) if degrees is None else list(degrees)
    for degree in chosen:
        if degree not in result.degrees:
            raise ValueError(f"degrees must be of {list(result.degrees)}, received {degree}")
    panels = panels_or_new(axes, len(chosen))
    edges = getattr(result, f"{quantity}_edges")
    density = getattr(result, f"{quantity}_density")
    bounds = getattr(result, f"{quantity}_density_interval")
    means = getattr(result, quantity)
    means_bounds = getattr(result, f"{quantity}_interval")
    for ax, degree in zip(panels, chosen, strict=True):
        number = result.degrees.index(degree)
        for state in range(result.n_states):
            color = state_color(state)
            ax.stairs(
                density[state, number],
                edges,
                color=color,
                linestyle=LINE_STYLES[state % len(LINE_STYLES)],
                linewidth=1.3,
                label=f"state {state + 1}",
            )
            low, high = (
                np.append(rows[state, number], rows[state, number, -1])
                for rows in (bounds.lower, bounds.upper)
            )
            ax.fill_between(edges, low, high, step="post", color=color, alpha=0.2, linewidth=0)
            height = 0.97 - 0.035 * (state % 4)
            low, high = means_bounds.lower[state, number], means_bounds.upper[state, number]
            ax.plot(
                [low, high], [height] * 2, color=color, lw=1.2, transform=ax.get_xaxis_transform()
            )
            ax.plot(
                [means[state, number]], [height], marker="|", ms=5, mew=1.4, color=color,
                transform=ax.get_xaxis_transform(),
            )  # fmt: skip
        # Where there is something, with some room.
        seen = np.flatnonzero((np.nan_to_num(density[:, number]) > 0.0).any(axis=0))
        if seen.size:
            first, last = max(int(seen[0]) - 1, 0), min(int(seen[-1]) + 2, len(edges) - 1)
            ax.set_xlim(edges[first], edges[last])
        symbol = f"q$_{{{degree}}}$"
        name = f"|{symbol}|" if quantity == "magnitude" else f"{symbol} with neighbours"
        ax.set(xlabel=name, ylabel="density")
        ax.set_ylim(0.0, 1.18 * ax.get_ylim()[1])  # the means stand above the lines
    legend_above(panels, axes is None)
    return panels
