"""Real trajectories: each loads with one call, and `kgdyn inspect` confirms what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

Shared = Callable[[str], Path]

WATER = ["--elements", "OW=O,HW1=H,HW2=H"]
CASES: dict[str, tuple[list[str], list[str]]] = {
    "argyrodite": (
        [f"argyrodite/Li6PS5Cl_50p_run{run}.XDATCAR.gz" for run in range(1, 7)]
        + ["--join", "--frame-interval", "0.1"],
        ["416: 192 Li", "not exactly orthogonal", "0.1 ps", "segments │ 1 ", "problems │ none"],
    ),
    "air and water": (
        ["maicos/airwater/airwater.trr", "--topology", "maicos/airwater/airwater.gro", *WATER],
        ["frames │ 101 ", "1056: 704 H, 352 O", "20 ps", "problems │ none"],
    ),
    "water in a nanotube": (
        [
            "maicos/cntwater/cntwater.xtc",
            "--topology",
            "maicos/cntwater/cntwater.gro",
            "--elements",
            "1=O,2=H,3=C",
        ],
        ["frames │ 51 ", "3510: ", "810 O", "0.5 ps", "problems │ none"],
    ),
    "LGPS": (
        ["lgps/DiffusionAnalyzer.json"],
        ["frames │ 1000 ", "50: 20 Li, 4 P, 24 S, 2 Ge", "0.02 ps", "known"],
    ),
    "polymer electrolyte": (
        [
            "htp_md/9-0-246295613-0/traj.lammpstrj",
            "--elements",
            "masses",
            "--timestep",
            "0.002",
            "--topology",
            "htp_md/9-0-246295613-0/relaxed.lmp",
        ],
        ["frames │ 7 ", "6440: ", "50 Li", "2 ps", "problems │ none"],
    ),
    "solvation": (
        ["solvation/ea_fec.dcd", "--topology", "solvation/ea_fec.pdb", "--frame-interval", "1"],
        ["frames │ 10 ", "7428: ", "61 Li", "61 P", "problems │ none"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_inspect_confirms_the_facts(shared_data: Shared, case: str) -> None:
    from kgdyn.cli.app import app

    arguments, facts = CASES[case]
    words = [str(shared_data(word)) if "/" in word else word for word in arguments]
    result = CliRunner().invoke(app, ["inspect", *words, "-q"])
    assert result.exit_code == 0, result.output
    text = " ".join(result.output.split())
    for fact in facts:
        assert " ".join(fact.split()) in text


def test_runs_of_argyrodite_are_one_trajectory(shared_data: Shared) -> None:
    import kgdyn

    paths = [shared_data(f"argyrodite/Li6PS5Cl_0p_run{run}.XDATCAR.gz") for run in (1, 2)]
    run = kgdyn.open_trajectory(paths, targets="element Li", frame_interval=0.1)
    assert (run.n_segments, run.n_targets) == (1, 192)
    # Where one run ends the next goes on: no atom jumps farther than within a run.
    first = run.n_frames // 2
    fractions = run.positions[first - 2 : first + 2] @ np.linalg.inv(run.cells[0])
    jumps = np.diff(fractions, axis=0)
    moved = np.linalg.norm((jumps - np.round(jumps)) @ run.cells[0], axis=-1)
    assert moved[1].max() < 2.0 * moved[[0, 2]].max()


def test_molecules_of_an_electrolyte_are_targets(shared_data: Shared) -> None:
    import kgdyn

    run = kgdyn.open_trajectory(
        shared_data("htp_md/9-0-246295613-0/traj.lammpstrj"),
        topology=shared_data("htp_md/9-0-246295613-0/relaxed.lmp"),
        elements="masses",
        timestep=0.002,
        targets="type 93",
        groupby="molecules",
    )
    # TFSI is N(SO2CF3)2: 15 atoms.
    assert run.n_targets == 50
    assert set(np.diff(run.targets.offsets)) == {15}
    first = run.species[run.targets.atoms[: run.targets.offsets[1]]]
    assert sorted(first.tolist()) == sorted([7, 16, 16, *[8] * 4, 6, 6, *[9] * 6])


@pytest.mark.slow
def test_two_states_of_water_molecules(shared_data: Shared) -> None:
    import kgdyn
    from kgdyn.training import TrainingSettings

    run = kgdyn.open_trajectory(
        shared_data("maicos/airwater/airwater.trr"),
        topology=shared_data("maicos/airwater/airwater.gro"),
        elements={"OW": "O", "HW1": "H", "HW2": "H"},
        targets="name OW",
        groupby="molecules",
    )
    assert run.n_targets == 352
    assert set(np.diff(run.targets.offsets)) == {3}
    train, validation = kgdyn.split_by_time(run, [0.7, 0.3])
    model, history = kgdyn.train_gdynet(
        train,
        validation,
        n_states=2,
        n_neighbors=16,
        lagtime=1,
        settings=TrainingSettings(epochs=4, batch_size=8),
        model_options={"n_convolutions": 1, "n_features": 8},
    )
    assert max(history["val_vamp2"]) > 1.02  # no memory at all would be 1
    chi = kgdyn.assign_states(model, validation[0])
    assert chi.shape == (validation[0].n_frames, 352, 2)
    # The rarer state is that of molecules at the surface, which fewer neighbours surround.
    oxygen = validation[0].positions[:, run.targets.atoms[::3], 2]
    center = validation[0].positions[..., 2].mean()
    depth = np.abs(oxygen - center)
    assert depth[chi[..., 1] > 0.5].mean() > depth[chi[..., 1] < 0.5].mean() + 1.0
