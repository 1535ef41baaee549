"""Train small models on one device, on mirrored replicas or as one of several workers.

Run as a program, since devices and workers must be set up before TensorFlow starts:
`python train_distributed.py OUTPUT.npz KIND:CASE,CASE...`, KIND one of one, mirrored and workers;
`{worker}` in OUTPUT is the number of the worker.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

from kgdyn.frames import TargetGroups
from kgdyn.models import GDyNet
from kgdyn.models._training_step import SkippingModel
from kgdyn.scores import VAMP2Loss, VAMP2Score
from kgdyn.training import frames_dataset, pairs_dataset
from kgdyn.trajectories import Trajectory

N_REPLICAS = 2
LAGTIME = 2
N_HELD_OUT = 53


def hopping(n_frames: int, seed: int) -> Trajectory:
    """A Li that stands near one S or the other, of a Markov chain."""
    rng = np.random.default_rng(seed)
    states = np.cumsum(rng.random(n_frames) < 0.05) % 2
    positions = np.zeros((n_frames, 4, 3))
    positions[:, 1, 0] = np.where(states == 0, 2.0, 3.0)
    positions[:, 2, 1], positions[:, 3, 2] = 4.0, 4.5
    return Trajectory(
        positions + rng.normal(scale=0.1, size=positions.shape),
        np.zeros((n_frames, 3, 3)),
        np.zeros(3, bool),
        np.array([3, 16, 16, 16], np.int32),
        TargetGroups.from_indices([0]),
        0.5,
    )


def pairs(n_frames: int, batch_size: int, seed: int = 0, shuffle: bool = True) -> Any:
    return pairs_dataset(
        hopping(n_frames, seed),
        lagtime=LAGTIME,
        n_neighbors=3,
        batch_size=batch_size,
        shuffle=shuffle,
    )


def make_model(strategy: Any, optimizer: Any = None, n_states: int = 2, **options: Any) -> GDyNet:
    keras.utils.set_random_seed(3)
    with strategy.scope():
        model = GDyNet(n_states, [3, 16], 3, lagtime=LAGTIME, n_convolutions=1, **options)
        model.compile(
            optimizer or keras.optimizers.Adam(1e-3, epsilon=1e-5),
            loss=VAMP2Loss(),
            metrics=[VAMP2Score(n_states)],
        )
    return model


def weights_of(model: GDyNet) -> dict[str, Any]:
    return numbered("weight", model.weights)


def optimizer_of(model: GDyNet) -> dict[str, Any]:
    return numbered("optimizer", model.optimizer.variables)


def numbered(kind: str, variables: Any) -> dict[str, Any]:
    """By number: names of layers count up in a program."""
    return {f"{kind} {number}": np.asarray(value) for number, value in enumerate(variables)}


def curves(history: Any) -> dict[str, Any]:
    return {f"history {name}": np.array(values) for name, values in history.history.items()}


def spoiled(dataset: Any, number: int, row: int) -> Any:
    """The dataset with a NaN distance in one pair of the batch of this number."""

    def spoil(batch: Any) -> Any:
        (x,) = batch
        distances = x["t"]["distances"]
        frame_of_value = tf.gather(distances.value_rowids(), distances.values.value_rowids())
        flat = tf.where(frame_of_value == row, np.float32(np.nan), distances.flat_values)
        return ({**x, "t": {**x["t"], "distances": distances.with_flat_values(flat)}},)

    return dataset.enumerate().map(
        lambda index, batch: tf.cond(index == number, lambda: spoil(batch), lambda: batch)
    )


def without(dataset: Any, number: int) -> Any:
    """The dataset without the batch of this number."""
    return dataset.take(number).concatenate(dataset.skip(number + 1))


def train_and_use(strategy: Any) -> dict[str, Any]:
    """One step; three epochs, of which the last batch is one pair; evaluate and predict."""
    model = make_model(strategy)
    data = pairs(35, 16)
    assert len(data) == 3  # 16 + 16 + 1 pairs: replicas without a frame
    model.fit(data, epochs=1, steps_per_epoch=1, verbose=0, fix_states=False)
    result = {f"step {name}": value for name, value in weights_of(model).items()}
    held_out = pairs(N_HELD_OUT, 15, seed=1, shuffle=False)
    history = model.fit(data, validation_data=held_out, epochs=3, verbose=0)
    *weights, result["simplex map"] = weights_of(model).values()
    result |= {f"epochs {number}": value for number, value in enumerate(weights)}
    result |= curves(history)
    for name, value in model.evaluate(held_out, verbose=0, return_dict=True).items():
        result[f"evaluate {name}"] = value
    frames = frames_dataset(hopping(N_HELD_OUT, 1), n_neighbors=3, batch_size=4)  # 13 x 4 + 1
    result["predict"] = model.predict(frames, verbose=0)
    # Row by row, without a strategy and in batches of another size.
    expected = frames_dataset(hopping(N_HELD_OUT, 1), n_neighbors=3, batch_size=17)
    result["call"] = np.concatenate([model(x, training=False) for (x,) in expected])
    result["iterations"] = model.optimizer.iterations.numpy()
    return result


def few_steps(strategy: Any, **options: Any) -> dict[str, Any]:
    """Two steps of plain gradient descent, of 16 and 1 pairs."""
    with strategy.scope():
        optimizer = keras.optimizers.SGD(0.01)
    model = make_model(strategy, optimizer, **options)
    history = model.fit(pairs(19, 16), epochs=1, verbose=0, fix_states=False)
    statistics = numbered("statistics", model._moving_statistics())
    return {**weights_of(model), **statistics, **curves(history)}


def skip(strategy: Any, **options: Any) -> dict[str, Any]:
    """Three batches, the second with a NaN in one replica's part only; and without the second."""
    result = {}
    data = pairs(50, 16, shuffle=False)
    for name, batches in (("clean", without(data, 1)), ("spoiled", spoiled(data, 1, row=9))):
        model = make_model(strategy, **options)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            history = model.fit(batches, epochs=1, verbose=0, fix_states=False)
        values = {**weights_of(model), **optimizer_of(model), **curves(history)}
        result |= {f"{name} {key}": value for key, value in values.items()}
        messages = [str(item.message) for item in caught if "skipped" in str(item.message)]
        result[f"{name} warnings"] = np.array(messages, dtype=str)
    return result


