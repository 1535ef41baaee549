"""How many atoms stand within a distance of targets of each state, as the distance grows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kgdyn.plots._style import draw_curve, legend_above, panels_or_new
from kgdyn.plots.state_rdf import chosen_selections

if TYPE_CHECKING:
    from kgdyn.observables import StateRDF

__all__ = ["plot_running_coordination"]


def plot_running_coordination(
    result: StateRDF,
    axes: Any = None,
    selections: Sequence[str] | None = None,
    *,
    r_max: float | None = None,
) -> Any:
    """Draw running coordination numbers with 95% bands, a panel for each selection.

    Parameters
    ----------
    result : kgdyn.observables.StateRDF
    axes : (n_selections,) array of matplotlib Axes, or one, optional
    selections : sequence of str, optional
        Which of them, in the order of the panels; all if not given.
    r_max : float, angstrom, optional
        End of the axis: first shells are small beside all that lies within 10 angstrom. All radii
        if not given.

    Returns
    -------
    (n_selections,) array of matplotlib Axes

    Raises
    ------
    ValueError
        For a selection that the result does not have, another number of axes, or ``r_max``
        without a bin below it.
    """
    names = chosen_selections(result.selections, selections)
    radii = result.edges[1:]
    end = float(radii[-1]) if r_max is None else float(r_max)
    inside = radii <= end * (1.0 + 1e-12)
    if not inside.any():
        raise ValueError(f"r_max must be at least {radii[0]:g} angstrom, received {r_max}")
    panels = panels_or_new(axes, len(names))
    for ax, name in zip(panels, names, strict=True):
        number = result.selections.index(name)
        for state in range(result.n_states):
            draw_curve(
                ax,
                radii[inside],
                result.coordination[state, number, inside],
                result.coordination_interval.lower[state, number, inside],
                result.coordination_interval.upper[state, number, inside],
                state,
                result.n_states,
            )
        ax.set(xlabel="r (Å)", ylabel="neighbours within r", title=name, xlim=(0.0, end))
        ax.set_ylim(bottom=0.0)
    legend_above(panels, axes is None)
    return panels
