"""Numba kernels of the compiled neighbour search: the search itself, and the loop over frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgdyn.graphs._compiled_bins import (
    bulk_extent,
    cell_heights,
    compiled,
    coverage,
    list_runs,
    plan_bins,
    reduce_cell,
    rewrap,
    sort_into_bins,
)
from kgdyn.graphs._compiled_selection import select_by_insertion, select_by_rank

# The first search reaches this times the radius that holds M + 1 atoms at the mean density.
_REACH_MARGIN = 1.15
# Pending rows are searched again with the reach times the first, then the second of these.
_FIRST_GROWTH = 1.4
_GROWTH = 2.0
# The cut of a row is this times the M-th distance of rows before, and wider if that holds too few.
_CUT_MARGIN = 1.1
# Where atoms find this times more atoms in their bin than on average, most of the cell is empty.
_CROWDED = 2.0
# Ranking compares all pairs: longer lists are better inserted one by one.
_MOST_RANKED = 256
# Cuts grow by a factor, so they start above zero, in angstrom, also among coincident atoms.
_SHORTEST = 1e-3
# At most this many bins: more would cost more to look through than they save.
_BINS_PER_ATOM, _BINS = 64, 4096


@compiled
def most_bins(n_atoms: int) -> int:
    """As many bins as a frame may be divided into."""
    return _BINS_PER_ATOM * n_atoms + _BINS - 1


@compiled
def any_left(rows: Any, low: int, high: int, left: Any) -> bool:
    """Whether one of these rows is not final."""
    pending = False
    for out in range(low, high):
        pending = pending or left[rows[out]]
    return pending


@compiled
def search_bins(
    bins: Any,
    places: Any,
    cell: Any,
    pbc: Any,
    n_neighbors: int,
    guess: float,
    left: Any,
    row_of: Any,
    indices: Any,
    distances: Any,
    images: Any,
) -> float:
    """Search the rows that are ``left`` in these bins, and strike off those now final.

    ``bins`` as :func:`bin_frame` fills them; ``places`` is the first bin and the one after the
    last. Threads may search different bins of one frame at the same time. Returns the typical M-th
    distance, which is where the next search cuts first.
    """
    sorted_positions, order, start, n_bins, widths, spans = bins
    pieces = (2 * spans[0] + 1) * (2 * spans[1] + 1) * ((2 * spans[2] + 1) // n_bins[2] + 2)
    runs = np.empty((pieces, 5), np.int64)
    home = np.zeros(3, np.int64)
    capacity = 0
    floats, ints = np.empty((5, 0)), np.empty((4, 0), np.int32)
    chosen = np.empty(n_neighbors, np.int32)
    for place in range(places[0], min(places[1], n_bins[0] * n_bins[1] * n_bins[2])):
        wanted = False
        for p in range(start[place], start[place + 1]):
            wanted = wanted or left[order[p]]
        if not wanted:
            continue
        home[2] = place % n_bins[2]
        home[1] = place // n_bins[2] % n_bins[1]
        home[0] = place // n_bins[2] // n_bins[1]
        cover = coverage(home, n_bins, spans, widths, pbc)
        n_runs = list_runs(home, n_bins, spans, pbc, start, runs)
        total = 0
        for r in range(n_runs):
            total += runs[r, 1] - runs[r, 0]
        if total > capacity:
            capacity = total + total // 2
            floats, ints = np.empty((5, capacity + 1)), np.empty((4, capacity + 1), np.int32)
        near_x, near_y, near_z, squares, near = (
            floats[0],
            floats[1],
            floats[2],
            floats[3],
            floats[4],
        )
        row, run_of, kept, atoms = ints[0], ints[1], ints[2], ints[3]
        # Gather once for all rows of this bin.
        total, itself = 0, 0
        for r in range(n_runs):
            first, last = runs[r, 0], runs[r, 1]
            a, b, c = runs[r, 2], runs[r, 3], runs[r, 4]
            shift_x = a * cell[0, 0] + b * cell[1, 0] + c * cell[2, 0]
            shift_y = a * cell[0, 1] + b * cell[1, 1] + c * cell[2, 1]
            shift_z = a * cell[0, 2] + b * cell[1, 2] + c * cell[2, 2]
            if a == 0 and b == 0 and c == 0 and first <= start[place] < last:
                itself = total - first
            for p in range(first, last):
                k = total + p - first
                near_x[k] = sorted_positions[0, p] + shift_x
                near_y[k] = sorted_positions[1, p] + shift_y
                near_z[k] = sorted_positions[2, p] + shift_z
                row[k] = p
                run_of[k] = r
            total += last - first
        for p in range(start[place], start[place + 1]):
            atom = order[p]
            if not left[atom]:
                continue
            x, y, z = sorted_positions[0, p], sorted_positions[1, p], sorted_positions[2, p]
            for k in range(total):
                dx, dy, dz = near_x[k] - x, near_y[k] - y, near_z[k] - z
                squares[k] = dx * dx + dy * dy + dz * dz
            squares[itself + p] = np.inf  # the atom itself; coincident atoms stay
            growth = _CUT_MARGIN
            cut = min(max(guess, _SHORTEST) * growth, cover)
            while True:
                square = min(cut * cut, 1e300)
                count = 0
                for k in range(total):
                    kept[count] = k
                    near[count] = squares[k]
                    count += squares[k] <= square
                if count >= n_neighbors or not cut < cover:
                    break
                growth *= _CUT_MARGIN
                cut = min(cut * growth, cover)
            if count < n_neighbors:
                continue  # stays pending: the bins do not reach far enough for this row
            for k in range(count):
                near[k] = np.sqrt(near[k])
            if count > _MOST_RANKED or not select_by_rank(near, count, n_neighbors, chosen):
                for k in range(count):
                    atoms[k] = order[row[kept[k]]]
                select_by_insertion(near, atoms, count, n_neighbors, chosen)
            left[atom] = False
            guess += 0.1 * (near[chosen[n_neighbors - 1]] - guess)
            out = row_of[atom]
            for m in range(n_neighbors):
                k = kept[chosen[m]]
                indices[out, m] = order[row[k]]
                distances[out, m] = near[chosen[m]]
                r = run_of[k]
                images[out, m, 0] = runs[r, 2]
                images[out, m, 1] = runs[r, 3]
                images[out, m, 2] = runs[r, 4]
    return guess


@compiled
def enter_frame(
    positions: Any,
    fractions: Any,
    cell: Any,
    pbc: Any,
    basis: Any,
    wrapped: Any,
    wrapped_fractions: Any,
    moves: Any,
) -> bool:
    """Reduce ``cell`` in place where it is flat; then the atoms stand in ``wrapped``."""
    for i in range(3):
        for j in range(3):
            basis[i, j] = i == j
    reduced = reduce_cell(cell, pbc, basis)
    if reduced:
        rewrap(positions, cell, pbc, wrapped, wrapped_fractions, moves)
    return reduced


@compiled
def bin_frame(
    positions: Any,
    fractions: Any,
    cell: Any,
    pbc: Any,
    n_neighbors: int,
    searches: Any,
    guess: float,
    reach: float,
    bins: Any,
    bin_of: Any,
) -> tuple[float, float]:
    """Sort the atoms of a frame into bins as wide as the reach of this search.

    ``bins`` is (sorted_positions, order, start, n_bins, widths, spans), to be filled. Returns the
    typical M-th distance and the reach of the next search, should rows be left over.
    """
    sorted_positions, order, start, n_bins, widths, spans = bins
    n_atoms = len(positions)
    max_bins = len(start) - 1
    lengths, origins, scales = np.empty(3), np.zeros(3), np.empty(3)
    volume = cell_heights(cell, lengths)
    for k in range(3):
        if not pbc[k]:
            low, high = bulk_extent(fractions, k)
            origins[k] = low
            lengths[k] = high - low
            volume *= lengths[k]  # free vectors of a completed cell are unit vectors
    # A sphere of this times the volume of an atom holds M + 1 atoms.
    sphere = 3.0 * (n_neighbors + 1) / (4.0 * np.pi)
    if searches == 0:
        guess = np.cbrt(sphere * volume / n_atoms)
        reach = _REACH_MARGIN * guess
    while True:
        plan_bins(reach, lengths, pbc, max_bins, n_bins, widths, spans)
        total = n_bins[0] * n_bins[1] * n_bins[2]
        for k in range(3):
            scales[k] = n_bins[k] if pbc[k] else n_bins[k] / lengths[k]
        crowd = sort_into_bins(fractions, origins, scales, n_bins, bin_of, start, order)
        # Where most of the cell is empty, its mean density says little: take that of the bins.
        if searches == 0 and total > 8 and crowd > _CROWDED * (n_atoms / total + 1.0):
            closer = np.cbrt(sphere * volume / (total * crowd))
            if closer < 0.8 * guess and total * 2 <= max_bins:
                guess = closer
                reach = _REACH_MARGIN * guess
                continue
        break
    for p in range(n_atoms):
        for c in range(3):
            sorted_positions[c, p] = positions[order[p], c]
    return guess, reach * (_FIRST_GROWTH if searches == 0 else _GROWTH)


@compiled
def leave_frame(rows: Any, low: int, high: int, basis: Any, moves: Any, found: Any) -> None:
    """Images of rows ``low`` to ``high`` in the lattice vectors and the wrapping that came in."""
    indices, images = found
    for out in range(low, high):
        for m in range(indices.shape[1]):
            a, b, c = 0, 0, 0
            for k in range(3):
                image = images[out, m, k] + moves[indices[out, m], k] - moves[rows[out], k]
                a += image * basis[k, 0]
                b += image * basis[k, 1]
                c += image * basis[k, 2]
            images[out, m, 0], images[out, m, 1], images[out, m, 2] = a, b, c


@compiled
def search_frames(
    positions: Any,
    fractions: Any,
    cells: Any,
    pbc: Any,
    n_neighbors: int,
    rows: Any,
    first_rows: Any,
    frames: tuple[int, int],
    indices: Any,
    distances: Any,
    images: Any,
) -> None:
    """Search a range of frames, each in bins that grow until no row is left over.

    Parameters
    ----------
    positions, fractions : (n_frames, n_atoms, 3) wrapped; cells (n_frames, 3, 3) completed.
    rows : (n_rows,) int64
        The rows of all frames, frame after frame, each once in a frame.
    first_rows : (n_frames + 1,) int64
        Frame ``f`` asks for ``rows[first_rows[f]:first_rows[f + 1]]``.
    frames : (first, last)
    indices, distances, images : (n_rows, M), (n_rows, M), (n_rows, M, 3), to be filled.
    """
    n_atoms = positions.shape[1]
    bins = (
        np.empty((3, n_atoms)),
        np.empty(n_atoms, np.int32),
        np.empty(most_bins(n_atoms) + 1, np.int32),
        np.empty(3, np.int64),
        np.empty(3),
        np.empty(3, np.int64),
    )
    bin_of = np.empty(n_atoms, np.int32)
    left = np.zeros(n_atoms, np.bool_)
    row_of = np.empty(n_atoms, np.int64)
    moves = np.zeros((n_atoms, 3), np.int32)
    wrapped, wrapped_fractions = np.empty((n_atoms, 3)), np.empty((n_atoms, 3))
    basis, cell = np.empty((3, 3), np.int64), np.empty((3, 3))
    for frame in range(frames[0], frames[1]):
        low, high = first_rows[frame], first_rows[frame + 1]
        for out in range(low, high):
            row_of[rows[out]] = out
            left[rows[out]] = True
        cell[:] = cells[frame]
        here, here_fractions = positions[frame], fractions[frame]
        reduced = enter_frame(
            here, here_fractions, cell, pbc, basis, wrapped, wrapped_fractions, moves
        )
        if reduced:
            here, here_fractions = wrapped, wrapped_fractions
        # Typed, not literal: numba would compile what is called for literals once more.
        searches, guess, reach = np.int64(0), 0.0, 0.0
        all_bins = (np.int64(0), most_bins(n_atoms))
        while any_left(rows, low, high, left):
            guess, reach = bin_frame(
                here, here_fractions, cell, pbc, n_neighbors, searches, guess, reach, bins, bin_of
            )
            guess = search_bins(
                bins,
                all_bins,
                cell,
                pbc,
                n_neighbors,
                guess,
                left,
                row_of,
                indices,
                distances,
                images,
            )
            searches += 1
        if reduced:
            leave_frame(rows, low, high, basis, moves, (indices, images))
