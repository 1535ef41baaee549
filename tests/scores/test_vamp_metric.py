"""VAMPScore and VAMP2Score: the score of a whole set from its batches."""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from kgdyn.scores import VAMP2Loss, VAMP2Score, VAMPScore, vamp_score

BORDERS = [0, 3, 200, 201, 650, 1000]
Metric = tuple[str, bool]

each_metric = pytest.mark.parametrize(
    "metric", list(itertools.product(["VAMP1", "VAMP2", "VAMPE"], [False, True])), ids=str
)


@pytest.fixture
def pairs(rng: np.random.Generator) -> NDArray[np.float64]:
    """(n_pairs, 2, n_states), drifting, so that the means of batches and directions differ."""
    now = rng.normal(size=(1000, 3)) + np.linspace(-1, 1, 1000)[:, None] * [1.0, 0.0, -1.0]
    later = 0.7 * now + 0.5 * rng.normal(size=(1000, 3)) + [0.5, 0.0, 0.0]
    powers = np.exp(np.stack([now, later], axis=1))
    return powers / powers.sum(axis=-1, keepdims=True)


def whole(
    pairs: NDArray[np.float64], metric: Metric, weights: NDArray[np.float64] | None = None
) -> float:
    return float(vamp_score(pairs[:, 0], pairs[:, 1], metric[0], weights, metric[1]))


def in_batches(
    pairs: NDArray[np.float64],
    metric: Metric,
    weights: NDArray[np.float64] | None = None,
    order: int = 1,
) -> VAMPScore:
    streaming = VAMPScore(3, *metric)
    for start, stop in list(itertools.pairwise(BORDERS))[::order]:
        part = None if weights is None else weights[start:stop]
        streaming.update_state(None, pairs[start:stop], sample_weight=part)
    return streaming


@each_metric
@pytest.mark.parametrize("order", [1, -1])
def test_uneven_batches_give_the_score_of_the_set(
    metric: Metric, order: int, pairs: NDArray[np.float64]
) -> None:
    streaming = in_batches(pairs, metric, order=order)
    assert float(streaming.weight) == 1000
    np.testing.assert_allclose(float(streaming.result()), whole(pairs, metric), rtol=0, atol=1e-10)
    parts = [pairs[a:b] for a, b in itertools.pairwise(BORDERS[1:]) if b - a > 1]
    averaged = np.mean([whole(part, metric) for part in parts])
    assert abs(averaged - whole(pairs, metric)) > 1e-2


@each_metric
def test_weights(metric: Metric, pairs: NDArray[np.float64], rng: np.random.Generator) -> None:
    weights = rng.random(1000)
    found = float(in_batches(pairs, metric, weights).result())
    np.testing.assert_allclose(found, whole(pairs, metric, weights), rtol=0, atol=1e-10)
    assert abs(found - whole(pairs, metric)) > 1e-4


@each_metric
def test_whole_weights_are_repetitions(
    metric: Metric, pairs: NDArray[np.float64], rng: np.random.Generator
) -> None:
    counts = rng.integers(0, 4, 1000)
    found = float(in_batches(pairs, metric, counts).result())
    repeated = np.repeat(pairs, counts, axis=0)
    np.testing.assert_allclose(found, whole(repeated, metric), rtol=0, atol=1e-10)


def test_the_scores_and_directions_differ(pairs: NDArray[np.float64]) -> None:
    scores = [whole(pairs, (m, r)) for m in ("VAMP1", "VAMP2") for r in (False, True)]
    assert len({round(score, 3) for score in scores}) == 4


@pytest.mark.parametrize("first", [True, False])
def test_a_batch_without_weight_changes_nothing(first: bool, pairs: NDArray[np.float64]) -> None:
    metric = VAMP2Score(3)
    if not first:
        metric.update_state(None, pairs)
    metric.update_state(None, pairs[:10], sample_weight=np.zeros(10))
    metric.update_state(None, pairs[:0])
    if first:
        metric.update_state(None, pairs)
    expected = whole(pairs, ("VAMP2", False))
    np.testing.assert_allclose(float(metric.result()), expected, rtol=0, atol=1e-10)


@each_metric
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["y_pred", "sample_weight", "all"])
def test_a_batch_that_is_not_finite_adds_nothing(
    metric: Metric, bad: float, where: str, pairs: NDArray[np.float64]
) -> None:
    broken, weights = pairs[:50].copy(), np.ones(50)
    if where == "all":
        broken[:] = bad
    elif where == "y_pred":
        broken[3, 1, 2] = bad
    else:
        weights[7] = bad
    streaming = VAMPScore(3, *metric)
    streaming.update_state(None, broken, sample_weight=weights)
    assert float(streaming.result()) == 1.0
    streaming.update_state(None, pairs[:400])
    streaming.update_state(None, broken, sample_weight=weights)
    streaming.update_state(None, pairs[400:])
    np.testing.assert_allclose(float(streaming.result()), whole(pairs, metric), rtol=0, atol=1e-10)


