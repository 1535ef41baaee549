"""Trajectories whose positions tell frame, segment and file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.trajectories import Trajectory

# The first two of three atoms stand this far apart in frame 0, and as much farther each frame.
FIRST, STEP = 1.0, 0.01


@pytest.fixture(scope="session")
def signal() -> Callable[..., Trajectory]:
    """Function: a trajectory in which the distance of two atoms is 1 + 0.01 (start + frame)."""

    def make(
        n_frames: int, start: int = 0, offsets: list[int] | None = None, source: str = "a.dump"
    ) -> Trajectory:
        positions = np.zeros((n_frames, 3, 3))
        positions[:, 1, 0] = FIRST + STEP * (start + np.arange(n_frames))
        positions[:, 2, 1] = 50.0
        return Trajectory(
            positions,
            np.zeros((n_frames, 3, 3)),
            np.zeros(3, bool),
            np.array([3, 16, 16], np.int32),
            TargetGroups.from_indices([0]),
            0.5,
            segment_offsets=None if offsets is None else np.array(offsets),
            source=source,
        )

    return make


@pytest.fixture(scope="session")
def numbers_of() -> Callable[[Any], list[int]]:
    """Function: the frames (plus start) that a batch of graphs was built from."""

    def read(graphs: Any) -> list[int]:
        nearest = graphs["distances"].to_tensor().numpy()[:, 0, 0]
        numbers = (nearest - FIRST) / STEP
        assert np.abs(numbers - np.round(numbers)).max() < 1e-3
        return [int(number) for number in np.round(numbers)]

    return read


@pytest.fixture(scope="session")
def hopping() -> Callable[..., Trajectory]:
    """Function: a Li whose nearest S is at 2 or 3 angstrom, of a Markov chain."""

    def make(n_frames: int, seed: int, frame_interval: float = 0.5) -> Trajectory:
        rng = np.random.default_rng(seed)
        states = np.cumsum(rng.random(n_frames) < 0.05) % 2
        positions = np.zeros((n_frames, 4, 3))
        positions[:, 1, 0] = np.where(states == 0, 2.0, 3.0)
        positions[:, 2, 1], positions[:, 3, 2] = 4.0, 4.5
        return Trajectory(
            positions + rng.normal(scale=0.1, size=positions.shape),
            np.zeros((n_frames, 3, 3)),
            np.zeros(3, bool),
            np.array([3, 16, 16, 16], np.int32),
            TargetGroups.from_indices([0], "the Li"),
            frame_interval,
            source=f"hopping {seed}",
        )

    return make
