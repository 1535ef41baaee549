"""LAMMPS text dumps with columns for the states, for OVITO and VMD."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.elements import NUMBER_OF_SYMBOL, element_name
from kgdyn.exports._atom_states import AtomStates, FrameNumbers, Progress
from kgdyn.exports._lammps_box import LammpsBox, lammps_box
from kgdyn.exports._text_file import text_file
from kgdyn.trajectories import Trajectory

__all__ = ["write_lammps_dump"]


def write_lammps_dump(
    path: str | PathLike[str],
    trajectory: Trajectory,
    state_probabilities: ArrayLike,
    *,
    frames: FrameNumbers = None,
    progress: Progress | None = None,
) -> None:
    """Write frames as a LAMMPS dump: ``id type element x y z ix iy iz state p_1 ... p_n``.

    ``state`` is the most probable one, from 1, and 0 for atoms in no target; all atoms of a target
    have its state. Lengths are in angstrom. Types are 1, 2, ... in the order of atomic numbers.
    ``ix iy iz`` are left out where the trajectory does not know images: a reader would take zeros
    for the truth. Coordinates are those of the trajectory, wrapped or not.

    A LAMMPS box has its first vector along x and its second in the xy plane. Other cells are
    rotated into that form, and positions with them; boxes that are like that already stay as they
    are, digit for digit. The third vector of a left-handed cell is turned round. Directions without
    a lattice vector end at the outermost atoms.

    The time step that is written is the number of the frame in the trajectory's source, and leaves
    out one number at each border of segments, so that readers find the gap: give ``timestep=`` the
    trajectory's frame interval to read it back with :func:`kgdyn.open_trajectory`.

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
    states = AtomStates.of(trajectory, state_probabilities, frames)
    has_images = trajectory.images is not None
    columns = ["id", "type", "element", "x", "y", "z"]
    columns += ["ix", "iy", "iz"] if has_images else []
    columns += ["state", *(f"p_{number}" for number in range(1, states.n_states + 1))]
    # What never changes is put into the rows once; numbers of a frame are filled in all at once.
    numbers = "%.9g %.9g %.9g" + (" %d %d %d" if has_images else "") + " %d"
    numbers += " %.7g" * states.n_states
    rows = "".join(f"{head} {numbers}\n" for head in _heads(trajectory.species))
    boundary = ["pp" if on else "ff" for on in trajectory.pbc]
    with text_file(path) as file:
        for done, (number, atoms) in enumerate(states, start=1):
            frame = trajectory.frame(number)
            box = lammps_box(frame.cell, frame.pbc, frame.positions)
            values: list[NDArray[Any]] = [frame.positions @ box.rotation]
            if trajectory.images is not None:
                images = np.asarray(trajectory.images[number], dtype=np.float64)
                values.append(images * np.array([1, 1, -1 if box.mirrored else 1]))
            values += [atoms.state[:, None], atoms.probabilities]
            step = trajectory.first_frame + number
            step += int(np.count_nonzero(trajectory.offsets[1:-1] <= number))
            file.write(
                f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{trajectory.n_atoms}\n"
                f"{_bounds(box, boundary)}ITEM: ATOMS {' '.join(columns)}\n"
            )
            file.write(rows % tuple(np.hstack(values).ravel().tolist()))
            if progress is not None:
                progress(done, len(states.frames))


def _heads(species: NDArray[np.int32]) -> list[str]:
    """``id type element`` of each atom; a bead's element is its number."""
    _, types = np.unique(species, return_inverse=True)
    known = len(NUMBER_OF_SYMBOL)
    return [
        f"{index} {kind + 1} {element_name(number) if number <= known else number}"
        for index, (kind, number) in enumerate(
            zip(types.tolist(), species.tolist(), strict=True), start=1
        )
    ]


def _bounds(box: LammpsBox, boundary: list[str]) -> str:
    lower, upper, is_tilted = box.bounds()
    tilts = (box.vectors[1, 0], box.vectors[2, 0], box.vectors[2, 1])
    names = [*(["xy xz yz"] if is_tilted else []), *boundary]
    lines = [f"ITEM: BOX BOUNDS {' '.join(names)}"]
    for low, high, tilt in zip(lower, upper, tilts, strict=True):
        lines.append(f"{low:.17g} {high:.17g}" + (f" {tilt:.17g}" if is_tilted else ""))
    return "\n".join(lines) + "\n"
