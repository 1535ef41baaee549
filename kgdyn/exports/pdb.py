"""PDB files of many models, with the states as temperature factors and occupancies."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kgdyn.elements import NUMBER_OF_SYMBOL
from kgdyn.exports._atom_states import AtomStates, FrameNumbers, Progress, StatesOfAtoms
from kgdyn.exports._lammps_box import lammps_box
from kgdyn.exports._text_file import text_file
from kgdyn.trajectories import Trajectory

__all__ = ["write_pdb"]

# What eight columns with three decimals hold.
_LOWEST, _HIGHEST = -999.9995, 9999.9995
_MOST_RESIDUES = 10_000


def write_pdb(
    path: str | PathLike[str],
    trajectory: Trajectory,
    state_probabilities: ArrayLike,
    *,
    state: int | None = None,
    frames: FrameNumbers = None,
    progress: Progress | None = None,
) -> None:
    """Write frames as models of a PDB file.

    Temperature factors are the number of the most probable state, from 1, and 0 for atoms in no
    target: OVITO, VMD and PyMOL colour by them as by any number (``spectrum b``). Occupancies are
    its probability. With ``state`` it is the other way round: temperature factors are the
    probability of that state, occupancies the number of the most probable one. All atoms of a
    target have its state. A target is a residue: ``TAR`` and its number from 1 (of four digits);
    other atoms are in ``ENV`` 0.

    The format has two decimals for these numbers, three for coordinates, and no orientation of the
    cell: cells are rotated as for :func:`kgdyn.exports.write_lammps_dump`, positions with them.
    VMD and PyMOL keep the temperature factors of the first model, or of the first object; to see
    states change, take extended XYZ or a LAMMPS dump to OVITO, or write single frames.

    Parameters
    ----------
    path : path
        Compressed if it ends in ``.gz``.
    trajectory : Trajectory
    state_probabilities : (n_frames, n_targets, n_states) array
        Of all frames of the trajectory; rows sum to 1.
    state : int, optional
        From 1: the state whose probability becomes the temperature factor.
    frames : iterable of int or slice, optional
        Which to write, from 0; all if not given.
    progress : callable, optional
        Called with the frames done and the frames in all.

    Raises
    ------
    ValueError
        For a state or frames that are not there, shapes that do not fit, rows that do not sum to 1,
        or coordinates that have no room in the format.
    """
    from ase.io.proteindatabank import write_proteindatabank

    states = AtomStates.of(trajectory, state_probabilities, frames)
    if state is not None and not 1 <= state <= states.n_states:
        raise ValueError(f"state must be from 1 to {states.n_states}, received {state}")
    if len(states.frames) == 0:
        raise ValueError(f"{trajectory.source}: frames must be at least one, received none")
    with text_file(path) as file:
        write_proteindatabank(file, _Models(states, state, progress))


class _Models:
    """Frames as ASE's writer asks for them: the first one by number, then one after the other."""

    def __init__(self, states: AtomStates, state: int | None, progress: Progress | None) -> None:
        self.states, self.state, self.progress = states, state, progress
        target_of = states.target_of_atom()
        self.names = np.where(target_of >= 0, "TAR", "ENV")
        self.numbers = np.where(target_of >= 0, (target_of + 1) % _MOST_RESIDUES, 0)

    def __getitem__(self, index: int) -> Any:
        return self._atoms(*next(iter(self.states.part(slice(index, index + 1)))))

    def __iter__(self) -> Iterator[Any]:
        total = len(self.states.frames)
        for done, (number, atoms_states) in enumerate(self.states, start=1):
            yield self._atoms(number, atoms_states)
            if self.progress is not None:
                self.progress(done, total)

    def _atoms(self, number: int, states: StatesOfAtoms) -> Any:
        from ase import Atoms

        trajectory = self.states.trajectory
        frame = trajectory.frame(number)
        box = lammps_box(frame.cell, frame.pbc, frame.positions)
        positions = frame.positions @ box.rotation
        has_cell = not box.free.any()
        if has_cell:
            positions = positions - box.origin
        if positions.min() <= _LOWEST or positions.max() >= _HIGHEST:
            raise ValueError(
                f"{trajectory.where(number)}: coordinates must be from -999.999 to 9999.999 "
                f"angstrom to fit into a PDB file, received {positions.min():.6g} to "
                f"{positions.max():.6g}: wrap them, or write extended XYZ"
            )
        known = trajectory.species <= len(NUMBER_OF_SYMBOL)
        atoms = Atoms(
            numbers=np.where(known, trajectory.species, 0),
            positions=positions,
            cell=box.vectors if has_cell else None,
            pbc=has_cell,
        )
        factors, occupancies = states.state.astype(np.float64), states.probability
        if self.state is not None:
            factors, occupancies = states.probabilities[:, self.state - 1], factors
        atoms.arrays["bfactor"] = factors
        atoms.arrays["occupancy"] = occupancies
        atoms.arrays["residuenames"] = self.names
        atoms.arrays["residuenumbers"] = self.numbers
        return atoms
