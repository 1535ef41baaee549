"""The demo as a user runs it: a real simulation, a real training, the truth beside it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.lammps]


DURATION = 20  # ns, a third of what a user gets


def kgdyn(*arguments: str | int | Path) -> str:
    command = [sys.executable, "-c", "from kgdyn.cli.app import app; app()"]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(new_lammps: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("demo")
    kgdyn("demo", "--output", path, "--duration", DURATION, "--epochs", 20, "-q")
    return path


def check(found: dict[str, Any]) -> None:
    """What the paper's system must give, whatever the seed."""
    true = found["true"]
    assert min(np.diag(true["assigned"])) >= 0.99
    assert found["timescales_ps"][0] == pytest.approx(true["timescales_ps"][0], rel=0.03)
    assert found["ck_elements"] == 20
    assert found["ck_inside"] >= 18
    np.testing.assert_allclose(found["populations"], true["stationary_distribution"], atol=0.01)


def test_demo_finds_the_two_sites(folder: Path) -> None:
    check(json.loads((folder / "koopman.json").read_text()))
    chi = np.load(folder / "state_probabilities.npy")
    assert chi.shape == (DURATION * 10_000 + 1, 1, 2)
    figures = ("training", "timescales", "ck_test", "populations")
    assert all((folder / f"{name}.png").stat().st_size > 10_000 for name in figures)


def test_a_finished_simulation_is_not_run_again(folder: Path) -> None:
    trajectory = folder / "trajectory" / "li_fcc_s.dcd"
    before = trajectory.stat().st_mtime_ns
    wrong = [sys.executable, "-c", "from kgdyn.cli.app import app; app()", "demo", "--output"]
    done = subprocess.run(
        [*wrong, str(folder), "--duration", "1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "a simulation of other settings" in " ".join(done.stderr.split())
    assert trajectory.stat().st_mtime_ns == before


def test_its_model_serves_another_simulation(
    folder: Path, shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    other = shared_data("li_fcc_s/LiS_fcc_clean_s1.npz")
    kgdyn(
        *["validate", other, "--model", folder / "model.keras", "--output", tmp_path],
        *["--labels", f"{other}:state2", "--start", "0.75", "-q"],
    )
    check(json.loads((tmp_path / "koopman.json").read_text()))


_ON_ANOTHER_BACKEND = """
import sys
import numpy as np
import kgdyn
folder = sys.argv[1]
run = kgdyn.open_trajectory(
    folder + "/trajectory/li_fcc_s.dcd", topology=folder + "/trajectory/li_fcc_s.data",
    elements=["Li", "S"], targets="type 1", frame_interval=0.1,
)
found = kgdyn.assign_states(kgdyn.load_model(folder + "/model.keras"), run[:2000])
expected = np.load(folder + "/state_probabilities.npy")[:2000]
assert np.ptp(expected) > 0.9
print(np.abs(found - expected).max())
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_its_model_predicts_on_other_backends(
    backend: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    if importlib.util.find_spec(backend) is None:
        if backend == "jax" and request.config.getoption("--require-all"):
            pytest.fail("--require-all: jax is not installed")
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run(
        [sys.executable, "-c", _ON_ANOTHER_BACKEND, str(folder)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert float(done.stdout.split()[-1]) < 1e-5
