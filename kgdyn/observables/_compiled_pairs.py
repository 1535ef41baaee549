"""Numba kernels: atoms around targets, in all periodic images, added up with state weights.

Importing this file imports numba. Kernels release the GIL, check nothing, and share nothing but
their arguments. Atoms are sorted into bins about half as wide as the reach; the bins around a
target are looked at in every image that the reach needs, so it may exceed the cell. After an
edit here delete ``__pycache__``: numba looks at the file of the outermost kernel only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])

_njit: Any = functools.partial(numba.njit, nogil=True, fastmath=False, error_model="numpy")
_BINS_PER_REACH = 2.0


def compiled(function: Function) -> Function:
    """Compile without the GIL and keep the machine code on disk where that is possible."""
    kernel: Function
    try:
        kernel = _njit(cache=True, no_cfunc_wrapper=True)(function)
    except RuntimeError:  # no folder that may be written to
        kernel = _njit(no_cfunc_wrapper=True)(function)
    return kernel


@compiled
def wrap_fraction(fraction: float, periodic: bool) -> tuple[float, float]:
    """Into [0, 1) along a periodic direction; returns what was added, too."""
    if not periodic:
        return fraction, 0.0
    move = -np.floor(fraction)
    inside = fraction + move
    if inside >= 1.0:  # a tiny negative fraction rounds to 1
        return 0.0, move - 1.0
    return inside, move


@compiled
def fractions_of(positions: Any, atom: int, inverse: Any, result: Any) -> None:
    x, y, z = positions[atom, 0], positions[atom, 1], positions[atom, 2]
    for k in range(3):
        result[k] = x * inverse[0, k] + y * inverse[1, k] + z * inverse[2, k]


@compiled
def plan_bins(reach: float, cell: Any, pbc: Any, n_atoms: int, n_bins: Any, spans: Any) -> None:
    """Bins along each lattice vector, and how many of them on each side are within reach."""
    for k in range(3):
        a, b = (k + 1) % 3, (k + 2) % 3
        square, volume = 0.0, 0.0
        for c in range(3):
            d, e = (c + 1) % 3, (c + 2) % 3
            normal = cell[a, d] * cell[b, e] - cell[a, e] * cell[b, d]
            square += normal * normal
            volume += cell[k, c] * normal
        height = abs(volume) / np.sqrt(square)
        n_bins[k] = 1
        spans[k] = 0
        if pbc[k]:
            # More bins than atoms along an edge would mostly be empty.
            most = 1.0 + 2.0 * np.cbrt(float(n_atoms))
            n_bins[k] = max(1, np.int64(min(_BINS_PER_REACH * height / reach, most)))
            spans[k] = np.int64(np.ceil(reach * n_bins[k] / height * (1.0 + 1e-9)))


@compiled
def sort_atoms(
    positions: Any,
    atoms: Any,
    cell: Any,
    inverse: Any,
    pbc: Any,
    n_bins: Any,
    inside: Any,
    work: Any,
) -> None:
    """Wrap the atoms that count and sort them by bin (a counting sort).

    ``work`` is (positions (3, n_atoms) in order, atoms in order, first of each bin, and two buffers
    of n_atoms, of int and float); ``inside`` (3, n_atoms) is a buffer.
    """
    wrapped, order, start, bin_of, _ = work
    total = n_bins[0] * n_bins[1] * n_bins[2]
    for place in range(total + 1):
        start[place] = 0
    fraction = np.empty(3)
    for a in range(len(atoms)):
        fractions_of(positions, atoms[a], inverse, fraction)
        place = 0
        for k in range(3):
            fraction[k], _ = wrap_fraction(fraction[k], pbc[k])
            scaled = np.int64(fraction[k] * n_bins[k]) if pbc[k] else 0
            place = place * n_bins[k] + min(scaled, n_bins[k] - 1)
        bin_of[a] = place
        start[place + 1] += 1
        for c in range(3):
            inside[c, a] = (
                fraction[0] * cell[0, c] + fraction[1] * cell[1, c] + fraction[2] * cell[2, c]
            )
    for place in range(total):
        start[place + 1] += start[place]
    # Filling from the back leaves ``start`` shifted by one place, which is put right below.
    for a in range(len(atoms) - 1, -1, -1):
        place = bin_of[a]
        start[place + 1] -= 1
        at = start[place + 1]
        order[at] = atoms[a]
        for c in range(3):
            wrapped[c, at] = inside[c, a]
    for place in range(total):
        start[place] = start[place + 1]
    start[total] = len(atoms)


@compiled
def place_target(
    positions: Any,
    images: Any,
    own: Any,
    masses: Any,
    inverse: Any,
    pbc: Any,
    centre: Any,
    own_images: Any,
) -> None:
    """Wrapped fractions of a target's centre, and the images its own atoms stand in around it.

    The molecule is made whole by ``images`` where these are given (n_images > 0), else by the
    image of each atom that is nearest to the first.
    """
    first, fraction = np.empty(3), np.empty(3)
    fractions_of(positions, own[0], inverse, first)
    total = 0.0
    for k in range(3):
        centre[k] = 0.0
    for e in range(len(own)):
        fractions_of(positions, own[e], inverse, fraction)
        mass = masses[own[e]]
        total += mass
        for k in range(3):
            shift = 0.0
            if pbc[k]:
                if len(images) > 0:
                    shift = float(images[own[e], k] - images[own[0], k])
                else:
                    shift = -np.rint(fraction[k] - first[k])
            _, move = wrap_fraction(fraction[k], pbc[k])
            own_images[e, k] = np.int64(shift - move)
            centre[k] += mass * (fraction[k] + shift - first[k])
    for k in range(3):
        centre[k], move = wrap_fraction(centre[k] / total + first[k], pbc[k])
        for e in range(len(own)):
            own_images[e, k] += np.int64(move)


@compiled
def longest_target(offsets: Any) -> int:
    most = 0
    for target in range(len(offsets) - 1):
        most = max(most, offsets[target + 1] - offsets[target])
    return most


@compiled
def largest(values: Any) -> float:
    most = 0.0
    for value in values:
        most = max(most, value)
    return most


@compiled
def gather(
    centre: Any,
    cell: Any,
    pbc: Any,
    n_bins: Any,
    spans: Any,
    reach: float,
    work: Any,
    owner: Any,
    own_images: Any,
    found: Any,
    vectors: Any,
) -> tuple[int, Any, Any]:
    """Atoms within reach of a wrapped centre, the target's own left out: ``found``, ``vectors``.

    Both grow where they are too short and are returned with the number of atoms.
    """
    wrapped, order, start, kept, squares = work
    x, y, z = 0.0, 0.0, 0.0
    home = np.empty(3, np.int64)
    for k in range(3):
        x += centre[k] * cell[k, 0]
        y += centre[k] * cell[k, 1]
        z += centre[k] * cell[k, 2]
        home[k] = min(np.int64(centre[k] * n_bins[k]), n_bins[k] - 1) if pbc[k] else 0
    square = reach * reach
    count = 0
    for i in range(home[0] - spans[0], home[0] + spans[0] + 1):
        image_i = i // n_bins[0]
        for j in range(home[1] - spans[1], home[1] + spans[1] + 1):
            image_j = j // n_bins[1]
            column = (i - image_i * n_bins[0]) * n_bins[1] + j - image_j * n_bins[1]
            low, high = home[2] - spans[2], home[2] + spans[2]
            while low <= high:  # bins that follow each other in one image are one run of atoms
                image_k = low // n_bins[2]
                end = min(high, (image_k + 1) * n_bins[2] - 1)
                base = (column - image_k) * n_bins[2]
                at, last = start[base + low], start[base + end + 1]
                low = end + 1
                sx = image_i * cell[0, 0] + image_j * cell[1, 0] + image_k * cell[2, 0] - x
                sy = image_i * cell[0, 1] + image_j * cell[1, 1] + image_k * cell[2, 1] - y
                sz = image_i * cell[0, 2] + image_j * cell[1, 2] + image_k * cell[2, 2] - z
                n_run = last - at
                if count + n_run > len(found):
                    size = 2 * (count + n_run)
                    more, longer = np.empty(size, np.int64), np.empty((size, 4))
                    for m in range(count):
                        more[m] = found[m]
                        for c in range(4):
                            longer[m, c] = vectors[m, c]
                    found, vectors = more, longer
                # Slices from 0 on, and no branch for what is too far: this runs on vector units.
                xs, ys, zs = wrapped[0, at:last], wrapped[1, at:last], wrapped[2, at:last]
                for q in range(n_run):
                    dx, dy, dz = xs[q] + sx, ys[q] + sy, zs[q] + sz
                    squares[q] = dx * dx + dy * dy + dz * dz
                n_kept = 0
                for q in range(n_run):
                    kept[n_kept] = q
                    n_kept += squares[q] < square
                for m in range(n_kept):
                    p = at + kept[m]
                    e = owner[order[p]]
                    if (
                        e >= 0
                        and own_images[e, 0] == image_i
                        and own_images[e, 1] == image_j
                        and own_images[e, 2] == image_k
                    ):
                        continue
                    found[count] = order[p]
                    vectors[count, 0] = xs[kept[m]] + sx
                    vectors[count, 1] = ys[kept[m]] + sy
                    vectors[count, 2] = zs[kept[m]] + sz
                    vectors[count, 3] = np.sqrt(squares[kept[m]])
                    count += 1
    return count, found, vectors
