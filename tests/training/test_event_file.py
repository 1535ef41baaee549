"""The event files hold the history, and a resumed training adds to them."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from kgdyn.training import WriteEvents


def read_events(folder: Path) -> dict[str, dict[int, float]]:
    """Values by tag and step, as TensorBoard would read them."""
    import tensorflow as tf

    found: dict[str, dict[int, float]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*"), key=_time_and_number):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name in ("scalars", "")
                number = float(tf.make_ndarray(value.tensor))
                found.setdefault(value.tag, {})[event.step] = number
    return found


def _time_and_number(path: Path) -> tuple[int, int]:
    """TIME.HOST.PROCESS.NUMBER.v2: a name with 10 sorts before one with 9 of the same second."""
    parts = path.name.removeprefix("events.out.tfevents.").split(".")
    return int(parts[0]), int(parts[-2])


def test_every_epoch_is_there_once(tmp_path: Path, rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.125), loss="mse")
    options = {"validation_data": (x, y), "verbose": 0, "callbacks": [WriteEvents(tmp_path)]}
    first = model.fit(x, y, epochs=2, **options).history
    second = model.fit(x, y, initial_epoch=2, epochs=3, **options).history
    train, validation = read_events(tmp_path / "train"), read_events(tmp_path / "validation")
    assert set(train) == {"epoch_loss", "epoch_learning_rate"}
    assert set(validation) == {"epoch_loss"}
    assert train["epoch_learning_rate"] == {0: 0.125, 1: 0.125, 2: 0.125}
    for found, name in ((train, "loss"), (validation, "val_loss")):
        expected = first[name] + second[name]
        assert list(found["epoch_loss"]) == [0, 1, 2]
        assert list(found["epoch_loss"].values()) == pytest.approx(expected, rel=1e-6)
