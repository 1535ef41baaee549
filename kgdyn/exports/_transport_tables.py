"""Tables of what moves and conducts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kgdyn.exports._tidy import Tidy, numbered
from kgdyn.observables import TransitionConductivity, TransitionDiffusion, TransitionMSD

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TRANSPORT_TABLES"]

_AREA, _DIFFUSION = "angstrom^2", "angstrom^2/ps"


def _transitions(n_states: int) -> dict[str, Any]:
    return {"from_state": numbered(n_states), "to_state": numbered(n_states)}


def _msd(result: TransitionMSD) -> pd.DataFrame:
    lags = {"lagtime_ps": result.times}
    states = {"from_state": numbered(result.n_states)}
    pairs = {**lags, **_transitions(result.n_states)}
    total = result.total_msd_interval
    return (
        Tidy()
        .add("msd", result.msd, pairs, interval=result.msd_interval, unit=_AREA)
        .add(
            "state_msd",
            result.state_msd,
            {**lags, **states},
            interval=result.state_msd_interval,
            unit=_AREA,
        )
        .add("total_msd", result.total_msd, lags, interval=total, unit=_AREA)
        .add("share", result.shares, pairs)
        .frame()
    )


def _diffusion(result: TransitionDiffusion) -> pd.DataFrame:
    pairs = _transitions(result.n_states)
    leaving = {"from_state": pairs["from_state"]}
    states = {"state": pairs["from_state"]}
    table = Tidy(lagtime_ps=result.lagtime * result.frame_interval)
    for quantity, name, axes, unit in (
        ("diffusion", "diffusion", pairs, _DIFFUSION),
        ("state_diffusion", "state_diffusion", leaving, _DIFFUSION),
        ("total_diffusion", "total_diffusion", {}, _DIFFUSION),
        ("msd", "msd", pairs, _AREA),
        ("share", "shares", pairs, ""),
        ("koopman_matrix", "koopman_matrix", pairs, ""),
        ("population", "populations", states, ""),
        ("residence_time", "residence_times", states, "ps"),
    ):
        interval = getattr(result, f"{name}_interval")
        table.add(quantity, getattr(result, name), axes, interval=interval, unit=unit)
    return table.add("number_density", result.number_density, {}, unit="1/angstrom^3").frame()


def _conductivity(result: TransitionConductivity) -> pd.DataFrame:
    pairs = _transitions(result.n_states)
    table = Tidy(temperature_K=result.temperature)
    for quantity, name, axes, unit in (
        ("conductivity", "conductivity", pairs, "S/m"),
        ("percentage", "percentages", pairs, "%"),
        ("total_conductivity", "total_conductivity", {}, "S/m"),
        ("nernst_einstein_conductivity", "nernst_einstein_conductivity", {}, "S/m"),
        ("transference", "transference", pairs, ""),
        ("transference_number", "transference_number", {}, ""),
        ("transition_charge", "transition_charges", pairs, "e"),
        ("transition_share", "transition_shares", pairs, ""),
    ):
        interval = getattr(result, f"{name}_interval", None)
        table.add(quantity, getattr(result, name), axes, interval=interval, unit=unit)
    charges = {"state": pairs["from_state"]}
    table.add("state_charge", result.state_charges, charges, unit="e")
    return table.add("other_conductivity", result.other_conductivity, {}, unit="S/m").frame()


TRANSPORT_TABLES: dict[type, Any] = {
    TransitionConductivity: _conductivity,
    TransitionDiffusion: _diffusion,
    TransitionMSD: _msd,
}