def test_reset_and_before_the_first_batch(pairs: NDArray[np.float64]) -> None:
    metric = VAMP2Score(3)
    assert float(metric.result()) == 1.0
    metric.update_state(None, pairs[:500])
    metric.reset_state()
    assert float(metric.result()) == 1.0
    metric.update_state(None, pairs[500:])
    expected = whole(pairs[500:], ("VAMP2", False))
    np.testing.assert_allclose(float(metric.result()), expected, rtol=0, atol=1e-10)


@each_metric
def test_nearly_uniform_probabilities_keep_their_digits(
    metric: Metric, pairs: NDArray[np.float64]
) -> None:
    """Sums of products, in place of centred moments, would lose them."""
    faint = 1 / 3 + 1e-4 * (pairs - 1 / 3)
    found = float(in_batches(faint, metric).result())
    np.testing.assert_allclose(found, whole(faint, metric), rtol=0, atol=1e-7)
    np.testing.assert_allclose(whole(faint, metric), whole(pairs, metric), rtol=0, atol=1e-4)


@each_metric
def test_float32_probabilities(metric: Metric, pairs: NDArray[np.float64]) -> None:
    rounded = pairs.astype(np.float32)
    found = in_batches(rounded, metric).result()
    assert found.dtype == tf.float64
    np.testing.assert_allclose(float(found), whole(rounded, metric), rtol=0, atol=1e-10)


@each_metric
def test_in_evaluate(metric: Metric, pairs: NDArray[np.float64]) -> None:
    inputs = keras.Input((2, 3), dtype="float64")
    linear = keras.layers.Activation("linear", dtype="float64")
    model = keras.Model(inputs, linear(inputs))
    model.compile(loss=VAMP2Loss(), metrics=[VAMPScore(3, *metric, name="score")])
    data = tf.data.Dataset.from_tensor_slices((pairs, np.zeros(1000))).batch(137)
    found = model.evaluate(data, verbose=0, return_dict=True)
    np.testing.assert_allclose(found["score"], whole(pairs, metric), rtol=2e-7, atol=0)


def test_best_is_highest() -> None:
    """Early stopping and checkpoints ask the metric in their `auto` mode."""
    assert VAMP2Score(2)._direction == "up"
    assert VAMPScore(2, "VAMP1")._direction == "up"


def test_names() -> None:
    assert VAMP2Score(2).name == VAMPScore(2).name == "vamp2"
    assert VAMPScore(2, "VAMP1").name == "vamp1"
    assert VAMPScore(2, "VAMPE", reversible=True).name == "vampe_reversible"
    assert VAMPScore(2, "VAMPE", True, name="score").name == "score"


@pytest.mark.parametrize(
    "metric", [VAMPScore(3, "VAMP1", True), VAMPScore(3, name="score"), VAMP2Score(3, "score")]
)
def test_config_makes_the_same_metric(metric: VAMPScore, pairs: NDArray[np.float64]) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()
    for name in ("name", "n_states", "method", "reversible"):
        assert getattr(again, name) == getattr(metric, name)
    again.update_state(None, pairs)
    expected = whole(pairs, (metric.method, metric.reversible))
    np.testing.assert_allclose(float(again.result()), expected, rtol=0, atol=1e-10)


def test_model_files_of_earlier_versions_name_a_metric_that_is_found() -> None:
    written = {
        "module": "kgdyn.scores.vamp2_metric",
        "class_name": "VAMP2Score",
        "config": {"n_states": 3, "name": "vamp2"},
        "registered_name": "kgdyn>VAMP2Score",
    }
    metric = keras.saving.deserialize_keras_object(written)
    assert type(metric) is VAMP2Score
    assert metric.get_config() == written["config"]


def test_refuses_one_state() -> None:
    for make in (VAMP2Score, VAMPScore):
        with pytest.raises(ValueError, match="n_states must be at least 2, received 1"):
            make(1)


def test_refuses_unknown_methods() -> None:
    with pytest.raises(ValueError, match=r"method must be one of .*, received 'vamp1'"):
        VAMPScore(2, "vamp1")


def test_refuses_bad_shapes() -> None:
    with pytest.raises(ValueError, match=r"y_pred must have shape \(n_pairs, 2, n_states\)"):
        VAMP2Score(3).update_state(None, np.ones((8, 3)))
    # One projected feature would spread over two.
    with pytest.raises(ValueError, match=r"y_pred must have n_states = 3 .* shape \(8, 2, 2\)"):
        VAMPScore(3).update_state(None, np.ones((8, 2, 2)))
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(n_pairs,\) = \(8,\)"):
        VAMPScore(3).update_state(None, np.ones((8, 2, 3)), sample_weight=np.ones(7))
