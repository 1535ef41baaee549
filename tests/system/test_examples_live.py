"""The live example and the one with molecules as targets, as a user starts them, but shorter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kgdyn

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.lammps]


def started(name: str, *arguments: str | Path) -> str:
    """What an example prints."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def watched(new_lammps: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("watched")
    started("monitor_polymer.py", folder, "--small")
    return folder


def test_live_states_are_those_of_the_dump(watched: Path) -> None:
    found = json.loads((watched / "live.json").read_text())
    assert found["frames_in_both"] == found["n_frames"] == 201
    assert found["largest_difference"] < 1e-5
    assert found["dump_shows_the_state"] == 1.0
    assert found["stop_reason"] is None
    record = kgdyn.read_states(watched / "states.h5")
    assert record.state_probabilities.shape == (201, 10, 2)
    # Both states are seen: else a comparison would say little.
    shares = record.state_probabilities.mean(axis=(0, 1))
    assert shares.min() > 0.02
    np.testing.assert_allclose(found["populations"], shares, rtol=0, atol=1e-5)
    assert (watched / "monitor_polymer.png").stat().st_size > 10_000


@pytest.mark.long
def test_a_condition_ends_the_run(watched: Path, tmp_path: Path) -> None:
    model = watched / "training" / "model.keras"
    printed = started(
        *["monitor_polymer.py", tmp_path, "--small", "--model", model, "--longest", "3"],
        *["--until", "population 1 < 0.3", "--seed", "5"],
    )
    assert "ended by: converged: population 1: 0." in printed
    found = json.loads((tmp_path / "live.json").read_text())
    assert 0.01 < found["duration_ns"] < 2.9
    low, high = (bounds[0] for bounds in found["populations_interval"])
    assert 0.5 * (high - low) <= 0.3
    assert found["frames_in_both"] >= found["n_frames"] - 1
    assert found["largest_difference"] < 1e-5
    assert not list(tmp_path.glob("coarse_polymer*"))  # nothing was trained


def test_a_film_of_water(new_lammps: Callable[..., Any], tmp_path: Path) -> None:
    started("water_at_interface.py", tmp_path, "--small")
    found = json.loads((tmp_path / "water.json").read_text())
    assert (found["n_molecules"], found["n_frames_of_test"]) == (216, 16)
    assert found["thickness_angstrom"] == pytest.approx(18.6, abs=1.5)
    assert sum(found["populations"]) == pytest.approx(1.0)
    for path in ("water_at_interface.png", "report/report.html", "training/model.keras"):
        assert (tmp_path / path).stat().st_size > 10_000


@pytest.mark.long
def test_surfaces_are_found_in_a_film_of_others(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    data = shared_data("maicos/airwater")
    started(
        *["water_at_interface.py", tmp_path, "--data", data],
        *["--epochs", "4", "--restarts", "1"],
    )
    found = json.loads((tmp_path / "water.json").read_text())
    assert (found["n_molecules"], found["lagtime_ps"]) == (352, 20.0)
    inner, outer = found["angstrom_from_the_middle"]
    assert outer > inner + 3.0
    inner, outer = found["within_4_angstrom_of_a_surface"]
    assert outer > 0.75
    assert inner < 0.25
    assert found["correlation_with_place"] > 0.6
    # Twenty ps are too long for it, and the test says so.
    inside, n = found["ck_inside"]
    assert inside < n
