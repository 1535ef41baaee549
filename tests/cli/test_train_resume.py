"""``kgdyn train`` as a user leaves it alone: killed, continued, finished, started again."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from kgdyn.models import load_model

Command = Callable[..., Result]
SIZES = ["--lagtime", "1", "--n-states", "2", "--n-neighbors", "4", "--batch-size", "100"]
SMALL = ["--set", "model.n_convolutions=1", "--set", "model.n_features=4", "--stride", "2"]


def options_of(trajectory: Path) -> list[str | Path]:
    """25 batches an epoch, a checkpoint after each."""
    return [trajectory, *SIZES, *SMALL, "--epochs", "3", "--checkpoint-every", "0"]


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    # A background job ignores Ctrl-C, and so would its children.
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from kgdyn.cli.app import app; app()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, "train", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(*arguments: str | Path) -> str:
    process = start(*arguments)
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    return " ".join(out.split())


def stop_within_an_epoch(process: subprocess.Popen[str], folder: Path, number: int) -> None:
    """Send a signal once a checkpoint of its own from within a later epoch is there."""
    from kgdyn.training.checkpoint import read_checkpoint

    path = folder / "checkpoints" / "latest.h5"
    before = path.stat().st_ino if path.is_file() else None
    while process.poll() is None:
        if path.is_file() and path.stat().st_ino != before:
            position = read_checkpoint(path).state.position
            if position.epoch >= 1 and position.batch >= 3:
                process.send_signal(number)
                process.wait()
                return
        time.sleep(0.02)
    raise AssertionError(f"ended by itself: {process.communicate()}")


@pytest.mark.slow
def test_stopped_killed_and_continued(hopping: Path, tmp_path: Path) -> None:
    """Ctrl-C in the middle of an epoch, and kill -9 in the middle of the rest."""
    one, other = tmp_path / "killed", tmp_path / "whole"
    run(*options_of(hopping), "--output", other, "-q")
    process = start(*options_of(hopping), "--output", one)
    stop_within_an_epoch(process, one, signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, out + err
    assert f"`kgdyn train --output {one}` goes on from there" in " ".join(out.split())
    process = start("--output", one)
    stop_within_an_epoch(process, one, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (one / "model.keras").exists()
    assert load_model(one / "checkpoints" / "best.keras").n_states == 2
    # The folder knows all the rest.
    out = run("--output", one)
    assert re.search(r"going on at epoch [23], batch \d+", out)
    mine, theirs = (load_model(folder / "model.keras") for folder in (one, other))
    for left, right in zip(mine.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(left, right, err_msg=left.path)
    assert (one / "history.csv").read_text() == (other / "history.csv").read_text()
    with (one / "history.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    records = [json.loads((folder / "training.json").read_text()) for folder in (one, other)]
    assert records[0] == records[1]


@pytest.mark.long
@pytest.mark.slow
def test_restarts_of_a_file_and_a_finished_folder(
    kgdyn_command: Command, hopping: Path, tmp_path: Path
) -> None:
    """Options win over the file; what is written back makes the same training again."""
    (tmp_path / "run.toml").write_text(
        f'[data]\ntrajectories = ["{hopping}"]\n[model]\nlagtime = 1\nn_states = 2\n'
        "n_neighbors = 4\nn_convolutions = 1\nn_features = 4\n"
        '[training]\nepochs = 2\nrestarts = 2\nbatch_size = 500\nstride = 2\nscore = "VAMP1"\n'
    )
    folder = tmp_path / "run"
    command = ["train", "--config", tmp_path / "run.toml", "--output", folder, "--epochs", 1]
    result = kgdyn_command(*command)
    assert result.exit_code == 0, result.output
    assert re.search(r"restart 2: validation VAMP-1 \d\.\d+ in epoch 1 of 1", result.output)
    record = json.loads((folder / "training.json").read_text())
    scores = [restart["validation_vamp1"] for restart in record["restarts"]]
    assert len(set(scores)) == 2
    assert record["validation_vamp1"] == max(scores)
    assert record["best_restart"] == int(np.argmax(scores)) + 1
    best = folder / f"restart-{record['best_restart']}"
    for name in ("model.keras", "history.csv"):
        assert (folder / name).read_bytes() == (best / name).read_bytes()

    for again in (command, ["train", "--output", folder]):
        result = kgdyn_command(*again)
        assert result.exit_code == 1
        assert "holds a finished training" in " ".join(result.output.split())

    result = kgdyn_command("train", "--config", folder / "config.toml", "--output", tmp_path / "b")
    assert result.exit_code == 0, result.output
    assert (
        json.loads((tmp_path / "b" / "training.json").read_text())["restarts"]
        == (record["restarts"])
    )


def test_what_is_needed_is_asked_for(kgdyn_command: Command, tmp_path: Path) -> None:
    result = kgdyn_command("train", "a.npz", "--lagtime", 1, "--output", tmp_path)
    assert result.exit_code == 1
    assert "n_states is needed: on the command line" in " ".join(result.output.split())
    result = kgdyn_command("train", "--output", tmp_path)
    assert "trajectories is needed" in " ".join(result.output.split())
