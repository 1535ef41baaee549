"""The plain VAMPnet: trains as a GDyNet does, on coordinates; saved, loaded, in half precision."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.models import GDyNet, VAMPNet, load_model
from kgdyn.scores import VAMP2Loss, VAMP2Score
from kgdyn.training import assign_states, coordinates_dataset, target_coordinates
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

EDGE = 6.0


def hopping_run(n_frames: int, rng: np.random.Generator) -> tuple[Trajectory, Any]:
    """Two atoms that hop between places x = 1 and 4, each after a Markov chain of its own."""
    states = np.cumsum(rng.random((n_frames, 2)) < 0.05, axis=0) % 2
    positions = rng.random((n_frames, 3, 3)) * EDGE
    positions[:, :2, 0] = np.where(states == 0, 1.0, 4.0) + rng.normal(0.0, 0.3, (n_frames, 2))
    targets = TargetGroups.from_indices([0, 1], "Li")
    run = trajectory_from_arrays(
        positions, np.eye(3) * EDGE, [3, 3, 16], frame_interval=0.5, targets=targets
    )
    return run, states


def make(n_states: int = 2, learning_rate: float = 1e-2, **options: Any) -> VAMPNet:
    keras.utils.set_random_seed(3)
    defaults = {"lagtime": 2, "frame_interval": 0.5, "targets": "Li", "n_features": 16}
    model = VAMPNet(n_states, **{**defaults, **options})
    model.compile(
        keras.optimizers.Adam(learning_rate),
        loss=VAMP2Loss(),
        metrics=[VAMP2Score(model.n_outputs)],
    )
    return model


@pytest.fixture(scope="module")
def run() -> tuple[Trajectory, Any]:
    return hopping_run(800, np.random.default_rng(0))


@pytest.fixture(scope="module")
def trained(run: tuple[Trajectory, Any]) -> tuple[VAMPNet, dict[str, list[float]]]:
    model = make()
    pairs = coordinates_dataset(run[0], lagtime=2, batch_size=400)
    return model, model.fit(pairs, validation_data=pairs, epochs=15, verbose=0).history


def test_learns_the_places(trained: Any, run: tuple[Trajectory, Any]) -> None:
    model, history = trained
    trajectory, states = run
    correlation = np.corrcoef(states[:-2].ravel(), states[2:].ravel())[0, 1]
    assert history["val_vamp2"][0] < history["val_vamp2"][-1]
    assert history["val_vamp2"][-1] == pytest.approx(1.0 + correlation**2, abs=0.03)
    assert history["skipped_batches"] == [0] * 15
    chi = assign_states(model, trajectory)
    assert chi.shape == (800, 2, 2)
    assert chi.dtype == np.float32
    np.testing.assert_allclose(chi.sum(axis=2), 1.0, rtol=0.0, atol=1e-6)
    assert chi[..., 0].mean() >= chi[..., 1].mean()  # ordered by population
    agreement = (chi.argmax(axis=2) == states).mean()
    assert max(agreement, 1.0 - agreement) > 0.99
    # The map at the end is that of these pairs, not the identity.
    matrix = np.asarray(model.simplex_map.matrix)
    assert np.abs(matrix - np.eye(2)).max() > 1e-3


def test_images_and_batches_make_no_difference(trained: Any, run: tuple[Trajectory, Any]) -> None:
    model, trajectory = trained[0], run[0][:50]
    shift = np.random.default_rng(1).integers(-3, 4, (50, 3, 3)) * EDGE
    moved = trajectory_from_arrays(
        trajectory.positions + shift, np.eye(3) * EDGE, [3, 3, 16], frame_interval=0.5,
        targets=trajectory.targets,
    )  # fmt: skip
    expected = assign_states(model, trajectory)
    assert np.ptp(expected[..., 0]) > 0.9
    done: list[tuple[int, int]] = []
    found = assign_states(model, moved, batch_size=7, progress=lambda *now: done.append(now))
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-4)
    assert done[-1] == (50, 50)


def test_pairs_give_both_outputs(run: tuple[Trajectory, Any]) -> None:
    model = make(n_states=2, n_outputs=4)
    ((inputs,),) = coordinates_dataset(run[0], lagtime=2, batch_size=5000, shuffle=False)
    outputs = np.asarray(model(inputs, training=False))
    assert outputs.shape == (2 * 798, 2, 4)
    np.testing.assert_allclose(outputs.sum(axis=2), 1.0, rtol=0.0, atol=1e-6)
    chi = np.asarray(model(inputs["lag"], training=False))
    matrix = np.asarray(model.simplex_map.matrix)
    np.testing.assert_allclose(outputs[:, 1] @ matrix, chi, rtol=0.0, atol=1e-6)


def test_other_atoms_and_circular_coordinates_enter(run: tuple[Trajectory, Any]) -> None:
    model = make(others=[2], coordinates="circular")
    assert model.n_inputs == 12
    chi = assign_states(model, run[0][:20])
    expected = target_coordinates(run[0][:20], others=[2], coordinates="circular")
    np.testing.assert_allclose(chi, model.states_of(expected), rtol=0.0, atol=1e-6)
    other = np.array(run[0].positions[:20])
    other[:, 2] += 1.0
    moved = trajectory_from_arrays(
        other, np.eye(3) * EDGE, [3, 3, 16], frame_interval=0.5, targets=run[0].targets
    )
    assert np.abs(assign_states(model, moved) - chi).max() > 1e-3


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_keeps_first_and_last_layers(
    dtype: str, run: tuple[Trajectory, Any]
) -> None:
    model, exact = make(dtype=dtype), make()
    model.set_weights(exact.get_weights())
    ((inputs,),) = coordinates_dataset(run[0], lagtime=2, batch_size=5000)
    chi = np.asarray(model(inputs, training=False))
    assert chi.dtype == np.float32
    np.testing.assert_allclose(chi.sum(axis=-1), 1.0, rtol=0.0, atol=1e-6)
    difference = np.abs(chi - np.asarray(exact(inputs, training=False))).max()
    assert 0.0 < difference < 0.02
    assert model.first.compute_dtype == model.head.logits.compute_dtype == "float32"
    assert model.head.hidden[0].compute_dtype == dtype.removeprefix("mixed_")
    assert all(variable.dtype in ("float32", "float64") for variable in model.weights)
    if dtype == "mixed_float16":
        pairs = coordinates_dataset(run[0], lagtime=2, batch_size=400)
        scores = model.fit(pairs, epochs=6, verbose=0).history["vamp2"]
        assert scores[-1] > scores[0] + 0.05


_NEW_PROCESS = """
import sys
import numpy as np
import kgdyn.models
import keras
path, how = sys.argv[1:]
keras_way = keras.models.load_model
model = keras_way(path) if how == "keras" else kgdyn.models.load_model(path, kgdyn.models.VAMPNet)
np.save(path + ".npy", model.states_of(np.load(path + ".in.npy")))
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kgdyn", "keras"])
def test_a_new_process_gives_the_same_bits(
    how: str, trained: Any, run: Any, tmp_path: Path
) -> None:
    model, _ = trained
    path = tmp_path / "model.keras"
    model.save(path)
    inputs = target_coordinates(run[0])
    np.save(f"{path}.in.npy", inputs)
    subprocess.run([sys.executable, "-c", _NEW_PROCESS, str(path), how], check=True)
    np.testing.assert_array_equal(np.load(f"{path}.npy"), model.states_of(inputs))


