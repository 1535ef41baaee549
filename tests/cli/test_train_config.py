"""The configuration file of ``kgdyn train``: what it may hold, and what is written back."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from kgdyn.cli._train_config import complete_config, parse_settings, read_config, write_config
from kgdyn.training import TrainingSettings

NEEDED: dict[str, dict[str, Any]] = {
    "data": {"trajectories": ["a.npz"]},
    "model": {"lagtime": 2, "n_states": 3, "n_neighbors": 12},
}


def write(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text)
    return path


def test_every_setting_has_a_default() -> None:
    config = complete_config(NEEDED)
    defaults = TrainingSettings()
    assert config["training"] == {
        field.name: getattr(defaults, field.name) for field in fields(TrainingSettings)
    }
    model = config["model"]
    assert (model["n_features"], model["n_convolutions"], model["variant"]) == (16, 3, "paper")
    assert "elements" not in model
    assert config["data"]["groupby"] == "atoms"


def test_later_tables_win() -> None:
    first = {"training": {"epochs": 3, "stride": 2}, "data": {"trajectories": ["b.npz"]}}
    second = {"training": {"epochs": 4, "stride": None}, "data": {"trajectories": []}}
    config = complete_config(NEEDED, first, second)
    assert (config["training"]["epochs"], config["training"]["stride"]) == (4, 2)
    assert config["data"]["trajectories"] == ["b.npz"]


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ("model", "lagtime"),
        ("model", "n_states"),
        ("model", "n_neighbors"),
        ("data", "trajectories"),
    ],
)
def test_what_is_needed(table: str, key: str) -> None:
    without = {name: dict(values) for name, values in NEEDED.items()}
    del without[table][key]
    with pytest.raises(ValueError, match=rf"{key} is needed: .* or in \[{table}\] of a file"):
        complete_config(without)


def test_written_back_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths follow the file, wherever the command runs."""
    (tmp_path / "data").mkdir()
    path = write(
        tmp_path / "data",
        '[data]\ntrajectories = ["a.npz", "../b.npz"]\ntopology = "t.data"\n'
        'elements = ["Li", "S"]\n[model]\nlagtime = 2\nn_states = 3\nn_neighbors = 12\n'
        'target_pools = ["mean", "max"]\n[training]\nlearning_rate = 1\n',
    )
    monkeypatch.chdir(tmp_path)
    config = complete_config(read_config(path.relative_to(tmp_path)))
    assert config["data"]["trajectories"] == [os.path.join("data", "a.npz"), "b.npz"]
    assert config["data"]["elements"] == "Li,S"
    assert config["model"]["target_pools"] == ["mean", "max"]
    write_config(tmp_path / "run" / "config.toml", config)
    text = (tmp_path / "run" / "config.toml").read_text()
    assert tomllib.loads(text)["data"]["trajectories"] == ["../data/a.npz", "../b.npz"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    again = complete_config(read_config(Path("../run/config.toml")))
    up = [os.path.join("..", "data", "a.npz"), os.path.join("..", "b.npz")]
    assert again["data"].pop("trajectories") == up
    assert again["data"].pop("topology") == os.path.join("..", "data", "t.data")
    assert config["data"].pop("trajectories")
    assert config["data"].pop("topology")
    assert again == config


def test_the_file_of_the_documentation(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    config = complete_config(read_config(write(tmp_path, block)))
    assert config["training"]["restarts"] == 3
    assert config["model"]["dropout"] == 0.1
    assert config["data"]["trajectories"] == [str(tmp_path / "run.store")]
    for name in (field.name for field in fields(TrainingSettings)):
        assert f"`{name}`" in text, name


def test_defaults_survive_the_file(tmp_path: Path) -> None:
    config = complete_config(NEEDED)
    write_config(tmp_path / "config.toml", config)
    again = read_config(tmp_path / "config.toml")
    # What is None has no line: these follow from the data.
    assert set(config["training"]) - set(again["training"]) == {"batch_size", "cache"}
    again["data"]["trajectories"] = config["data"]["trajectories"]
    completed = complete_config(again)
    assert TrainingSettings(**completed["training"]) == TrainingSettings()
    pools = completed["model"].pop("target_pools"), config["model"].pop("target_pools")
    assert [list(pool) for pool in pools] == [["mean"], ["mean"]]
    assert completed == config


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "[training]\nepoch = 3",
            ValueError,
            r"\[training\] has no key epoch; did you mean epochs",
        ),
        ("[model]\nn_feature = 3", ValueError, "no key n_feature; did you mean n_features?"),
        ("[model]\nelements = [3]", ValueError, r"\[model\] has no key elements"),
        ("[data]\nzzz = 3", ValueError, "no key zzz; there are trajectories, targets, "),
        ("[trainning]\n", ValueError, r"there is no table \[trainning\]; did you mean training"),
        ("epochs = 3", ValueError, r"there is no table \[epochs\]"),
        ("training = 3", TypeError, "training must be a table, received 3"),
        ("[training]\nepochs = '3'", TypeError, "training.epochs must be a whole number.*'3'"),
        ("[training]\nxla = 1", TypeError, "training.xla must be true or false, received 1"),
        ("[model]\nradial_cutoff = true", TypeError, "model.radial_cutoff must be a number"),
        ("[data]\ntrajectories = 'a'", TypeError, "data.trajectories must be a list, each a text"),
        ("[data\n", ValueError, "is not TOML: "),
    ],
)
def test_bad_files(text: str, error: type[Exception], message: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(error, match=rf"run\.toml: .*{message}"):
        read_config(path)


def test_settings_of_the_command_line() -> None:
    found = parse_settings(
        [
            "model.n_features=32",
            "model.variant=released",
            "training.warmup = 1.5",
            "training.xla=true",
        ]
    )
    assert found["model"] == {"n_features": 32, "variant": "released"}
    assert found["training"] == {"warmup": 1.5, "xla": True}


@pytest.mark.parametrize(
    ("setting", "error", "message"),
    [
        ("n_features=3", ValueError, "--set must be TABLE.KEY=VALUE, received 'n_features=3'"),
        ("model.n_features", ValueError, "--set must be TABLE.KEY=VALUE"),
        ("model.n_featurs=3", ValueError, r"--set: \[model\] has no key n_featurs; did you mean"),
        ("model.n_features=many", TypeError, "--set: model.n_features must be a whole number"),
    ],
)
def test_bad_settings_of_the_command_line(
    setting: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        parse_settings([setting])


def test_help_tells_the_defaults() -> None:
    """They are written out there, because the help must not wait for Keras."""
    from typer.main import get_command

    from kgdyn.cli.app import app

    (train,) = [
        command
        for name, command in get_command(app).commands.items()
        if name == "train"  # type: ignore[attr-defined]
    ]
    config = complete_config(NEEDED)
    values = {**config["data"], **config["model"], **config["training"]}
    told = {
        parameter.name: parameter.show_default
        for parameter in train.params
        if isinstance(getattr(parameter, "show_default", None), str)
    }
    assert len(told) > 10
    assert values.pop("batch_size") is None
    assert told.pop("batch_size") == "by the data, at most 1,024"
    for name, text in told.items():
        assert text == str(values[name]) or float(text) == values[name], name
