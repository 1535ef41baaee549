"""Batches of frames get the states of assign_states, for one model compiled once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kgdyn
from kgdyn.live import FrameAssigner, StreamInfo
from kgdyn.models import GDyNet
from kgdyn.trajectories import Trajectory


@pytest.fixture
def run(rng: np.random.Generator) -> Trajectory:
    return kgdyn.trajectory_from_arrays(
        (6.0 * rng.random((5, 12, 3))).astype(np.float32),
        6.0 * np.eye(3) * np.linspace(1.0, 1.1, 5)[:, None, None],
        [3, 16, 16] * 4,
        frame_interval=1.0,
        targets=[0, 3, 9],
    )


def info_of(run: Trajectory, targets: Any = None) -> StreamInfo:
    return StreamInfo("frames", run.species, run.pbc, targets or run.targets)


@pytest.fixture
def small() -> Callable[..., Any]:
    def make(**options: Any) -> Any:
        return GDyNet(2, [3, 16], 4, n_features=4, n_convolutions=1, **options)

    return make


def test_any_frames_in_any_order(run: Trajectory, small: Callable[..., Any]) -> None:
    model = small()
    wanted = kgdyn.assign_states(model, run)
    assign = FrameAssigner(model, info_of(run), n_threads=2)
    for frames in ([0], [4, 1, 1], range(5)):
        found, novelty = assign(run.positions[list(frames)], run.cells[list(frames)])
        np.testing.assert_allclose(found, wanted[list(frames)], rtol=0, atol=1e-6)
        assert novelty is None
    others = kgdyn.TargetGroups.from_groups([[6, 7], [0]])
    wanted = kgdyn.assign_states(model, run.with_targets(others))
    found, _ = assign.for_atoms(info_of(run, others))(run.positions, run.cells)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
    assert assign.n_rows == 3  # as it was


def test_one_row_for_the_whole_frame(run: Trajectory, small: Callable[..., Any]) -> None:
    model = small(pooling="global")
    found, _ = FrameAssigner(model, info_of(run))(run.positions, run.cells)
    assert found.shape == (5, 1, 2)
    np.testing.assert_allclose(found, kgdyn.assign_states(model, run), rtol=0, atol=1e-6)


def test_what_is_refused(run: Trajectory, small: Callable[..., Any]) -> None:
    model = small()
    with pytest.raises(ValueError, match="n_threads must be at least 1, received 0"):
        FrameAssigner(model, info_of(run), n_threads=0)
    with pytest.raises(ValueError, match="novelty: the model does not know the surroundings"):
        FrameAssigner(model, info_of(run), novelty=True)
    gold = StreamInfo("frames", np.array([79] * 12), run.pbc, run.targets)
    with pytest.raises(ValueError, match="holds Au, which the model never saw"):
        FrameAssigner(model, gold)
    few = StreamInfo(
        "few", run.species[:4], np.zeros(3, bool), kgdyn.TargetGroups.from_indices([0])
    )
    with pytest.raises(ValueError, match="n_neighbors=4 needs more than 4 atoms"):
        FrameAssigner(model, few)
    assign = FrameAssigner(model, info_of(run))
    with pytest.raises(ValueError, match="positions and cells must have shapes"):
        assign(run.positions[:, :5], run.cells)
    with pytest.raises(ValueError, match="positions and cells must have shapes"):
        assign(run.positions, run.cells[:2])