@pytest.mark.parametrize(
    "options",
    [
        {"others": [2], "coordinates": "circular", "n_hidden": 1, "n_outputs": 5},
        {"dtype": "mixed_bfloat16", "n_target_atoms": 3, "dropout": 0.1, "weight_decay": 1e-4},
        {"coordinates": "fractional", "frame_interval": None, "n_states": 8},
    ],
    ids=["circular", "mixed_bfloat16", "fractional"],
)
def test_options_survive(options: dict[str, Any], tmp_path: Path) -> None:
    model = make(**options)
    model.optimizer.build(model.trainable_variables)
    model.simplex_map.set_matrix(
        np.random.default_rng(0).dirichlet(np.ones(model.n_states), model.n_outputs)
    )
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras", VAMPNet)
    assert again.get_config() == model.get_config()
    assert again.dtype_policy.name == model.dtype_policy.name
    assert type(again.loss).__name__ == "VAMP2Loss"
    inputs = np.random.default_rng(0).random((9, model.n_inputs), np.float32)
    np.testing.assert_array_equal(again.states_of(inputs), model.states_of(inputs))


def test_a_file_says_which_model_it_holds(tmp_path: Path) -> None:
    make().save(tmp_path / "plain.keras")
    GDyNet(2, [3], 4).save(tmp_path / "graph.keras")
    with pytest.raises(
        ValueError, match=r"plain\.keras: holds 'kgdyn>VAMPNet', not a kgdyn GDyNet"
    ):
        load_model(tmp_path / "plain.keras")
    with pytest.raises(ValueError, match=r"graph\.keras: holds .*GDyNet', not a kgdyn VAMPNet"):
        load_model(tmp_path / "graph.keras", VAMPNet)
    newer = tmp_path / "newer.keras"
    with (
        zipfile.ZipFile(tmp_path / "plain.keras") as old,
        zipfile.ZipFile(newer, "w") as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                config = json.loads(data)
                config["config"]["format_version"] = 2
                data = json.dumps(config).encode()
            new.writestr(name, data)
    with pytest.raises(ValueError, match=r"newer\.keras: was written in model format version 2"):
        load_model(newer, VAMPNet)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("n_states", 1, "n_states must be at least 2, received 1"),
        ("n_outputs", 2, "n_outputs must be at least n_states, 3, received 2"),
        ("n_target_atoms", 0, "n_target_atoms must be at least 1, received 0"),
        ("lagtime", 0, "lagtime must be at least 1, received 0"),
        ("n_features", 0, "n_features must be at least 1, received 0"),
        ("n_hidden", 0, "n_hidden must be at least 1, received 0"),
        ("frame_interval", 0.0, "frame_interval must be a positive time in ps, received 0.0"),
        ("coordinates", "polar", r"coordinates must be one of .*received 'polar'"),
        ("others", [1, 1], r"others must be distinct indices of atoms, received \[1, 1\]"),
        ("others", [-1], r"others must be distinct indices of atoms, received \[-1\]"),
    ],
)
def test_bad_argument(argument: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VAMPNet(**{"n_states": 3, argument: value})


def test_targets_of_another_size(trained: Any, run: tuple[Trajectory, Any]) -> None:
    pairs = run[0].with_targets(TargetGroups.from_groups([[0, 1]]))
    with pytest.raises(ValueError, match="has targets of 2 atoms, the model was made for 1"):
        assign_states(trained[0], pairs)
