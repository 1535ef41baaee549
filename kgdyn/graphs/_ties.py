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
    options: dict[str, Any] = {"n_threads": n_threads, "where": where}
    limit = n_atoms - 1 if not periodic.any() else np.iinfo(np.int64).max
    if limit <= n_neighbors:
        return batch_nearest_neighbors(positions, cells, periodic, n_neighbors, **options)
    # Small cells are crystals as a rule: ask for a shell beyond the M-th at once.
    beyond = _SHELL if n_atoms <= _SMALL_CELL else 1
    more = batch_nearest_neighbors(
        positions, cells, periodic, min(n_neighbors + beyond, limit), **options
    )
    kept = NeighborList(*(array[:, :, :n_neighbors].copy() for array in _arrays(more)))
    cut = more.distances[:, :, n_neighbors - 1]
    tied = more.distances[:, :, n_neighbors] - cut <= _TIE
    nearness = kept.distances.mean(axis=2)
    frames = np.flatnonzero(tied.any(axis=1))
    more = NeighborList(*(array[frames] for array in _arrays(more)))
    while len(frames):
        reach = more.distances.shape[2]
        # The shell is complete once something beyond it has been found.
        closed = more.distances[:, :, -1] - cut[frames] > _TIE
        ready = tied[frames] & (closed | (reach >= limit))
        frame, atom = np.nonzero(ready)
        _keep(kept, more, frames, frame, atom, cut, nearness)
        tied[frames[frame], atom] = False
        frames = frames[tied[frames].any(axis=1)]
        if len(frames):
            more = batch_nearest_neighbors(
                positions[frames], cells[frames], periodic, min(reach + _SHELL, limit), **options
            )
    return kept


def _arrays(found: NeighborList) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    return found.indices, found.distances, found.images


def _keep(
    kept: NeighborList,
    more: NeighborList,
    frames: NDArray[np.int64],
    frame: NDArray[np.int64],
    atom: NDArray[np.int64],
    cut: NDArray[np.float64],
    nearness: NDArray[np.float64],
) -> None:
    """Write the chosen neighbours of rows (frame, atom) into ``kept``."""
    n_neighbors = kept.distances.shape[2]
    whole = frames[frame]
    distances, indices = more.distances[frame, atom], more.indices[frame, atom]
    offset = distances - cut[whole, atom][:, None]
    shell = np.where(offset < -_TIE, 0, np.where(offset <= _TIE, 1, 2))
    preference = np.where(shell == 1, nearness[whole[:, None], indices], 0.0)
    order = np.lexsort((indices, preference, shell), axis=-1)[:, :n_neighbors]
    order.sort(axis=-1)  # back to the order by distance, then index
    rows = np.arange(len(frame))[:, None]
    kept.indices[whole, atom] = indices[rows, order]
    kept.distances[whole, atom] = distances[rows, order]
    kept.images[whole, atom] = more.images[frame, atom][rows, order]
