"""Arrays beside the weights: saved, loaded, and seen by nothing else."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from kgdyn.layers import SavedArrays


def model_with_arrays() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), SavedArrays(name="kept")])


def test_go_into_the_file_and_back(tmp_path: Path) -> None:
    model = model_with_arrays()
    arrays = {
        "matrix": np.arange(6.0).reshape(2, 3) / 7.0,
        "number": np.array(3, np.int64),
        "half": np.ones(4, np.float32),
    }
    model.get_layer("kept").set_arrays(arrays)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").get_layer("kept").arrays
    assert set(again) == set(arrays)
    for name, value in arrays.items():
        assert again[name].dtype == value.dtype
        np.testing.assert_array_equal(again[name], value)


def test_without_arrays_a_file_leaves_none(tmp_path: Path) -> None:
    model = model_with_arrays()
    model.save(tmp_path / "model.keras")
    other = model_with_arrays()
    other.get_layer("kept").set_arrays({"a": np.ones(2)})
    other.load_weights(tmp_path / "model.keras")
    assert other.get_layer("kept").arrays == {}
    assert len(model.weights) == 2


def test_copies_and_passes_inputs_on() -> None:
    layer, values = SavedArrays(), np.ones(3)
    layer.set_arrays({"a": values})
    values[0] = 5.0
    assert layer.arrays["a"][0] == 1.0
    inputs = np.arange(4.0, dtype=np.float32)
    np.testing.assert_array_equal(layer(inputs), inputs)
    assert layer.compute_output_shape((None, 3)) == (None, 3)
    assert not layer.trainable
