"""``kgdyn validate --crosscheck``: deeptime's figures beside ours, and an exit code."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import Result

import kgdyn.koopman
from kgdyn.cli.validate import validate_states
from kgdyn.koopman import one_hot
from kgdyn.models import GDyNet
from kgdyn.toys import MarkovChain

Command = Callable[..., Result]
CHAIN = MarkovChain(np.array([[0.96, 0.03, 0.01], [0.06, 0.92, 0.02], [0.05, 0.05, 0.9]]))


@pytest.fixture
def soft(rng: np.random.Generator) -> list[NDArray[np.float64]]:
    labels = [CHAIN.sample(n, 2, rng=rng) for n in (900, 700)]
    return [
        0.9 * one_hot(part, 3) + 0.1 * rng.dirichlet([1, 1, 1], size=part.shape) for part in labels
    ]


@pytest.fixture
def untrained(tmp_path: Path) -> Path:
    """A network that knows nothing: its probabilities are as good for the comparison."""
    path = tmp_path / "model.keras"
    keras.utils.set_random_seed(1)
    GDyNet(2, [3, 16], n_neighbors=12, lagtime=1, frame_interval=0.5).save(path)
    return path


@pytest.fixture
def wrong_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our K with one element off by 1e-6."""
    right = kgdyn.koopman.validation.estimate_koopman_model

    def wrong(*args: Any, **kwargs: Any) -> Any:
        model = right(*args, **kwargs)
        matrix = model.koopman_matrix.copy()
        matrix[0, 1] += 1e-6
        return dataclasses.replace(model, koopman_matrix=matrix)

    monkeypatch.setattr(kgdyn.koopman.validation, "estimate_koopman_model", wrong)


def test_files_hold_both_sides(
    soft: list[NDArray[np.float64]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = validate_states(soft, 2, 0.5, tmp_path, crosscheck=True)
    values = json.loads((tmp_path / "crosscheck.json").read_text())
    assert (values["ok"], values["lagtime_frames"], values["frame_interval_ps"]) == (True, 2, 0.5)
    assert len(values["singular_value_timescales_ps"]) == 2
    rows = {row["quantity"]: row for row in values["comparisons"]}
    for side in ("kgdyn", "deeptime"):
        np.testing.assert_allclose(rows["K"][side], result.model.koopman_matrix, rtol=1e-10)
        pairs = np.array(rows["eigenvalues"][side])
        np.testing.assert_allclose(pairs[:, 0], result.model.eigenvalues.real, rtol=1e-10)
        np.testing.assert_allclose(pairs[:, 1], 0.0, atol=1e-12)
        np.testing.assert_allclose(rows["VAMP-2"][side], result.model.vamp2_score, rtol=1e-10)
        for lag, times in zip(
            result.timescales.lagtimes, result.timescales.timescales, strict=True
        ):
            found = rows[f"timescales at lag {lag} (ps)"][side]
            np.testing.assert_allclose(found, times, rtol=1e-9)
        found = rows["CK estimate K(n lagtime)"][side]
        np.testing.assert_allclose(found, result.ck.estimates, rtol=0, atol=1e-10)
    assert all(row["ok"] and row["largest_difference"] <= row["bound"] for row in rows.values())

    with (tmp_path / "crosscheck.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["quantity"] for row in table] == list(rows)
    for row in table:
        np.testing.assert_allclose(complex(row["kgdyn"]), complex(row["deeptime"]), rtol=1e-8)
        assert float(row["largest_difference"]) <= float(row["bound"])
        assert row["ok"] == "True"

    printed = capsys.readouterr().out
    assert "Beside deeptime, where both differ most" in printed
    assert "\x1b" not in printed
    assert re.search(r"VAMP-2 .*1e-08 .* ok", printed)
    assert "from singular values" in printed


def test_without_the_flag_there_is_none(
    soft: list[NDArray[np.float64]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    validate_states(soft, 2, 0.5, tmp_path)
    assert not list(tmp_path.glob("crosscheck*"))
    assert "deeptime" not in capsys.readouterr().out


def test_a_difference_is_an_error_after_all_is_written(
    soft: list[NDArray[np.float64]], tmp_path: Path, wrong_matrix: None
) -> None:
    match = r"differ in K by \d\.\de-06, at most 1\.0e-08 is allowed; eigenvalues by "
    with pytest.raises(ValueError, match=match):
        validate_states(soft, 2, 0.5, tmp_path, crosscheck=True)
    values = json.loads((tmp_path / "crosscheck.json").read_text())
    assert not values["ok"]
    failed = {row["quantity"] for row in values["comparisons"] if not row["ok"]}
    assert failed == {"K", "eigenvalues", "stationary distribution"}
    assert (tmp_path / "koopman.json").is_file()


@pytest.fixture
def arguments(hopping: Path, untrained: Path, tmp_path: Path) -> list[Any]:
    output = ["--output", tmp_path / "out", "--start", 0.9, "-q"]
    return ["validate", hopping, "--model", untrained, *output]


def test_the_command_agrees(kgdyn_command: Command, arguments: list[Any], tmp_path: Path) -> None:
    result = kgdyn_command(*arguments, "--crosscheck")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out" / "crosscheck.json").read_text())["ok"]


def test_the_command_fails_where_a_bound_is_exceeded(
    kgdyn_command: Command, arguments: list[Any], tmp_path: Path, wrong_matrix: None
) -> None:
    result = kgdyn_command(*arguments, "--crosscheck")
    assert result.exit_code == 1
    assert "crosscheck: kgdyn and deeptime differ in K by " in result.stderr
    assert not json.loads((tmp_path / "out" / "crosscheck.json").read_text())["ok"]
