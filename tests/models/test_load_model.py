"""A .keras file: bit-equal in a new process, without pickle, and errors that say what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kgdyn import load_model
from kgdyn.training import assign_states, frames_dataset

Maker = Callable[..., Any]

_NEW_PROCESS = """
import json, sys
import numpy as np
path, how = sys.argv[1:3]
if how == "kgdyn":
    import kgdyn
    model = kgdyn.load_model(path)
else:
    if how == "keras after kgdyn":
        import kgdyn.models
    import keras
    model = keras.models.load_model(path)
with np.load(path + ".npz") as file:
    graphs = {name: file[name] for name in file.files}
import tensorflow as tf
inputs = {
    "species": tf.RaggedTensor.from_row_lengths(graphs["species"], graphs["atoms"]),
    "targets": tf.RaggedTensor.from_nested_row_lengths(
        graphs["targets"], [graphs["n_targets"], graphs["members"]]
    ),
}
for name in ("neighbors", "distances"):
    inputs[name] = tf.RaggedTensor.from_nested_row_lengths(
        graphs[name], [graphs["atoms"], graphs["edges"]]
    )
np.save(path + ".npy", model.predict(inputs, batch_size=1000, verbose=0))
facts = ("elements", "n_neighbors", "lagtime", "frame_interval", "targets", "n_states")
print(json.dumps({name: getattr(model, name) for name in facts}))
"""


@pytest.fixture(scope="module")
def saved(
    tmp_path_factory: pytest.TempPathFactory, hopping: Any, small_model: Maker
) -> tuple[Path, Any]:
    """A model file of which no weight is trivial, and the model."""
    model = small_model(targets="the Li", lagtime=2, n_convolutions=2)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(np.asarray(weight) + 0.2 * rng.normal(size=weight.shape))
    model.simplex_map.set_matrix([[1.1, -0.1], [0.2, 0.8]])
    model.optimizer.build(model.trainable_variables)
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    return path, model


@pytest.mark.parametrize("how", ["kgdyn", "keras after kgdyn"])
def test_new_process_predicts_the_same_bits(
    how: str, saved: tuple[Path, Any], hopping: Any, tmp_path: Path
) -> None:
    original, model = saved
    path = tmp_path / "moved.keras"
    path.write_bytes(original.read_bytes())
    ((inputs,),) = frames_dataset(hopping[0], n_neighbors=3, batch_size=1000)
    np.savez(
        str(path) + ".npz",
        species=inputs["species"].flat_values,
        atoms=inputs["species"].row_lengths(),
        neighbors=inputs["neighbors"].flat_values,
        distances=inputs["distances"].flat_values,
        edges=inputs["neighbors"].values.row_lengths(),
        targets=inputs["targets"].flat_values,
        n_targets=inputs["targets"].row_lengths(),
        members=inputs["targets"].values.row_lengths(),
    )
    done = subprocess.run(
        [sys.executable, "-c", _NEW_PROCESS, str(path), how],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    predicted = np.load(str(path) + ".npy")
    np.testing.assert_array_equal(predicted, model.predict(inputs, batch_size=1000, verbose=0))
    assert np.ptp(predicted[:, 0]) > 1e-3
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "elements": [3, 16],
        "n_neighbors": 3,
        "lagtime": 2,
        "frame_interval": 0.5,
        "targets": "the Li",
        "n_states": 2,
    }


def test_in_this_process(saved: tuple[Path, Any], hopping: Any) -> None:
    path, model = saved
    again = load_model(str(path))
    assert again.get_config() == model.get_config()
    np.testing.assert_array_equal(again.simplex_map.matrix, model.simplex_map.matrix)
    np.testing.assert_array_equal(
        assign_states(again, hopping[0]), assign_states(model, hopping[0])
    )


@pytest.mark.parametrize(
    "options",
    [
        {"variant": "released", "n_hidden": 2},
        {"dtype": "mixed_float16", "variable_neighbors": True},
        {"n_states": 4, "n_features": 5, "radial_cutoff": 3.0, "frame_interval": None},
        {"envelope": True, "dropout": 0.1, "weight_decay": 1e-4, "target_pools": ["max", "sum"]},
    ],
    ids=["released", "mixed_float16", "sizes", "options"],
)
def test_options_survive(
    options: dict[str, Any], tmp_path: Path, hopping: Any, small_model: Maker
) -> None:
    model = small_model(**options)
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    assert again.get_config() == model.get_config()
    assert again.dtype_policy.name == model.dtype_policy.name
    for mine, theirs in zip(again.weights, model.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    ((inputs,),) = frames_dataset(hopping[0][:5], n_neighbors=3)
    np.testing.assert_array_equal(again(inputs, training=False), model(inputs, training=False))


def test_compiled_state_survives(saved: tuple[Path, Any]) -> None:
    path, _ = saved
    again = load_model(path)
    assert again.compiled
    assert type(again.loss).__name__ == "VAMP2Loss"
    assert float(again.optimizer.learning_rate) == pytest.approx(1e-2)


def test_no_pickle_in_the_archive(saved: tuple[Path, Any]) -> None:
    with zipfile.ZipFile(saved[0]) as archive:
        assert sorted(archive.namelist()) == ["config.json", "metadata.json", "model.weights.h5"]
        for name in ("config.json", "metadata.json"):
            text = archive.read(name).decode()
            json.loads(text)
            assert "__lambda__" not in text
        weights = archive.read("model.weights.h5")
    assert weights.startswith(b"\x89HDF")
    assert b"pickle" not in weights


def rewritten(source: Path, target: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A copy whose config.json is `change` of the original's."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                data = json.dumps(change(json.loads(data))).encode()
            new.writestr(name, data)
    return target


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.keras: there is no such model file"):
        load_model(tmp_path / "none.keras")


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + bytes(100)])
def test_not_a_zip(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.keras: is not a \.keras model file"):
        load_model(path)


def test_zip_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "other.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ValueError, match=r"other\.keras: is not a \.keras model file"):
        load_model(path)


@pytest.mark.parametrize("config", [[], "text", None, 3, {}, {"config": []}])
def test_config_that_is_no_object(config: Any, saved: tuple[Path, Any], tmp_path: Path) -> None:
    path = rewritten(saved[0], tmp_path / "bad.keras", lambda _: config)
    with pytest.raises(ValueError, match=r"bad\.keras: "):
        load_model(path)


def test_another_keras_model(tmp_path: Path) -> None:
    path = tmp_path / "dense.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)
    with pytest.raises(ValueError, match=r"dense\.keras: holds 'Sequential', not a kgdyn GDyNet"):
        load_model(path)


@pytest.mark.parametrize("version", [0, 2, None, "1"])
def test_another_format_version(version: Any, saved: tuple[Path, Any], tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> dict[str, Any]:
        config["config"]["format_version"] = version
        return config

    path = rewritten(saved[0], tmp_path / "new.keras", change)
    message = f"format version {version}; this kgdyn reads version 1"
    with pytest.raises(ValueError, match=rf"new\.keras: was written in model {message}"):
        load_model(path)
    with pytest.raises(ValueError, match=f"the model was written in {message}"):
        keras.models.load_model(path)  # Keras' own way says so too


def test_a_file_from_before_there_were_options(saved: tuple[Path, Any], tmp_path: Path) -> None:
    names = ("reduction", "dropout", "weight_decay", "envelope", "pooling", "target_pools")

    def change(config: dict[str, Any]) -> dict[str, Any]:
        for name in names:
            del config["config"][name]
        return config

    path = rewritten(saved[0], tmp_path / "old.keras", change)
    old, new = load_model(path), load_model(saved[0])
    assert old.get_config() == new.get_config()
    for mine, theirs in zip(old.get_weights(), new.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_argument_that_this_version_does_not_know(saved: tuple[Path, Any], tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> dict[str, Any]:
        config["config"]["n_wings"] = 2
        return config

    path = rewritten(saved[0], tmp_path / "odd.keras", change)
    with pytest.raises(ValueError, match=r"odd\.keras: cannot be loaded, the file is damaged"):
        load_model(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_file(share: float, saved: tuple[Path, Any], tmp_path: Path) -> None:
    whole = saved[0].read_bytes()
    path = tmp_path / "cut.keras"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"cut\.keras: is not a \.keras model file"):
        load_model(path)


def test_damaged_weights(saved: tuple[Path, Any], tmp_path: Path) -> None:
    """A flipped byte anywhere in the weights is found: the archive has checksums."""
    whole = bytearray(saved[0].read_bytes())
    path = tmp_path / "flipped.keras"
    with zipfile.ZipFile(saved[0]) as archive:
        start = archive.getinfo("model.weights.h5").header_offset + 200
        size = archive.getinfo("model.weights.h5").compress_size
    for place in np.linspace(start, start + size - 300, 9).astype(int):
        damaged = whole.copy()
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"flipped\.keras: "):
            load_model(path)
