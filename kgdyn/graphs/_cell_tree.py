"""Nearest neighbours of large cells: one k-d tree of the atoms and their periodic ghosts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from kgdyn.graphs._lattice import Float, Int

# A first radius that holds M neighbours in a liquid in most rows; others take a second pass.
_RADIUS_MARGIN = 1.25


def tree_search(
    positions: Float,
    fractions: Float,
    cell: Float,
    cell_heights: Float,
    pbc: NDArray[np.bool_],
    n_neighbors: int,
    rows: Int,
) -> tuple[Int, Float, Int]:
    """Exact neighbours of ``rows`` in one frame of wrapped atoms.

    The tree holds all atoms and every ghost within ``radius`` of the cell. A row whose M-th
    distance is at most ``radius`` is final; for the others that distance is an upper bound,
    so a second pass with it as radius, for those rows only, is exact.

    Returns
    -------
    indices (n_rows, M), distances (n_rows, M) in angstrom, images (n_rows, M, 3)
        Images refer to wrapped positions.
    """
    n_rows = len(rows)
    indices = np.empty((n_rows, n_neighbors), np.int64)
    distances = np.full((n_rows, n_neighbors), np.inf)
    images = np.zeros((n_rows, n_neighbors, 3), np.int64)
    pending = np.arange(n_rows)
    radius = _first_radius(positions, fractions, cell, pbc, n_neighbors)
    while len(pending):
        points, atom, image = _with_ghosts(positions, fractions, cell, cell_heights, pbc, radius)
        found = _query(points, atom, image, positions, rows[pending], n_neighbors)
        indices[pending], distances[pending], images[pending] = found
        if not pbc.any():
            break
        bound = distances[pending, -1]
        unfinished = bound > radius
        pending, bound = pending[unfinished], bound[unfinished]
        if len(pending):
            radius = float(bound.max()) if np.isfinite(bound).all() else 2.0 * radius
    return indices, distances, images


def _first_radius(
    positions: Float, fractions: Float, cell: Float, pbc: NDArray[np.bool_], n_neighbors: int
) -> float:
    if not pbc.any():
        return np.inf
    # Along free directions the atoms' own extent stands for the length of the cell.
    extent = np.ptp(fractions, axis=0) + 1e-3
    volume = abs(np.linalg.det(cell)) * float(np.prod(np.where(pbc, 1.0, extent)))
    density = len(positions) / volume
    return _RADIUS_MARGIN * float(np.cbrt(3.0 * (n_neighbors + 1) / (4.0 * np.pi * density)))


def _with_ghosts(
    positions: Float,
    fractions: Float,
    cell: Float,
    cell_heights: Float,
    pbc: NDArray[np.bool_],
    radius: float,
) -> tuple[Float, Int, Int]:
    """Atoms first, then the images that lie within ``radius`` of the cell, axis by axis."""
    atom = np.arange(len(positions))
    image = np.zeros((len(positions), 3), np.int64)
    fraction = fractions
    for axis in np.flatnonzero(pbc):
        margin = radius / cell_heights[axis]
        parts = [(atom, image, fraction)]
        for shift in range(-int(np.ceil(margin)), int(np.ceil(margin)) + 1):
            if shift == 0:
                continue
            moved = fraction[:, axis] + shift
            near = (moved >= -margin) & (moved <= 1.0 + margin)
            ghost_image, ghost_fraction = image[near].copy(), fraction[near].copy()
            ghost_image[:, axis] = shift
            ghost_fraction[:, axis] += shift
            parts.append((atom[near], ghost_image, ghost_fraction))
        atom = np.concatenate([part[0] for part in parts])
        image = np.concatenate([part[1] for part in parts])
        fraction = np.concatenate([part[2] for part in parts])
    points = positions[atom]
    ghosts = slice(len(positions), None)
    points[ghosts] += image[ghosts] @ cell
    return points, atom, image


def _query(
    points: Float, atom: Int, image: Int, positions: Float, rows: Int, n_neighbors: int
) -> tuple[Int, Float, Int]:
    tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
    _, nearest = tree.query(positions[rows], k=min(n_neighbors + 1, len(points)))
    nearest = nearest.reshape(len(rows), -1)
    # Drop the atom itself by identity, not by distance: atoms may coincide. Where coincident
    # atoms have pushed it out of the list, drop the farthest.
    itself = nearest == rows[:, None]
    itself[~itself.any(axis=1), -1] = True
    nearest = nearest[~itself].reshape(len(rows), -1)
    vectors = points[nearest] - positions[rows][:, None, :]
    distances = np.sqrt((vectors * vectors).sum(axis=-1))
    by_atom = np.argsort(atom[nearest], axis=1, kind="stable")
    nearest = np.take_along_axis(nearest, by_atom, axis=1)
    distances = np.take_along_axis(distances, by_atom, axis=1)
    order = np.argsort(distances, axis=1, kind="stable")
    nearest = np.take_along_axis(nearest, order, axis=1)
    distances = np.take_along_axis(distances, order, axis=1)
    missing = n_neighbors - nearest.shape[1]
    if missing > 0:  # the first radius held too few points; the caller enlarges it
        nearest = np.pad(nearest, ((0, 0), (0, missing)))
        distances = np.pad(distances, ((0, 0), (0, missing)), constant_values=np.inf)
    return atom[nearest], distances, image[nearest]
