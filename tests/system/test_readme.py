"""What the README promises: its Python runs, its commands exist, CI runs its test command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.lammps
def test_python_of_the_readme_runs(new_lammps: Callable[..., Any], tmp_path: Path) -> None:
    from kgdyn.integrations.lammps import simulate_li_fcc_s

    from kgdyn.toys import LiInFccSulfur

    topology, coordinates = simulate_li_fcc_s(LiInFccSulfur(duration=3.0), tmp_path)
    topology.rename(tmp_path / "li.data")
    coordinates.rename(tmp_path / "li.dcd")
    block, _ = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(block.strip().splitlines()) < 20
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "KoopmanModel(n_states=2, lagtime=100 frames = 10 ps" in done.stdout
    assert (tmp_path / "model.keras").is_file()


@pytest.mark.slow
@pytest.mark.lammps
@pytest.mark.parametrize(
    ("name", "left"),
    [
        # Its way is that of the demo, which tests/system/test_demo.py follows.
        pytest.param("li_in_fcc_sulfur", "figure.png", marks=pytest.mark.long),
        ("paper_figure_2", "figure.png"),
        ("monitor_li_in_fcc_sulfur", "states.h5"),
    ],
)
def test_example_runs_in_small(
    name: str, left: str, new_lammps: Callable[..., Any], tmp_path: Path
) -> None:
    script = ROOT / "examples" / f"{name}.py"
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "--small"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / left).stat().st_size > 15_000


def test_commands_and_options_of_the_readme_exist() -> None:
    from typer.main import get_command

    from kgdyn.cli.app import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    text = (ROOT / "README.md").read_text().replace("\\\n", " ")
    used = re.findall(r"^ {4}(?:.*&& \.venv/bin/)?kgdyn (\w+)(.*)$", text, re.MULTILINE)
    assert {name for name, _ in used} >= {"demo", "inspect", "train", "validate", "assign"}
    for name, rest in used:
        known = {option for parameter in commands[name].params for option in parameter.opts}
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in known, f"kgdyn {name} has no {option}"


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert ".venv/bin/pytest --slow" in (ROOT / "README.md").read_text()
    assert re.search(r"^pytest --slow$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)


@pytest.mark.slow
@pytest.mark.lammps
def test_silicon_example_runs_in_small(new_lammps: Callable[..., Any], tmp_path: Path) -> None:
    done = run_example("silicon_interface", tmp_path, "--small")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "silicon_interface.png").stat().st_size > 15_000
    assert (tmp_path / "report" / "report.html").stat().st_size > 100_000


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.lammps
def test_polymer_example_runs_in_small(new_lammps: Callable[..., Any], tmp_path: Path) -> None:
    done = run_example("polymer_electrolyte", tmp_path, "--small", "--runs", "4")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "polymer.json").read_text())
    assert sum(found["populations"]["mean"]) == pytest.approx(1.0, abs=1e-4)
    assert np.sum(found["sigma_ij, % of all"]["mean"]) == pytest.approx(100.0, abs=1e-2)
    assert (tmp_path / "polymer_electrolyte.png").stat().st_size > 15_000
    assert (tmp_path / "report" / "report.html").stat().st_size > 100_000


@pytest.mark.slow
def test_argyrodite_example_runs_in_small(
    shared_data: Callable[[str], Path], tmp_path: Path
) -> None:
    done = run_example("argyrodite", tmp_path, str(shared_data("argyrodite")), "--small")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "argyrodite.png").stat().st_size > 15_000


def run_example(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"{name}.py"), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )
