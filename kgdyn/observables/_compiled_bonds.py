"""Numba kernels of local bond order: harmonics of the directions to neighbours, and their overlap.

Importing this file imports numba. Real harmonics take the place of complex ones: sums over m of
products are the same. They are scaled so that those of one direction have the sum of squares 1,
which is the 4 pi / (2 l + 1) of Steinhardt's definition.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kgdyn.observables._compiled_pairs import (
    compiled,
    fractions_of,
    gather,
    plan_bins,
    sort_atoms,
    wrap_fraction,
)


@compiled
def add_harmonics(degree: int, x: float, y: float, z: float, result: Any) -> None:
    """Add the 2 degree + 1 real harmonics of a unit vector; order 0, then cosine, sine of each m.

    P_l^m / sin^m by the recurrence over l, sin^m cos(m phi) as the real part of (x + iy)^m: there
    is no division, and no direction is special.
    """
    real, imaginary = 1.0, 0.0
    start = 1.0  # (2 m - 1)!!
    for m in range(degree + 1):
        if m > 0:
            real, imaginary = real * x - imaginary * y, real * y + imaginary * x
            start *= 2.0 * m - 1.0
        last, here = 0.0, start
        for k in range(m + 1, degree + 1):
            last, here = here, ((2.0 * k - 1.0) * z * here - (k + m - 1.0) * last) / (k - m)
        scale = 1.0 if m == 0 else 2.0
        for k in range(degree - m + 1, degree + m + 1):
            scale /= k
        value = np.sqrt(scale) * here
        if m == 0:
            result[0] += value
        else:
            result[2 * m - 1] += value * real
            result[2 * m] += value * imaginary


@compiled
def dot(a: Any, b: Any) -> float:
    """Written out: array expressions take several times as long to compile."""
    total = 0.0
    for k in range(len(a)):
        total += a[k] * b[k]
    return total


@compiled
def nearest_of(found: Any, vectors: Any, count: int, wanted: int) -> None:
    """Bring the nearest ``wanted`` to the front, by distance, then index, then image."""
    for a in range(wanted):
        best = a
        for b in range(a + 1, count):
            if vectors[b, 3] < vectors[best, 3] or (
                vectors[b, 3] == vectors[best, 3] and found[b] < found[best]
            ):
                best = b
        if best != a:
            found[a], found[best] = found[best], found[a]
            for c in range(4):
                vectors[a, c], vectors[best, c] = vectors[best, c], vectors[a, c]


@compiled
def bond_orders(
    frames: tuple[int, int],
    system: Any,
    rows: Any,
    centres: Any,
    degrees: Any,
    n_neighbors: int,
    reach: float,
    magnitudes: Any,
    correlations: Any,
) -> None:
    """Fill (n_frames, n_rows, n_degrees) magnitudes and correlations; NaN without neighbours.

    Parameters
    ----------
    frames : (first, last)
    system : (positions, cells, inverses, pbc, atoms)
        ``atoms``: those that count as neighbours.
    rows : (n_rows,) array of int
        Atoms whose order is asked for.
    centres : array of int
        Rows, and every atom that can be a neighbour, each once.
    degrees : (n_degrees,) array of int
    n_neighbors : int
        The nearest so many, or 0 for all within ``reach``, which is a first guess otherwise.
    """
    positions, cells, inverses, pbc, atoms = system
    n_atoms, n_degrees = positions.shape[1], len(degrees)
    offsets = np.zeros(n_degrees + 1, np.int64)
    for d in range(n_degrees):
        offsets[d + 1] = offsets[d] + 2 * degrees[d] + 1
    found, vectors = np.empty(64, np.int64), np.empty((64, 4))
    wrapped, inside = np.empty((3, len(atoms))), np.empty((3, len(atoms)))
    squares = np.empty(len(atoms))
    order, bin_of = np.empty(len(atoms), np.int64), np.empty(len(atoms), np.int64)
    owner = np.empty(n_atoms, np.int64)
    for atom in range(n_atoms):
        owner[atom] = -1
    own_images = np.zeros((1, 3), np.int64)
    shape, spans = np.empty(3, np.int64), np.empty(3, np.int64)
    centre = np.empty(3)
    harmonics = np.empty((n_atoms, offsets[n_degrees]))
    first = np.zeros(n_atoms, np.int64)
    counts = np.zeros(n_atoms, np.int64)
    joined = np.empty(64 * len(centres), np.int64)
    for frame in range(frames[0], frames[1]):
        cell, inverse = cells[frame], inverses[frame]
        done = False
        while not done:
            done = True
            plan_bins(reach, cell, pbc, len(atoms), shape, spans)
            start = np.empty(shape[0] * shape[1] * shape[2] + 1, np.int64)
            work = (wrapped, order, start, bin_of, squares)
            sort_atoms(positions[frame], atoms, cell, inverse, pbc, shape, inside, work)
            filled = 0
            for c in range(len(centres)):
                atom = centres[c]
                fractions_of(positions[frame], atom, inverse, centre)
                for k in range(3):
                    centre[k], _ = wrap_fraction(centre[k], pbc[k])
                owner[atom] = 0
                count, found, vectors = gather(
                    centre, cell, pbc, shape, spans, reach, work, owner, own_images, found, vectors
                )
                owner[atom] = -1
                if n_neighbors > 0:
                    if count < n_neighbors:  # further neighbours: look again, further
                        reach *= 1.3
                        done = False
                        break
                    nearest_of(found, vectors, count, n_neighbors)
                    count = n_neighbors
                if filled + count > len(joined):
                    longer = np.empty(2 * (filled + count), np.int64)
                    for m in range(filled):
                        longer[m] = joined[m]
                    joined = longer
                first[atom], counts[atom] = filled, count
                values = harmonics[atom]
                for k in range(len(values)):
                    values[k] = 0.0
                for m in range(count):
                    joined[filled + m] = found[m]
                    size = vectors[m, 3]
                    if size > 0.0:
                        x, y, z = vectors[m, 0] / size, vectors[m, 1] / size, vectors[m, 2] / size
                        for d in range(n_degrees):
                            add_harmonics(degrees[d], x, y, z, values[offsets[d] : offsets[d + 1]])
                filled += count
        for c in range(len(centres)):
            values = harmonics[centres[c]]
            for k in range(len(values)):
                values[k] /= max(counts[centres[c]], 1)
        for r in range(len(rows)):
            atom = rows[r]
            for d in range(n_degrees):
                mine = harmonics[atom, offsets[d] : offsets[d + 1]]
                size = np.sqrt(dot(mine, mine))
                none = counts[atom] == 0
                magnitudes[frame, r, d] = np.nan if none else size
                total, n_defined = 0.0, 0
                for m in range(first[atom], first[atom] + counts[atom]):
                    other = harmonics[joined[m], offsets[d] : offsets[d + 1]]
                    norm = size * np.sqrt(dot(other, other))
                    if norm > 1e-12:
                        total += dot(mine, other) / norm
                        n_defined += 1
                correlations[frame, r, d] = total / n_defined if n_defined > 0 else np.nan
