"""What targets of each state look like, as in Fig. 5 of Xie et al. 2019."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kgdyn.elements import element_name
from kgdyn.plots._spheres import draw_cluster, element_colors
from kgdyn.plots._style import panels_or_new, state_color

if TYPE_CHECKING:
    from kgdyn.observables import RepresentativeFrames

__all__ = ["plot_representatives"]

Kind = Literal["medoid", "highest probability"]


def plot_representatives(
    result: RepresentativeFrames,
    axes: Any = None,
    kind: Kind = "medoid",
    *,
    reach: float | None = None,
) -> Any:
    """Draw the surroundings of a target of each state, in a frame of the state's colour.

    Spheres are smaller than atoms, and pale far from the eye. The target has a thick edge; dashed
    lines go to its neighbours, full ones join bound atoms. The view is one in which target and
    neighbours are hidden least; all panels have one scale, and end at the radius of the result.

    Parameters
    ----------
    result : kgdyn.observables.RepresentativeFrames
    axes : (n_states,) array of matplotlib Axes, or one, optional
    kind : {"medoid", "highest probability"}
        The usual one, or the clearest one.
    reach : float, angstrom, optional
        Of the dashed lines. If not given, 1.3 times the sum of covalent radii, or 1.3 times the
        distance of the nearest neighbour where that is more.

    Returns
    -------
    (n_states,) array of matplotlib Axes

    Raises
    ------
    ValueError
        For another kind, a reach that is not positive, or another number of axes.
    """
    from matplotlib.lines import Line2D

    if kind not in ("medoid", "highest probability"):
        raise ValueError(f'kind must be "medoid" or "highest probability", received {kind!r}')
    if reach is not None and not reach > 0.0:
        raise ValueError(f"reach must be a positive distance in angstrom, received {reach}")
    own = axes is None
    panels = panels_or_new(axes, result.n_states, (2.2, 2.3), 4)
    elements: set[int] = set()
    for state, ax in enumerate(panels):
        found = result.of(state, kind)
        ax.set_title(f"state {state + 1} ({100 * result.populations[state]:.1f}%)")
        for side in ax.spines.values():
            side.set(edgecolor=state_color(state), linewidth=2.5)
        if found:
            elements |= draw_cluster(ax, found[0].cluster, reach, result.radius + 0.6)
        else:
            ax.set(xticks=[], yticks=[])
            ax.text(0.5, 0.5, "none", ha="center", va="center", transform=ax.transAxes, color="0.4")
    handles = [
        Line2D(
            [], [], marker="o", linestyle="", markersize=6, markeredgecolor="black",
            markeredgewidth=0.5, color=element_colors(np.array([number]))[0],
            label=element_name(number),
        )
        for number in sorted(elements)
    ]  # fmt: skip
    if handles and own:
        panels[0].figure.legend(
            handles=handles, loc="outside lower center", ncols=min(len(handles), 8),
            frameon=False, fontsize="small", handletextpad=0.2, columnspacing=1.0,
        )  # fmt: skip
    elif handles:
        panels[0].legend(
            handles=handles, loc="best", frameon=False, fontsize="x-small", handletextpad=0.2
        )
    return panels
