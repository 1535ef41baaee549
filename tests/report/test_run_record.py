"""Reading the folder of a training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kgdyn.report import read_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "model.keras").write_bytes(b"")
    (folder / "training.json").write_text(
        json.dumps(
            {
                "test_start": 0.6,
                "restarts": [
                    {"restart": 1, "validation_vamp2": 1.5},
                    {"restart": 2, "validation_vamp2": None},
                    {"restart": 3, "validation_vamp2": 1.7},
                ],
            }
        )
    )
    (folder / "config.toml").write_text(
        'kgdyn = "0.1.0"\n[data]\ntrajectories = ["../li.dcd"]\ntopology = "../li.data"\n'
    )
    (folder / "history.csv").write_text("epoch,loss,val_vamp2\n1,-1.2,1.1\n2,-1.4,\n")
    return folder


def test_all_that_it_says(run: Path, tmp_path: Path) -> None:
    (tmp_path / "li.dcd").write_bytes(b"")
    record = read_run(run)
    assert record.test_start == 0.6
    assert record.restart_scores == [1.5, 1.7]
    assert [path.resolve() for path in record.trajectory_paths()] == [tmp_path / "li.dcd"]
    topology = record.topology_path()
    assert topology is not None
    assert topology.resolve() == tmp_path / "li.data"
    assert record.history["loss"] == [-1.2, -1.4]
    assert record.history["val_vamp2"][0] == 1.1
    assert str(record.history["val_vamp2"][1]) == "nan"
    assert "kgdyn" not in record.config


def test_what_has_gone(run: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"li\.dcd: a trajectory of the training"):
        read_run(run).trajectory_paths()
    (run / "config.toml").unlink()
    with pytest.raises(ValueError, match=r"no config\.toml that names its trajectories"):
        read_run(run).trajectory_paths()
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        read_run(tmp_path / "nowhere")


def test_not_finished(run: Path) -> None:
    (run / "training.json").unlink()
    with pytest.raises(ValueError, match="the training is not finished"):
        read_run(run)
    (run / "model.keras").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no model\.keras"):
        read_run(run)


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("training.json", "{", "is not JSON"),
        ("training.json", "[]", "must hold a table, received list"),
        ("config.toml", "a = ", "is not TOML"),
        ("history.csv", "epoch,loss\n1,none\n", "something that is no number"),
    ],
)
def test_damage(run: Path, name: str, text: str, match: str) -> None:
    (run / name).write_text(text)
    with pytest.raises(ValueError, match=match):
        read_run(run)


def test_one_restart_has_no_scores(run: Path) -> None:
    (run / "training.json").write_text('{"restarts": [{"restart": 1, "validation_vamp2": 1.5}]}')
    record = read_run(run)
    assert record.restart_scores is None
    assert record.test_start == 0.0


def test_says_which_frames_were_unseen(run: Path) -> None:
    record = read_run(run)  # training used the first 60%
    first = "the part after the first 60%, which training did not see"
    assert record.unseen == first
    assert replace(record, tested_from=0.6).unseen == first
    assert replace(record, tested_from=0.75).unseen == first.replace("60", "75")
    assert replace(record, tested_from=0.3).unseen is None
    assert replace(record, tested_from=0.0).unseen is None
    others = replace(record, tested_from=0.0, tested_on_others=True)
    assert others.unseen == "none of which training saw"
    assert replace(record, training={}).unseen is None


def test_trajectories_are_known_by_their_names(run: Path) -> None:
    record = replace(read_run(run), training={"test_start": 0.6, "trajectories": ["old/li.dcd"]})
    assert record.tested_on(["new/li.dcd"], 0.6).unseen is not None
    assert record.tested_on(["new/li.dcd", "other.dcd"], 0.0).unseen is None
    assert record.tested_on(["other.dcd"], 0.0).unseen == "none of which training saw"
    assert replace(record, training={}).tested_on(["other.dcd"], 0.0).unseen is None
