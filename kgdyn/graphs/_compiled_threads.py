"""The neighbour search of one frame, its rows shared among threads."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kgdyn._threads import share
from kgdyn.graphs._compiled_kernels import (
    any_left,
    bin_frame,
    enter_frame,
    leave_frame,
    most_bins,
    search_bins,
)
from kgdyn.graphs._lattice import Float, Int

__all__ = ["search_rows_together"]

# More pieces than threads: a thread that starts late, or is held up, leaves its part to others.
_PIECES_PER_THREAD = 4


def search_rows_together(
    positions: Float,
    fractions: Float,
    cells: Float,
    pbc: NDArray[np.bool_],
    n_neighbors: int,
    rows: Int,
    first_rows: Int,
    frame: int,
    indices: Int,
    distances: Float,
    images: Int,
    n_threads: int,
) -> None:
    """One frame as ``search_frames`` does it: binned once, its bins shared among the threads.

    Parameters as there.
    """
    n_atoms = positions.shape[1]
    low, high = int(first_rows[frame]), int(first_rows[frame + 1])
    left, row_of = np.zeros(n_atoms, np.bool_), np.empty(n_atoms, np.int64)
    left[rows[low:high]] = True
    row_of[rows[low:high]] = np.arange(low, high)
    cell, basis = cells[frame].copy(), np.empty((3, 3), np.int64)
    wrapped, wrapped_fractions = np.empty((n_atoms, 3)), np.empty((n_atoms, 3))
    moves = np.zeros((n_atoms, 3), np.int32)
    here, here_fractions = positions[frame], fractions[frame]
    reduced = enter_frame(here, here_fractions, cell, pbc, basis, wrapped, wrapped_fractions, moves)
    if reduced:
        here, here_fractions = wrapped, wrapped_fractions
    start, n_bins = np.empty(most_bins(n_atoms) + 1, np.int32), np.empty(3, np.int64)
    order, bin_of = np.empty(n_atoms, np.int32), np.empty(n_atoms, np.int32)
    bins = (np.empty((3, n_atoms)), order, start, n_bins, np.empty(3), np.empty(3, np.int64))
    searches, guess, reach = 0, 0.0, 0.0
    while any_left(rows, low, high, left):
        guess, reach = bin_frame(
            here, here_fractions, cell, pbc, n_neighbors, searches, guess, reach, bins, bin_of
        )
        # Pieces of as many pending rows each; an empty piece costs nothing.
        pending = np.flatnonzero(left[order])
        n_pieces = _PIECES_PER_THREAD * n_threads
        cuts = bin_of[order[pending[np.arange(1, n_pieces) * len(pending) // n_pieces]]]
        edges = [0, *cuts.tolist(), int(n_bins.prod())]
        found = (left, row_of, indices, distances, images)
        share(
            n_threads,
            [
                (search_bins, (bins, piece, cell, pbc, n_neighbors, guess, *found))
                for piece in pairwise(edges)
                if piece[0] < piece[1]
            ],
        )
        searches += 1
    if reduced:
        leave_frame(rows, low, high, basis, moves, (indices, images))
