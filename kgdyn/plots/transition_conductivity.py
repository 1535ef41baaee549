"""What each transition conducts, as in Fig. 5 of Xie et al. 2019."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kgdyn.koopman import Interval
from kgdyn.plots._heat_map import draw_matrix, matrix_size
from kgdyn.plots._numbers import power_of_ten, rounded, with_power
from kgdyn.plots._style import axes_or_new

if TYPE_CHECKING:
    from kgdyn.observables import TransitionConductivity

__all__ = ["plot_transition_conductivity"]

Quantity = Literal["percentages", "conductivity", "transference"]


def plot_transition_conductivity(
    result: TransitionConductivity, ax: Any = None, quantity: Quantity = "percentages"
) -> Any:
    """Draw the part of each transition in the conductivity as a heat map, with 95% errors.

    Red transitions conduct along the field, blue and hatched ones against it. The title has the
    total.

    Parameters
    ----------
    result : kgdyn.observables.TransitionConductivity
    ax : matplotlib Axes, optional
    quantity : {"percentages", "conductivity", "transference"}

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        For another quantity, or "transference" where the result has none.
    """
    if quantity not in ("percentages", "conductivity", "transference"):
        raise ValueError(
            'quantity must be "percentages", "conductivity" or "transference", '
            f"received {quantity!r}"
        )
    values: Any = getattr(result, quantity)
    bounds: Any = getattr(result, f"{quantity}_interval")
    if values is None or bounds is None:
        raise ValueError(
            'quantity="transference" needs a result with other_conductivity, which this has not'
        )
    ax = axes_or_new(ax, matrix_size(result.n_states))
    exponent = power_of_ten(values) if quantity == "conductivity" else 0
    factor = 10.0**-exponent
    label = {
        "percentages": "share of the conductivity (%)",
        "conductivity": f"conductivity {with_power('S/m', exponent)}",
        "transference": "part of the transference number",
    }[quantity]
    draw_matrix(
        ax,
        factor * np.asarray(values),
        Interval(factor * np.asarray(bounds.lower), factor * np.asarray(bounds.upper)),
        label=label,
        diverging=True,
    )
    ax.set_title(_total(result, quantity), fontsize="medium")
    return ax


def _total(result: TransitionConductivity, quantity: str) -> str:
    """The sum in words, for the title."""
    transference = result.transference_number
    bounds = result.transference_number_interval
    if quantity == "transference" and transference is not None and bounds is not None:
        value, error = rounded(transference, float(bounds.lower), float(bounds.upper))
        return f"transference number {value} {error.replace(' / ', ' ')}"
    interval = result.total_conductivity_interval
    numbers = np.array(
        [result.total_conductivity, float(interval.lower), float(interval.upper)], dtype=np.float64
    )
    exponent = power_of_ten(numbers)
    value, error = rounded(*(float(number) for number in numbers * 10.0**-exponent))
    unit = with_power("S/m", exponent)[1:-1]
    times = "\N{MULTIPLICATION SIGN} " if exponent else ""
    return f"total: ({value} {error.replace(' / ', ' ')}) {times}{unit}"
