"""Paths of targets across periodic borders, frame by frame, piece by piece.

A step from one frame to the next is taken in fractional coordinates and made cartesian with the
mean cell of both frames; steps are then added up:

    r(t) = sum over s < t of [f(s + 1) - f(s) - m(s)] (A(s) + A(s + 1)) / 2

- Where images are known, f holds them and m = 0. Else m rounds the step to the nearest image. That
  is right as long as no atom moves by more than half the height of the cell between two frames, and
  silently wrong beyond: a step of 0.6 of the height counts as one of 0.4 backwards.
- A barostat that scales the box moves every atom by an amount that grows with its distance from the
  fixed point, and an unwrapped one by (number of boxes) times (change of the box): noise that grows
  with time (von Bülow, Bullerjahn, Hummer, J. Chem. Phys. 153, 021101 (2020)). Fractional steps
  hold none of it.
- The fixed point of the scaling is taken to be the middle of the system, the mean position of all
  atoms in the first frame. If it is elsewhere, all atoms get the same additional path, as small as
  the change of the box; with the drift of the system removed it is gone.
- So a shift of all coordinates changes no path. Nor does wrapping, if the first frame is the same
  or the cell constant; else it changes all paths alike, and none with the drift removed.
- With the mean of both cells, a path read backwards is the same path.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import check_cell
from kgdyn.trajectories import Trajectory

__all__ = ["Unwrap", "center_pieces", "check_unwrap"]

Float = NDArray[np.float64]
Unwrap = Literal["auto", "images", "minimum_image", "none"]

_NUMBERS_PER_PIECE = 2**18
# Of the cell: a longer step may as well be one the other way round.
_LONGEST_STEP = 0.4


def check_unwrap(trajectory: Trajectory, unwrap: Unwrap) -> Unwrap:
    """``unwrap``, with "auto" replaced by what it means for this trajectory.

    Raises
    ------
    ValueError
        For another word, or "images" of a trajectory that has none.
    """
    if unwrap not in ("auto", "images", "minimum_image", "none"):
        raise ValueError(
            'unwrap must be "auto", "images", "minimum_image" or "none", received ' + repr(unwrap)
        )
    if unwrap == "auto":
        return "minimum_image" if trajectory.images is None else "images"
    if unwrap == "images" and trajectory.images is None:
        raise ValueError(
            f'{trajectory.source}: unwrap="images" needs images, and this trajectory has none; '
            '"minimum_image" follows atoms from frame to frame'
        )
    return unwrap


def center_pieces(
    trajectory: Trajectory,
    start: int,
    stop: int,
    *,
    unwrap: Unwrap = "auto",
    remove_drift: bool = False,
    masses: Float | None = None,
) -> Iterator[Float]:
    """Where the centres of targets are, relative to frame ``start``.

    Parameters
    ----------
    trajectory : Trajectory
    start, stop : int
        Frames of one segment.
    unwrap : {"auto", "images", "minimum_image", "none"}
        "none" takes positions as they are: they are unwrapped already.
    remove_drift : bool
        Steps relative to that of the centre of all atoms.
    masses : (n_atoms,) array, optional
        Centres, of targets and of all atoms, are centres of mass; else means of positions.

    Yields
    ------
    (n, n_targets, 3) array of float64, angstrom
        The next ``n`` frames.

    Raises
    ------
    ValueError
        For positions that are not finite or a cell without volume, naming the frame.

    Warns
    -----
    RuntimeWarning
        Where the minimum image is taken and an atom moves by more than 0.4 of the cell.
    """
    mode = check_unwrap(trajectory, unwrap)
    pbc = trajectory.pbc
    groups = trajectory.targets
    n_all = trajectory.n_atoms
    atoms = np.arange(n_all) if remove_drift else np.unique(groups.atoms)
    columns = np.searchsorted(atoms, groups.atoms)
    weights = np.ones(n_all) if masses is None else masses
    shares = weights[groups.atoms]
    shares = shares / np.repeat(
        np.add.reduceat(shares, groups.offsets[:-1]), np.diff(groups.offsets)
    )
    whole = weights / weights.sum()
    middle = np.asarray(trajectory.positions[0], dtype=np.float64).mean(axis=0)
    here = np.zeros((groups.n_targets, 3))
    last: tuple[Float, Float, Float] | None = None
    warned = False
    n_piece = max(1, _NUMBERS_PER_PIECE // (3 * len(atoms)))
    for first in range(start, stop, n_piece):
        end = min(first + n_piece, stop)
        cells = _checked_cells(trajectory, first, end)[:, pbc]
        positions = _positions(trajectory, first, end, atoms) - middle
        fractions, across = _fractional(positions, cells)
        if mode == "images" and trajectory.images is not None:
            images = np.asarray(trajectory.images[first:end])
            fractions = fractions + (images if remove_drift else images[:, atoms])[..., pbc]
        old = (cells[:1], fractions[:1], across[:1]) if last is None else last
        last = (cells[-1:], fractions[-1:], across[-1:])
        moved = np.diff(fractions, axis=0, prepend=old[1])
        if mode == "minimum_image":
            moved -= np.rint(moved)
            if not warned and moved.size and np.abs(moved).max() > _LONGEST_STEP:
                warned = True
                _warn_long(trajectory, first, moved)
        mean_cells = 0.5 * (cells + np.concatenate([old[0], cells[:-1]]))
        steps = moved @ mean_cells
        if not pbc.all():
            steps += np.diff(across, axis=0, prepend=old[2])
        own = steps[:, columns]
        if len(columns) != groups.n_targets:
            own = np.add.reduceat(own * shares[:, None], groups.offsets[:-1], axis=1)
        if remove_drift:
            own = own - np.einsum("a,tac->tc", whole, steps)[:, None]
        path = here + np.cumsum(own, axis=0)
        here = path[-1]
        yield path


def _positions(trajectory: Trajectory, first: int, end: int, atoms: NDArray[np.int64]) -> Float:
    found = np.asarray(trajectory.positions[first:end])
    if len(atoms) != trajectory.n_atoms:
        found = found[:, atoms]
    found = found.astype(np.float64)
    finite = np.isfinite(found).all(axis=(1, 2))
    if not finite.all():
        frame = int(np.argmin(finite))
        atom = int(atoms[np.argmin(np.isfinite(found[frame]).all(axis=1))])
        raise ValueError(
            f"{trajectory.where(first + frame)}: positions must be finite, received NaN or "
            f"infinity for atom {atom} (counted from 0)"
        )
    result: Float = found
    return result


def _checked_cells(trajectory: Trajectory, first: int, end: int) -> Float:
    cells = np.asarray(trajectory.cells[first:end], dtype=np.float64)
    changed = np.flatnonzero(np.any(cells[1:] != cells[:-1], axis=(1, 2))) + 1
    for index in [0, *changed.tolist()]:
        check_cell(cells[index], trajectory.pbc, trajectory.where(first + index))
    return cells


def _fractional(positions: Float, lattice: Float) -> tuple[Float, Float]:
    """Coordinates along the periodic vectors, (n, n_atoms, n_periodic), and what is across them."""
    n_periodic = lattice.shape[1]
    if n_periodic == 0:
        return np.zeros((*positions.shape[:2], 0)), positions
    constant = bool((lattice == lattice[:1]).all())
    inverse = np.linalg.pinv(lattice[:1] if constant else lattice)
    fractions = positions @ inverse
    if n_periodic == 3:
        return fractions, fractions[:, :0]
    return fractions, positions - fractions @ lattice


def _warn_long(trajectory: Trajectory, first: int, moved: Float) -> None:
    frame = first + int(np.argmax(np.abs(moved).max(axis=(1, 2)) > _LONGEST_STEP))
    warnings.warn(
        f"{trajectory.where(frame)}: an atom moved by {np.abs(moved).max():.2f} of the cell since "
        "the frame before; from 0.5 on the minimum image is the wrong one. Frames closer in time, "
        'or images, are needed; unwrap="none" if positions are unwrapped already',
        RuntimeWarning,
        stacklevel=2,
    )
