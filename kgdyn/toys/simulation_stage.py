"""What a simulation is made of: a set-up, stages that prepare it, and the production run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["SimulationRecipe", "SimulationStage"]


@dataclass(frozen=True)
class SimulationStage:
    """Commands of LAMMPS, then a run.

    Parameters
    ----------
    name : str
    commands : str
        LAMMPS commands, one a line; those that end the stage before come first.
    n_steps : int
        Length of the run that follows; 0 for none.
    """

    name: str
    commands: str
    n_steps: int


class SimulationRecipe(Protocol):
    """What :func:`kgdyn.integrations.lammps.simulate` runs.

    Attributes
    ----------
    name : str
        Stem of the files.
    steps_per_frame, n_frames : int
        Of the production run; frames after its first, which is its start.
    """

    @property
    def name(self) -> str: ...

    @property
    def steps_per_frame(self) -> int: ...

    @property
    def n_frames(self) -> int: ...

    def input_script(self) -> str:
        """LAMMPS commands that set the system up."""

    def preparation(self) -> tuple[SimulationStage, ...]:
        """Stages whose frames are not kept."""

    def production(self) -> SimulationStage:
        """The stage whose frames are kept."""
