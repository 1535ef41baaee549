"""A model trained under TensorFlow predicts the same under JAX and torch, without TensorFlow."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.models import GDyNet
from kgdyn.scores import VAMP2Loss, VAMP2Score
from kgdyn.training import assign_states, pairs_dataset
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

BACKENDS = ("jax", "torch")
ATOL = 2e-6
M = 6
MODELS: dict[str, dict[str, Any]] = {
    "paper": {},
    "released": {"variant": "released", "pooling": "global"},
    "options": {
        "variable_neighbors": True,
        "envelope": True,
        "dropout": 0.1,
        "weight_decay": 1e-4,
        "target_pools": ("mean", "max", "sum"),
    },
}

# Predicts with every model of a folder, on frames and on graphs cut down by hops.
_PREDICT = """
import sys
sys.modules["tensorflow"] = None  # an import of it raises
from pathlib import Path
import numpy as np
import keras
import kgdyn
from kgdyn.frames import TargetGroups
from kgdyn.graphs import pack_graphs
from kgdyn.models import flat_graph
from kgdyn.trajectories import trajectory_from_arrays
folder = Path(sys.argv[1])
with np.load(folder / "system.npz") as file:
    system = {name: file[name] for name in file.files}
targets = TargetGroups(system["atoms"], system["offsets"])
trajectory = trajectory_from_arrays(
    system["positions"], system["cell"], system["species"], frame_interval=0.5, targets=targets
)
found = {}
for path in sorted(folder.glob("*.keras")):
    model = kgdyn.load_model(path)
    found[path.stem] = kgdyn.assign_states(model, trajectory, batch_size=9)
    if path.stem == "paper":
        graphs = pack_graphs(
            trajectory.positions[:3], trajectory.cells[:3], trajectory.pbc, trajectory.species,
            targets, model.n_neighbors, n_hops=model.n_convolutions,
        )
        graph = flat_graph(graphs)
        assert len(graph.species) < 3 * trajectory.n_atoms
        assert len(graph.neighbors) < len(graph.species)
        found["hops"] = keras.ops.convert_to_numpy(model.call_flat(graph, training=False))
        for refused in (lambda: model.fit(None), lambda: model({"species": graph.species})):
            try:
                refused()
            except NotImplementedError as error:
                print(error)
assert "float64" in str(model.simplex_map.matrix.dtype)
np.savez(folder / (keras.backend.backend() + ".npz"), **found)
"""


def slow_liquid() -> Trajectory:
    rng = np.random.default_rng(5)
    cell = np.diag([14.0, 15.0, 16.0])
    positions = rng.random((110, 3)) @ cell
    positions = positions + np.cumsum(0.15 * rng.normal(size=(40, 110, 3)), axis=0)
    return trajectory_from_arrays(
        positions,
        cell,
        rng.choice([3, 8, 16], 110),
        frame_interval=0.5,
        targets=TargetGroups.from_groups([[4, 9, 2], [0]], "a molecule and an ion"),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained model files, what they are to be used on, and what TensorFlow makes of it."""
    folder, trajectory, expected = tmp_path_factory.mktemp("models"), slow_liquid(), {}
    for name, options in MODELS.items():
        keras.utils.set_random_seed(7)
        model = GDyNet(3, [3, 8, 16], M, lagtime=2, frame_interval=0.5, n_convolutions=2, **options)
        model.compile(keras.optimizers.Adam(1e-2), loss=VAMP2Loss(), metrics=[VAMP2Score(3)])
        pairs = pairs_dataset(trajectory, lagtime=2, n_neighbors=M, batch_size=19)
        model.fit(pairs, epochs=1, verbose=0, fix_states=False)
        model.simplex_map.set_matrix([[1.3, -0.2, -0.1], [0.1, 0.8, 0.1], [-2.0, 1.0, 2.0]])
        model.save(folder / f"{name}.keras")
        expected[name] = assign_states(model, trajectory, batch_size=9)
        assert np.ptp(expected[name], axis=0).max() > 1e-2
    np.savez(folder / "expected.npz", **expected)
    np.savez(
        folder / "system.npz",
        positions=trajectory.positions,
        cell=trajectory.cells[0],
        species=trajectory.species,
        atoms=trajectory.targets.atoms,
        offsets=trajectory.targets.offsets,
    )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_predicts_what_tensorflow_does(
    backend: str, folder: Path, request: pytest.FixtureRequest
) -> None:
    if importlib.util.find_spec(backend) is None:
        reason = f"{backend} is not installed"
        if backend == "jax" and request.config.getoption("--require-all"):
            pytest.fail(f"--require-all: {reason}")
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, "-c", _PREDICT, str(folder)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(folder / "expected.npz") as expected, np.load(folder / f"{backend}.npz") as found:
        assert set(found.files) == {*MODELS, "hops"}
        for name in MODELS:
            assert found[name].dtype == np.float32
            assert found[name].shape == expected[name].shape
            np.testing.assert_allclose(
                found[name], expected[name], rtol=0.0, atol=ATOL, err_msg=name
            )
        hops = expected["paper"][:3].reshape(-1, 3)
        np.testing.assert_allclose(found["hops"], hops, rtol=0.0, atol=ATOL)
    told = [line for line in done.stdout.splitlines() if "only with TensorFlow" in line]
    assert len(told) == 2
    assert f"fit only with TensorFlow, and Keras runs on {backend}: train there" in told[0]
    assert f"Keras runs on {backend}: use kgdyn.assign_states or call_flat" in told[1]
