"""Angles between neighbours of targets of each state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kgdyn.plots._style import draw_curve, legend_above, panels_or_new

if TYPE_CHECKING:
    from kgdyn.observables import AngularDistribution

__all__ = ["plot_angular_distribution"]

_DASH = "\N{EN DASH}"


def plot_angular_distribution(
    result: AngularDistribution, axes: Any = None, pairs: Sequence[tuple[str, str]] | None = None
) -> Any:
    """Draw the density of the angle A-target-B with 95% bands, a panel for each pair (A, B).

    The dotted line is the density of neighbours in random directions.

    Parameters
    ----------
    result : kgdyn.observables.AngularDistribution
    axes : (n_pairs,) array of matplotlib Axes, or one, optional
    pairs : sequence of (str, str), optional
        Which of them, in the order of the panels; all if not given.

    Returns
    -------
    (n_pairs,) array of matplotlib Axes

    Raises
    ------
    ValueError
        For a pair that the result does not have, or another number of axes.
    """
    chosen = list(result.pairs) if pairs is None else list(pairs)
    for pair in chosen:
        if pair not in result.pairs:
            raise ValueError(f"pairs must be of {list(result.pairs)}, received {pair}")
    panels = panels_or_new(axes, len(chosen))
    n_states = len(result.density)
    for ax, pair in zip(panels, chosen, strict=True):
        number = result.pairs.index(pair)
        for state in range(n_states):
            draw_curve(
                ax,
                result.angles,
                result.density[state, number],
                result.density_interval.lower[state, number],
                result.density_interval.upper[state, number],
                state,
                n_states,
            )
        ax.plot(result.angles, result.isotropic, ":", color="0.4", lw=1.0, label="no order")
        ax.set(
            xlabel="angle (degrees)",
            ylabel="density (1/degree)",
            title=f"{pair[0]} {_DASH} target {_DASH} {pair[1]}",
            xlim=(0.0, 180.0),
            xticks=(0, 60, 120, 180),
        )
        ax.set_ylim(bottom=0.0)
    legend_above(panels, axes is None)
    return panels
