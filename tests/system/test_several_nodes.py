"""The programs of docs/several_nodes.md run, on one machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kgdyn.models import load_model

PAGE = Path(__file__).resolve().parents[2] / "docs" / "several_nodes.md"
LAUNCH = [sys.executable, "-c", "from kgdyn.cli.app import app; app()", "launch"]


@pytest.fixture(scope="module")
def blocks() -> dict[str, str]:
    found = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return dict(zip(("mirrored", "workers", "slurm"), found, strict=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the trajectory that the page reads."""
    rng = np.random.default_rng(0)
    lines = []
    states = np.cumsum(rng.random(300) < 0.05) % 2
    for state in states:
        sites = [[2.0 + state, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.5]]
        moved = np.array(sites) + rng.normal(scale=0.1, size=(4, 3))
        lines += ["4", 'Lattice="20 0 0 0 20 0 0 0 20" Properties=species:S:1:pos:R:3 pbc="T T T"']
        lines += [
            f"{name} {x:.4f} {y:.4f} {z:.4f}"
            for name, (x, y, z) in zip(("Li", "S", "S", "S"), moved, strict=True)
        ]
    (tmp_path / "run.extxyz").write_text("\n".join(lines) + "\n")
    return tmp_path


def run(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_mirrored_strategy(blocks: dict[str, str], folder: Path) -> None:
    assert "(300, 2)" in run([sys.executable, "-c", blocks["mirrored"]], folder)
    assert load_model(folder / "model.keras").n_states == 2


@pytest.mark.slow
@pytest.mark.long  # tests/models/test_distributed.py launches two workers too
def test_two_workers_by_the_launch_command_of_the_page(
    blocks: dict[str, str], folder: Path
) -> None:
    (command,) = re.findall(r"^    kgdyn launch (.*) -- python train.py$", PAGE.read_text(), re.M)
    (folder / "train.py").write_text(blocks["workers"])
    program = [*LAUNCH, *command.split(), "--log-folder", "logs", "--", sys.executable, "train.py"]
    output = run(program, folder)
    assert "Epoch 2/2" in output
    assert "Epoch" not in (folder / "logs" / "worker_1.log").read_text()
    matrix = np.asarray(load_model(folder / "model.keras").simplex_map.matrix)
    assert np.abs(matrix - np.eye(2)).max() > 1e-3


def test_tf_config_of_a_slurm_job(blocks: dict[str, str]) -> None:
    code = blocks["slurm"] + "print(os.environ['TF_CONFIG'])"
    output = run([sys.executable, "-c", code], Path.cwd(), WORKERS="n2 n10", SLURM_PROCID="1")
    assert output.strip() == (
        '{"cluster": {"worker": ["n2:12345", "n10:12345"]}, "task": {"type": "worker", "index": 1}}'
    )
