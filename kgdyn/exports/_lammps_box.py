"""Any cell as the box that LAMMPS has: a along x, b in the xy plane, right-handed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["LammpsBox", "lammps_box"]

Float = NDArray[np.float64]

# Off-diagonal elements below this share of the cell are the rounding of a rotation.
_ROUNDING = 1e-12
# Vectors of free directions count if they span at least this share of a right-angled volume.
_SMALLEST_SHARE = 1e-6


class LammpsBox(NamedTuple):
    """A box, and how to get there: ``positions @ rotation`` are the positions in it.

    ``vectors`` (3, 3) is lower triangular with a positive diagonal, ``origin`` (3,) its corner;
    both in angstrom. ``mirrored``: the third vector is the cell's own turned round, as LAMMPS has
    no left-handed boxes; image counts along it change their sign. ``free`` (3,): directions for
    which the cell has no vector, whose extent is that of the atoms.
    """

    rotation: Float
    vectors: Float
    origin: Float
    mirrored: bool
    free: NDArray[np.bool_]

    def bounds(self) -> tuple[Float, Float, bool]:
        """What ``ITEM: BOX BOUNDS`` holds: (3,) lower and (3,) upper bounds, and if it is tilted.

        The bounds of a tilted box are those of the right-angled one around it.
        """
        xy, xz, yz = self.vectors[1, 0], self.vectors[2, 0], self.vectors[2, 1]
        lower, upper = self.origin.copy(), self.origin + np.diag(self.vectors)
        lower[:2] += min(0.0, xy, xz, xy + xz), min(0.0, yz)
        upper[:2] += max(0.0, xy, xz, xy + xz), max(0.0, yz)
        return lower, upper, bool(xy or xz or yz)


def lammps_box(cell: Float, pbc: NDArray[np.bool_], positions: Float) -> LammpsBox:
    """The LAMMPS box of a cell.

    Parameters
    ----------
    cell : (3, 3) array, angstrom; rows are lattice vectors, zero where there is none.
    pbc : (3,) array of bool
    positions : (n_atoms, 3) array, angstrom
        For the extent of directions without a vector.
    """
    cell, free = _completed(np.asarray(cell, dtype=np.float64), pbc)
    mirrored = bool(np.linalg.det(cell) < 0.0)
    if mirrored:
        cell = cell * np.array([[1.0], [1.0], [-1.0]])
    is_lower = not np.triu(cell, 1).any() and bool((np.diag(cell) > 0.0).all())
    if is_lower:
        rotation, vectors = np.eye(3), cell.copy()
    else:
        rotation, upper = np.linalg.qr(cell.T)
        signs = np.where(np.diag(upper) < 0.0, -1.0, 1.0)
        rotation, vectors = rotation * signs, (upper * signs[:, None]).T
        vectors = np.tril(vectors)
        vectors[np.abs(vectors) < _ROUNDING * np.abs(vectors).max()] = 0.0
    # The same body as before: it begins where the vector that was turned round ended.
    origin = -vectors[2] if mirrored else np.zeros(3)
    if free.any():
        fractions = np.asarray(positions, np.float64) @ rotation @ np.linalg.inv(vectors)
        lower, upper_ends = fractions.min(axis=0)[free], fractions.max(axis=0)[free]
        extent = upper_ends - lower
        flat = extent < _SMALLEST_SHARE
        lower, extent = np.where(flat, lower - 0.5, lower), np.where(flat, 1.0, extent)
        origin = origin + lower @ vectors[free]
        vectors[free] *= extent[:, None]
    return LammpsBox(rotation, vectors, origin + 0.0, mirrored, free)


def _completed(cell: Float, pbc: NDArray[np.bool_]) -> tuple[Float, NDArray[np.bool_]]:
    """The cell with unit vectors, across the others, where it has none; and where that is."""
    lengths = np.linalg.norm(cell, axis=1)
    volume = abs(np.linalg.det(cell))
    if lengths.all() and volume > _SMALLEST_SHARE * lengths.prod():
        return cell, np.zeros(3, dtype=bool)
    free = ~pbc & (lengths == 0.0)
    kept = cell[~free]
    if not free.any() or np.linalg.matrix_rank(kept) < len(kept):
        # Vectors of free directions that lie in the plane of others say nothing.
        free = ~np.asarray(pbc)
        kept = cell[~free]
    found = cell.copy()
    if free.all():
        return np.eye(3), free
    # The last rows of V span what the kept vectors leave out.
    _, _, across = np.linalg.svd(kept)
    found[free] = across[len(kept) :]
    if np.linalg.det(found) < 0.0:
        found[np.flatnonzero(free)[0]] *= -1.0
    return found, free
