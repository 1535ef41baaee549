"""A small liquid in a sheared box, as a trajectory and as the frames of a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.koopman import RunningKoopman
from kgdyn.live import LiveAnalysis, LiveFrame, LiveStates, StreamInfo
from kgdyn.models import GDyNet
from kgdyn.trajectories import Trajectory

N_ATOMS = 30
SPECIES = np.tile([3, 16, 16], 10).astype(np.int32)
TARGETS = TargetGroups.from_groups([[0], [3, 4], [9]], "a few Li")


@pytest.fixture(scope="session")
def liquid() -> Trajectory:
    """14 frames whose box breathes and whose atoms stray many boxes away."""
    rng = np.random.default_rng(5)
    cells = np.array([[7.0, 0, 0], [1.5, 8.0, 0], [-1.0, 0.7, 9.0]])
    cells = cells * (1.0 + 0.01 * np.arange(14))[:, None, None]
    fractions = rng.random((N_ATOMS, 3)) + np.cumsum(rng.normal(scale=0.02, size=(14, 30, 3)), 0)
    fractions[:, ::4] += rng.integers(-3, 4, (14, 8, 3))
    return Trajectory(
        fractions @ cells, cells, np.ones(3, bool), SPECIES, TARGETS, 0.5, source="liquid"
    )


@pytest.fixture(scope="session")
def stream_of() -> Callable[..., StreamInfo]:
    """Function: what is known of a trajectory before its first frame."""

    def make(trajectory: Trajectory, **options: Any) -> StreamInfo:
        options = {"frame_interval": trajectory.frame_interval, "steps_per_frame": 10, **options}
        return StreamInfo(
            trajectory.source, trajectory.species, trajectory.pbc, trajectory.targets, **options
        )

    return make


@pytest.fixture(scope="session")
def frame_of() -> Callable[..., LiveFrame]:
    """Function: frame ``index`` of a trajectory, at step 10 * index unless told otherwise."""

    def make(trajectory: Trajectory, index: int, step: int | None = None) -> LiveFrame:
        step = 10 * index if step is None else step
        return LiveFrame(trajectory.positions[index], trajectory.cells[index], step, 0.05 * step)

    return make


@pytest.fixture(scope="session")
def model_of() -> Callable[..., GDyNet]:
    """Function: an untrained model that depends strongly on the surroundings."""

    def make(**options: Any) -> GDyNet:
        keras.utils.set_random_seed(2)
        options = {"n_states": 2, "n_features": 4, "n_convolutions": 1, **options}
        return GDyNet(elements=[3, 16], n_neighbors=5, **options)

    return make


@pytest.fixture(scope="session")
def model(model_of: Callable[..., GDyNet]) -> GDyNet:
    return model_of()


@pytest.fixture
def analysis_of(
    model: GDyNet, liquid: Trajectory, stream_of: Callable[..., Any]
) -> Callable[..., Any]:
    """Function: an analysis of the liquid."""

    def make(**options: Any) -> LiveAnalysis:
        info = options.pop("info", None) or stream_of(liquid, **options.pop("stream", {}))
        return LiveAnalysis(options.pop("model", model), info, lagtimes=(1, 2, 5), **options)

    return make


class Recorder:
    """States made up, fed to sinks as an analysis would."""

    def __init__(self, n_targets: int = 3, n_states: int = 2, **options: Any) -> None:
        self.n_states = n_states
        targets = TargetGroups.from_indices(range(n_targets), options.pop("targets", "the Li"))
        species = options.pop("species", np.full(n_targets + 2, 3))
        options = {"frame_interval": 0.1, "steps_per_frame": 10, "model_digest": "ab12", **options}
        self.info = StreamInfo("made up", species, np.ones(3, bool), targets, **options)
        self.statistics = RunningKoopman(n_states, n_targets, [1, 2, 5], frame_interval=0.1)

    def open(self, sink: Any) -> Any:
        sink.open(self.info, self.n_states, self.statistics)
        return sink

    def states(self, number: int, **options: Any) -> LiveStates:
        """Those of frame ``number``: always the same for the same number."""
        rng = np.random.default_rng([7, number])
        shape = self.info.n_targets
        first = (0.5 + 0.4 * np.sin(number / 3.0) + 0.1 * rng.random(shape)).astype(np.float32)
        probabilities = np.stack([first, 1.0 - first], axis=1)
        if self.n_states > 2:
            probabilities = rng.dirichlet(np.ones(self.n_states), shape).astype(np.float32)
        options = {"time": 0.1 * number, "new_segment": number == 0, "latency": 0.01, **options}
        return LiveStates(probabilities, 10 * number, **options)

    def write(self, sink: Any, *numbers: int, **options: Any) -> None:
        for number in numbers:
            states = self.states(number, **options)
            self.statistics.update(states.state_probabilities, states.new_segment)
            sink.write(states, None, self.statistics)


@pytest.fixture
def recorder() -> type[Recorder]:
    """The class that feeds sinks."""
    return Recorder
