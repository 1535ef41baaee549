"""Every result becomes a table that holds its numbers, once each, beside what they are."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kgdyn.koopman
import kgdyn.observables
from kgdyn.exports import to_dataframe
from kgdyn.koopman import (
    Interval,
    KoopmanModel,
    Resampling,
    ck_test,
    count_transitions,
    estimate_koopman_model,
    implied_timescales,
    one_hot,
)
from kgdyn.observables import (
    angular_distribution,
    charge_integral,
    coordination_numbers,
    state_profile,
    state_rdf,
    transition_conductivity,
    transition_diffusion,
    transition_msd,
)
from kgdyn.toys import MarkovChain, SwitchingWalk
from kgdyn.trajectories import trajectory_from_arrays

BLOCKS = Resampling(20)
LAST = ["value", "lower", "upper", "unit"]


@pytest.fixture(scope="module")
def states() -> Any:
    chain = MarkovChain(np.array([[0.9, 0.1], [0.2, 0.8]]))
    return one_hot(chain.sample(200, 6, rng=np.random.default_rng(1)), 2)


@pytest.fixture(scope="module")
def gas() -> Any:
    rng = np.random.default_rng(2)
    return trajectory_from_arrays(
        9.0 * rng.random((200, 26, 3)),
        9.0 * np.eye(3),
        [3] * 6 + [8] * 20,
        frame_interval=0.5,
        targets=range(6),
    )


@pytest.fixture(scope="module")
def walk() -> tuple[Any, Any]:
    toy = SwitchingWalk(MarkovChain(np.array([[0.9, 0.1], [0.2, 0.8]])), diffusion=(0.1, 0.5))
    positions, labels = toy.sample(400, 6, rng=np.random.default_rng(0))
    run = trajectory_from_arrays(
        positions % 9.0, 9.0 * np.eye(3), [3] * 6, frame_interval=0.5, targets=range(6)
    )
    return run, one_hot(labels, 2)


def one(table: pd.DataFrame, quantity: str, **where: Any) -> pd.Series:
    """The only row of a quantity with these cells."""
    rows = table[table.quantity == quantity]
    for name, value in where.items():
        near = np.isclose(rows[name], value) if isinstance(value, float) else rows[name] == value
        rows = rows[near]
    assert len(rows) == 1, rows
    return rows.iloc[0]


def check(table: pd.DataFrame, *quantities: str) -> None:
    """What holds of all tables."""
    assert list(table.columns[-4:]) == LAST
    assert table.columns[0] == "quantity"
    assert list(dict.fromkeys(table.quantity)) == list(quantities)
    assert table.value.dtype == np.float64
    bounded = table.dropna(subset=["value", "lower", "upper"])
    assert (bounded.lower <= bounded.value + 1e-9).all()
    assert (bounded.value <= bounded.upper + 1e-9).all()
    for name in {"state", "from_state", "to_state", "process"} & set(table.columns):
        assert table[name].dtype in ("int64", "Int64")
        assert table[name].min() == 1


def test_koopman_model(states: Any) -> None:
    model = estimate_koopman_model(states, lagtime=2, frame_interval=0.5, resampling=BLOCKS)
    table = to_dataframe(model)
    check(
        table,
        "koopman_matrix",
        "timescale",
        "eigenvalue",
        "population",
        "stationary_distribution",
        "residence_time",
        "mean_first_passage_time",
        "vamp2_score",
    )
    assert (table.lagtime_ps == 1.0).all()
    row = one(table, "koopman_matrix", from_state=1, to_state=2)
    assert row.value == model.koopman_matrix[0, 1]
    assert row.lower == model.koopman_matrix_interval.lower[0, 1]
    assert row.upper == model.koopman_matrix_interval.upper[0, 1]
    slowest = one(table, "timescale", process=1)
    assert (slowest.value, slowest.unit) == (model.timescales_ps()[0], "ps")
    assert one(table, "population", state=2).value == model.populations[1]
    assert one(table, "residence_time", state=1).value == pytest.approx(
        1.0 / (1.0 - model.koopman_matrix[0, 0])
    )
    assert len(table) == 4 + 1 + 1 + 2 + 2 + 2 + 4 + 1


def test_a_model_without_intervals_or_timescales() -> None:
    """Three states that go round have complex eigenvalues and no relaxation time."""
    matrix = np.array([[0.1, 0.9, 0.0], [0.0, 0.1, 0.9], [0.9, 0.0, 0.1]])
    table = to_dataframe(KoopmanModel(matrix, 1, 1.0, 100, np.full(3, 1 / 3), 2.0))
    assert table.lower.isna().all()
    assert table[table.quantity == "timescale"].value.isna().all()
    found = table[table.quantity == "eigenvalue_imaginary"].value
    assert sorted(found) == pytest.approx([-0.9 * np.sqrt(0.75), 0.9 * np.sqrt(0.75)])


def test_implied_timescales_and_ck_test(states: Any) -> None:
    found = implied_timescales(states, lagtimes=[1, 3], frame_interval=0.5, resampling=BLOCKS)
    table = to_dataframe(found)
    check(table, "timescale")
    assert one(table, "timescale", lagtime_ps=1.5, process=1).value == found.timescales[1, 0]
    test = ck_test(states, lagtime=2, n_steps=3, frame_interval=0.5, resampling=BLOCKS)
    table = to_dataframe(test)
    names = ("prediction", "estimate", "state_prediction", "state_estimate")
    check(table, *names, "difference", "state_difference")
    row = one(table, "prediction", step=3, from_state=2, to_state=1)
    assert (row.value, row.time_ps) == (test.predictions[2, 1, 0], 3.0)
    row = one(table, "difference", step=3, from_state=2, to_state=1)
    assert row.value == test.predictions[2, 1, 0] - test.estimates[2, 1, 0]
    assert len(table) == 6 * 3 * 4
    bare = to_dataframe(dataclasses.replace(test, difference_interval=None))
    assert "difference" not in set(bare.quantity)


def test_transition_counts(states: Any) -> None:
    found = count_transitions(states)
    table = to_dataframe(found)
    check(table, "transitions", "visitors")
    assert one(table, "transitions", from_state=1, to_state=2).value == found.counts[0, 1]
    assert one(table, "visitors", state=1).value == 6
    assert len(table) == 4 + 2


def test_structure(gas: Any, states: Any) -> None:
    options = {"resampling": BLOCKS}
    rdf = state_rdf(gas, states, selections=["O", "Li"], r_max=4.0, n_bins=8, **options)
    table = to_dataframe(rdf)
    check(table, "rdf", "coordination", "density", "population")
    where = {"state": 2, "selection": "Li", "radius_angstrom": 3.25}
    row = one(table, "rdf", **where)
    assert row.value == rdf.rdf[1, 1, 6]
    assert row.upper == rdf.rdf_interval.upper[1, 1, 6]
    # Neighbours are counted up to the end of a bin.
    assert (
        one(table, "coordination", **{**where, "radius_angstrom": 3.5}).value
        == (rdf.coordination[1, 1, 6])
    )
    assert one(table, "density", state=1, selection="O").unit == "1/angstrom^3"
    assert len(table) == 2 * 2 * 8 * 2 + 4 + 2

    charge = charge_integral(
        gas, states, charges={"Li": 1.0, "O": -0.3}, r_max=4.0, n_bins=8, **options
    )
    table = to_dataframe(charge)
    check(table, "charge", "target_charge", "population")
    row = one(table, "charge", state=1, radius_angstrom=4.0)
    assert (row.value, row.unit) == (charge.charge[0, -1], "e")

    numbers = coordination_numbers(
        gas, states, cutoffs={"O": 3.0, "Li": 2.0}, selections=["O", "Li"], **options
    )
    table = to_dataframe(numbers)
    check(table, "coordination", "share", "population")
    row = one(table, "share", state=2, selection="O", count=1)
    assert (row.value, row.cutoff_angstrom) == (numbers.distribution[1, 0, 1], 3.0)
    assert one(table, "coordination", state=1, selection="Li").cutoff_angstrom == 2.0

    angles = angular_distribution(gas, states, cutoffs=3.0, selections=["O"], n_bins=6, **options)
    table = to_dataframe(angles)
    check(table, "density", "angles_per_target", "isotropic", "population")
    assert (
        one(table, "density", state=2, selection="O-O", angle_degrees=45.0).value
        == (angles.density[1, 0, 1])
    )

    profile = state_profile(gas, states, axis=2, n_slabs=3, **options)
    table = to_dataframe(profile)
    check(table, "density", "share")
    assert (table.axis == 2).all()
    assert one(table, "share", state=1, position_angstrom=4.5).value == profile.share[0, 1]


def test_transport(walk: tuple[Any, Any]) -> None:
    run, states = walk
    found = transition_diffusion(run, states, lagtime=4, resampling=BLOCKS)
    table = to_dataframe(found)
    check(
        table,
        "diffusion",
        "state_diffusion",
        "total_diffusion",
        "msd",
        "share",
        "koopman_matrix",
        "population",
        "residence_time",
        "number_density",
    )
    row = one(table, "diffusion", from_state=1, to_state=2)
    assert (row.value, row.unit) == (found.diffusion[0, 1], "angstrom^2/ps")
    for quantity, values in (
        ("msd", found.msd),
        ("share", found.shares),
        ("koopman_matrix", found.koopman_matrix),
    ):
        assert one(table, quantity, from_state=1, to_state=2).value == values[0, 1]
    assert one(table, "state_diffusion", from_state=2).value == found.state_diffusion[1]
    assert one(table, "residence_time", state=2).value == found.residence_times[1]
    row = one(table, "total_diffusion")
    assert (row.value, row.lower) == (found.total_diffusion, found.total_diffusion_interval.lower)
    assert pd.isna(row.from_state)

    current = transition_conductivity(found, charges=[1.0, -0.3], temperature=353.0)
    table = to_dataframe(current)
    assert (table.temperature_K == 353.0).all()
    row = one(table, "percentage", from_state=2, to_state=1)
    assert (row.value, row.unit) == (current.percentages[1, 0], "%")
    for quantity, values in (
        ("conductivity", current.conductivity),
        ("transition_charge", current.transition_charges),
        ("transition_share", current.transition_shares),
    ):
        assert one(table, quantity, from_state=2, to_state=1).value == values[1, 0]
    assert table[table.quantity == "percentage"].value.sum() == pytest.approx(100.0)
    assert "transference" not in set(table.quantity)  # not known without the rest
    whole = transition_conductivity(
        found, charges=[1.0, -0.3], temperature=353.0, other_conductivity=0.1
    )
    assert one(to_dataframe(whole), "transference_number").value == whole.transference_number

    msd = transition_msd(run, states, lagtimes=[1, 4], resampling=BLOCKS)
    table = to_dataframe(msd)
    check(table, "msd", "state_msd", "total_msd", "share")
    assert one(table, "msd", lagtime_ps=2.0, from_state=2, to_state=2).value == msd.msd[1, 1, 1]


# --- results whose making is long: their fields filled with numbers that tell where they are ----


def filled(kind: type, **fields: Any) -> Any:
    """A result with given fields; intervals around each of them; the others None."""
    values = {field.name: None for field in dataclasses.fields(kind)}
    values.update(fields)
    for name in values:
        base = name.removesuffix("_interval")
        if name.endswith("_interval") and base in fields:
            array = np.asarray(fields[base], float)
            values[name] = Interval(array - 0.5, array + 0.5)
    return kind(**values)


def marked(*shape: int) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape), dtype=float).reshape(shape)


def test_shells_and_bond_order() -> None:
    shells = filled(
        kgdyn.observables.FirstShells,
        positions=marked(2, 3),
        heights=marked(2, 3),
        minima=10 + marked(2, 3),
        coordination=marked(2, 3),
        common_minima=marked(3),
        common_coordination=marked(2, 3),
        notes=(("", "", "flat"), ("", "", "")),
        selections=("O", "Li", "S"),
        populations=marked(2),
    )
    table = to_dataframe(shells)
    names = ("peak_position", "peak_height", "minimum", "coordination", "common_coordination")
    check(table, *names, "population")
    row = one(table, "coordination", state=2, selection="Li")
    assert (row.value, row.lower, row.radius_angstrom) == (4.0, 3.5, 14.0)
    assert one(table, "common_coordination", state=2, selection="S").radius_angstrom == 2.0
    assert one(table, "peak_position", state=1, selection="S").note == "flat"

    order = filled(
        kgdyn.observables.StateBondOrder,
        magnitude=marked(2, 2),
        correlation=marked(2, 2),
        magnitude_edges=np.array([0.0, 0.5, 1.0]),
        correlation_edges=np.array([-1.0, 0.0, 1.0]),
        magnitude_density=marked(2, 2, 2),
        correlation_density=marked(2, 2, 2),
        degrees=(4, 6),
        populations=marked(2),
    )
    table = to_dataframe(order)
    assert one(table, "magnitude", state=1, degree=6).value == 1.0
    row = one(table, "correlation_density", state=2, degree=4, bond_order=0.5)
    assert (row.value, row.upper) == (5.0, 5.5)

    atoms = filled(
        kgdyn.observables.BondOrder,
        magnitude=(marked(2, 3, 1), marked(1, 2, 1)),
        correlation=(marked(2, 3, 1), marked(1, 2, 1)),
        rows=(np.array([4, 7, 9]), np.array([0, 1])),
        degrees=(6,),
    )
    table = to_dataframe(atoms)
    row = one(table, "magnitude", trajectory=0, frame=1, atom=7)
    assert (row.value, row.degree) == (4.0, 6)
    assert one(table, "correlation", trajectory=1, atom=1).value == 1.0


def test_regions_labels_and_representatives() -> None:
    regions = filled(
        kgdyn.observables.RegionKinetics,
        names=("bulk", "interface"),
        populations=marked(2, 3),
        koopman_matrix=marked(2, 3, 3),
        timescales=marked(2, 2),
        shares=marked(2),
        staying=marked(2),
        n_pairs=np.array([10, 20]),
        lagtime=4,
        frame_interval=0.5,
    )
    table = to_dataframe(regions)
    assert (table.lagtime_ps == 2.0).all()
    row = one(table, "koopman_matrix", region="interface", from_state=1, to_state=3)
    assert (row.value, row.upper) == (11.0, 11.5)
    assert one(table, "timescale", region="interface", process=1).unit == "ps"
    assert one(table, "n_pairs", region="interface").value == 20.0

    labels = filled(
        kgdyn.observables.LabelAgreement,
        table=marked(2, 3),
        adjusted_rand=0.4,
        explained=0.3,
        accuracy=0.8,
        commonest_label=0.5,
        assignment=np.array([2, -1]),
        names=("a", "b", "c"),
        populations=marked(2),
    )
    table = to_dataframe(labels)
    assert one(table, "share", state=2, label="a").value == 3.0
    assert one(table, "adjusted_rand").lower == pytest.approx(-0.1)
    assert one(table, "population", state=1).stands_for == "c"
    assert one(table, "population", state=2).stands_for == ""

    chosen = kgdyn.observables.Representative(1, "medoid", 0, 17, 3, 0.75, None)
    found = filled(
        kgdyn.observables.RepresentativeFrames,
        representatives=(chosen,),
        populations=marked(2),
        spread=marked(2),
    )
    row = one(to_dataframe(found), "probability")
    assert (row.state, row.kind, row.frame, row.target, row.value) == (2, "medoid", 17, 3, 0.75)
    nothing = to_dataframe(dataclasses.replace(found, representatives=()))
    assert list(dict.fromkeys(nothing.quantity)) == ["spread", "population"]


# What is part of a result, or no result of its own.
NOT_TABLES = {"Cluster", "Representative"}


def test_no_observable_is_forgotten() -> None:
    named = {name for name in kgdyn.observables.__all__ if name[0].isupper()} - NOT_TABLES
    known = {kind.__name__ for kind in to_dataframe.registry}
    assert named <= known
    assert {"KoopmanModel", "ImpliedTimescales", "ChapmanKolmogorovTest"} <= known


def test_others_are_refused_or_added() -> None:
    with pytest.raises(TypeError, match=r"result must be one of AngularDistribution.*'list'"):
        to_dataframe([1, 2])

    class Mine:
        pass

    to_dataframe.register(Mine, lambda result: pd.DataFrame({"value": [1.0]}))
    assert to_dataframe(Mine()).value.tolist() == [1.0]
