"""Nearest neighbours of any cell, compiled with numba where it is installed."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kgdyn._threads import share
from kgdyn.graphs._lattice import Float, Int, Wrapped

Int32 = NDArray[np.int32]

# Starting a thread costs more than searching for this many rows.
_ROWS_WORTH_A_THREAD = 256
# From this many frames a thread on, each frame is searched by one thread.
_FRAMES_PER_THREAD = 4


@cache
def compiled_available() -> bool:
    """Whether numba can be imported here."""
    try:
        import kgdyn.graphs._compiled_kernels  # noqa: F401
    except ImportError:
        return False
    return True


def compiled_search(
    wrapped: Wrapped,
    pbc: NDArray[np.bool_],
    n_neighbors: int,
    rows: Int,
    n_threads: int = 1,
) -> tuple[Int32, Float, Int32]:
    """Exact neighbours of ``rows`` in every frame.

    Bins about as wide as the M-th distance, the 27 around each (more in small cells, each in
    its image), and a row is final once these hold M atoms within the distance they cover.
    Rows that are not final, at surfaces or in vapour, are searched again in wider bins.

    Parameters
    ----------
    wrapped : Wrapped
    pbc : (3,) bool array.
    n_neighbors : int
        M, at least 1.
    rows : (n_rows,) array of int64
        Atoms counted from 0, in any order, also repeated.
    n_threads : int
        Threads that share the frames, or the rows where there are few frames. The result does
        not depend on it.

    Returns
    -------
    indices (n_frames, n_rows, M), distances (same shape, angstrom), images (..., 3)
        By distance, then index. Images refer to wrapped positions.

    Raises
    ------
    ValueError
        For ``n_neighbors`` or ``n_threads`` below 1, rows that are not atoms, too few atoms
        where no direction is periodic, and positions or cells that are not finite.
    """
    n_frames = len(wrapped.positions)
    rows = np.asarray(rows, dtype=np.int64)
    chosen, repeats = rows, None
    if np.any(rows[1:] <= rows[:-1]):
        chosen, repeats = np.unique(rows, return_inverse=True)
    offsets = np.arange(n_frames + 1, dtype=np.int64) * len(chosen)
    found = compiled_search_selected(
        wrapped, pbc, n_neighbors, np.tile(chosen, n_frames), offsets, n_threads
    )
    shape = (n_frames, len(chosen), n_neighbors)
    indices, distances = found[0].reshape(shape), found[1].reshape(shape)
    images = found[2].reshape(*shape, 3)
    if repeats is None:
        return indices, distances, images
    return indices[:, repeats], distances[:, repeats], images[:, repeats]


def compiled_search_selected(
    wrapped: Wrapped,
    pbc: NDArray[np.bool_],
    n_neighbors: int,
    rows: Int,
    offsets: Int,
    n_threads: int = 1,
) -> tuple[Int32, Float, Int32]:
    """Exact neighbours of other rows in each frame, as a receptive field needs them.

    Parameters
    ----------
    wrapped, pbc, n_neighbors, n_threads
        As in :func:`compiled_search`.
    rows : (n_rows,) array of int64
        Rows of all frames, frame after frame; each atom at most once in a frame.
    offsets : (n_frames + 1,) array of int64
        Frame ``f`` asks for ``rows[offsets[f]:offsets[f + 1]]``.

    Returns
    -------
    indices (n_rows, M), distances (n_rows, M) in angstrom, images (n_rows, M, 3)
    """
    from kgdyn.graphs._compiled_kernels import search_frames
    from kgdyn.graphs._compiled_threads import search_rows_together

    n_frames = len(wrapped.positions)
    pbc = np.ascontiguousarray(pbc, dtype=np.bool_)
    rows = np.ascontiguousarray(rows, dtype=np.int64)
    offsets = np.ascontiguousarray(offsets, dtype=np.int64)
    _check(wrapped, pbc, n_neighbors, rows, offsets, n_threads)
    indices = np.empty((len(rows), n_neighbors), np.int32)
    distances = np.empty((len(rows), n_neighbors), np.float64)
    images = np.empty((len(rows), n_neighbors, 3), np.int32)
    positions = np.ascontiguousarray(wrapped.positions)
    fractions = np.ascontiguousarray(wrapped.fractions)
    cells = np.ascontiguousarray(wrapped.cells)

    arrays = (positions, fractions, cells, pbc, n_neighbors, rows, offsets)
    found = (indices, distances, images)
    # Starting a thread costs more than searching for few rows.
    n_threads = max(1, min(n_threads, len(rows) // _ROWS_WORTH_A_THREAD))
    if n_threads == 1:
        search_frames(*arrays, (0, n_frames), *found)
    elif n_frames >= _FRAMES_PER_THREAD * n_threads:
        edges = [n_frames * part // n_threads for part in range(n_threads + 1)]
        share(n_threads, [(search_frames, (*arrays, part, *found)) for part in pairwise(edges)])
    else:
        for frame in range(n_frames):
            search_rows_together(*arrays, frame, *found, n_threads)
    return found


def _check(
    wrapped: Wrapped,
    pbc: NDArray[np.bool_],
    n_neighbors: int,
    rows: Int,
    offsets: Int,
    threads: int,
) -> None:
    """The kernels check nothing: what could make them leave their arrays is refused here."""
    n_frames, n_atoms = wrapped.positions.shape[:2]
    if n_neighbors < 1:
        raise ValueError(f"n_neighbors must be at least 1, received {n_neighbors}")
    if threads < 1:
        raise ValueError(f"n_threads must be at least 1, received {threads}")
    if not pbc.any() and n_atoms <= n_neighbors:
        raise ValueError(
            f"n_neighbors={n_neighbors} needs more than {n_neighbors} atoms where no direction is "
            f"periodic, received {n_atoms} atoms"
        )
    if len(rows) and (rows.min() < 0 or rows.max() >= n_atoms):
        raise ValueError(
            f"rows must be from 0 to {n_atoms - 1}, received {rows.min()} to {rows.max()}"
        )
    if (
        offsets.shape != (n_frames + 1,)
        or offsets[0] != 0
        or offsets[-1] != len(rows)
        or np.any(np.diff(offsets) < 0)
    ):
        raise ValueError(
            f"offsets must rise from 0 to {len(rows)} in {n_frames + 1} steps, received "
            f"{offsets.tolist()[:10]}"
        )
    for name, values in (("positions", wrapped.positions), ("cells", wrapped.cells)):
        if not np.isfinite(values).all():
            finite = np.isfinite(values).all(axis=(1, 2))
            raise ValueError(f"{name} must be finite, received others in frame {finite.argmin()}")
