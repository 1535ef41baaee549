"""Training in one call, end to end on a small system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kgdyn.training import (
    ReportProgress,
    TrainingSettings,
    assign_states,
    pairs_dataset,
    train_gdynet,
)
from kgdyn.trajectories import Trajectory

Hopping = Callable[..., Trajectory]

SMALL: dict[str, Any] = {
    "n_states": 2,
    "n_neighbors": 3,
    "lagtime": 2,
    "model_options": {"n_convolutions": 1, "n_features": 8},
}


def trained(hopping: Hopping, seed: int = 0, **settings: Any) -> tuple[Any, dict[str, Any], Any]:
    reports: list[tuple[int, int, dict[str, float]]] = []
    model, history = train_gdynet(
        hopping(600, seed=1),
        hopping(300, seed=2),
        settings=TrainingSettings(
            **{"batch_size": 300, "learning_rate": 2e-2, "seed": seed, **settings}
        ),
        callbacks=[ReportProgress(lambda *state: reports.append(state))],
        **SMALL,
    )
    return model, history, reports


@pytest.fixture(scope="module")
def run(hopping: Hopping) -> tuple[Any, dict[str, Any], Any]:
    return trained(hopping, epochs=10)


def test_score_rises(run: tuple[Any, dict[str, Any], Any]) -> None:
    _, history, _ = run
    assert history["val_vamp2"][-1] > max(1.4, history["val_vamp2"][0])
    assert {"loss", "vamp2", "val_loss", "val_vamp2"} <= set(history)
    assert all(len(values) == 10 for values in history.values())
    assert all(isinstance(value, float) for value in history["val_vamp2"])


def test_model_carries_what_it_needs(run: tuple[Any, dict[str, Any], Any]) -> None:
    model, _, _ = run
    assert (model.elements, model.n_neighbors, model.lagtime) == ([3, 16], 3, 2)
    assert (model.frame_interval, model.targets, model.n_states) == (0.5, "the Li", 2)
    assert (model.n_convolutions, model.n_features) == (1, 8)


def test_states_are_fixed_and_right(run: tuple[Any, dict[str, Any], Any], hopping: Hopping) -> None:
    model, _, _ = run
    assert not np.array_equal(model.simplex_map.matrix, np.eye(2))
    test = hopping(400, seed=5)
    chi = assign_states(model, test)[:, 0]
    far = np.linalg.norm(test.positions[:, 1] - test.positions[:, 0], axis=1) > 2.5
    agreement = (chi.argmax(axis=1) == far).mean()
    assert max(agreement, 1.0 - agreement) > 0.98


def test_best_epoch_is_kept(run: tuple[Any, dict[str, Any], Any], hopping: Hopping) -> None:
    model, history, _ = run
    held_out = pairs_dataset(
        hopping(300, seed=2), lagtime=2, n_neighbors=3, batch_size=300, shuffle=False
    )
    score = model.evaluate(held_out, verbose=0, return_dict=True)["vamp2"]
    assert score == pytest.approx(max(history["val_vamp2"]), abs=1e-4)


def test_progress_is_reported(run: tuple[Any, dict[str, Any], Any]) -> None:
    _, history, reports = run
    n_batches = 2
    assert [done for done, _, _ in reports] == list(range(1, 10 * n_batches + 1))
    assert {total for _, total, _ in reports} == {10 * n_batches}
    assert reports[0][2] == {}
    assert reports[-1][2]["val_vamp2"] == pytest.approx(history["val_vamp2"][-2], abs=1e-6)


@pytest.mark.slow
def test_same_seed_same_weights(hopping: Hopping) -> None:
    first, again = (trained(hopping, seed=4, epochs=2)[0] for _ in range(2))
    for mine, theirs in zip(first.weights, again.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=mine.path)


@pytest.mark.slow
def test_stops_early(hopping: Hopping) -> None:
    """Steps too small to change a weight: the first epoch stays the best."""
    _, history, _ = trained(hopping, epochs=30, learning_rate=1e-30, patience=2)
    scores = history["val_vamp2"]
    assert len(scores) < 30
    assert len(scores) == int(np.argmax(scores)) + 1 + 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"variable_neighbors": True}, {"variant": "released", "dtype": "mixed_bfloat16"}]
)
def test_model_options(options: dict[str, Any], hopping: Hopping) -> None:
    model, history = train_gdynet(
        hopping(200, seed=1),
        hopping(100, seed=2),
        settings=TrainingSettings(epochs=1, batch_size=300),
        **{**SMALL, "model_options": {**SMALL["model_options"], **options}},
    )
    assert np.isfinite(history["val_vamp2"]).all()
    assert np.isfinite(assign_states(model, hopping(20, seed=3))).all()


def test_different_frame_intervals(hopping: Hopping) -> None:
    with pytest.raises(
        ValueError, match=r"must have the same frame interval, received \[0\.25, 0\.5\] ps"
    ):
        train_gdynet(hopping(20, seed=1), hopping(20, seed=2, frame_interval=0.25), **SMALL)


def test_element_that_only_validation_has(hopping: Hopping) -> None:
    strange = replace(hopping(20, seed=2), species=np.array([3, 16, 16, 11], np.int32))
    with pytest.raises(ValueError, match="hopping 2: holds Na, which the model never saw"):
        train_gdynet(hopping(20, seed=1), strange, **SMALL)


def test_lagtime_too_long(hopping: Hopping) -> None:
    with pytest.raises(ValueError, match="lagtime must be shorter than the longest segment"):
        train_gdynet(hopping(20, seed=1), hopping(20, seed=2), **{**SMALL, "lagtime": 20})


def test_bad_frame_is_a_value_error(hopping: Hopping) -> None:
    good = hopping(40, seed=1)
    positions = good.positions.copy()
    positions[33, 0, 0] = np.nan
    with pytest.raises(ValueError, match="hopping 1, frame 33: positions must be finite"):
        train_gdynet(replace(good, positions=positions), hopping(20, seed=2), **SMALL)
