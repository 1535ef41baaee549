"""An interrupted training goes on as if nothing had been: weights and history bit for bit."""

from __future__ import annotations

import csv
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kgdyn.models import load_model
from kgdyn.training import (
    ReportProgress,
    TrainingSettings,
    checkpoints_in,
    train_gdynet,
    train_restarts,
)
from kgdyn.training.callbacks import SaveCheckpoints
from kgdyn.training.checkpoint import read_checkpoint
from kgdyn.trajectories import Trajectory

Hopping = Callable[..., Trajectory]

# Three batches an epoch; a checkpoint after each.
SETTINGS = TrainingSettings(
    epochs=3, batch_size=100, learning_rate=2e-2, checkpoint_every=0.0, seed=3
)
SIZES: dict[str, Any] = {"n_states": 2, "n_neighbors": 3, "lagtime": 2}
SMALL: dict[str, Any] = {"n_convolutions": 1, "n_features": 8}


class StopError(Exception):
    pass


class StopAfter(keras.callbacks.Callback):  # type: ignore[misc]
    """What a kill at this batch would leave."""

    def __init__(self, batches: int, error: type[BaseException] = StopError) -> None:
        super().__init__()
        self.left = batches
        self.error = error

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise self.error


def train(
    hopping: Hopping,
    folder: Path | None = None,
    settings: TrainingSettings = SETTINGS,
    callbacks: Any = (),
    model_options: dict[str, Any] = SMALL,
    **more: Any,
) -> Any:
    return train_gdynet(
        hopping(300, seed=1),
        hopping(150, seed=2),
        settings=settings,
        model_options=model_options,
        callbacks=callbacks,
        folder=folder,
        **{**SIZES, **more},
    )


def stopped(hopping: Hopping, folder: Path, batches: int, **more: Any) -> None:
    with pytest.raises(StopError):
        train(hopping, folder, callbacks=[StopAfter(batches)], **more)


@pytest.fixture(scope="module")
def undisturbed(hopping: Hopping) -> Any:
    return train(hopping)


