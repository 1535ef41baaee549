"""``kgdyn select`` as a user types it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from kgdyn.models import load_model

Command = Callable[..., Result]


@pytest.mark.parametrize(
    ("lagtimes", "n_states", "more", "message"),
    [
        ("", "2", [], "lagtimes: at least one value is needed, such as 1,2,5, received ''"),
        ("1", " , ", [], "n_states: at least one value is needed"),
        ("1,x", "2", [], "lagtimes must be whole numbers with commas between"),
        ("1", "1,2", [], "n_states must be at least 2, received 1"),
        ("1", "2", ["--folds", 1], "folds must be at least 2"),
        ("1", "2", ["--train-lagtime", 3], "train_lagtime must be one of lagtimes [1], received 3"),
    ],
)
def test_refusals_before_anything_is_read(
    lagtimes: str, n_states: str, more: list[str], message: str, kgdyn_command: Command,
    tmp_path: Path,
) -> None:  # fmt: skip
    result = kgdyn_command(
        "select", "a.npz", "-o", tmp_path / "s", "--lagtimes", lagtimes, "--n-states", n_states,
        "--n-neighbors", 4, *more,
    )  # fmt: skip
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_two_states_from_a_file_to_a_validation(
    kgdyn_command: Command, hopping: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "selected"
    small = ["--set", "model.n_convolutions=1", "--set", "model.n_features=4", "--epochs", 4]
    command = [
        "select", hopping, "-o", folder, "--lagtimes", "1,2", "--n-states", "2,3", "--restarts", 1,
        "--folds", 2, "--n-neighbors", 4, "--batch-size", 100, "--learning-rate", 0.01, *small,
        "--jobs", 1, "--stride", 2,
    ]  # fmt: skip
    result = kgdyn_command(*command)
    text = " ".join(result.output.split())
    assert result.exit_code == 0, result.output
    assert "recommended: 2 states at a lag time of 1 frames (0.5 ps)" in text
    with (folder / "selection.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["n_states"], row["lagtime_frames"]) for row in rows] == [
        ("2", "1"), ("2", "2"), ("3", "1"), ("3", "2"),
    ]  # fmt: skip
    assert [row["recommended"] for row in rows] == ["True", "False", "False", "False"]
    assert "is not resolved" in rows[2]["reason"]
    values = json.loads((folder / "selection.json").read_text())
    assert values["recommended"] == {"n_states": 2, "lagtime": 1}
    assert values["held_out"] == "blocks of time"
    # The recommended model beside a linear method, on the block that it never saw.
    assert f"Missed processes: {values['missed_process']['words'][0]}" in text
    assert values["missed_process"]["vamp2_score"] == pytest.approx(1.5, abs=0.1)
    assert (folder / "selection.png").stat().st_size > 10_000
    model = load_model(folder / "model.keras")
    assert (model.n_states, model.lagtime) == (2, 1)

    # The last 15% was not touched, and `validate` knows.
    result = kgdyn_command(
        "validate", hopping, "--model", folder / "model.keras", "--output", tmp_path / "v",
        "--labels", f"{hopping}:true",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "using frames after the first 85%" in " ".join(result.output.split())

    # Again: nothing is trained. Otherwise: refused, naming what differs.
    before = (folder / "selection.csv").read_bytes()
    trained = folder / "states-2" / "fold-1" / "restart-1" / "model.keras"
    stamp = trained.stat().st_mtime_ns
    assert kgdyn_command(*command).exit_code == 0
    assert trained.stat().st_mtime_ns == stamp
    assert (folder / "selection.csv").read_bytes() == before
    result = kgdyn_command(*command, "--seed", 3)
    assert result.exit_code == 1
    assert "training.seed: 0 there, 3 here" in " ".join(result.output.split())
    config = (folder / "config.toml").read_text()
    assert "n_states = 2" in config
    assert "lagtime = 1" in config
