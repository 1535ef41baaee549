"""``kgdyn validate`` leaves out what training saw, also where the frames come from a store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import kgdyn
from kgdyn.cli._console import set_quiet
from kgdyn.cli.validate import _default_start

Command = Callable[..., Result]


@pytest.fixture
def store(hopping: Path, kgdyn_command: Command, tmp_path: Path) -> Path:
    path = tmp_path / "hopping.store"
    result = kgdyn_command("convert", hopping, "--output", path, "-q")
    assert result.exit_code == 0, result.output
    return path


@pytest.mark.parametrize("trained_on", ["file", "store"])
@pytest.mark.parametrize("tested_on", ["file", "store"])
def test_of_file_and_store(
    trained_on: str, tested_on: str, hopping: Path, store: Path, tmp_path: Path
) -> None:
    runs = {"file": kgdyn.open_trajectory(hopping), "store": kgdyn.open_trajectory(store)}
    record = {"trajectories": [runs[trained_on].source], "test_start": 0.6}
    (tmp_path / "training.json").write_text(json.dumps(record))
    assert _default_start(tmp_path / "model.keras", [runs[tested_on]]) == 0.6


def test_of_other_frames(hopping: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_quiet(False)
    run, model = kgdyn.open_trajectory(hopping), tmp_path / "model.keras"
    assert _default_start(model, [run]) == 0.0  # no record at all
    for name, start, said in (
        ("other.npz", 0.6, ""),
        (run.source, 1.0, "using all frames: training saw some or all of them"),
    ):
        record = {"trajectories": [name], "test_start": start}
        (tmp_path / "training.json").write_text(json.dumps(record))
        assert _default_start(model, [run]) == 0.0
        assert capsys.readouterr().out.strip() == said
