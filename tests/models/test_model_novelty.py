"""A model keeps the distribution of its training's surroundings; nothing else changes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from kgdyn.graphs import PackedGraphs
from kgdyn.models import flat_graph, load_model
from kgdyn.novelty import Novelty, novelty_of, surroundings_of
from kgdyn.training.graph_builder import GraphBuilder


@pytest.fixture(scope="module")
def graphs(hopping: Any) -> PackedGraphs:
    trajectory = hopping[0]
    return GraphBuilder([trajectory], 3)(np.zeros(600, np.int32), np.arange(600))


@pytest.fixture(scope="module")
def novelty(graphs: PackedGraphs) -> Novelty:
    which = surroundings_of([graphs], [3, 16])
    rows = which(graphs)
    return novelty_of(which, rows[::2], rows[1::2])


def predicted(model: Any, graphs: PackedGraphs) -> Any:
    return np.asarray(model.call_flat(flat_graph(graphs, False), training=False))


def test_saved_and_loaded(
    small_model: Callable[..., Any], graphs: PackedGraphs, novelty: Novelty, tmp_path: Path
) -> None:
    model = small_model()
    model.optimizer.build(model.trainable_variables)
    assert model.novelty is None
    config, weights = model.get_config(), model.get_weights()
    model.save(tmp_path / "plain.keras")
    plain = predicted(model, graphs)
    model.novelty = novelty
    model.save(tmp_path / "model.keras")
    assert model.get_config() == config
    assert len(model.get_weights()) == len(weights)
    np.testing.assert_array_equal(predicted(model, graphs), plain)
    again = load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.novelty.distances(graphs), novelty.distances(graphs))
    np.testing.assert_array_equal(predicted(again, graphs), plain)
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert sorted(archive.namelist()) == ["config.json", "metadata.json", "model.weights.h5"]
    again.load_weights(tmp_path / "plain.keras")
    assert again.novelty is None
    model.novelty = None
    assert model.novelty is None


def without(source: Path, target: Path, name: str = "") -> Path:
    """The same file without the group of the arrays, or without one of them."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for item in old.namelist():
            data = old.read(item)
            if item.endswith(".h5"):
                weights = io.BytesIO(data)
                with h5py.File(weights, "a") as file:
                    del file[f"layers/saved_arrays/vars/{name}" if name else "layers/saved_arrays"]
                data = weights.getvalue()
            new.writestr(item, data)
    return target


def test_files_from_before(
    small_model: Callable[..., Any], graphs: PackedGraphs, novelty: Novelty, tmp_path: Path
) -> None:
    """They have no place for the arrays: the same predictions, and no novelty."""
    model = small_model()
    model.optimizer.build(model.trainable_variables)
    model.novelty = novelty
    model.save(tmp_path / "model.keras")
    old = load_model(without(tmp_path / "model.keras", tmp_path / "old.keras"))
    assert old.novelty is None
    np.testing.assert_array_equal(predicted(old, graphs), predicted(model, graphs))
    path = without(tmp_path / "model.keras", tmp_path / "cut.keras", "means")
    with pytest.raises(ValueError, match=r"cut\.keras: the training distribution cannot be read"):
        load_model(path)


def test_is_of_its_kind(small_model: Callable[..., Any]) -> None:
    with pytest.raises(
        TypeError, match=r"novelty must be a kgdyn\.novelty\.Novelty or None, received \{'thr"
    ):
        small_model().novelty = {"threshold": 1.0}
