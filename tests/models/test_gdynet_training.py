"""Plain compile and fit: the score rises, and states are fixed at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgdyn.training import frames_dataset, pairs_dataset

Maker = Callable[..., Any]
Hopping = tuple[Any, Any]


def pairs_of(hopping: Hopping, batch_size: int = 300) -> Any:
    return pairs_dataset(hopping[0], lagtime=2, n_neighbors=3, batch_size=batch_size)


def score_of(model: Any, pairs: Any) -> float:
    return float(model.evaluate(pairs, verbose=0, return_dict=True)["vamp2"])


@pytest.fixture(scope="module")
def trained(hopping: Hopping, small_model: Maker) -> tuple[Any, Any, float]:
    """A trained model, its history and the score before training."""
    model, pairs = small_model(), pairs_of(hopping)
    before = score_of(model, pairs)
    history = model.fit(pairs, validation_data=pairs, epochs=14, verbose=0)
    return model, history.history, before


def test_score_rises_to_that_of_the_true_states(
    trained: tuple[Any, Any, float], hopping: Hopping
) -> None:
    _, history, before = trained
    states = hopping[1]
    correlation = np.corrcoef(states[:-2], states[2:])[0, 1]
    assert before < history["val_vamp2"][-1] - 0.1
    assert history["val_vamp2"][-1] == pytest.approx(1.0 + correlation**2, abs=0.03)
    assert history["loss"][-1] == pytest.approx(-history["val_vamp2"][-1], abs=0.05)


def test_fit_fixes_the_states(trained: tuple[Any, Any, float], hopping: Hopping) -> None:
    model, _, _ = trained
    trajectory, states = hopping
    matrix = np.asarray(model.simplex_map.matrix)
    assert np.abs(matrix - np.eye(2)).max() > 1e-3
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=0.0, atol=1e-12)
    chi = model.predict(frames_dataset(trajectory, n_neighbors=3), verbose=0)
    np.testing.assert_allclose(chi.sum(axis=1), 1.0, rtol=0.0, atol=1e-6)
    # The vertices are the means over each state's frames.
    for state in range(2):
        assert chi[chi.argmax(axis=1) == state, state].mean() == pytest.approx(1.0, abs=1e-2)
    assert chi[:, 0].mean() >= chi[:, 1].mean()  # ordered by population
    agreement = (chi.argmax(axis=1) == states).mean()
    assert max(agreement, 1.0 - agreement) > 0.99


def test_the_map_does_not_change_the_score(
    trained: tuple[Any, Any, float], hopping: Hopping
) -> None:
    model, history, _ = trained
    assert score_of(model, pairs_of(hopping)) == pytest.approx(history["val_vamp2"][-1], abs=1e-5)


@pytest.mark.slow
def test_training_goes_on_after_the_states_are_fixed(hopping: Hopping, small_model: Maker) -> None:
    model, pairs = small_model(), pairs_of(hopping)
    model.fit(pairs, epochs=6, verbose=0)
    first = np.array(model.simplex_map.matrix)
    score = score_of(model, pairs)
    model.fit(pairs, epochs=4, verbose=0)
    assert score_of(model, pairs) > score - 0.01
    assert not np.array_equal(model.simplex_map.matrix, first)


def test_fix_states_may_be_left_out(hopping: Hopping, small_model: Maker) -> None:
    model = small_model()
    model.fit(pairs_of(hopping), epochs=1, verbose=0, fix_states=False)
    np.testing.assert_array_equal(model.simplex_map.matrix, np.eye(2))


def test_fix_states_takes_outputs(trained: tuple[Any, Any, float], small_model: Maker) -> None:
    """Two states at the ends of a line: the map stretches the ends to one-hot."""
    model, rng = small_model(), np.random.default_rng(0)
    labels = np.cumsum(rng.random(3000) < 0.05) % 2
    left = np.where(labels == 0, 0.45, 0.52)
    chi = np.stack([left, 1.0 - left], axis=1)
    matrix = model.fix_states(np.stack([chi[:-1], chi[1:]], axis=1))
    np.testing.assert_array_equal(model.simplex_map.matrix, matrix)
    mapped = chi @ matrix
    np.testing.assert_allclose(np.sort(np.unique(mapped.round(9))), [0.0, 1.0], atol=1e-9, rtol=0.0)


@pytest.mark.slow
def test_fix_states_uses_as_many_steps_as_told(hopping: Hopping, small_model: Maker) -> None:
    model = small_model()
    model.fit(
        pairs_of(hopping, 100).repeat(), steps_per_epoch=3, epochs=4, verbose=0, fix_states=False
    )
    matrix = model.fix_states(pairs_of(hopping, 100).repeat(), steps=2)
    assert np.isfinite(matrix).all()


def test_fix_states_without_pairs(small_model: Maker) -> None:
    with pytest.raises(ValueError, match=r"pairs: at least one batch is needed .* received none"):
        small_model().fix_states([])


@pytest.mark.slow
def test_fit_with_steps_per_epoch_on_endless_pairs(hopping: Hopping, small_model: Maker) -> None:
    model = small_model()
    model.fit(pairs_of(hopping, 100).repeat(), steps_per_epoch=3, epochs=6, verbose=0)
    assert np.abs(np.asarray(model.simplex_map.matrix) - np.eye(2)).max() > 1e-3


def test_released_variant_trains(hopping: Hopping, small_model: Maker) -> None:
    trains(small_model(variant="released"), pairs_of(hopping, 200), hopping[1])


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"dtype": "mixed_float16", "learning_rate": 3e-3},
        {"dtype": "mixed_bfloat16", "variable_neighbors": True, "variant": "released"},
    ],
    ids=lambda options: ", ".join(map(str, options.values())),
)
def test_variants_train(options: dict[str, Any], hopping: Hopping, small_model: Maker) -> None:
    model, pairs = small_model(**options), pairs_of(hopping, 200)
    trains(model, pairs, hopping[1])


def trains(model: Any, pairs: Any, states: Any) -> None:
    before = [np.array(weight) for weight in model.trainable_weights]
    model.fit(pairs, epochs=8, verbose=0)
    correlation = np.corrcoef(states[:-2], states[2:])[0, 1]
    assert score_of(model, pairs) > 0.9 * (1.0 + correlation**2)
    moved = [
        not np.array_equal(*both) for both in zip(before, model.trainable_weights, strict=True)
    ]
    assert np.mean(moved) > 0.8
    assert all(np.isfinite(np.asarray(weight)).all() for weight in model.weights)


@pytest.mark.long
@pytest.mark.slow
def test_four_states_train(hopping: Hopping, small_model: Maker) -> None:
    """More states than the system has slow ones: the rest are fast, and nothing breaks."""
    model, pairs = small_model(n_states=4), pairs_of(hopping)
    before = score_of(model, pairs)
    model.fit(pairs, epochs=8, verbose=0)
    after = score_of(model, pairs)
    assert before + 0.1 < after <= 4.0
    chi = model.predict(frames_dataset(hopping[0], n_neighbors=3), verbose=0)
    np.testing.assert_allclose(chi.sum(axis=1), 1.0, rtol=0.0, atol=1e-5)


def test_the_simplex_map_is_not_trained(hopping: Hopping, small_model: Maker) -> None:
    model = small_model()
    assert all("simplex_map" not in weight.path for weight in model.trainable_weights)
    assert len(model.non_trainable_weights) == 1
    model.trainable = False
    model.trainable = True
    assert all("simplex_map" not in weight.path for weight in model.trainable_weights)
