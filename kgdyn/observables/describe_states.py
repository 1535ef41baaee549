"""What states are, in words: their shells, charge and order, and what sets them apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.observables.charge_integral import ChargeIntegral
from kgdyn.observables.first_shells import FirstShells, first_shells
from kgdyn.observables.state_bond_order import StateBondOrder
from kgdyn.observables.state_rdf import StateRDF

__all__ = ["describe_states"]

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Quantity:
    """Something that every state has, with bounds; words for more and for less of it."""

    values: Float  # (n_states,)
    lower: Float
    upper: Float
    more: str
    less: str
    smallest: float  # differences below this are not worth a word

    def apart(self) -> NDArray[np.bool_]:
        """(n_states, n_states): the first has more than the second, beyond both intervals."""
        result: NDArray[np.bool_] = (self.lower[:, None] > self.upper[None, :]) & (
            self.values[:, None] - self.values[None, :] >= self.smallest
        )
        return result


def describe_states(
    rdf: StateRDF,
    *,
    charge: ChargeIntegral | None = None,
    bond_order: StateBondOrder | None = None,
    shells: FirstShells | None = None,
    charge_radius: float | None = None,
    smallest: float = 0.1,
) -> list[str]:
    """A sentence for each state, such as "state 2 (27%): 4.1 O at 2.10 angstrom ...".

    First come the shells of the state itself; then, after a semicolon, what it has more or less of
    than others: atoms within the first minimum of the mean over all states, charge, and
    correlation of bond order. Two states differ where their 95% intervals do not overlap, which is
    a stricter test than one at 5% for two states; with many quantities some differences come by
    chance all the same. Where nothing differs, or there are no intervals, this is said.

    Parameters
    ----------
    rdf : StateRDF
        Names of its selections are used as they are.
    charge : ChargeIntegral, optional
    bond_order : StateBondOrder, optional
    shells : FirstShells, optional
        Made from ``rdf`` if not given.
    charge_radius : float, optional, angstrom
        Of the sphere whose charge is told; the end of the widest first shell if not given, and
        where there is none half of the largest radius.
    smallest : float
        Differences in atoms below this are not told; of charges and correlations half of it.

    Returns
    -------
    list of str, one for each state; states are counted from 1.

    Raises
    ------
    ValueError
        For results of different numbers of states, or a radius beyond the charge integral.
    """
    shells = first_shells(rdf) if shells is None else shells
    given: list[tuple[str, Any]] = [("shells", shells), ("charge", charge)]
    given.append(("bond_order", bond_order))
    for name, item in given:
        if item is not None and len(item.populations) != rdf.n_states:
            raise ValueError(
                f"{name} must be of the {rdf.n_states} states of rdf, received "
                f"{len(item.populations)}"
            )
    quantities = _shell_quantities(shells, smallest)
    sentences = [_shells_in_words(shells, state) for state in range(rdf.n_states)]
    if charge is not None:
        radius = _radius(shells, charge) if charge_radius is None else charge_radius
        values, bounds = charge.at(radius)
        quantities.append(
            _Quantity(
                values, bounds.lower, bounds.upper, "a more positive surrounding",
                "a more negative surrounding", 0.5 * smallest,
            )
        )  # fmt: skip
        for state, text in enumerate(sentences):
            if np.isfinite(values[state]):
                text.append(f"charge {_signed(values[state])} within {radius:.2g} angstrom")
    if bond_order is not None:
        for d, degree in enumerate(bond_order.degrees):
            interval = bond_order.correlation_interval
            values = bond_order.correlation[:, d]
            name = f"q{degree} correlation"
            quantities.append(
                _Quantity(
                    values, interval.lower[:, d], interval.upper[:, d], f"a higher {name}",
                    f"a lower {name}", 0.5 * smallest,
                )
            )  # fmt: skip
            for state, text in enumerate(sentences):
                if np.isfinite(values[state]):
                    text.append(f"{name} {_signed(values[state])}")
    result = []
    for state, text in enumerate(sentences):
        share = rdf.populations[state]
        if not share > 0.0:
            result.append(f"state {state + 1} (0%): never visited")
            continue
        contrast = f"; {_contrast(quantities, state)}" if rdf.n_states > 1 else ""
        result.append(f"state {state + 1} ({_percent(share)}): {', '.join(text)}{contrast}")
    return result


def _shell_quantities(shells: FirstShells, smallest: float) -> list[_Quantity]:
    return [
        _Quantity(
            shells.common_coordination[:, a],
            shells.common_coordination_interval.lower[:, a],
            shells.common_coordination_interval.upper[:, a],
            f"more {name}",
            f"fewer {name}",
            smallest,
        )
        for a, name in enumerate(shells.selections)
    ]


def _shells_in_words(shells: FirstShells, state: int) -> list[str]:
    text = []
    for a, name in enumerate(shells.selections):
        note = shells.notes[state][a]
        position = shells.positions[state, a]
        if np.isfinite(shells.minima[state, a]):
            count, end = shells.coordination[state, a], shells.minima[state, a]
            text.append(f"{count:.1f} {name} at {position:.2f} angstrom (shell to {end:.2f})")
        elif np.isfinite(position):
            text.append(f"{name} at {position:.2f} angstrom ({note})")
        else:
            text.append(f"{name}: {note}")
    return text


def _contrast(quantities: list[_Quantity], state: int) -> str:
    """What the state has more or less of than others, or that there is nothing."""
    said = []
    for quantity in quantities:
        apart = quantity.apart()
        for word, others in ((quantity.more, apart[state]), (quantity.less, apart[:, state])):
            if others.any():
                said.append(f"{word} than {_others(others, state)}")
    if said:
        return ", ".join(said)
    if not any(np.isfinite(item.lower[state] + item.upper[state]) for item in quantities):
        return "not compared with others, as there are no intervals"
    return "nothing that sets it apart from others beyond the intervals"


def _others(which: NDArray[np.bool_], state: int) -> str:
    if which.sum() == len(which) - 1:
        return "all others" if len(which) > 2 else f"state {2 - state}"
    names = [str(k + 1) for k in np.flatnonzero(which)]
    if len(names) == 1:
        return f"state {names[0]}"
    return f"states {', '.join(names[:-1])} and {names[-1]}"


def _radius(shells: FirstShells, charge: ChargeIntegral) -> float:
    ends = shells.common_minima[np.isfinite(shells.common_minima)]
    ends = ends[ends <= charge.radii[-1]]
    return float(ends.max()) if len(ends) else 0.5 * float(charge.radii[-1])


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f}%" if share >= 0.01 else f"{100.0 * share:.2g}%"


def _signed(value: float) -> str:
    """Two decimals and a sign; that of a zero is plus."""
    return f"{round(float(value), 2) + 0.0:+.2f}"
