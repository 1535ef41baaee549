"""Small systems and models that the tests of this room share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.graphs import PackedGraphs, pack_graphs
from kgdyn.trajectories import Trajectory, trajectory_from_arrays


def two_distance_trajectory(
    n_frames: int, rng: np.random.Generator, switch: float = 0.05
) -> tuple[Trajectory, Any]:
    """A Li that stands near one S or the other, of a Markov chain; and the chain's states."""
    states = np.cumsum(rng.random(n_frames) < switch) % 2
    positions = np.zeros((n_frames, 4, 3))
    positions[:, 0, 0] = np.where(states == 0, 2.0, 3.0)
    positions[:, 2, 1], positions[:, 3, 2] = 4.0, 4.5
    positions += rng.normal(scale=0.1, size=positions.shape)
    trajectory = trajectory_from_arrays(
        positions,
        np.zeros((3, 3)),
        [3, 16, 16, 16],
        frame_interval=0.5,
        targets=TargetGroups.from_indices([0], "the Li"),
        pbc=False,
    )
    return trajectory, states


@pytest.fixture(scope="session")
def hopping() -> tuple[Trajectory, Any]:
    return two_distance_trajectory(600, np.random.default_rng(11))


@pytest.fixture(scope="session")
def small_model() -> Callable[..., Any]:
    """Function: a GDyNet for `hopping`, compiled, the same for the same arguments."""
    import keras

    from kgdyn.models import GDyNet
    from kgdyn.scores import VAMP2Loss, VAMP2Score

    def make(n_states: int = 2, learning_rate: float = 1e-2, **options: Any) -> Any:
        keras.utils.set_random_seed(3)
        defaults = {"lagtime": 2, "frame_interval": 0.5, "targets": "the Li", "n_convolutions": 1}
        model = GDyNet(n_states, [3, 16], 3, **{**defaults, **options})
        model.compile(
            keras.optimizers.Adam(learning_rate), loss=VAMP2Loss(), metrics=[VAMP2Score(n_states)]
        )
        return model

    return make


@pytest.fixture(scope="session")
def graphs_of() -> Callable[..., PackedGraphs]:
    """Function: the graphs of frames."""

    def pack(
        positions: Any,
        cell: Any,
        species: Any,
        targets: TargetGroups,
        n_neighbors: int,
        **options: Any,
    ) -> PackedGraphs:
        positions = np.asarray(positions, dtype=np.float64)
        positions = positions[None] if positions.ndim == 2 else positions
        return pack_graphs(
            positions,
            np.broadcast_to(cell, (len(positions), 3, 3)),
            np.ones(3, bool),
            np.asarray(species, np.int32),
            targets,
            n_neighbors,
            **options,
        )

    return pack
