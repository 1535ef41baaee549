"""From a dump's coordinates to positions relative to the cell's origin, and images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kgdyn.trajectories._dump_header import Layout

__all__ = ["positions_and_images"]

Float = NDArray[np.float64]


def positions_and_images(
    coordinates: Float,
    flags: NDArray[np.int32] | None,
    cells: Float,
    origins: Float,
    first_origin: Float,
    pbc: NDArray[np.bool_],
    layout: Layout,
) -> tuple[Float, NDArray[np.int32] | None]:
    """Positions (wrapped if the file has them unwrapped) and the images, if the file knows them.

    Along periodic directions positions count from the origin of each frame's cell, so that a
    cell that breathes about its middle does not move its atoms. Along the others they count
    from the first frame's origin: the bounds of a shrink-wrapped box follow the outermost
    atoms, and say nothing about the rest.

    Parameters
    ----------
    coordinates : (n_frames, n_atoms, 3) array
        As in the file, lengths in angstrom; may be overwritten.
    flags : (n_frames, n_atoms, 3) array of int32, or None.
    cells : (n_frames, 3, 3) array, angstrom; rows are lattice vectors.
    origins : (n_frames, 3) array, angstrom.
    first_origin : (3,) array, angstrom.
    pbc : (3,) array of bool.
    """
    moved = origins - first_origin
    if pbc.all():
        free = np.zeros_like(moved)
    elif not pbc.any():
        free = moved
    else:
        along = np.linalg.solve(np.swapaxes(cells, 1, 2), moved[..., None])[..., 0]
        free = np.einsum("fk,fkc->fc", np.where(pbc, 0.0, along), cells)
    fractions: Float | None = None
    if layout.scaled:
        fractions = coordinates
        positions = fractions @ cells
        positions += free[:, None, :]
    else:
        positions = coordinates
        positions -= (origins - free)[:, None, :]
    if not layout.unwrapped:
        return positions, flags
    if fractions is None:
        fractions = positions @ np.linalg.inv(cells)
    shifts = np.floor(fractions)
    # A tiny negative fraction would be wrapped to exactly one cell length: leave it where it is.
    shifts += fractions - shifts >= 1.0
    shifts[..., ~pbc] = 0.0
    positions -= shifts @ cells
    return positions, shifts.astype(np.int32)
