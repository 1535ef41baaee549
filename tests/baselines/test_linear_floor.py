"""The floor on held-out frames: known processes, argyrodite, honesty where data are few."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kgdyn
from kgdyn.baselines import LinearFloor, linear_vamp_floor
from kgdyn.toys import TwoProcesses
from kgdyn.trajectories import Trajectory

Toy = Callable[..., tuple[Trajectory, Any]]
Shared = Callable[[str], Path]


def test_processes_of_the_toy(two: tuple[Trajectory, Any]) -> None:
    run, _ = two
    floor = linear_vamp_floor(run[:3000], run[3000:], lagtime=5, n_states=3)
    slow, fast = floor.processes
    for process, true, element in ((slow, 30.0, "S"), (fast, 7.5, "Cl")):
        low, high = process.timescale_interval_ps
        assert low < true < high
        assert process.timescale_ps == pytest.approx(true, rel=0.25)
        assert process.elements == (element,)
        assert all(abs(value) > 0.97 for _, value in process.features)
        # Noise in the distances lowers the singular value, not the time.
        assert process.singular_value < np.exp(-2.5 / true)
    assert floor.vamp2_score == pytest.approx(1 + (floor.singular_values**2).sum(), abs=0.01)
    assert floor.interval.lower < floor.vamp2_score < floor.interval.upper
    assert "linear floor: VAMP-2 2." in str(floor)
    assert floor.blocks == "95% bootstrap over 20 blocks of time"


def test_the_score_is_that_of_the_scores(two: tuple[Trajectory, Any]) -> None:
    """The floor's number and the loss' are one: fitted by hand, scored by kgdyn.scores."""
    from kgdyn.baselines import fit_linear_vamp, neighbor_distances_for
    from kgdyn.baselines._lagged_sums import lagged_sums
    from kgdyn.scores import vamp2_score

    train, test = two[0][:1500], two[0][3000:4000]
    features = neighbor_distances_for(train)
    model = fit_linear_vamp(lagged_sums([train], features, [4])[0], 1)
    values = features(test)
    u, v = (
        part.reshape(-1, values.shape[2]) @ f
        for part, f in ((values[:-4], model.left), (values[4:], model.right))
    )
    # Two columns that sum to a constant have the score of one.
    direct = vamp2_score(np.hstack([u, 1.0 - u]), np.hstack([v, 1.0 - v]))
    floor = linear_vamp_floor(train, test, lagtime=4, n_states=2)
    assert floor.vamp2_score == pytest.approx(float(direct), abs=1e-8)


def test_few_data_give_no_process(sample: Toy) -> None:
    """Nothing is there: what was fitted correlates by chance only, in either direction."""
    found = []
    for seed in range(10):
        run, _ = sample(TwoProcesses((0.0, 0.0), n_targets=1), 240, seed)
        floor = linear_vamp_floor(run[:120], run[120:], lagtime=1, n_states=2)
        found.append(floor.singular_values[0])
    assert abs(np.mean(found)) < 0.1
    assert min(found) < 0.0 < max(found)


def argyrodite(shared_data: Shared, name: str, n_runs: int) -> list[Trajectory]:
    """All runs but the last, and the last: consecutive parts of one trajectory."""
    paths = [
        shared_data(f"argyrodite/Li6PS5Cl_{name}_run{run}.XDATCAR.gz")
        for run in range(1, n_runs + 1)
    ]
    arguments: dict[str, Any] = {"targets": "element Li", "frame_interval": 0.1}
    last = kgdyn.open_trajectory(paths[-1:], **arguments)
    run = kgdyn.open_trajectory(paths, **arguments)
    return [run[: run.n_frames - last.n_frames], run[run.n_frames - last.n_frames :]]


@pytest.fixture(scope="module")
def disordered(shared_data: Shared) -> LinearFloor:
    train, test = argyrodite(shared_data, "50p", 6)
    return linear_vamp_floor(train, test, lagtime=10, n_states=2)


@pytest.mark.slow
def test_disordered_argyrodite(disordered: LinearFloor) -> None:
    """1.872 by 72 radial counts, symmetrised (1 + 0.934^2): ours by 32 distances."""
    assert disordered.vamp2_score == pytest.approx(1.872, abs=0.005)
    assert disordered.interval.lower < 1.872 < disordered.interval.upper
    assert disordered.blocks == "95% bootstrap over 40 groups of targets"
    # Li in a cage of S or of Cl; 15 ps by the singular value at 1 ps, and rising with the lag.
    assert set(disordered.processes[0].elements) == {"S", "Cl"}
    assert 15.0 < disordered.timescales_ps[0] < 45.0


@pytest.mark.slow
def test_ordered_argyrodite(shared_data: Shared) -> None:
    train, test = argyrodite(shared_data, "0p", 5)
    floor = linear_vamp_floor(train, test, lagtime=10, n_states=2)
    assert floor.singular_values[0] == pytest.approx(0.187, abs=0.02)
    assert floor.processes[0].timescale_interval_ps[1] < 1.0


def test_bad_arguments(two: tuple[Trajectory, Any], rng: np.random.Generator) -> None:
    run, _ = two
    with pytest.raises(ValueError, match="n_states must be at least 2, received 1"):
        linear_vamp_floor(run[:100], run[100:200], lagtime=1, n_states=1)
    with pytest.raises(ValueError, match="lagtime must be shorter than the longest segment"):
        linear_vamp_floor(run[:100], run[100:105], lagtime=5, n_states=2)
    with pytest.raises(ValueError, match="at least 2 blocks of data, received 1"):
        linear_vamp_floor(run[:100], run[100:103], lagtime=2, n_states=2)
    other = kgdyn.trajectory_from_arrays(
        run.positions[:50], run.cells[:50], run.species + 1, frame_interval=0.5, targets=run.targets
    )
    message = "test must have the elements of train, [3, 16, 17], received [4, 17, 18]"
    with pytest.raises(ValueError, match=re.escape(message)):
        linear_vamp_floor(run[:100], other, lagtime=1, n_states=2)
