"""States beside the shells of solvation-analysis: a table of its layout, made by hand."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kgdyn.exports import shell_shares, with_states
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

LEVELS = ["frame", "solute_ix", "solute_atom_ix", "solvent_atom_ix"]
COLUMNS = ["distance", "solute", "solvent", "solvent_ix"]


@pytest.fixture
def run(rng: np.random.Generator) -> Trajectory:
    """Targets are atoms 5 and 2, in this order."""
    return trajectory_from_arrays(
        rng.random((3, 8, 3)), 9.0 * np.eye(3), [3] * 8, frame_interval=1.0, targets=[5, 2]
    )


@pytest.fixture
def states() -> np.ndarray[Any, Any]:
    return np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.3, 0.7]], [[0.0, 1.0], [1.0, 0.0]]])


@pytest.fixture
def data() -> pd.DataFrame:
    """Shells by frame and atom: 0: {5: A A B, 2: B}, 1: {5: A A B}, 2: {5: B, 2: A}."""
    shells = {(0, 5): "AAB", (0, 2): "B", (1, 5): "ABA", (2, 5): "B", (2, 2): "A"}
    rows = [
        (frame, 40 + atom, atom, 100 + place, 2.0 + 0.1 * place, "Li", solvent, 60 + place)
        for (frame, atom), shell in shells.items()
        for place, solvent in enumerate(shell)
    ]
    return pd.DataFrame(rows, columns=[*LEVELS, *COLUMNS]).set_index(LEVELS)


def test_columns_of_states(data: pd.DataFrame, run: Trajectory, states: Any) -> None:
    table = with_states(data, run, states)
    assert list(table.columns) == [*COLUMNS, "state", "state_probability"]
    assert list(data.columns) == COLUMNS
    pd.testing.assert_frame_equal(table[COLUMNS], data)
    found = {
        key: (part.state.iloc[0], part.state_probability.iloc[0])
        for key, part in table.groupby(["frame", "solute_atom_ix"])
    }
    assert found == {
        (0, 5): (1, 0.9),
        (0, 2): (2, 0.8),
        (1, 5): (1, 0.6),
        (2, 5): (2, 1.0),
        (2, 2): (1, 1.0),
    }
    assert len(table[table.state == 1]) == 3 + 3 + 1


def test_shares_of_shells_by_a_loop(data: pd.DataFrame, run: Trajectory, states: Any) -> None:
    table = shell_shares(data, run, states)
    sums: Counter[tuple[int, int, int]] = Counter()
    for frame, (target, atom) in itertools.product(range(3), enumerate((5, 2))):
        solvents = [
            row.solvent
            for key, row in data.iterrows()
            if (key[0], key[2]) == (frame, atom)  # type: ignore[index]
        ]
        for state in (0, 1):
            key = (state + 1, solvents.count("A"), solvents.count("B"))
            sums[key] += states[frame, target, state]
    totals = states.sum(axis=(0, 1))
    assert len(table) == 2 * 4
    for row in table.itertuples():
        wanted = sums[row.state, row.A, row.B] / totals[row.state - 1]
        assert row.share == pytest.approx(wanted, abs=1e-12)
    # Atom 2 in frame 1 has nobody near: an empty shell, in state 2 with 0.7.
    empty = table[(table.A == 0) & (table.B == 0) & (table.state == 2)]
    assert empty.share.tolist() == pytest.approx([0.7 / totals[1]])
    np.testing.assert_allclose(table.groupby("state").share.sum(), 1.0)
    assert table[table.state == 1].share.is_monotonic_decreasing


def test_frames_of_the_universe(data: pd.DataFrame, run: Trajectory, states: Any) -> None:
    wanted = with_states(data, run, states)
    moved = data.rename(index=lambda frame: 10 * frame + 5, level="frame")
    found = with_states(moved, run, states, frames=[5, 15, 25])
    np.testing.assert_array_equal(found.state, wanted.state)
    turned = with_states(moved, run, states[::-1], frames=[25, 15, 5])
    np.testing.assert_array_equal(turned.state_probability, wanted.state_probability)
    later = with_states(data[data.index.get_level_values("frame") > 0], run[1:], states[1:])
    np.testing.assert_array_equal(later.state, wanted.loc[1:].state)


def test_what_does_not_fit(data: pd.DataFrame, run: Trajectory, states: Any) -> None:
    with pytest.raises(ValueError, match="solvation_data must have 'frame' and 'solute_atom_ix'"):
        with_states(data.reset_index(), run, states)
    with pytest.raises(ValueError, match=r"frames \[2\] have no states"):
        with_states(data, run[:2], states[:2])
    with pytest.raises(ValueError, match=r"solute atoms \[2\] are in no target"):
        with_states(data, run.with_targets(type(run.targets).from_indices([5, 1])), states)
    with pytest.raises(ValueError, match="frames must be one number for each row"):
        with_states(data, run, states, frames=[0, 1])
    with pytest.raises(ValueError, match="frames must be one number for each row"):
        with_states(data, run, states, frames=[0, 1, 1])
    with pytest.raises(ValueError, match="state_probabilities must have shape"):
        with_states(data, run, states[:2])
    with pytest.raises(ValueError, match="rows of state_probabilities must sum to 1"):
        shell_shares(data, run, 1.1 * states)


def test_shells_that_the_package_itself_finds(states: Any) -> None:
    solvation = pytest.importorskip("solvation_analysis.solute")
    import MDAnalysis

    universe = MDAnalysis.Universe.empty(
        8, n_residues=8, atom_resindex=range(8), trajectory=True, residue_segindex=[0] * 8
    )
    for name in ("names", "resnames", "types"):
        universe.add_TopologyAttr(name, ["X"] * 8)
    positions = 9.0 * np.random.default_rng(4).random((3, 8, 3))
    universe.load_new(positions.astype(np.float32), dimensions=[9.0, 9, 9, 90, 90, 90])
    solute = solvation.Solute.from_atoms(
        universe.atoms[[2, 5]],
        {"A": universe.atoms[[0, 1, 3]], "B": universe.atoms[[4, 6, 7]]},
        radii={"A": 4.0, "B": 4.0},
        skip_rdf=True,
    )
    solute.run()
    run = trajectory_from_arrays(
        positions, 9.0 * np.eye(3), [3] * 8, frame_interval=1.0, targets=[5, 2]
    )
    table = with_states(solute.solvation_data, run, states)
    for key, row in table.iterrows():
        place = [5, 2].index(key[2])  # type: ignore[index]
        assert row.state == 1 + states[key[0], place].argmax()  # type: ignore[index]
    # What Speciation counts is the mean over states.
    shares = shell_shares(solute.solvation_data, run, states)
    weights = states.mean(axis=(0, 1))[shares.state - 1]
    mean = (shares.share * weights).groupby([shares.A, shares.B]).sum()
    for row in solute.speciation.speciation_fraction.itertuples():
        assert mean[row.A, row.B] == pytest.approx(row.fraction)
