"""More outputs than states: trained and scored on the outputs, mapped to the slowest states."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import kgdyn
from kgdyn.models import GDyNet
from kgdyn.scores import VAMP2Score
from kgdyn.training import frames_dataset, pairs_dataset

Maker = Callable[..., Any]


@pytest.fixture(scope="module")
def trained(hopping: tuple[Any, Any], small_model: Maker) -> Any:
    model = small_model(2, n_outputs=4)
    model.compile(keras.optimizers.Adam(1e-2), loss=kgdyn.VAMP2Loss(), metrics=[VAMP2Score(4)])
    pairs = pairs_dataset(hopping[0], lagtime=2, n_neighbors=3, batch_size=200)
    model.fit(pairs, epochs=12, verbose=0)
    return model


def test_frames_give_states_and_pairs_give_outputs(trained: Any, hopping: tuple[Any, Any]) -> None:
    trajectory, labels = hopping
    chi = trained.predict(frames_dataset(trajectory, n_neighbors=3), verbose=0)
    assert chi.shape == (600, 2)
    np.testing.assert_allclose(chi.sum(axis=1), 1.0, rtol=0.0, atol=1e-5)
    agreement = (chi.argmax(axis=1) == labels).mean()
    assert max(agreement, 1.0 - agreement) > 0.99
    np.testing.assert_array_equal(kgdyn.assign_states(trained, trajectory)[:, 0], chi)
    pairs = pairs_dataset(trajectory, lagtime=2, n_neighbors=3, batch_size=50, shuffle=False)
    outputs = trained.predict(pairs, verbose=0)
    assert outputs.shape == (598, 2, 4)
    assert outputs.dtype == np.float32
    assert outputs.min() >= 0.0
    np.testing.assert_allclose(outputs.sum(axis=-1), 1.0, rtol=0.0, atol=1e-6)
    matrix = np.asarray(trained.simplex_map.matrix)
    assert matrix.shape == (4, 2)
    np.testing.assert_allclose(outputs[:, 0] @ matrix, chi[:598], rtol=0.0, atol=1e-4)


def test_the_score_is_that_of_all_outputs(trained: Any, hopping: tuple[Any, Any]) -> None:
    pairs = pairs_dataset(hopping[0], lagtime=2, n_neighbors=3, batch_size=200, shuffle=False)
    outputs = trained.predict(pairs, verbose=0)
    found = trained.evaluate(pairs, verbose=0, return_dict=True)["vamp2"]
    np.testing.assert_allclose(
        found, kgdyn.vamp2_score(outputs[:, 0], outputs[:, 1]), rtol=0.0, atol=1e-5
    )


def test_a_file_keeps_map_and_outputs(
    trained: Any, hopping: tuple[Any, Any], tmp_path: Path
) -> None:
    trained.save(tmp_path / "model.keras")
    again = kgdyn.load_model(tmp_path / "model.keras")
    assert (again.n_states, again.n_outputs) == (2, 4)
    np.testing.assert_array_equal(again.simplex_map.matrix, trained.simplex_map.matrix)
    frames = frames_dataset(hopping[0], n_neighbors=3)
    np.testing.assert_array_equal(
        again.predict(frames, verbose=0), trained.predict(frames, verbose=0)
    )


def test_before_states_are_fixed_rows_sum_to_one(
    hopping: tuple[Any, Any], small_model: Maker
) -> None:
    chi = small_model(2, n_outputs=5).predict(frames_dataset(hopping[0], n_neighbors=3), verbose=0)
    assert chi.shape == (600, 2)
    assert chi.min() >= 0.0
    np.testing.assert_allclose(chi.sum(axis=1), 1.0, rtol=0.0, atol=1e-6)


def test_a_configuration_without_outputs_is_that_of_an_older_file(small_model: Maker) -> None:
    config = small_model(3).get_config()
    assert config.pop("n_outputs") == 3
    again = GDyNet.from_config(config)
    assert again.n_outputs == 3
    np.testing.assert_array_equal(again.simplex_map.matrix, np.eye(3))


def test_refuses_fewer_outputs_than_states() -> None:
    with pytest.raises(ValueError, match="n_outputs must be at least n_states, 3, received 2"):
        GDyNet(3, [3, 16], 3, n_outputs=2)