@pytest.fixture(scope="module")
def half_done(hopping: Hopping, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a checkpoint of the very first moment."""
    folder: Path = tmp_path_factory.mktemp("run")

    def save_and_stop(self: SaveCheckpoints, logs: Any = None) -> None:
        self._save()
        raise StopError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SaveCheckpoints, "on_train_begin", save_and_stop)
        with pytest.raises(StopError):
            train(hopping, folder)
    return folder


def assert_same(one: Any, other: Any) -> None:
    for mine, theirs in zip(one[0].weights, other[0].weights, strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=mine.path)
    assert one[1] == other[1]


@pytest.mark.slow
def test_same_weights_as_without_the_interruption(
    hopping: Hopping, undisturbed: Any, tmp_path: Path
) -> None:
    """Stopped within the second epoch, and again within the third."""
    stopped(hopping, tmp_path, 5)
    stopped(hopping, tmp_path, 4)
    assert load_model(tmp_path / "checkpoints" / "best.keras").n_states == 2
    assert not (tmp_path / "model.keras").exists()
    reports: list[tuple[int, int]] = []
    report = ReportProgress(lambda done, total, logs: reports.append((done, total)))
    result = train(hopping, tmp_path, callbacks=[report])
    assert_same(result, undisturbed)
    # In the checkpoints 4 batches, then 3 more.
    assert reports == [(done, 9) for done in (8, 9)]
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for name, values in result[1].items():
        assert [float(row[name]) for row in rows] == values
    loaded = load_model(tmp_path / "model.keras")
    for mine, theirs in zip(loaded.weights, undisturbed[0].weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    # Once more: nothing is trained.
    assert_same(train(hopping, tmp_path, callbacks=[StopAfter(1)]), undisturbed)


@pytest.mark.slow
def test_whatever_a_training_remembers(hopping: Hopping, tmp_path: Path) -> None:
    """Moving statistics, the scale of float16, seeds of dropout, warm-up, shuffling."""
    options: dict[str, Any] = {
        "model_options": {**SMALL, "variant": "released", "dropout": 0.3, "weight_decay": 0.01},
        "settings": replace(
            SETTINGS,
            precision="mixed_float16",
            score="VAMP1",
            reversible=True,
            window=3,
            warmup=1.5,
        ),
    }
    expected = train(hopping, **options)
    stopped(hopping, tmp_path, 5, **options)
    assert_same(train(hopping, tmp_path, **options), expected)


@pytest.mark.long
@pytest.mark.slow
def test_best_weights_and_patience_survive(hopping: Hopping, tmp_path: Path) -> None:
    """Stopped two epochs after the best, one before patience ends."""
    settings = replace(SETTINGS, epochs=12, learning_rate=0.1, schedule="constant", patience=2)
    expected = train(hopping, settings=settings)
    n_epochs = len(expected[1]["loss"])
    best = int(np.argmax(expected[1]["val_vamp2"]))
    assert n_epochs == best + 3 < 12
    stopped(hopping, tmp_path, 3 * (best + 2) + 2, settings=settings)  # after the best epoch
    assert_same(train(hopping, tmp_path, settings=settings), expected)


@pytest.mark.slow
@pytest.mark.long
def test_restarts_go_on_where_they_were(hopping: Hopping, tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=1, restarts=2)
    whole = train(hopping, settings=settings)
    stopped(hopping, tmp_path, 5, settings=settings)  # in the second restart
    assert (tmp_path / "restart-1" / "model.keras").is_file()
    assert [path.parent.parent.name for path in checkpoints_in(tmp_path)] == [
        "restart-1",
        "restart-2",
    ]
    assert_same(train(hopping, tmp_path, settings=settings), whole)
    assert (tmp_path / "model.keras").is_file()
    model, restarts = train_restarts(
        hopping(300, seed=1),
        hopping(150, seed=2),
        settings=settings,
        model_options=SMALL,
        folder=tmp_path,
        **SIZES,
    )
    assert len({restart.seed for restart in restarts}) == 2
    assert len({restart.score for restart in restarts}) == 2
    best = max(restarts, key=lambda restart: restart.score)
    assert best.history == whole[1]
    kernel = model.convolutions[0].basis_kernel
    np.testing.assert_array_equal(kernel, whole[0].convolutions[0].basis_kernel)


@pytest.mark.slow
def test_a_signal_leaves_a_checkpoint(hopping: Hopping, undisturbed: Any, tmp_path: Path) -> None:
    """Without one, the next checkpoint would be at the end of the epoch."""
    number = signal.SIGTERM
    before = signal.getsignal(number)

    class Signal(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batch == 1:
                os.kill(os.getpid(), number)

    seldom = replace(SETTINGS, checkpoint_every=3600.0)
    with pytest.raises(SystemExit):
        train(hopping, tmp_path, seldom, [Signal()])
    assert signal.getsignal(number) is before
    (path,) = checkpoints_in(tmp_path)
    position = read_checkpoint(path).state.position
    assert (position.epoch, position.batch) == (0, 2)
    assert_same(train(hopping, tmp_path, seldom), undisturbed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": replace(SETTINGS, epochs=4)}, r"training\.epochs: 3 there, 4 here"),
        ({"model_options": {**SMALL, "n_features": 9}}, r"model\.n_features: 8 there, 9 here"),
        ({"model_options": {"n_features": 8}}, r"model\.n_convolutions: 1 there, nothing here"),
        ({"lagtime": 3}, r"model\.lagtime: 2 there, 3 here"),
    ],
)
def test_another_training_is_refused(
    change: dict[str, Any], message: str, hopping: Hopping, half_done: Path
) -> None:
    with pytest.raises(ValueError, match=f"holds a training with other settings.*{message}"):
        train(hopping, half_done, **change)


def test_other_data_is_refused(hopping: Hopping, half_done: Path) -> None:
    with pytest.raises(ValueError, match=r"\(train\[0\]\.data: \w+ there, \w+ here\)"):
        train_gdynet(
            hopping(300, seed=9),
            hopping(150, seed=2),
            settings=SETTINGS,
            model_options=SMALL,
            folder=half_done,
            **SIZES,
        )


def test_a_damaged_checkpoint_is_refused(hopping: Hopping, half_done: Path, tmp_path: Path) -> None:
    content = (half_done / "checkpoints" / "latest.h5").read_bytes()
    target = tmp_path / "checkpoints" / "latest.h5"
    target.parent.mkdir()
    target.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"latest\.h5: is not a checkpoint of a training"):
        train(hopping, tmp_path)


def test_a_model_without_checkpoint_is_not_overwritten(hopping: Hopping, tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_text("precious")
    with pytest.raises(ValueError, match=r"holds a model\.keras without its checkpoint"):
        train(hopping, tmp_path)
    assert (tmp_path / "model.keras").read_text() == "precious"


@pytest.mark.slow
def test_overwriting_removes_what_a_training_left_and_nothing_else(
    hopping: Hopping, half_done: Path, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    shutil.copytree(half_done, tmp_path, dirs_exist_ok=True)
    settings = replace(SETTINGS, epochs=1)
    _, history = train(hopping, tmp_path, settings, overwrite=True)
    assert len(history["loss"]) == 1
    assert (tmp_path / "notes.txt").read_text() == "mine"
    names = {"notes.txt", "checkpoints", "logs", "history.csv", "model.keras"}
    assert {path.name for path in tmp_path.iterdir()} == names
