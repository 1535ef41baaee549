"""Trajectories of the toy with two processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgdyn.toys import TwoProcesses
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

Toy = Callable[..., tuple[Trajectory, Any]]


@pytest.fixture(scope="session")
def sample() -> Toy:
    """Function: trajectory (0.5 ps a frame) and (n_frames, n_targets, 2) true labels of a toy."""

    def make(toy: TwoProcesses, n_frames: int, seed: int) -> tuple[Trajectory, Any]:
        positions, labels = toy.sample(n_frames, rng=np.random.default_rng(seed))
        arguments: dict[str, Any] = {"frame_interval": 0.5, "targets": toy.targets}
        return trajectory_from_arrays(positions, toy.cell, toy.species, **arguments), labels

    return make


@pytest.fixture(scope="session")
def two(sample: Toy) -> tuple[Trajectory, Any]:
    """30 ps in the distances to S, 7.5 ps in those to Cl."""
    return sample(TwoProcesses((60.0, 15.0)), 6000, 0)
