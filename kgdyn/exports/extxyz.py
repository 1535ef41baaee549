"""Extended XYZ with the state of every atom, for OVITO and ASE."""

from __future__ import annotations

from os import PathLike

import numpy as np
from numpy.typing import ArrayLike

from kgdyn.elements import NUMBER_OF_SYMBOL, element_name
from kgdyn.exports._atom_states import AtomStates, FrameNumbers, Progress
from kgdyn.exports._text_file import text_file
from kgdyn.trajectories import Trajectory

__all__ = ["write_extxyz"]

_COLUMNS = ["symbols", "positions", "state", "state_probability", "state_probabilities"]


def write_extxyz(
    path: str | PathLike[str],
    trajectory: Trajectory,
    state_probabilities: ArrayLike,
    *,
    frames: FrameNumbers = None,
    progress: Progress | None = None,
) -> None:
    """Write frames as extended XYZ, one after the other.

    Columns are species, pos (angstrom, as in the trajectory: wrapped or not), ``state`` (the most
    probable one, from 1; 0 for atoms in no target), ``state_probability`` (that one's) and
    ``state_probabilities`` (one column a state). All atoms of a target have its state. The comment
    has the cell, pbc, ``time_ps`` and ``frame``, its number in the trajectory's source.

    Parameters
    ----------
    path : path
        Compressed if it ends in ``.gz``.
    trajectory : Trajectory
    state_probabilities : (n_frames, n_targets, n_states) array
        Of all frames of the trajectory; rows sum to 1.
    frames : iterable of int or slice, optional
        Which to write, from 0; all if not given.
    progress : callable, optional
        Called with the frames done and the frames in all.

    Raises
    ------
    ValueError
        For shapes that do not fit, rows that do not sum to 1, frames that are not there or are bad.
    """
    from ase import Atoms
    from ase.io.extxyz import write_extxyz as write

    states = AtomStates.of(trajectory, state_probabilities, frames)
    known = len(NUMBER_OF_SYMBOL)
    numbers = np.where(trajectory.species <= known, trajectory.species, 0)
    # Beads have a number for a name: ASE knows no more elements than there are.
    names = np.array(
        [element_name(n) if n <= known else str(n) for n in trajectory.species.tolist()]
    )
    with text_file(path) as file:
        for done, (number, atoms_states) in enumerate(states, start=1):
            frame = trajectory.frame(number)
            atoms = Atoms(
                numbers=numbers, positions=frame.positions, cell=frame.cell, pbc=frame.pbc
            )
            atoms.info = {"time_ps": frame.time, "frame": trajectory.first_frame + number}
            atoms.arrays["symbols"] = names
            atoms.arrays["state"] = atoms_states.state
            atoms.arrays["state_probability"] = atoms_states.probability
            atoms.arrays["state_probabilities"] = atoms_states.probabilities
            write(file, [atoms], columns=list(_COLUMNS), write_results=False)
            if progress is not None:
                progress(done, len(states.frames))
