"""Tables of what stands around targets, and where targets stand."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from kgdyn.exports._tidy import Tidy, numbered
from kgdyn.observables import (
    AngularDistribution,
    BondOrder,
    ChargeIntegral,
    CoordinationNumbers,
    FirstShells,
    LabelAgreement,
    RegionKinetics,
    RepresentativeFrames,
    StateBondOrder,
    StateProfile,
    StateRDF,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STRUCTURE_TABLES"]

_PER_VOLUME = "1/angstrom^3"


def _state_rdf(result: StateRDF) -> pd.DataFrame:
    states, names = numbered(result.n_states), result.selections
    axes = {"state": states, "selection": names, "radius_angstrom": result.radii}
    ends = {"state": states, "selection": names, "radius_angstrom": result.edges[1:]}
    return (
        Tidy()
        .add("rdf", result.rdf, axes, interval=result.rdf_interval)
        .add(
            "coordination",
            result.coordination,
            ends,
            interval=result.coordination_interval,
            unit="atoms",
        )
        .add("density", result.densities, {"state": states, "selection": names}, unit=_PER_VOLUME)
        .add("population", result.populations, {"state": states})
        .frame()
    )


def _charge_integral(result: ChargeIntegral) -> pd.DataFrame:
    states = numbered(len(result.populations))
    axes = {"state": states, "radius_angstrom": result.radii}
    return (
        Tidy()
        .add("charge", result.charge, axes, interval=result.charge_interval, unit="e")
        .add("target_charge", result.target_charges, {"state": states}, unit="e")
        .add("population", result.populations, {"state": states})
        .frame()
    )


def _coordination(result: CoordinationNumbers) -> pd.DataFrame:
    states, names = numbered(len(result.populations)), result.selections
    counts = range(result.distribution.shape[2])
    cutoffs = np.array([result.cutoffs[name] for name in names])
    mean = {"state": states, "selection": names}
    shares = {"state": states, "selection": names, "count": counts}
    interval = result.distribution_interval
    return (
        Tidy()
        .add(
            "coordination",
            result.mean,
            mean,
            interval=result.mean_interval,
            unit="atoms",
            cutoff_angstrom=cutoffs[None],
        )
        .add(
            "share",
            result.distribution,
            shares,
            interval=interval,
            cutoff_angstrom=cutoffs[None, :, None],
        )
        .add("population", result.populations, {"state": states})
        .frame()
    )


def _angles(result: AngularDistribution) -> pd.DataFrame:
    states = numbered(len(result.populations))
    pairs = ["-".join(pair) for pair in result.pairs]
    axes = {"state": states, "selection": pairs, "angle_degrees": result.angles}
    each = {"state": states, "selection": pairs}
    return (
        Tidy()
        .add("density", result.density, axes, interval=result.density_interval, unit="1/degree")
        .add(
            "angles_per_target",
            result.angles_per_target,
            each,
            interval=result.angles_per_target_interval,
        )
        .add("isotropic", result.isotropic, {"angle_degrees": result.angles}, unit="1/degree")
        .add("population", result.populations, {"state": states})
        .frame()
    )


def _profile(result: StateProfile) -> pd.DataFrame:
    axes = {"state": numbered(len(result.density)), "position_angstrom": result.positions}
    interval = result.density_interval
    return (
        Tidy(axis=result.axis)
        .add("density", result.density, axes, interval=interval, unit=_PER_VOLUME)
        .add("share", result.share, axes, interval=result.share_interval)
        .frame()
    )


def _first_shells(result: FirstShells) -> pd.DataFrame:
    axes = {"state": numbered(result.n_states), "selection": result.selections}
    common = result.common_coordination_interval
    notes = np.array(result.notes, dtype=object)
    return (
        Tidy()
        .add("peak_position", result.positions, axes, unit="angstrom", note=notes)
        .add("peak_height", result.heights, axes, interval=result.heights_interval)
        .add("minimum", result.minima, axes, unit="angstrom", note=notes)
        .add(
            "coordination",
            result.coordination,
            axes,
            interval=result.coordination_interval,
            unit="atoms",
            radius_angstrom=result.minima,
        )
        .add(
            "common_coordination",
            result.common_coordination,
            axes,
            interval=common,
            unit="atoms",
            radius_angstrom=result.common_minima[None],
        )
        .add("population", result.populations, {"state": axes["state"]})
        .frame()
    )


def _state_bond_order(result: StateBondOrder) -> pd.DataFrame:
    states = numbered(result.n_states)
    table = Tidy()
    for name in ("magnitude", "correlation"):
        interval = getattr(result, f"{name}_interval")
        axes: dict[str, Any] = {"state": states, "degree": result.degrees}
        table.add(name, getattr(result, name), axes, interval=interval)
    for name in ("magnitude", "correlation"):
        edges = getattr(result, f"{name}_edges")
        axes = {
            "state": states,
            "degree": result.degrees,
            "bond_order": np.array([0.5 * sum(pair) for pair in pairwise(edges)]),
        }
        interval = getattr(result, f"{name}_density_interval")
        table.add(f"{name}_density", getattr(result, f"{name}_density"), axes, interval=interval)
    return table.add("population", result.populations, {"state": states}).frame()


def _bond_order(result: BondOrder) -> pd.DataFrame:
    table = Tidy()
    for name in ("magnitude", "correlation"):
        for number, (values, rows) in enumerate(
            zip(getattr(result, name), result.rows, strict=True)
        ):
            axes = {"frame": range(len(values)), "atom": rows, "degree": result.degrees}
            table.add(name, values, axes, trajectory=number)
    return table.frame()


def _label_agreement(result: LabelAgreement) -> pd.DataFrame:
    states = numbered(result.n_states)
    stands_for = [result.names[k] if k >= 0 else "" for k in result.assignment.tolist()]
    table = Tidy().add(
        "share",
        result.table,
        {"state": states, "label": result.names},
        interval=result.table_interval,
    )
    for name in ("adjusted_rand", "explained", "accuracy"):
        table.add(name, getattr(result, name), {}, interval=getattr(result, f"{name}_interval"))
    table.add("commonest_label", result.commonest_label, {})
    populations = result.populations
    return table.add("population", populations, {"state": states}, stands_for=stands_for).frame()


def _region_kinetics(result: RegionKinetics) -> pd.DataFrame:
    states, regions = numbered(result.n_states), result.names
    table = Tidy(lagtime_ps=result.lagtime * result.frame_interval)
    axes: dict[str, Any] = {"region": regions, "from_state": states, "to_state": states}
    parts = {
        "population": ("populations", {"region": regions, "state": states}, ""),
        "koopman_matrix": ("koopman_matrix", axes, ""),
        "timescale": (
            "timescales",
            {"region": regions, "process": numbered(result.n_states - 1)},
            "ps",
        ),
        "share": ("shares", {"region": regions}, ""),
        "staying": ("staying", {"region": regions}, ""),
    }
    for quantity, (name, labels, unit) in parts.items():
        interval = getattr(result, f"{name}_interval")
        table.add(quantity, getattr(result, name), labels, interval=interval, unit=unit)
    return table.add("n_pairs", result.n_pairs.astype(float), {"region": regions}).frame()


def _representatives(result: RepresentativeFrames) -> pd.DataFrame:
    found = result.representatives
    names = ("kind", "trajectory", "frame", "target")
    each: dict[str, Any] = {name: [getattr(item, name) for item in found] for name in names}
    states = numbered(result.n_states)
    return (
        Tidy()
        .add(
            "probability",
            np.array([item.probability for item in found], dtype=float),
            {"state": [item.state + 1 for item in found]},
            **each,
        )
        .add("spread", result.spread, {"state": states}, unit="angstrom")
        .add("population", result.populations, {"state": states})
        .frame()
    )


STRUCTURE_TABLES: dict[type, Any] = {
    AngularDistribution: _angles,
    BondOrder: _bond_order,
    ChargeIntegral: _charge_integral,
    CoordinationNumbers: _coordination,
    FirstShells: _first_shells,
    LabelAgreement: _label_agreement,
    RegionKinetics: _region_kinetics,
    RepresentativeFrames: _representatives,
    StateBondOrder: _state_bond_order,
    StateProfile: _profile,
    StateRDF: _state_rdf,
}
