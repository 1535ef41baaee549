"""Numba kernels of the compiled neighbour search: cell lists with image offsets, no ghosts.

Importing this file imports numba. All kernels release the GIL and share nothing but their
arguments, so that threads may run them on disjoint rows of one frame or on different frames.

Numba compiles again when the file of the outermost kernel changes, not when this one does:
after editing here, delete ``__pycache__``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])

# Enough atoms to see where most of them are.
_SAMPLES = 128
# An atom's bin is found to within rounding: what the bins cover is taken this much smaller.
_COVER = 1.0 - 1e-9


# Its declared types leave out options that it takes.
_njit: Any = functools.partial(numba.njit, nogil=True, fastmath=False, error_model="numpy")


def compiled(function: Function) -> Function:
    """Compile without the GIL, keep the machine code on disk, leave float64 arithmetic exact."""
    kernel: Function
    try:
        kernel = _njit(cache=True, no_cfunc_wrapper=True)(function)
    except RuntimeError:  # no folder that may be written to: compile in each process
        kernel = _njit(no_cfunc_wrapper=True)(function)
    return kernel


@compiled
def reduce_cell(cell: Any, pbc: Any, basis: Any) -> bool:
    """Shorten the periodic vectors of ``cell`` in place; ``basis`` @ old cell is the new one.

    A strongly sheared cell is flat: its images and bins would reach much too far.
    """
    reduced = False
    moved = True
    while moved:
        moved = False
        for i in range(3):
            for j in range(3):
                if i == j or not (pbc[i] and pbc[j]):
                    continue
                dot = cell[i, 0] * cell[j, 0] + cell[i, 1] * cell[j, 1] + cell[i, 2] * cell[j, 2]
                square = cell[j, 0] ** 2 + cell[j, 1] ** 2 + cell[j, 2] ** 2
                # Above one half by a margin: each step shortens a vector, so the loop ends.
                if abs(dot) > 0.51 * square:
                    times = np.rint(dot / square)
                    for k in range(3):
                        cell[i, k] -= times * cell[j, k]
                        basis[i, k] -= np.int64(times) * basis[j, k]
                    moved = True
                    reduced = True
    return reduced


@compiled
def rewrap(positions: Any, cell: Any, pbc: Any, wrapped: Any, fractions: Any, moves: Any) -> None:
    """Wrap into a reduced cell: ``wrapped = positions + moves @ cell``."""
    inverse = np.empty((3, 3))
    volume = 0.0
    for k in range(3):
        a, b = (k + 1) % 3, (k + 2) % 3
        for c in range(3):
            d, e = (c + 1) % 3, (c + 2) % 3
            inverse[c, k] = cell[a, d] * cell[b, e] - cell[a, e] * cell[b, d]
    for c in range(3):
        volume += cell[0, c] * inverse[c, 0]
    for atom in range(len(positions)):
        for k in range(3):
            fraction = 0.0
            for c in range(3):
                fraction += positions[atom, c] * inverse[c, k]
            fraction /= volume
            move = -np.floor(fraction) if pbc[k] else 0.0
            moves[atom, k] = np.int32(move)
            fractions[atom, k] = fraction + move
        for c in range(3):
            wrapped[atom, c] = positions[atom, c] + (
                moves[atom, 0] * cell[0, c]
                + moves[atom, 1] * cell[1, c]
                + moves[atom, 2] * cell[2, c]
            )


@compiled
def cell_heights(cell: Any, heights: Any) -> float:
    """Fill in the distances between opposite faces; return the volume."""
    volume = 0.0
    for k in range(3):
        a, b = (k + 1) % 3, (k + 2) % 3
        square = 0.0
        volume = 0.0
        for c in range(3):
            d, e = (c + 1) % 3, (c + 2) % 3
            normal = cell[a, d] * cell[b, e] - cell[a, e] * cell[b, d]
            square += normal * normal
            volume += cell[k, c] * normal
        volume = abs(volume)
        heights[k] = volume / np.sqrt(square)
    return volume


@compiled
def bulk_extent(fractions: Any, axis: int) -> tuple[float, float]:
    """Where most atoms are along a direction without periodicity: few far ones do not count."""
    n_atoms = len(fractions)
    n_samples = min(n_atoms, _SAMPLES)
    sample = np.empty(n_samples)
    for i in range(n_samples):
        value = fractions[i * n_atoms // n_samples, axis]
        j = i
        while j > 0 and sample[j - 1] > value:
            sample[j] = sample[j - 1]
            j -= 1
        sample[j] = value
    skip = n_samples // 32
    low, high = sample[skip], sample[n_samples - 1 - skip]
    margin = 0.5 + 0.05 * (high - low)
    return low - margin, high + margin


@compiled
def plan_bins(
    reach: float, lengths: Any, pbc: Any, max_bins: int, n_bins: Any, widths: Any, spans: Any
) -> None:
    """Bins at least ``reach`` wide where the cell allows it, and how many of them to look at."""
    for k in range(3):
        n_bins[k] = max(1, np.int64(min(lengths[k] / reach, 1e6)))
    while n_bins[0] * n_bins[1] * n_bins[2] > max_bins:
        longest = np.argmax(n_bins)
        n_bins[longest] = (n_bins[longest] + 1) // 2
    for k in range(3):
        widths[k] = lengths[k] / n_bins[k]
        spans[k] = max(1, np.int64(np.ceil(reach / widths[k] - 1e-9)))
        if not pbc[k]:
            spans[k] = min(spans[k], n_bins[k])


@compiled
def sort_into_bins(
    fractions: Any, origins: Any, scales: Any, n_bins: Any, bin_of: Any, start: Any, order: Any
) -> float:
    """Counting sort of atoms by bin; return how many atoms share a bin with an atom, on average.

    The outermost bins along a free direction take in all that lies beyond them.
    """
    n_atoms = len(fractions)
    total = n_bins[0] * n_bins[1] * n_bins[2]
    start[: total + 1] = 0
    for atom in range(n_atoms):
        place = 0
        for k in range(3):
            scaled = (fractions[atom, k] - origins[k]) * scales[k]
            scaled = max(0.0, min(scaled, n_bins[k] - 1.0))
            place = place * n_bins[k] + np.int64(scaled)
        bin_of[atom] = place
        start[place + 1] += 1
    crowd = 0.0
    for place in range(total):
        crowd += float(start[place + 1]) ** 2
        start[place + 1] += start[place]
    # Filling from the back keeps atoms of one bin in order and leaves ``start`` in place after.
    for atom in range(n_atoms - 1, -1, -1):
        place = bin_of[atom]
        start[place + 1] -= 1
        order[start[place + 1]] = atom
    for place in range(total):
        start[place] = start[place + 1]
    start[total] = n_atoms
    return crowd / n_atoms


@compiled
def list_runs(home: Any, n_bins: Any, spans: Any, pbc: Any, start: Any, runs: Any) -> int:
    """Atoms around a bin as runs of sorted rows: first, last, and the image (3) they stand in."""
    count = 0
    for x in range(home[0] - spans[0], home[0] + spans[0] + 1):
        image_x = x // n_bins[0]
        if image_x != 0 and not pbc[0]:
            continue
        for y in range(home[1] - spans[1], home[1] + spans[1] + 1):
            image_y = y // n_bins[1]
            if image_y != 0 and not pbc[1]:
                continue
            column = (x - image_x * n_bins[0]) * n_bins[1] + y - image_y * n_bins[1]
            low, high = home[2] - spans[2], home[2] + spans[2]
            if not pbc[2]:
                low, high = max(low, 0), min(high, n_bins[2] - 1)
            while low <= high:
                image_z = low // n_bins[2]
                end = min(high, (image_z + 1) * n_bins[2] - 1)
                base = (column - image_z) * n_bins[2]
                first, last = start[base + low], start[base + end + 1]
                low = end + 1
                if first < last:
                    runs[count, 0], runs[count, 1] = first, last
                    runs[count, 2], runs[count, 3], runs[count, 4] = image_x, image_y, image_z
                    count += 1
    return count


@compiled
def coverage(home: Any, n_bins: Any, spans: Any, widths: Any, pbc: Any) -> float:
    """The radius within which the bins around ``home`` hold every atom; infinite for all."""
    cover = np.inf
    for k in range(3):
        if pbc[k] or home[k] - spans[k] > 0 or home[k] + spans[k] < n_bins[k] - 1:
            cover = min(cover, spans[k] * widths[k] * _COVER)
    return cover
