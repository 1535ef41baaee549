"""The M nearest neighbours of atoms under any periodicity, with the image of each neighbour.

Exact for cells smaller than the M-th distance (an atom may be its own neighbour through an
image, and the same pair may be joined more than once), triclinic, sheared, rotated and
left-handed cells, partial periodicity and coordinates unwrapped by any number of cells.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import Frame
from kgdyn.graphs._brute_force import brute_force
from kgdyn.graphs._cell_tree import tree_search
from kgdyn.graphs._compiled import (
    compiled_available,
    compiled_search,
    compiled_search_selected,
)
from kgdyn.graphs._lattice import Float, Int, Wrapped, wrap

__all__ = ["NeighborList", "batch_nearest_neighbors", "nearest_neighbors"]

# Below this size all images of all atoms are cheaper than a tree.
_BRUTE_FORCE_ATOMS = 24


@dataclass(frozen=True)
class NeighborList:
    """The M nearest neighbours of each atom, by distance, then index.

    Attributes
    ----------
    indices : (..., n_rows, M) array of int64
        Row of the neighbour in ``positions``.
    distances : (..., n_rows, M) array of float64, angstrom.
    images : (..., n_rows, M, 3) array of int64, or None if they were not asked for
        The neighbour stands at ``positions[index] + image @ cell``, for the positions as they
        came in.
    """

    indices: NDArray[np.int64]
    distances: NDArray[np.float64]
    images: NDArray[np.int64] | None


def nearest_neighbors(
    frame: Frame, n_neighbors: int, rows: NDArray[np.int64] | None = None
) -> NeighborList:
    """The M nearest neighbours of every atom of a frame, or of ``rows`` of them.

    Parameters
    ----------
    frame : Frame
    n_neighbors : int
        M, at least 1.
    rows : (n_rows,) array of int, optional

    Returns
    -------
    NeighborList with arrays of shape (n_rows, M).

    Raises
    ------
    ValueError
        If ``n_neighbors`` is below 1, or a frame without periodicity has too few atoms.
    """
    found = batch_nearest_neighbors(
        frame.positions[None],
        frame.cell[None],
        frame.pbc,
        n_neighbors,
        rows=rows,
        where=frame.where,
    )
    images = None if found.images is None else found.images[0]
    return NeighborList(found.indices[0], found.distances[0], images)


def batch_nearest_neighbors(
    positions: ArrayLike,
    cells: ArrayLike,
    pbc: ArrayLike,
    n_neighbors: int,
    rows: NDArray[np.int64] | None = None,
    n_threads: int = 1,
    with_images: bool = True,
    where: str = "frames",
) -> NeighborList:
    """The M nearest neighbours in several frames of the same atoms (already checked).

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3) array, angstrom.
    cells : (n_frames, 3, 3) array, rows are lattice vectors in angstrom.
    pbc : (3,) array of bool.
    n_neighbors : int
        M, at least 1.
    rows : (n_rows,) array of int, optional
        Only these atoms' neighbours; all atoms if not given.
    n_threads : int
        Threads of the compiled search; the result does not depend on it.
    with_images : bool
        False saves the time that images cost where nobody needs them.
    where : str
        What error messages call the frames.

    Returns
    -------
    NeighborList with arrays of shape (n_frames, n_rows, M).

    Raises
    ------
    ValueError
        If ``n_neighbors`` is below 1, frames without periodicity have too few atoms, or rows are
        not atoms.
    """
    positions = np.asarray(positions, dtype=np.float64)
    periodic = np.broadcast_to(np.asarray(pbc, dtype=bool), (3,))
    n_frames, n_atoms = positions.shape[:2]
    check_n_neighbors(n_neighbors, n_atoms, periodic, where)
    wrapped = wrap(positions, np.asarray(cells, dtype=np.float64), periodic)
    chosen = np.arange(n_atoms) if rows is None else np.asarray(rows, dtype=np.int64)
    if len(chosen) and (chosen.min() < 0 or chosen.max() >= n_atoms):
        raise ValueError(
            f"{where}: rows must be from 0 to {n_atoms - 1}, received {chosen.min()} to "
            f"{chosen.max()}"
        )
    found: tuple[Int, Float, Int]
    if compiled_available():
        found = compiled_search(wrapped, periodic, n_neighbors, chosen, n_threads)
    else:
        found = interpreted_search(wrapped, periodic, n_neighbors, chosen)
    indices, distances, images = found
    indices = indices.astype(np.int64, copy=False)
    if not with_images:
        return NeighborList(indices, np.asarray(distances), None)
    # Images so far join wrapped atoms: x_j + w_j + image - (x_i + w_i), w the wrapping shift.
    shift_of_neighbor = wrapped.shifts[np.arange(n_frames)[:, None, None], indices]
    images = images + shift_of_neighbor - wrapped.shifts[:, chosen, None, :]
    return NeighborList(indices, np.asarray(distances), images.astype(np.int64))


def selected_neighbors(
    positions: NDArray[Any],
    cells: NDArray[Any],
    pbc: NDArray[np.bool_],
    n_neighbors: int,
    frames: NDArray[np.int64],
    atoms: NDArray[np.int64],
    with_images: bool = True,
) -> NeighborList:
    """The M nearest neighbours of single atoms, other ones in each frame (all checked).

    Parameters
    ----------
    positions, cells, pbc, n_neighbors, with_images
        As in :func:`batch_nearest_neighbors`.
    frames, atoms : (n_rows,) arrays of int
        Atom ``atoms[k]`` of frame ``frames[k]``; frames ascending, no row twice.

    Returns
    -------
    NeighborList with arrays of shape (n_rows, M).
    """
    used, owner, counts = np.unique(frames, return_inverse=True, return_counts=True)
    wrapped = wrap(np.asarray(positions[used], np.float64), cells[used], pbc)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    found: tuple[Int, Float, Int]
    if compiled_available():
        found = compiled_search_selected(wrapped, pbc, n_neighbors, atoms, offsets)
    else:
        parts = [
            interpreted_search(wrapped.only(number), pbc, n_neighbors, atoms[start:stop])
            for number, (start, stop) in enumerate(itertools.pairwise(offsets))
        ]
        found = (
            np.concatenate([part[0][0] for part in parts]),
            np.concatenate([part[1][0] for part in parts]),
            np.concatenate([part[2][0] for part in parts]),
        )
    indices, distances, images = found
    indices = indices.astype(np.int64, copy=False)
    if not with_images:
        return NeighborList(indices, np.asarray(distances), None)
    shift_of_neighbor = wrapped.shifts[owner[:, None], indices]
    images = images + shift_of_neighbor - wrapped.shifts[owner, atoms][:, None, :]
    return NeighborList(indices, np.asarray(distances), images.astype(np.int64))


def interpreted_search(
    wrapped: Wrapped, pbc: NDArray[np.bool_], n_neighbors: int, rows: Int
) -> tuple[Int, Float, Int]:
    """The search without numba: the reference of the compiled one, and its stand-in.

    Returns
    -------
    indices (n_frames, n_rows, M), distances (same shape, angstrom), images (..., 3)
        Images refer to wrapped positions.
    """
    n_frames, n_atoms = wrapped.positions.shape[:2]
    if n_atoms <= _BRUTE_FORCE_ATOMS:
        indices, distances, images = brute_force(wrapped, pbc, n_neighbors)
        return indices[:, rows], distances[:, rows], images[:, rows]
    found = [
        tree_search(
            wrapped.positions[frame],
            wrapped.fractions[frame],
            wrapped.cells[frame],
            wrapped.heights[frame],
            pbc,
            n_neighbors,
            rows,
        )
        for frame in range(n_frames)
    ]
    return (
        np.stack([part[0] for part in found]),
        np.stack([part[1] for part in found]),
        np.stack([part[2] for part in found]),
    )


def check_n_neighbors(
    n_neighbors: int, n_atoms: int, pbc: NDArray[np.bool_], where: str = "frame"
) -> None:
    """Raise ValueError unless every atom of such a frame has ``n_neighbors`` neighbours."""
    if n_neighbors < 1:
        raise ValueError(f"n_neighbors must be at least 1, received {n_neighbors}")
    if not pbc.any() and n_atoms <= n_neighbors:
        raise ValueError(
            f"{where}: n_neighbors={n_neighbors} needs more than {n_neighbors} atoms where no "
            f"direction is periodic, received {n_atoms} atoms"
        )
