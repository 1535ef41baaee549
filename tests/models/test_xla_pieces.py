"""`jit_compile=True` beside compiled convolutions: XLA compiles what stands around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from kgdyn.scores import VAMP2Loss
from kgdyn.training import pairs_dataset
from kgdyn.trajectories import Trajectory


def trained(
    small_model: Callable[..., Any],
    trajectory: Trajectory,
    compiled_convolution: bool = True,
    loss: Any = None,
    **how: Any,
) -> Any:
    model = small_model()
    model.compiled_convolution = compiled_convolution
    model.compile(keras.optimizers.Adam(1e-2, epsilon=1e-5), loss=loss or VAMP2Loss(), **how)
    # 598 pairs: the last batch is smaller.
    data = pairs_dataset(trajectory, lagtime=2, n_neighbors=3, batch_size=150, n_hops=1)
    model.fit(data, epochs=2, verbose=0, fix_states=False)
    return model


@pytest.mark.long
def test_weights_are_those_without_xla(
    small_model: Callable[..., Any], hopping: tuple[Trajectory, Any]
) -> None:
    expected = trained(small_model, hopping[0])
    found = trained(small_model, hopping[0], jit_compile=True)
    assert found.jit_compile
    assert found._in_pieces()
    assert not expected._in_pieces()
    for one, other in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0.0, atol=1e-4)
    assert int(found.optimizer.iterations) == 8


@pytest.mark.slow
@pytest.mark.parametrize("piece", ["loss", "head", "update"])
def test_each_piece_is_compiled(
    piece: str, small_model: Callable[..., Any], hopping: tuple[Trajectory, Any]
) -> None:
    """What XLA cannot compile is refused in each of them, and nowhere without XLA."""

    def refused(values: Any) -> Any:
        result = tf.numpy_function(lambda given: given, [values], values.dtype)
        result.set_shape(values.shape)
        return result

    class Loss(VAMP2Loss):
        def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return super().__call__(y_true, y_pred + 0.0 * refused(y_pred), sample_weight)

    class Head(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs + 0.0 * refused(inputs)

    class Adam(keras.optimizers.Adam):
        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            super().update_step(gradient + 0.0 * refused(gradient), variable, learning_rate)

    def fit(**how: Any) -> None:
        model = small_model()
        if piece == "head":
            plain, extra = model.head, Head(dtype="float64")
            model.head = lambda pooled, training=None: extra(plain(pooled, training=training))
        optimizer = Adam(1e-3) if piece == "update" else keras.optimizers.Adam(1e-3)
        loss = Loss() if piece == "loss" else VAMP2Loss()
        model.compile(optimizer, loss=loss, **how)
        data = pairs_dataset(hopping[0], lagtime=2, n_neighbors=3, batch_size=300)
        model.fit(data, verbose=0, fix_states=False, steps_per_epoch=1)

    fit()
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"compil|XLA"):
        fit(jit_compile=True)


@pytest.mark.long
@pytest.mark.slow
def test_all_is_left_to_xla_on_request(
    small_model: Callable[..., Any], hopping: tuple[Trajectory, Any]
) -> None:
    expected = trained(small_model, hopping[0])
    found = trained(small_model, hopping[0], compiled_convolution=False, jit_compile=True)
    assert not found._in_pieces()
    for one, other in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=0.0, atol=1e-4)


def test_evaluate_and_predict(
    small_model: Callable[..., Any], hopping: tuple[Trajectory, Any]
) -> None:
    plain, pieces = small_model(), small_model()
    pieces.compile(loss=VAMP2Loss(), jit_compile=True)
    data = pairs_dataset(hopping[0], lagtime=2, n_neighbors=3, batch_size=598, shuffle=False)
    np.testing.assert_allclose(
        pieces.predict(data, verbose=0), plain.predict(data, verbose=0), rtol=0.0, atol=1e-6
    )
    for model in (plain, pieces):
        model.compile(loss=VAMP2Loss(), jit_compile=model is pieces)
    assert pieces.evaluate(data, verbose=0) == pytest.approx(
        plain.evaluate(data, verbose=0), rel=1e-6
    )
