"""Tables and figures of a validation, with and without true states."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kgdyn.cli._validation_files import Validation
from kgdyn.cli.validate import validate_states
from kgdyn.koopman import estimate_koopman_model, label_markov_model, one_hot
from kgdyn.toys import MarkovChain

CHAIN = MarkovChain(np.array([[0.96, 0.03, 0.01], [0.06, 0.92, 0.02], [0.05, 0.05, 0.9]]))
LAG = 4
INTERVAL = 0.5


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_json(path: Path) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


@pytest.fixture
def labels(rng: np.random.Generator) -> NDArray[np.int64]:
    return CHAIN.sample(1500, 4, rng=rng)


@pytest.fixture
def soft(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float64]:
    return 0.9 * one_hot(labels, 3) + 0.1 * rng.dirichlet([1, 1, 1], size=labels.shape)


def validate(probabilities: Any, folder: Path, labels: Any = None) -> Validation:
    parts = None if labels is None else [labels]
    return validate_states([probabilities], LAG, INTERVAL, folder, labels=parts)


def test_files_hold_the_result(soft: NDArray[np.float64], tmp_path: Path) -> None:
    result = validate(soft, tmp_path / "out")
    found = {path.name for path in (tmp_path / "out").iterdir()}
    figures = {"timescales.png", "ck_test.png", "populations.png"}
    assert found == {"koopman.json", "timescales.csv", "ck_test.csv", *figures}
    assert all((tmp_path / "out" / name).stat().st_size > 5000 for name in figures)

    values = read_json(tmp_path / "out" / "koopman.json")
    model = result.model
    np.testing.assert_allclose(values["koopman_matrix"], model.koopman_matrix, rtol=1e-12)
    np.testing.assert_allclose(values["populations"], model.populations, rtol=1e-12)
    np.testing.assert_allclose(
        values["populations_interval"],
        [model.populations_interval.lower, model.populations_interval.upper],
        rtol=1e-12,
    )
    np.testing.assert_allclose(values["timescales_ps"], model.timescales_ps(), rtol=1e-12)
    assert (values["lagtime_frames"], values["lagtime_ps"]) == (4, 2.0)
    assert (values["n_states"], values["n_pairs"]) == (3, 4 * 1496)
    assert values["ck_inside"] == int(result.ck.inside.sum())
    assert values["ck_elements"] == result.ck.inside.size
    assert values["intervals"].startswith("95% jackknife over time blocks of ")
    assert values["estimator"] == "plain"
    assert values["independent_blocks"] == model.independent_blocks
    assert values["ck_states_inside"] == int(result.ck.state_inside.sum())
    assert "true" not in values

    rows = read_rows(tmp_path / "out" / "timescales.csv")
    assert list(rows[0]) == ["lagtime_frames", "lagtime_ps"] + [
        f"{name}_{i}_ps" for i in (1, 2) for name in ("t", "lower", "upper")
    ]
    for k, row in enumerate(rows):
        assert int(row["lagtime_frames"]) == result.timescales.lagtimes[k]
        assert float(row["lagtime_ps"]) == 0.5 * result.timescales.lagtimes[k]
        for i in range(2):
            for name, array in (
                ("t", result.timescales.timescales),
                ("lower", result.timescales.interval.lower),
                ("upper", result.timescales.interval.upper),
            ):
                value = float(row[f"{name}_{i + 1}_ps"])
                np.testing.assert_allclose(value, array[k, i], rtol=1e-5)

    rows = read_rows(tmp_path / "out" / "ck_test.csv")
    assert len(rows) == 5 * 3 * 3
    for row in rows:
        at = int(row["n"]) - 1, int(row["from"]) - 1, int(row["to"]) - 1
        assert float(row["time_ps"]) == 2.0 * int(row["n"])
        for name, array in (
            ("predicted", result.ck.predictions),
            ("estimated", result.ck.estimates),
            ("lower", result.ck.estimate_interval.lower),
            ("upper", result.ck.estimate_interval.upper),
        ):
            np.testing.assert_allclose(float(row[name]), array[at], rtol=1e-6, atol=1e-9)
            if name != "predicted":
                continue
            np.testing.assert_allclose(
                float(row["states_predicted"]), result.ck.state_predictions[at], rtol=1e-6
            )
        assert row["inside"] == str(bool(result.ck.inside[at]))
        assert row["states_inside"] == str(bool(result.ck.state_inside[at]))


def test_true_states_stand_beside(
    soft: NDArray[np.float64],
    labels: NDArray[np.int64],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = validate(soft, tmp_path, labels)
    true = read_json(tmp_path / "koopman.json")["true"]
    exact = label_markov_model([labels], LAG)
    np.testing.assert_allclose(true["transition_matrix"], exact.transition_matrix, rtol=1e-12)
    np.testing.assert_allclose(
        true["timescales_ps"], INTERVAL * exact.timescales(), rtol=1e-12, atol=0
    )
    np.testing.assert_array_equal(true["assigned"], np.eye(3))
    printed = capsys.readouterr().out
    assert "true sites" in printed
    assert f"{result.model.populations[0]:.4f}" in printed
    assert f"{exact.transition_matrix[1, 2]:.4f}" in printed
    assert "frames of true state 3 assigned rightly: 100.000%" in printed
    assert f"VAMP-2 {result.model.vamp2_score:.4f} of at most 3" in printed


def test_a_true_state_that_no_frame_has(
    soft: NDArray[np.float64],
    labels: NDArray[np.int64],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Three learned states beside true ones 1 and 3: no shifted columns, no crash."""
    two = np.where(labels == 0, 0, 2)
    validate(soft, tmp_path, two)
    true = read_json(tmp_path / "koopman.json")["true"]
    exact = label_markov_model([two], LAG).transition_matrix
    assert true["transition_matrix"][1] == [None, None, None]
    assert true["transition_matrix"][0] == [exact[0, 0], None, exact[0, 1]]
    np.testing.assert_allclose(
        true["stationary_distribution"][1:], [0.0, (two == 2).mean()], rtol=0, atol=0.01
    )
    printed = capsys.readouterr().out
    assert "frames of true state 2 assigned rightly: there are none" in printed
    assert "nan" in printed


@pytest.mark.parametrize("estimator", ["reversible", "stationary"])
def test_another_estimator(
    estimator: str, soft: NDArray[np.float64], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = validate_states([soft], LAG, INTERVAL, tmp_path, estimator=estimator)
    expected = estimate_koopman_model([soft], lagtime=LAG, estimator=estimator)  # type: ignore[arg-type]
    np.testing.assert_allclose(result.model.koopman_matrix, expected.koopman_matrix, rtol=1e-12)
    assert result.timescales.estimator == result.ck.estimator == estimator
    np.testing.assert_allclose(result.ck.predictions[0], expected.koopman_matrix, rtol=1e-12)
    assert read_json(tmp_path / "koopman.json")["estimator"] == estimator
    assert "intervals: 95% jackknife over time blocks of" in capsys.readouterr().out


def test_estimators_that_cannot_be(soft: NDArray[np.float64], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"estimator must be one of .* received 'fast'"):
        validate_states([soft], LAG, INTERVAL, tmp_path, estimator="fast")
    with pytest.raises(ValueError, match=r'of the estimator "plain" only, received .*reversible'):
        validate_states([soft], LAG, INTERVAL, tmp_path, crosscheck=True, estimator="reversible")
