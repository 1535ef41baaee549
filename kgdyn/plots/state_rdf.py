"""Radial distribution functions by state, as in Figs. 4 and 5 of Xie et al. 2019."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kgdyn.plots._style import draw_curve, legend_above, panels_or_new

if TYPE_CHECKING:
    from kgdyn.observables import StateRDF

__all__ = ["chosen_selections", "plot_state_rdf"]


def plot_state_rdf(
    result: StateRDF, axes: Any = None, selections: Sequence[str] | None = None
) -> Any:
    """Draw g(r) of every state with its 95% band, a panel for each selection.

    Parameters
    ----------
    result : kgdyn.observables.StateRDF
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
    names = chosen_selections(result.selections, selections)
    panels = panels_or_new(axes, len(names))
    for ax, name in zip(panels, names, strict=True):
        number = result.selections.index(name)
        for state in range(result.n_states):
            draw_curve(
                ax,
                result.radii,
                result.rdf[state, number],
                result.rdf_interval.lower[state, number],
                result.rdf_interval.upper[state, number],
                state,
                result.n_states,
                f"state {state + 1} ({100 * result.populations[state]:.1f}%)",
            )
        ax.axhline(1.0, color="0.5", linestyle=":", linewidth=0.8, zorder=0)
        ax.set(xlabel="r (Å)", ylabel="g(r)", title=name, xlim=(0.0, result.edges[-1]))
        ax.set_ylim(bottom=0.0)
    legend_above(panels, axes is None)
    return panels


def chosen_selections(
    known: Sequence[str], chosen: Sequence[str] | None, argument: str = "selections"
) -> list[str]:
    """Names of the panels: those asked for, or all. ``argument`` is named in messages.

    Raises
    ------
    ValueError
        For a name that is not known.
    """
    if chosen is None:
        return list(known)
    names = [chosen] if isinstance(chosen, str) else list(chosen)
    for name in names:
        if name not in known:
            raise ValueError(f"{argument} must be of {list(known)}, received {name!r}")
    return names
