"""What the benchmark against others compares is the same: neighbours, networks, frames, scores."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgdyn.graphs import batch_nearest_neighbors

HERE = Path(__file__).parent


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Function: a script of this folder as a module."""
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module


def a_raw(ways: Any, n_atoms: int, edges: Any, rng: np.random.Generator) -> Any:
    """Three frames, some atoms outside of the cell; every third atom is a target."""
    positions = rng.uniform(-5.0, 20.0, (3, n_atoms, 3)).astype(np.float32)
    return ways.Raw(
        positions,
        np.tile(np.asarray(edges, float), (3, 1)),
        np.tile([3, 16], n_atoms)[:n_atoms],
        np.arange(0, n_atoms, 3),
    )


def a_task(ways: Any, **changes: Any) -> Any:
    values = {
        "file": "",
        "frame_interval": 1.0,
        "lagtime": 1,
        "n_neighbors": 8,
        "n_states": 2,
        "n_shown": 2,
        "threshold": 1.5,
        "learning_rate": 1e-3,
        "batch_size": 2,
    }
    return ways.Task(**{**values, **changes})


@pytest.mark.parametrize(("n_atoms", "edges"), [(5, [6.5] * 3), (300, [19.0, 23.0, 16.0])])
def test_scipy_finds_the_neighbours_that_kgdyn_finds(
    benchmark: Callable[[str], Any], n_atoms: int, edges: list[float]
) -> None:
    ways = benchmark("ways_to_states")
    raw = a_raw(ways, n_atoms, edges, np.random.default_rng(1))
    neighbors, distances = ways.dense_arrays(raw, 8)
    cells = raw.edges[:, None] * np.eye(3)
    expected = batch_nearest_neighbors(raw.positions, cells, np.ones(3, dtype=bool), 8)
    np.testing.assert_array_equal(neighbors, expected.indices)
    np.testing.assert_allclose(distances, expected.distances, atol=1e-4)
    features = ways.features_of_targets(raw, "distances", 8)
    np.testing.assert_allclose(features, distances[:, raw.targets], atol=1e-6)
    inside = ways.features_of_targets(raw, "coordinates", 8)
    assert inside.shape == (3, len(raw.targets), 3)
    assert ((inside >= 0.0) & (inside <= raw.edges[:, None])).all()


def test_dense_arrays_go_through_the_network_of_kgdyn(benchmark: Callable[[str], Any]) -> None:
    """With its weights, the layout of 2019 gives its probabilities; in pairs, t comes first."""
    ways = benchmark("ways_to_states")
    from kgdyn.frames import TargetGroups
    from kgdyn.training import assign_states
    from kgdyn.trajectories import trajectory_from_arrays

    raw = a_raw(ways, 60, [19.0, 23.0, 16.0], np.random.default_rng(2))
    run = trajectory_from_arrays(
        raw.positions,
        raw.edges[:, None] * np.eye(3),
        raw.species,
        targets=TargetGroups.from_indices(raw.targets),
        frame_interval=1.0,
    )
    network = ways.dense_network(a_task(ways), raw, batch_normalization=False)
    arrays = ways.dense_arrays(raw, 8)
    expected = assign_states(network.like, run)
    found = np.asarray(network.states_of_frames(*arrays)).reshape(expected.shape)
    assert np.ptp(expected[..., 0]) > 1e-3  # else anything would agree
    np.testing.assert_allclose(found, expected, atol=1e-5)
    pairs = np.asarray(network([array[[0, 1, 1, 2]] for array in arrays]))
    np.testing.assert_allclose(pairs[:, 0], expected[:2].reshape(-1, 2), atol=1e-5)
    np.testing.assert_allclose(pairs[:, 1], expected[1:].reshape(-1, 2), atol=1e-5)
    weights = sum(weight.numpy().size for weight in network.like.trainable_weights)
    assert ways.weights_of_gdynet(a_task(ways), n_elements=2) == weights


def test_a_clock_stops_where_it_should(benchmark: Callable[[str], Any]) -> None:
    ways = benchmark("ways_to_states")
    clock = ways.Clock(time.time(), a_task(ways))
    clock.step(), clock.step()
    assert not clock.is_enough(1.2)
    assert clock.reached is None
    assert clock.is_enough(1.6)
    clock.finish()
    result = clock.result()
    assert 0.0 <= result["reached"] <= result["finished"]
    assert result["peak"] > 10.0

    stale = ways.Clock(time.time(), a_task(ways))
    scores = [1.1, 1.3, *[1.2] * ways.PATIENCE]
    assert [stale.is_enough(score) for score in scores] == [False] * (len(scores) - 1) + [True]
    assert stale.reached is None
    lost = ways.Clock(time.time(), a_task(ways))
    assert lost.is_enough(float("nan"))
    assert lost.reached is None
    for limit in ({"most_epochs": 1}, {"most_seconds": -1.0}):
        clock = ways.Clock(time.time(), a_task(ways, **limit))
        assert clock.is_enough(1.1)
        assert clock.reached is None


def test_right_states_do_not_depend_on_their_order(benchmark: Callable[[str], Any]) -> None:
    bench = benchmark("bench_against_others")
    labels = np.array([0, 0, 0, 1])
    assert bench.share_right(1 - labels, labels) == 1.0
    assert bench.share_right(np.array([0, 0, 1, 1]), labels) == pytest.approx((2 / 3 + 1) / 2)
    assert bench.share_right(np.zeros(4, int), labels) == 0.5  # not the 75% of always one


def test_targets_of_cells_in_a_row_see_what_they_see_in_one(
    benchmark: Callable[[str], Any], tmp_path: Path, shared_data: Callable[[str], Path]
) -> None:
    shared_data("si_interface/Si_interface_SW.npz")
    bench, ways = benchmark("bench_against_others"), benchmark("ways_to_states")
    seen = {}
    for cells in (1, 7):
        raw = ways.read_raw(bench.silicon(tmp_path, cells).task["file"])
        assert raw.positions.shape[1] == len(raw.species) == 576 * cells
        assert len(raw.targets) == len(set(raw.targets.tolist())) == 332
        frame = (raw.positions[100], raw.edges[100])
        seen[cells] = ways.scipy_neighbors(*frame, 20, raw.targets)[1]
    np.testing.assert_allclose(seen[7], seen[1], atol=2e-5)
