"""Small systems in LAMMPS, a small model, and a sink that keeps what it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kgdyn.toys import LiInFccSulfur

DUMP = (
    "dump {name} all custom {every} {path} id type x y z ix iy iz\n"
    "dump_modify {name} sort id units yes time yes format float %.15g"
)
# A binary crystal in a tilted cell that breathes and shears.
TILTED = """\
units metal
atom_style atomic
atom_modify map array sort 50 2.0
lattice fcc 5.3
region box prism 0 2 0 2 0 2 0.3 -0.2 0.25
create_box 2 box
create_atoms 1 box
displace_atoms all random 0.1 0.1 0.1 31
set group all type/fraction 2 0.5 4711
mass 1 6.94
mass 2 32.06
pair_style lj/cut 7.0
pair_coeff * * 0.02 3.4
neighbor 0.5 bin
velocity all create {temperature} 87287
timestep 0.002
fix move all npt temp {temperature} {temperature} 0.1 tri 0.0 5000.0 0.2
thermo 100000
"""


class Recorder:
    """A sink that keeps frames and states; calls ``on_write`` first, if there is one."""

    def __init__(self, on_write: Callable[[Any], None] | None = None) -> None:
        self.on_write = on_write
        self.frames: list[Any] = []
        self.states: list[Any] = []
        self.closed = 0

    def open(self, info: Any, n_states: int, statistics: Any) -> None:
        self.info = info

    def write(self, states: Any, frame: Any, statistics: Any) -> None:
        if self.on_write is not None:
            self.on_write(frame)
        self.frames.append(frame)
        self.states.append(states)

    def close(self) -> None:
        self.closed += 1

    @property
    def steps(self) -> list[int]:
        return [frame.step for frame in self.frames]

    @property
    def state_probabilities(self) -> NDArray[np.float32]:
        return np.array([states.state_probabilities for states in self.states])


@pytest.fixture
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture(scope="session")
def model() -> Any:
    """Untrained: its outputs depend on the surroundings all the same."""
    import keras

    from kgdyn.models import GDyNet

    keras.utils.set_random_seed(5)
    return GDyNet(2, [3, 16], 4, n_features=4, n_convolutions=1, targets="element Li")


@pytest.fixture
def start(new_lammps: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Function: a LAMMPS that has run these commands."""
    engines = []

    def make(*commands: str) -> Any:
        engine = new_lammps()
        engines.append(engine)
        for text in commands:
            engine.commands_string(text)
        return engine

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture
def li_toy(start: Callable[..., Any]) -> Callable[..., Any]:
    """Function: Li in frozen sulfur, hot, with a dump every ``every`` steps if a path is given."""

    def make(path: Path | None = None, every: int = 20) -> Any:
        engine = start(LiInFccSulfur(temperature=600.0).input_script())
        if path is not None:
            engine.commands_string(DUMP.format(name="d", every=every, path=path))
        return engine

    return make


@pytest.fixture
def tilted_commands() -> str:
    return TILTED.format(temperature=60.0)


@pytest.fixture
def tilted(start: Callable[..., Any]) -> Callable[..., Any]:
    def make(path: Path | None = None, every: int = 20, temperature: float = 60.0) -> Any:
        engine = start(TILTED.format(temperature=temperature))
        if path is not None:
            engine.commands_string(DUMP.format(name="d", every=every, path=path))
        return engine

    return make


@pytest.fixture
def offline(model: Any) -> Callable[[Path], tuple[list[int], NDArray[np.float32], Any]]:
    """Function: steps, state probabilities and frames (one chunk) of a dump."""
    import kgdyn
    from kgdyn.trajectories import SourceOptions, open_source

    def assign(path: Path, targets: Any = "element Li") -> tuple[list[int], Any, Any]:
        elements = ["Li", "S"]
        trajectory = kgdyn.open_trajectory(path, targets=targets, elements=elements)
        (chunk,) = open_source(path, SourceOptions(elements=elements)).chunks(10_000)
        return chunk.steps.tolist(), kgdyn.assign_states(model, trajectory), chunk

    return assign
