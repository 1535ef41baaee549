"""What flows through a live analysis: frames in, states out, and who may listen."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import TargetGroups, periodic_directions, readonly

if TYPE_CHECKING:
    from kgdyn.koopman import RunningKoopman

__all__ = ["LiveFrame", "LiveStates", "Sink", "StreamInfo"]


@dataclass(frozen=True, eq=False)
class StreamInfo:
    """What is known of a stream before its first frame.

    Parameters
    ----------
    source : str
        How messages call it: a file, an input script, an address.
    species : (n_atoms,) array of int
        Atomic numbers or positive bead types, in the order of the frames' atoms.
    pbc : (3,) array of bool
    targets : TargetGroups
    frame_interval : float, optional, ps
        Time between two frames in succession; None where nobody knows (units lj).
    steps_per_frame : int, optional
        Steps of the simulation between two frames in succession. A frame at another distance
        from its predecessor starts a new segment. The first distance seen, if not given.
    model_digest : str, optional
        Of the model that makes the states; :class:`kgdyn.live.LiveAnalysis` fills it in for its
        sinks.

    Raises
    ------
    ValueError
        If a target names an atom that is not there, or a number is not positive.
    """

    source: str
    species: NDArray[np.int32]
    pbc: NDArray[np.bool_]
    targets: TargetGroups
    frame_interval: float | None = None
    steps_per_frame: int | None = None
    model_digest: str | None = None

    def __post_init__(self) -> None:
        for name in ("frame_interval", "steps_per_frame"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{self.source}: {name} must be positive, received {value}")
        species = readonly(self.species, np.int32)
        self.targets.check_within(len(species))
        object.__setattr__(self, "species", species)
        object.__setattr__(self, "pbc", periodic_directions(self.pbc, self.source))

    @property
    def n_atoms(self) -> int:
        return len(self.species)

    @property
    def n_targets(self) -> int:
        return self.targets.n_targets

    @property
    def elements(self) -> list[int]:
        """The species that occur, ascending."""
        return [int(number) for number in np.unique(self.species)]


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """One instant of a running simulation, as it was handed over.

    Attributes
    ----------
    positions : (n_atoms, 3) array of float64, angstrom
        Relative to the cell's origin; atoms in the stream's order. May lie outside of the cell.
    cell : (3, 3) array of float64, angstrom; rows are lattice vectors.
    step : int, the simulation's step counter.
    time : float, ps, or None
    images : (n_atoms, 3) array of int32, or None
        ``positions + images @ cell`` are unwrapped coordinates.
    received : float
        ``time.perf_counter()`` when the simulation handed it over.
    """

    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    step: int
    time: float | None = None
    images: NDArray[np.int32] | None = None
    received: float = field(default_factory=perf_counter)


@dataclass(frozen=True, eq=False)
class LiveStates:
    """The states of the targets in one frame.

    Attributes
    ----------
    state_probabilities : (n_targets, n_states) array of float32; rows sum to 1
        One row for the whole frame if the model has ``pooling="global"``.
    step, time
        Of the frame.
    new_segment : bool
        True if frames are missing between this one and the one before (or it is the first).
    novelty : (n_targets,) array of float32, or None
        How far the surroundings are from those of the training, 1 at the model's threshold;
        None if the model does not know them.
    latency : float, s
        From the hand-over of the frame to its states.
    alarms : tuple of int
        Targets whose novelty has exceeded 1 in as many frames in succession as the analysis asks
        for, this one included.
    """

    state_probabilities: NDArray[np.float32]
    step: int
    time: float | None
    new_segment: bool
    novelty: NDArray[np.float32] | None = None
    latency: float = 0.0
    alarms: tuple[int, ...] = ()


class Sink(Protocol):
    """Something that is told of every frame's states: a file, a screen, a user's function.

    ``open`` is called once before the first frame, ``close`` once at the end, also after an
    error. An exception in ``write`` ends the analysis and is raised to the user.

    A sink that holds the states of an earlier run, as :class:`kgdyn.live.StatesFile` does, adds
    them to the statistics in ``open`` and has an attribute ``last_states``: the LiveStates of the
    last frame in it, or None. Frames up to that step are then not analysed again. Such a sink is
    written last, so that the others never hold less than it does.
    """

    def open(self, info: StreamInfo, n_states: int, statistics: RunningKoopman) -> None: ...

    def write(self, states: LiveStates, frame: LiveFrame, statistics: RunningKoopman) -> None: ...

    def close(self) -> None: ...
