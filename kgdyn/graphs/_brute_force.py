"""Nearest neighbours of small cells: all images of all atoms, many frames at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kgdyn.graphs._lattice import Float, Int, Wrapped, image_shifts

# Temporaries stay below about 64 MiB.
_DISTANCES_AT_ONCE = 2_000_000


def brute_force(
    wrapped: Wrapped, pbc: NDArray[np.bool_], n_neighbors: int
) -> tuple[Int, Float, Int]:
    """Exact neighbours of every atom of every frame.

    With images ``|s_k| <= n_k`` of wrapped atoms, every neighbour nearer than ``n_k h_k`` is
    among them (h_k: height of the cell): a frame is final once its largest distance is below
    that, and is searched again with more images if not.

    Returns
    -------
    indices (n_frames, n_atoms, M), distances (same shape, angstrom), images (..., 3)
        Images refer to wrapped positions.
    """
    n_frames, n_atoms = wrapped.positions.shape[:2]
    indices = np.empty((n_frames, n_atoms, n_neighbors), np.int64)
    distances = np.empty((n_frames, n_atoms, n_neighbors), np.float64)
    images = np.empty((n_frames, n_atoms, n_neighbors, 3), np.int64)
    pending = np.arange(n_frames)
    n_images = _enough_images(pbc, n_atoms, n_neighbors)
    while len(pending):
        shifts = image_shifts(n_images)
        chunk = max(1, _DISTANCES_AT_ONCE // (n_atoms * n_atoms * len(shifts)))
        for start in range(0, len(pending), chunk):
            part = pending[start : start + chunk]
            indices[part], distances[part], images[part] = _search(
                wrapped.positions[part], wrapped.cells[part], shifts, n_neighbors
            )
        if not pbc.any():
            break
        reach = np.where(pbc, n_images * wrapped.heights[pending], np.inf).min(axis=1)
        longest = distances[pending, :, -1].max(axis=1)
        unfinished = longest > reach
        pending = pending[unfinished]
        if len(pending):
            needed = np.ceil(longest[unfinished, None] / wrapped.heights[pending]).max(axis=0)
            n_images = np.where(pbc, np.maximum(needed, n_images), 0).astype(np.int64)
    return indices, distances, images


def _enough_images(pbc: NDArray[np.bool_], n_atoms: int, n_neighbors: int) -> Int:
    """The smallest image shells that hold M + 1 atoms, at least one."""
    shell = 1
    while n_atoms * (2 * shell + 1) ** int(pbc.sum()) <= n_neighbors and pbc.any():
        shell += 1
    return np.where(pbc, shell, 0).astype(np.int64)


def _search(
    positions: Float, cells: Float, shifts: Int, n_neighbors: int
) -> tuple[Int, Float, Int]:
    n_frames, n_atoms = positions.shape[:2]
    pair = positions[:, None, :, :] - positions[:, :, None, :]  # (F, i, j, 3) from i to j
    translations = shifts.astype(np.float64) @ cells  # (F, S, 3)
    squared = np.zeros((n_frames, n_atoms, n_atoms, len(shifts)))
    for axis in range(3):
        component = pair[..., None, axis] + translations[:, None, None, :, axis]
        squared += component * component
    atoms = np.arange(n_atoms)
    squared[:, atoms, atoms, 0] = np.inf  # the zero shift comes first: an atom and itself
    flat = squared.reshape(n_frames, n_atoms, -1)
    nearest = np.argpartition(flat, n_neighbors - 1, axis=-1)[..., :n_neighbors]
    nearest.sort(axis=-1)  # by index, so that the stable sort by distance breaks ties by index
    chosen = np.take_along_axis(flat, nearest, axis=-1)
    order = np.argsort(chosen, axis=-1, kind="stable")
    nearest = np.take_along_axis(nearest, order, axis=-1)
    distances = np.sqrt(np.take_along_axis(chosen, order, axis=-1))
    return nearest // len(shifts), distances, shifts[nearest % len(shifts)]
