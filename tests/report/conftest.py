"""A toy with all that a report can tell of, studied and written once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kgdyn.koopman import one_hot
from kgdyn.report import Findings, Physics, RunRecord, study_states, write_report
from kgdyn.toys import TwoProcesses
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

LAG = 5


@pytest.fixture(scope="session")
def toy() -> tuple[Trajectory, np.ndarray]:
    """Two Li in shells of S and Cl; the true state of the S shell."""
    system = TwoProcesses(timescales=(20.0, 5.0), n_targets=2)
    rng = np.random.default_rng(0)
    positions, labels = system.sample(1500, rng=rng)
    # Each Li and its shells walk as a whole.
    walks = np.cumsum(rng.normal(0.0, 0.02, (1500, 2, 3)), axis=0)
    positions += np.repeat(walks, 9, axis=1).astype(np.float32)
    run = trajectory_from_arrays(
        positions,
        np.diag([28.0, 14.0, 14.0]),
        [3, 16, 16, 16, 16, 17, 17, 17, 17] * 2,
        frame_interval=0.5,
        targets=[0, 9],
        source="two<b>processes.npz",
    )
    return run, labels[..., 0]


@pytest.fixture(scope="session")
def findings(toy: tuple[Trajectory, np.ndarray]) -> Findings:
    run, labels = toy
    chi = np.clip(one_hot(labels, 2), 0.02, 0.98)
    return study_states(
        run,
        chi,
        lagtime=LAG,
        names={17: "<i>chlorine</i>"},
        physics=Physics({"Li": 1.0, "S": -0.4, "Cl": -0.1}, 300.0, charge_radius=3.2),
        axis=0,
        bond_order_neighbors=4,
        labels=[labels],
        restart_scores=[1.5, 1.51],
        r_max=6.0,
    )


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    folder = tmp_path_factory.mktemp("run")
    return RunRecord(
        folder,
        folder / "model.keras",
        {"data": {"trajectories": ["a.npz"]}, "model": {"n_neighbors": 8, "lagtime": LAG}},
        {
            "test_start": 0.6,
            "best_restart": 2,
            "restarts": [
                {"restart": 1, "validation_vamp2": 1.5, "best_epoch": 3, "epochs": 4},
                {"restart": 2, "validation_vamp2": 1.51, "best_epoch": 4, "epochs": 4},
            ],
        },
        {"loss": [-1.2, -1.4], "vamp2": [1.2, 1.4], "val_vamp2": [1.3, 1.5]},
    )


@pytest.fixture(scope="session")
def page(findings: Findings, record: RunRecord, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(
        findings, record, tmp_path_factory.mktemp("report"), command=["kgdyn", "report", "run"]
    )


@pytest.fixture(scope="session")
def bare(toy: tuple[Trajectory, np.ndarray]) -> Findings:
    """What is left where nothing else is known, and a state is never the most probable."""
    run, labels = toy
    chi = np.zeros((*labels.shape, 3))
    chi[..., 2] = 0.02 * np.random.default_rng(1).random(labels.shape)
    chi[..., :2] = one_hot(labels, 2) * (1.0 - chi[..., 2:])
    return study_states(run, chi, lagtime=LAG, r_max=6.0, floor=False)
