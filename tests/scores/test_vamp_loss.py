"""VAMPLoss and VAMP2Loss: the negative score of a batch."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from kgdyn.scores import VAMP2Loss, VAMPLoss, VAMPScore, vamp_score

each_loss = pytest.mark.parametrize(
    ("loss", "method", "reversible"),
    [
        (VAMP2Loss(), "VAMP2", False),
        (VAMPLoss(), "VAMP2", False),
        (VAMPLoss("VAMP1"), "VAMP1", False),
        (VAMPLoss("VAMP1", reversible=True), "VAMP1", True),
        (VAMPLoss("VAMP2", reversible=True), "VAMP2", True),
        (VAMPLoss("VAMPE"), "VAMPE", False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)


@pytest.fixture
def pairs(rng: np.random.Generator) -> NDArray[np.float32]:
    """(n_pairs, 2, n_states)"""
    now = rng.normal(size=(200, 4))
    later = 0.8 * now + 0.4 * rng.normal(size=(200, 4))
    powers = np.exp(np.stack([now, later], axis=1))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


@each_loss
def test_is_minus_the_score(
    loss: VAMPLoss, method: str, reversible: bool, pairs: NDArray[np.float32]
) -> None:
    expected = -float(vamp_score(pairs[:, 0], pairs[:, 1], method, None, reversible))
    for value in (loss(None, pairs), loss(np.zeros(200), pairs), loss.call(None, pairs)):
        assert value.dtype == tf.float32
        np.testing.assert_allclose(float(value), expected, rtol=2e-7, atol=0)


@each_loss
def test_weights(
    loss: VAMPLoss,
    method: str,
    reversible: bool,
    pairs: NDArray[np.float32],
    rng: np.random.Generator,
) -> None:
    weights = rng.random(200)
    expected = -float(vamp_score(pairs[:, 0], pairs[:, 1], method, weights, reversible))
    value = float(loss(None, pairs, sample_weight=weights))
    np.testing.assert_allclose(value, expected, rtol=2e-7, atol=0)
    assert abs(value - float(loss(None, pairs))) > 1e-4


def test_scores_and_directions_differ(pairs: NDArray[np.float32]) -> None:
    values = [
        float(VAMPLoss(method, reversible)(None, pairs))
        for method in ("VAMP1", "VAMP2")
        for reversible in (False, True)
    ]
    assert len({round(value, 4) for value in values}) == 4


@each_loss
def test_swapping_now_and_later_keeps_the_value(
    loss: VAMPLoss, method: str, reversible: bool, pairs: NDArray[np.float32]
) -> None:
    np.testing.assert_allclose(
        float(loss(None, pairs)), float(loss(None, pairs[:, ::-1])), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@each_loss
def test_nan_goes_through_to_loss_and_gradient(
    loss: VAMPLoss, method: str, reversible: bool, bad: float, pairs: NDArray[np.float32]
) -> None:
    """So that the training step can see it and skip."""
    pairs[3, 1, 2] = bad
    variable = tf.Variable(pairs)
    with tf.GradientTape() as tape:
        value = loss(None, variable)
    assert np.isnan(float(value))
    assert np.isnan(tape.gradient(value, variable).numpy()).all()
    pairs[3] = pairs[4]
    weights = np.ones(200)
    weights[0] = bad
    assert np.isnan(float(loss(None, pairs, sample_weight=weights)))


@each_loss
def test_descent_raises_the_score(
    loss: VAMPLoss, method: str, reversible: bool, pairs: NDArray[np.float32]
) -> None:
    logits = tf.Variable(np.log(pairs) * 0.3)
    optimizer = keras.optimizers.Adam(0.05)
    values = []
    for _ in range(20):
        with tf.GradientTape() as tape:
            value = loss(None, tf.nn.softmax(logits, axis=-1))
        optimizer.apply_gradients([(tape.gradient(value, logits), logits)])
        values.append(float(value))
    assert values[-1] < values[0] - 0.1


@pytest.mark.parametrize("reduction", ["sum", "sum_over_batch_size", "none"])
@pytest.mark.parametrize(
    "options", [{"method": "VAMP1"}, {"reversible": True, "name": "score"}, {}, None]
)
def test_config_makes_the_same_loss(
    options: dict[str, object] | None, reduction: str, pairs: NDArray[np.float32]
) -> None:
    if options is None:
        loss: VAMPLoss = VAMP2Loss(name="score", reduction=reduction)
    else:
        loss = VAMPLoss(reduction=reduction, **options)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    for name in ("name", "method", "reversible"):
        assert getattr(again, name) == getattr(loss, name)
    np.testing.assert_allclose(float(again(None, pairs)), float(loss(None, pairs)), rtol=0, atol=0)


def test_names() -> None:
    assert VAMP2Loss().name == VAMPLoss().name == "vamp2_loss"
    assert VAMPLoss("VAMP1").name == "vamp1_loss"
    assert VAMPLoss("VAMPE", name="score").name == "score"


def test_model_files_of_earlier_versions_name_a_loss_that_is_found() -> None:
    written = {
        "module": "kgdyn.scores.vamp2_loss",
        "class_name": "VAMP2Loss",
        "config": {"name": "vamp2_loss", "reduction": "sum"},
        "registered_name": "kgdyn>VAMP2Loss",
    }
    loss = keras.saving.deserialize_keras_object(written)
    assert type(loss) is VAMP2Loss
    assert loss.get_config() == written["config"]


def test_in_a_model_file(pairs: NDArray[np.float32], tmp_path: Path) -> None:
    inputs = keras.Input((2, 4))
    model = keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(inputs))
    model.compile(
        "sgd", loss=VAMPLoss("VAMP1", reversible=True), metrics=[VAMPScore(4, "VAMP1", True)]
    )
    model.fit(pairs, np.zeros(200), batch_size=200, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert (again.loss.method, again.loss.reversible) == ("VAMP1", True)
    found, expected = (m.evaluate(pairs, np.zeros(200), verbose=0, return_dict=True)
                       for m in (again, model))  # fmt: skip
    assert set(found) == {"loss", "vamp1_reversible"}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, atol=0)


@pytest.mark.parametrize("shape", [(8, 3), (8, 3, 3), (8, 2, 3, 1)])
def test_refuses_bad_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"y_pred must have shape \(n_pairs, 2, n_states\)"):
        VAMP2Loss()(None, np.ones(shape))


def test_refuses_unknown_methods() -> None:
    with pytest.raises(ValueError, match=r"method must be one of .*, received 'VAMP-2'"):
        VAMPLoss("VAMP-2")


def test_refuses_weights_that_are_not_one_a_pair() -> None:
    match = r"sample_weight must have shape \(n_pairs,\) = \(8,\), received \(1,\)"
    with pytest.raises(ValueError, match=match):
        VAMPLoss()(None, np.ones((8, 2, 3)), sample_weight=[1.0])
