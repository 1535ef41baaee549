"""Wrapping and periodic images, for any lattice and any mixture of periodic directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating[Any]]
Int = NDArray[np.integer[Any]]


def completed_cells(cells: Float, pbc: NDArray[np.bool_]) -> Float:
    """Replace the rows of directions that are not periodic, so that each cell can be inverted.

    The new rows are unit vectors orthogonal to the periodic ones: heights along periodic
    directions are then those of the periodic sublattice alone.

    Parameters
    ----------
    cells : (n_frames, 3, 3) array, rows are lattice vectors in angstrom.
    pbc : (3,) bool array.
    """
    if pbc.all():
        return cells
    completed = np.array(cells, dtype=np.float64)
    if not pbc.any():
        completed[:] = np.eye(3)
        return completed
    free = np.flatnonzero(~pbc)
    for cell in completed:
        # The last right singular vectors span what the periodic rows leave.
        _, _, rows = np.linalg.svd(cell[pbc], full_matrices=True)
        cell[free] = rows[int(pbc.sum()) :]
    return completed


def heights(inverse_cells: Float) -> Float:
    """(..., 3) distances between opposite faces, in angstrom."""
    result: Float = 1.0 / np.linalg.norm(inverse_cells, axis=-2)
    return result


@dataclass(frozen=True)
class Wrapped:
    """Frames with their atoms moved into the cell.

    ``positions`` (n_frames, n_atoms, 3); ``shifts`` (n_frames, n_atoms, 3) are the integers
    with ``positions = received + shifts @ cell``; ``fractions`` lie in [0, 1) along periodic
    directions.
    """

    positions: Float
    fractions: Float
    shifts: Int
    cells: Float
    heights: Float

    def only(self, frame: int) -> Wrapped:
        """One of the frames, as a batch of one."""
        part = slice(frame, frame + 1)
        return Wrapped(
            self.positions[part],
            self.fractions[part],
            self.shifts[part],
            self.cells[part],
            self.heights[part],
        )


def wrap(positions: Float, cells: Float, pbc: NDArray[np.bool_]) -> Wrapped:
    """Wrap atoms along the periodic directions, in float64.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3) array, angstrom.
    cells : (n_frames, 3, 3) array, angstrom.
    pbc : (3,) bool array.
    """
    positions = np.asarray(positions, dtype=np.float64)
    cells = np.asarray(cells, dtype=np.float64)
    # One cell for all frames is one large product instead of many small ones.
    same = len(cells) > 1 and bool((cells == cells[0]).all())
    lattice = completed_cells(cells[:1] if same else cells, pbc)
    inverse = np.linalg.inv(lattice)
    shape = positions.shape

    def times(vectors: Float, matrices: Float) -> Float:
        if same:
            product: Float = (vectors.reshape(-1, 3) @ matrices[0]).reshape(shape)
        else:
            product = vectors @ matrices
        return product

    fractions = times(positions, inverse)
    shifts = np.where(pbc, -np.floor(fractions), 0.0)
    fractions = fractions + shifts
    # A tiny negative fraction rounds to exactly 1: bring it back.
    over = pbc & (fractions >= 1.0)
    fractions = np.where(over, 0.0, fractions)
    shifts = shifts - over
    moved = positions + times(shifts, lattice)
    every = (len(cells), 3, 3)
    return Wrapped(
        moved,
        fractions,
        shifts.astype(np.int64),
        np.broadcast_to(lattice, every),
        np.broadcast_to(heights(inverse), every[:2]),
    )


def image_shifts(n_images: Int) -> Int:
    """All integer shifts with ``|s_k| <= n_images[k]``, the zero shift first."""
    ranges = [np.arange(-int(n), int(n) + 1) for n in n_images]
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    order = np.argsort(np.abs(shifts).sum(axis=1), kind="stable")
    result: Int = shifts[order]
    return result
