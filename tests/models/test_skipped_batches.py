"""A batch that is not finite changes nothing, and is counted and told."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgdyn.models._training_step import SkippingModel, only_finite
from kgdyn.scores import VAMP2Score

SKIPPED = r"epoch 1: 1 batch was skipped, because their inputs, loss or gradient were"
LEFT_OUT = r"1 of 48 pairs are left out where the states are fixed"


@pytest.fixture(scope="module")
def helper() -> Any:
    path = Path(__file__).parent / "helpers" / "train_distributed.py"
    spec = importlib.util.spec_from_file_location("train_distributed", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where TensorFlow looks for the source of its functions
    spec.loader.exec_module(module)
    return module


class Logs(keras.callbacks.Callback):
    """What a callback is told at the end of each epoch, and all variables after each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: list[dict[str, float]] = []
        self.batches: list[list[Any]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        variables = [*self.model.variables, *self.model.optimizer.variables]
        self.batches.append([np.array(variable) for variable in variables])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epochs.append(dict(logs))


def fitted(helper: Any, data: Any, **how: Any) -> tuple[Any, Any, Logs]:
    model = helper.make_model(tf.distribute.get_strategy())
    model.compile(keras.optimizers.Adam(1e-3), loss=model.loss, metrics=[VAMP2Score(2)], **how)
    logs = Logs()
    history = model.fit(data, epochs=1, verbose=0, fix_states=False, callbacks=[logs])
    return model, history.history, logs


@pytest.mark.slow
@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_training_goes_on_as_without_the_batch(steps_per_execution: int, helper: Any) -> None:
    """Weights, slots and iterations bit by bit, also the loss and the score that are shown."""
    how = {"steps_per_execution": steps_per_execution}
    data = helper.pairs(50, 16, shuffle=False)
    _, clean, expected = fitted(helper, helper.without(data, 1), **how)
    with pytest.warns(RuntimeWarning, match=SKIPPED):
        found, history, logs = fitted(helper, helper.spoiled(data, 1, row=9), **how)
    for one, other in zip(logs.batches[-1], expected.batches[-1], strict=True):
        np.testing.assert_array_equal(one, other)
    assert int(found.optimizer.iterations) == 2
    assert clean["skipped_batches"] == [0]
    assert history["skipped_batches"] == [1]
    assert [epoch["skipped_batches"] for epoch in logs.epochs] == [1]
    assert history["loss"] == clean["loss"]
    assert history["vamp2"] == pytest.approx(clean["vamp2"], rel=1e-12)


@pytest.mark.parametrize(
    ("how", "options"),
    [
        ({"run_eagerly": True}, {}),
        pytest.param({"jit_compile": True}, {}, marks=pytest.mark.slow),
        pytest.param({}, {"variant": "released"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_nothing_changes_in_the_batch(
    how: dict[str, Any], options: dict[str, Any], helper: Any
) -> None:
    """Weights, moving statistics, slots and iterations; the next batch changes them again."""
    model = helper.make_model(tf.distribute.get_strategy(), **options)
    model.compile(keras.optimizers.Adam(1e-3), loss=model.loss, **how)
    data, logs = helper.pairs(50, 16, shuffle=False), Logs()
    with pytest.warns(RuntimeWarning, match=SKIPPED):
        model.fit(helper.spoiled(data, 1, row=9), verbose=0, fix_states=False, callbacks=[logs])
    # The loss is a metric and no variable of the model.
    for before, after in zip(*logs.batches[:2], strict=True):
        np.testing.assert_array_equal(before, after)
        assert np.isfinite(after).all()
    changed = [not np.array_equal(*both) for both in zip(*logs.batches[1:], strict=True)]
    assert np.mean(changed) > 0.8


@pytest.mark.slow
def test_epochs_are_counted_apart(helper: Any) -> None:
    """A warning for each epoch with skipped batches, silence for the others."""
    model = helper.make_model(tf.distribute.get_strategy())
    data = helper.pairs(50, 16, shuffle=False)
    first = helper.spoiled(helper.spoiled(data, 0, row=1), 2, row=3)
    logs = Logs()
    with pytest.warns(RuntimeWarning, match="epoch [12]: ") as caught:
        history = model.fit(
            # Three batches an epoch: the last epoch is clean.
            first.concatenate(helper.spoiled(data, 1, row=2)).concatenate(data),
            steps_per_epoch=3,
            epochs=3,
            verbose=0,
            fix_states=False,
            callbacks=logs,
        )
    messages = [str(item.message) for item in caught if "skipped" in str(item.message)]
    assert ["2 batches were" in message for message in messages] == [True, False]
    assert history.history["skipped_batches"] == [2, 1, 0]
    assert ["skipped_batches" in epoch for epoch in logs.epochs] == [True, True, False]
    assert np.isfinite(history.history["loss"]).all()
    # What is counted is neither saved nor evaluated.
    assert all("skipped" not in variable.path for variable in model.weights)
    assert "skipped_batches" not in model.evaluate(data, verbose=0, return_dict=True)


def test_states_are_fixed_on_the_finite_pairs(helper: Any) -> None:
    model = helper.make_model(tf.distribute.get_strategy())
    model.compile(run_eagerly=True)
    data = helper.pairs(50, 16, shuffle=False)
    outputs = np.concatenate([model.predict_on_batch(x) for (x,) in data])
    assert outputs.shape == (48, 2, 2)
    expected = model.fix_states(np.delete(outputs, 16 + 9, axis=0))
    with pytest.warns(RuntimeWarning, match=LEFT_OUT):
        found = model.fix_states(helper.spoiled(data, 1, row=9))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_only_finite() -> None:
    outputs = np.ones((4, 2, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(only_finite(outputs), outputs)
    outputs[2, 1, 0] = np.inf
    with pytest.warns(RuntimeWarning, match=r"1 of 4 pairs are left out"):
        assert len(only_finite(outputs)) == 3
    with pytest.raises(ValueError, match=r"pairs: the outputs of all 4 pairs are not finite"):
        only_finite(outputs * np.nan)


class Root(SkippingModel):
    """sqrt(w x): finite at 0, where its gradient is not."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
        self.dense.build((None, 1))
        self.built = True

    def call(self, x: Any, training: bool | None = None) -> Any:
        return keras.ops.sqrt(self.dense(x))

    def compute_loss(self, x: Any, y: Any, y_pred: Any, *args: Any, **kwargs: Any) -> Any:
        return keras.ops.mean(y_pred)


@pytest.mark.parametrize("callbacks", ["none", "one", "list", "positional", "CallbackList"])
def test_a_gradient_that_is_not_finite_skips_too(callbacks: str) -> None:
    model, logs = Root(), Logs()
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    x = np.array([[4.0], [0.0], [9.0]], np.float32)
    data = tf.data.Dataset.from_tensor_slices(x).batch(1)
    every = keras.callbacks.CallbackList([logs], add_history=True, model=model)
    arguments: dict[str, tuple[list[Any], dict[str, Any]]] = {
        "none": ([data], {}),
        "one": ([data], {"callbacks": logs}),
        "list": ([data], {"callbacks": [logs]}),
        "positional": ([data, None, None, 1, 0, [logs]], {}),
        "CallbackList": ([data], {"callbacks": every}),
    }
    given, named = arguments[callbacks]
    with pytest.warns(RuntimeWarning, match=SKIPPED):
        history = model.fit(
            *given, **named, **({} if len(given) > 1 else {"verbose": 0}), shuffle=False
        )
    # The derivative of sqrt(w x) is sqrt(x / w) / 2.
    weight = 1.0 - 0.1 * 2.0 / 2.0
    loss = (2.0 + 3.0 * np.sqrt(weight)) / 2.0
    weight -= 0.1 * 3.0 / np.sqrt(weight) / 2.0
    np.testing.assert_allclose(np.asarray(model.dense.kernel), weight, rtol=1e-6)
    np.testing.assert_allclose(history.history["loss"], loss, rtol=1e-6)
    assert history.history["skipped_batches"] == [1]
    assert [epoch["skipped_batches"] for epoch in logs.epochs] == [1] * (callbacks != "none")
