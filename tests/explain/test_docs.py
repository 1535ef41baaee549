"""The code of docs/explain.md runs, on a toy."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgdyn.toys import MarkovChain, SwitchingShell

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explain.md"


def test_code_of_the_page_runs(
    random_model: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    toy = SwitchingShell(MarkovChain(np.array([[0.8, 0.2], [0.3, 0.7]])), 2.0, 1.0)
    positions, _ = toy.sample(400, rng=np.random.default_rng(1))
    np.savez(
        tmp_path / "test.npz",
        traj_coords=positions,
        lattices=np.broadcast_to(toy.cell, (400, 3, 3)),
        atom_types=toy.species,
        target_index=np.array([0]),
        dt_ps=np.array(1.0),
    )
    random_model(n_neighbors=4).save(tmp_path / "model.keras")
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(compile(block, str(PAGE), "exec"), {})
    printed = capsys.readouterr().out
    assert "(2, 2, 2, 40)" in printed
    assert "2.50-3.50 angstrom: VAMP-2 falls by" in printed
    assert len(re.findall(r"^state [12] (is|stays) .*\)$", printed, re.MULTILINE)) == 2
