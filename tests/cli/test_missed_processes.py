"""``kgdyn validate`` tells whether a process was missed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from typer.testing import Result

from kgdyn.cli._missed_processes import report_missed_processes, restart_scores
from kgdyn.models import GDyNet

Command = Callable[..., Result]


@pytest.fixture
def untrained(hopping: Path, tmp_path: Path) -> list[Any]:
    """Arguments: a network that knows nothing, beside the record of three restarts."""
    folder = tmp_path / "run"
    folder.mkdir()
    keras.utils.set_random_seed(1)
    model = GDyNet(2, [3, 16], n_neighbors=12, lagtime=1, frame_interval=0.5)
    model.save(folder / "model.keras")
    scores = [{"validation_vamp2": score} for score in (1.48, 1.02, 1.47)]
    (folder / "training.json").write_text(json.dumps({"restarts": scores}))
    output = ["--output", tmp_path / "out", "--start", 0.8, "-q"]
    return ["validate", hopping, "--model", folder / "model.keras", *output]


def test_the_verdict_is_printed_and_kept(
    kgdyn_command: Command, untrained: list[Any], tmp_path: Path
) -> None:
    result = kgdyn_command(*untrained)
    assert result.exit_code == 0, result.output
    printed = " ".join(result.output.split())
    assert "Missed processes: " in printed
    assert "restarts disagree: 1 of 3 lie more than" in printed
    found = json.loads((tmp_path / "out" / "koopman.json").read_text())
    verdict = found["missed_process"]
    assert verdict["words"][0] in printed
    assert verdict["vamp2_score"] == pytest.approx(found["vamp2_score"], abs=1e-6)
    # A two-state chain of eigenvalue 0.7 that distances tell without error.
    assert verdict["linear_floor"] == pytest.approx(1.49, abs=0.08)
    assert verdict["linear_processes"][0]["timescale_ps"] == pytest.approx(1.40, rel=0.2)
    assert verdict["restart_scores"] == [1.48, 1.02, 1.47]
    assert verdict["restarts_agree"] is False


def test_without_the_floor(kgdyn_command: Command, untrained: list[Any], tmp_path: Path) -> None:
    result = kgdyn_command(*untrained, "--no-floor")
    assert result.exit_code == 0, result.output
    assert "Missed processes" not in result.output
    assert "missed_process" not in json.loads((tmp_path / "out" / "koopman.json").read_text())


@pytest.mark.parametrize("text", ["{", "{}", '{"restarts": [{"validation_vamp2": 1.5}]}'])
def test_no_scores_of_restarts(tmp_path: Path, text: str) -> None:
    assert restart_scores(tmp_path / "model.keras") is None
    (tmp_path / "training.json").write_text(text)
    assert restart_scores(tmp_path / "model.keras") is None


def test_states_of_whole_frames_are_not_compared(
    hopping: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    import kgdyn
    from kgdyn.cli._console import set_quiet

    set_quiet(False)
    run = kgdyn.open_trajectory(hopping)[:50]
    two = run.with_targets(kgdyn.TargetGroups.from_indices([0, 1]))
    chi = np.full((50, 1, 2), 0.5)
    assert report_missed_processes([chi], [two], 1, tmp_path / "koopman.json") is None
    assert "not checked, the states are those of whole frames" in capsys.readouterr().out
    short = [np.full((2, 1, 2), 0.5)]
    assert report_missed_processes(short, [run[:2]], 1, tmp_path / "koopman.json") is None
    assert "not checked, a held-out comparison needs" in " ".join(capsys.readouterr().out.split())
