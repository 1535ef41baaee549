"""Charge of the cluster around targets of each state, as in Fig. 5 of Xie et al. 2019."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgdyn.plots._numbers import rounded
from kgdyn.plots._style import axes_or_new, draw_curve, legend_above

if TYPE_CHECKING:
    from kgdyn.observables import ChargeIntegral

__all__ = ["plot_charge_integral"]


def plot_charge_integral(
    result: ChargeIntegral, ax: Any = None, *, radius: float | None = None
) -> Any:
    """Draw the charge within a radius for every state, with 95% bands.

    Parameters
    ----------
    result : kgdyn.observables.ChargeIntegral
    ax : matplotlib Axes, optional
    radius : float, angstrom, optional
        Marked by a line, with the charges there (and their intervals) in the legend: those that
        :func:`kgdyn.observables.transition_conductivity` may take.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        For a radius beyond those of the result.
    """
    at = None if radius is None else result.at(radius)
    own = ax is None
    ax = axes_or_new(ax)
    n_states = len(result.charge)
    for state in range(n_states):
        label = f"state {state + 1}"
        if at is not None:
            value, bounds = at
            number, error = rounded(
                float(value[state]), float(bounds.lower[state]), float(bounds.upper[state])
            )
            label += f": {number} {error.replace(' / ', ' ')} e"
        draw_curve(
            ax,
            result.radii,
            result.charge[state],
            result.charge_interval.lower[state],
            result.charge_interval.upper[state],
            state,
            n_states,
            label,
        )
    ax.axhline(0.0, color="0.5", linestyle=":", linewidth=0.8, zorder=0)
    if radius is not None:
        ax.axvline(radius, color="0.4", linestyle="--", linewidth=0.8, zorder=0)
    ax.set(xlabel="r (Å)", ylabel="charge within r (e)", xlim=(0.0, result.radii[-1]))
    legend_above(ax, own)
    return ax
