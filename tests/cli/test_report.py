"""``kgdyn report`` on the folder of a training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import Result

from kgdyn.models import GDyNet

Command = Callable[..., Result]


@pytest.fixture
def run(hopping: Path, tmp_path: Path) -> Path:
    """What a training leaves, with a network that knows nothing."""
    folder = tmp_path / "run"
    folder.mkdir()
    keras.utils.set_random_seed(1)
    GDyNet(2, [3, 16], n_neighbors=12, lagtime=1, frame_interval=0.5).save(folder / "model.keras")
    (folder / "training.json").write_text(json.dumps({"test_start": 0.8}))
    (folder / "config.toml").write_text(f'[data]\ntrajectories = ["{hopping}"]\n')
    return folder


@pytest.mark.slow
def test_a_page_of_the_frames_that_training_left(
    kgdyn_command: Command, run: Path, hopping: Path
) -> None:
    options: list[Any] = ["--charges", "Li=1,S=-0.25", "--temperature", 300, "--names", "S=Su"]
    options += ["--labels", f"{hopping}:true", "--axis", "z", "--charge-radius", 3.0, "-q"]
    result = kgdyn_command("report", run, *options)
    assert result.exit_code == 0, result.output
    text = (run / "report" / "report.html").read_text(encoding="utf-8")
    assert "<h1>2 states of Li among Li, Su</h1>" in text
    assert "All numbers are of 1,200 frames of hopping.npz" in text
    assert "the part after the first 80%, which training did not see" in text
    for name in ("masking", "attention", "agreement", "profile", "conductivity"):
        assert (run / "report" / "figures" / f"{name}.pdf").is_file()


def test_what_is_wrong_is_said(kgdyn_command: Command, run: Path, tmp_path: Path) -> None:
    for arguments, text in (
        ([tmp_path / "nowhere"], "there is no such folder"),
        ([run, "--axis", "w"], "axis must be x, y or z, received 'w'"),
        ([run, "--start", 1.5], "start must be a fraction from 0 to below 1, received 1.5"),
        ([run, "--charges", "Li=one"], 'charges must be such as "Li=1,S=-1"'),
        ([run, "--charges", "no.npy"], "no.npy: there is no such file of charges"),
        ([run, "--names", "Li"], 'names must be such as "O=EO,S=TFSI"'),
    ):
        result = kgdyn_command("report", *arguments, "-q")
        assert result.exit_code == 1
        assert text in result.stderr


def test_charges_of_another_number_of_atoms(
    kgdyn_command: Command, run: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "charges.npy", np.ones(3))
    result = kgdyn_command("report", run, "--charges", tmp_path / "charges.npy", "-q")
    assert result.exit_code == 1
    assert "must hold one number for each of 5 atoms, received shape (3,)" in result.stderr


def test_states_of_whole_frames_have_no_report(kgdyn_command: Command, run: Path) -> None:
    model = GDyNet(2, [3, 16], 4, pooling="global")
    model.save(run / "model.keras")
    result = kgdyn_command("report", run, "-q")
    assert result.exit_code == 1
    assert "gives states of whole frames, and a report is of targets" in result.stderr


def test_masks_of_a_lag_time_without_divisors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A long run and a lag time that is prime: the first frames are looked at, not all."""
    import kgdyn.explain
    from kgdyn.cli.report import _MOST_FRAMES_TO_MASK, _deciding
    from kgdyn.trajectories import trajectory_from_arrays

    n_frames = 3 * _MOST_FRAMES_TO_MASK
    long = trajectory_from_arrays(
        np.ones((n_frames, 1, 3)), np.eye(3), [3], frame_interval=1.0, targets=[0]
    )
    seen = {}

    def note(name: str) -> Any:
        def take(_model: Any, trajectories: Any, *_: Any, stride: int, **__: Any) -> str:
            seen[name] = trajectories[0].n_frames, stride
            return name

        return take

    for name in ("neighbor_attention", "masking_importance"):
        monkeypatch.setattr(kgdyn.explain, name, note(name))
    chi = np.full((n_frames, 1, 2), 0.5)
    for lagtime, expected in ((101, (_MOST_FRAMES_TO_MASK, 1)), (60, (n_frames, 30))):
        assert _deciding(None, [long], [chi], lagtime) == (
            "neighbor_attention",
            "masking_importance",
        )
        assert set(seen.values()) == {expected}
