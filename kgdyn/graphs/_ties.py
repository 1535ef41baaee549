"""Which neighbours to keep where the M-th distance falls inside a shell of equal distances.

In a perfect crystal any choice gives the same distances, but not the same graph: a choice by
index tells sites apart that symmetry makes equal, and a network learns it (in Li in frozen fcc
sulfur it then finds which site the ion is in, not which kind of site). So ties are broken by the
neighbour's own surroundings, which every symmetry operation carries along.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.graphs.nearest_neighbors import (
    NeighborList,
    batch_nearest_neighbors,
    check_n_neighbors,
    selected_neighbors,
)

__all__ = ["symmetric_neighbors"]

# Float32 coordinates of a crystal of 100 angstrom are this exact.
_TIE = 1e-5
# A shell of a close-packed crystal, and one atom beyond it.
_SHELL = 13
_SMALL_CELL = 24


def symmetric_neighbors(
    positions: ArrayLike,
    cells: ArrayLike,
    pbc: ArrayLike,
    n_neighbors: int,
    where: str,
    n_threads: int = 1,
    with_images: bool = True,
) -> NeighborList:
    """The M nearest neighbours of every atom, ties at the M-th distance broken by symmetry.

    Among neighbours whose distance is within 1e-5 angstrom of the M-th, those are kept whose own
    M neighbours are nearer on average (then those of lower index). Arguments and errors as
    :func:`kgdyn.graphs.batch_nearest_neighbors`; no distance differs from its by more than 1e-5.
    """
    positions = np.asarray(positions, dtype=np.float64)
    n_atoms = positions.shape[1]
    periodic = np.broadcast_to(np.asarray(pbc, dtype=bool), (3,))
    cells = np.asarray(cells, dtype=np.float64)
    check_n_neighbors(n_neighbors, n_atoms, periodic, where)  # more than these are asked for
    limit = n_atoms - 1 if not periodic.any() else np.iinfo(np.int64).max
    # Small cells are crystals as a rule: ask for a shell beyond the M-th at once.
    reach = min(n_neighbors + (_SHELL if n_atoms <= _SMALL_CELL else 1), limit)
    more = batch_nearest_neighbors(
        positions,
        cells,
        periodic,
        reach,
        n_threads=n_threads,
        with_images=with_images,
        where=where,
    )
    kept = NeighborList(
        more.indices[:, :, :n_neighbors].copy(),
        more.distances[:, :, :n_neighbors].copy(),
        None if more.images is None else more.images[:, :, :n_neighbors].copy(),
    )
    if reach == n_neighbors:
        return kept
    cut = kept.distances[:, :, -1]
    nearness = kept.distances.mean(axis=2)
    frame, atom = np.nonzero(more.distances[:, :, n_neighbors] - cut <= _TIE)
    rows = _rows(more, (frame, atom))
    while len(frame):
        # The shell is complete once something beyond it has been found.
        whole = (rows.distances[:, -1] - cut[frame, atom] > _TIE) | (reach >= limit)
        _keep(kept, _rows(rows, whole), frame[whole], atom[whole], cut, nearness)
        frame, atom = frame[~whole], atom[~whole]
        if len(frame):
            reach = min(reach + _SHELL, limit)
            rows = selected_neighbors(
                positions, cells, periodic, reach, frame, atom, with_images=with_images
            )
    return kept


def _rows(found: NeighborList, which: Any) -> NeighborList:
    images = None if found.images is None else found.images[which]
    return NeighborList(found.indices[which], found.distances[which], images)


def _keep(
    kept: NeighborList,
    found: NeighborList,
    frame: NDArray[np.int64],
    atom: NDArray[np.int64],
    cut: NDArray[np.float64],
    nearness: NDArray[np.float64],
) -> None:
    """Write the chosen ones of (n_rows, reach) neighbours into rows (frame, atom) of ``kept``."""
    n_neighbors = kept.distances.shape[2]
    offset = found.distances - cut[frame, atom][:, None]
    shell = np.where(offset < -_TIE, 0, np.where(offset <= _TIE, 1, 2))
    preference = np.where(shell == 1, nearness[frame[:, None], found.indices], 0.0)
    order = np.lexsort((found.indices, preference, shell), axis=-1)[:, :n_neighbors]
    order.sort(axis=-1)  # back to the order by distance, then index
    rows = np.arange(len(frame))[:, None]
    kept.indices[frame, atom] = found.indices[rows, order]
    kept.distances[frame, atom] = found.distances[rows, order]
    if kept.images is not None and found.images is not None:
        kept.images[frame, atom] = found.images[rows, order]