class OneNumber(SkippingModel):
    """w x with a loss without labels: whoever is fed a large x has a large gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
        self.dense.build((None, 1))
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> Any:
        return self.dense(x)

    def compute_loss(self, x: Any, y: Any, y_pred: Any, *args: Any, **kwargs: Any) -> Any:
        return tf.reduce_mean(tf.cast(y_pred, "float32")) / N_REPLICAS


def overflow_of_one(strategy: Any) -> dict[str, Any]:
    """In float16 the gradient of the second replica overflows, that of the first does not."""
    keras.config.set_dtype_policy("mixed_float16")
    with strategy.scope():
        model = OneNumber()
        model.compile(
            keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.5), initial_scale=1024.0),
            loss="mse",
        )
    keras.config.set_dtype_policy("float32")
    numbers = np.array([1.0, 1.0, 1.0, 6e4, 1.0, 1.0, 1.0, 1.0], np.float32)[:, None]
    model.fit(tf.data.Dataset.from_tensor_slices((numbers, numbers)).batch(4), verbose=0)
    return {
        "weight": np.asarray(model.dense.kernel),
        "scale": model.optimizer.dynamic_scale.numpy(),
        "iterations": model.optimizer.iterations.numpy(),
    }


def float16(strategy: Any) -> dict[str, Any]:
    """Loss scaling from a scale that overflows: steps are skipped until it is small enough."""
    with strategy.scope():
        optimizer = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.Adam(1e-3), initial_scale=2.0**40
        )
    model = make_model(strategy, optimizer, dtype="mixed_float16")
    before = weights_of(model)
    history = model.fit(pairs(130, 16), epochs=5, verbose=0)
    return {
        "scale": model.optimizer.dynamic_scale.numpy(),
        "iterations": model.optimizer.iterations.numpy(),
        "moved": np.mean(
            [np.any(before[key] != value) for key, value in weights_of(model).items()]
        ),
        **weights_of(model),
        **curves(history),
    }


CASES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "paper": train_and_use,
    # Decay counted twice would show at once: it is half of the loss.
    "released": lambda strategy: few_steps(
        strategy, variant="released", weight_decay=0.5, dropout=0.3
    ),
    "float16": float16,
    "skip released": lambda strategy: skip(strategy, variant="released"),
    "overflow of one": overflow_of_one,
}


def make_strategy(kind: str) -> Any:
    if kind == "workers":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if kind == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        logical = [tf.config.LogicalDeviceConfiguration()] * N_REPLICAS
        tf.config.set_logical_device_configuration(cpu, logical)
        return tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(N_REPLICAS)])
    return tf.distribute.get_strategy()


def main(output: str, *plans: str) -> None:
    found = {}
    parts = [plan.split(":") for plan in plans]
    # Logical devices must be there before TensorFlow is first used.
    strategies = {kind: make_strategy(kind) for kind, _ in reversed(parts)}
    for kind, cases in parts:
        for case in cases.split(","):
            for name, value in CASES[case](strategies[kind]).items():
                found[f"{kind}|{case}|{name}"] = value
    task = json.loads(os.environ.get("TF_CONFIG") or "{}").get("task", {})
    np.savez(output.format(worker=task.get("index")), **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
