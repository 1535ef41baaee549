"""The Python of docs/mdanalysis.md runs, with its processes and its cluster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import MDAnalysis
import numpy as np
import pytest

import kgdyn

PAGE = Path(__file__).resolve().parents[3] / "docs" / "mdanalysis.md"


@pytest.fixture
def folder(universe: Callable[..., Any], model_file: Path, tmp_path: Path) -> Path:
    """With the files that the page reads."""
    made = universe()
    made.add_TopologyAttr("resnames", ["X"] * 4)
    made.add_TopologyAttr("resids", [1, 2, 3, 4])
    made.atoms.write(tmp_path / "run.gro")
    made.atoms.write(tmp_path / "run.xtc", frames="all")
    (tmp_path / "model.keras").write_bytes(model_file.read_bytes())
    return tmp_path


@pytest.fixture
def blocks() -> list[str]:
    found = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(found) == 4
    return found


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(script)
    return subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def populations(text: str) -> Any:
    """What scripts print last."""
    return np.array(re.findall(r"\[(.*)\]", text)[-1].split(), float)


@pytest.mark.filterwarnings("ignore:the data hold only:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:intervals rest on only:RuntimeWarning")
def test_one_process(
    blocks: list[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    for block in blocks[:2]:
        exec(compile(block, str(PAGE), "exec"), names)
    printed = capsys.readouterr().out
    assert "(7, 4, 3)" in printed
    assert "CoordinationNumbers" in printed


@pytest.mark.slow
def test_two_processes_find_what_one_does(blocks: list[str], folder: Path, model: Any) -> None:
    done = run(blocks[2], folder)
    assert done.returncode == 0, done.stderr[-3000:]
    universe = MDAnalysis.Universe(folder / "run.gro", folder / "run.xtc")
    states = kgdyn.assign_states(model, kgdyn.from_universe(universe, "name Li"))
    wanted = states[10::2].mean(axis=(0, 1))
    np.testing.assert_allclose(populations(done.stdout), wanted, rtol=0, atol=2e-6)


@pytest.mark.slow
@pytest.mark.long
def test_a_cluster_finds_what_one_process_does(blocks: list[str], folder: Path, model: Any) -> None:
    # One worker: what each of them needs to start is long enough for a test.
    done = run(blocks[3].replace("n_workers=2,", "n_workers=1,"), folder)
    assert done.returncode == 0, done.stderr[-3000:]
    universe = MDAnalysis.Universe(folder / "run.gro", folder / "run.xtc")
    states = kgdyn.assign_states(model, kgdyn.from_universe(universe, "name Li"))
    wanted = states.mean(axis=(0, 1))
    np.testing.assert_allclose(populations(done.stdout), wanted, rtol=0, atol=2e-6)


@pytest.mark.slow
def test_a_script_without_its_guard_ends_with_a_hint(folder: Path) -> None:
    """Where a Pool would start worker after worker for ever."""
    script = (
        "import MDAnalysis\n"
        "from kgdyn.integrations.mdanalysis import StateAnalysis\n"
        "universe = MDAnalysis.Universe('run.gro', 'run.xtc')\n"
        "analysis = StateAnalysis(universe.select_atoms('name Li'), 'model.keras')\n"
        "analysis.run(backend='multiprocessing', n_workers=2)\n"
    )
    done = run(script, folder)
    assert done.returncode == 1
    assert "must stand under 'if __name__ == \"__main__\":'" in done.stderr
