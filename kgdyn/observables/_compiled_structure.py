"""Numba kernels over frames: distances and angles around targets, weighted by their states.

Importing this file imports numba. Shapes: positions (n_frames, n_atoms, 3); images the same, or
(n_frames, 0, 3) where they are not known; cells and inverses (n_frames, 3, 3), completed along free
directions; weights (n_frames, n_targets, n_states); rows (n_frames, n_targets), the first axis of
``sums`` that a target is added to. Atom ``a`` is in the channels ``channels[k]``, with the weight
``shares[k]``, of ``k`` from ``first_channel[a]`` to ``first_channel[a + 1] - 1``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kgdyn.observables._compiled_pairs import (
    compiled,
    gather,
    largest,
    longest_target,
    place_target,
    plan_bins,
    sort_atoms,
)


@compiled
def add_distances(
    frames: tuple[int, int],
    system: Any,
    targets: Any,
    weights: Any,
    rows: Any,
    membership: Any,
    reaches: Any,
    sums: Any,
) -> None:
    """Histogram of distances, (n_rows, n_channels, n_bins, n_states), equal bins up to a reach.

    Parameters
    ----------
    frames : (first, last)
    system : (positions, images, cells, inverses, pbc, atoms, masses)
        ``atoms``: those that are in a channel.
    targets : (atoms, offsets)
    membership : (first_channel, channels, shares)
    reaches : (n_channels,) array, angstrom
        Distances up to, not including, this one are counted.
    sums : array, added to.
    """
    positions, images, cells, inverses, pbc, atoms, masses = system
    target_atoms, offsets = targets
    first_channel, channels, shares = membership
    n_atoms, n_bins, n_states = positions.shape[1], sums.shape[2], weights.shape[2]
    reach = largest(reaches)
    found, vectors = np.empty(64, np.int64), np.empty((64, 4))
    wrapped, inside = np.empty((3, len(atoms))), np.empty((3, len(atoms)))
    squares = np.empty(len(atoms))
    order, bin_of = np.empty(len(atoms), np.int64), np.empty(len(atoms), np.int64)
    owner = np.empty(n_atoms, np.int64)
    for atom in range(n_atoms):
        owner[atom] = -1
    shape, spans, centre = np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3)
    own_images = np.empty((longest_target(offsets), 3), np.int64)
    for frame in range(frames[0], frames[1]):
        cell, inverse = cells[frame], inverses[frame]
        plan_bins(reach, cell, pbc, len(atoms), shape, spans)
        start = np.empty(shape[0] * shape[1] * shape[2] + 1, np.int64)
        work = (wrapped, order, start, bin_of, squares)
        sort_atoms(positions[frame], atoms, cell, inverse, pbc, shape, inside, work)
        for target in range(len(offsets) - 1):
            own = target_atoms[offsets[target] : offsets[target + 1]]
            place_target(
                positions[frame], images[frame], own, masses, inverse, pbc, centre, own_images
            )
            for e in range(len(own)):
                owner[own[e]] = e
            count, found, vectors = gather(
                centre, cell, pbc, shape, spans, reach, work, owner, own_images, found, vectors
            )
            for e in range(len(own)):
                owner[own[e]] = -1
            row, states = sums[rows[frame, target]], weights[frame, target]
            for m in range(count):
                distance = vectors[m, 3]
                for k in range(first_channel[found[m]], first_channel[found[m] + 1]):
                    channel = channels[k]
                    if distance < reaches[channel]:
                        place = np.int64(distance * n_bins / reaches[channel])
                        place = min(place, n_bins - 1)
                        for s in range(n_states):
                            row[channel, place, s] += shares[k] * states[s]


@compiled
def add_angles(
    frames: tuple[int, int],
    system: Any,
    targets: Any,
    weights: Any,
    rows: Any,
    membership: Any,
    reaches: Any,
    pair_of: Any,
    sums: Any,
) -> None:
    """Histogram of angles neighbour-target-neighbour, (n_rows, n_pairs, n_bins, n_states).

    Parameters
    ----------
    frames, system, targets, weights, rows, membership, reaches
        As for :func:`add_distances`.
    pair_of : (n_channels, n_channels) array of int
        Which pair two channels are; -1 where it is not asked for.
    sums : array, added to; equal bins of the angle from 0 to pi.
    """
    positions, images, cells, inverses, pbc, atoms, masses = system
    target_atoms, offsets = targets
    first_channel, channels, _ = membership
    n_atoms, n_bins, n_states = positions.shape[1], sums.shape[2], weights.shape[2]
    reach = largest(reaches)
    found, vectors = np.empty(64, np.int64), np.empty((64, 4))
    wrapped, inside = np.empty((3, len(atoms))), np.empty((3, len(atoms)))
    squares = np.empty(len(atoms))
    order, bin_of = np.empty(len(atoms), np.int64), np.empty(len(atoms), np.int64)
    owner = np.empty(n_atoms, np.int64)
    for atom in range(n_atoms):
        owner[atom] = -1
    shape, spans, centre = np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3)
    own_images = np.empty((longest_target(offsets), 3), np.int64)
    for frame in range(frames[0], frames[1]):
        cell, inverse = cells[frame], inverses[frame]
        plan_bins(reach, cell, pbc, len(atoms), shape, spans)
        start = np.empty(shape[0] * shape[1] * shape[2] + 1, np.int64)
        work = (wrapped, order, start, bin_of, squares)
        sort_atoms(positions[frame], atoms, cell, inverse, pbc, shape, inside, work)
        for target in range(len(offsets) - 1):
            own = target_atoms[offsets[target] : offsets[target + 1]]
            place_target(
                positions[frame], images[frame], own, masses, inverse, pbc, centre, own_images
            )
            for e in range(len(own)):
                owner[own[e]] = e
            count, found, vectors = gather(
                centre, cell, pbc, shape, spans, reach, work, owner, own_images, found, vectors
            )
            for e in range(len(own)):
                owner[own[e]] = -1
            row = rows[frame, target]
            for m in range(count):
                for n in range(m):
                    size = vectors[m, 3] * vectors[n, 3]
                    if size == 0.0:
                        continue  # an atom on the centre has no direction
                    cosine = (
                        vectors[m, 0] * vectors[n, 0]
                        + vectors[m, 1] * vectors[n, 1]
                        + vectors[m, 2] * vectors[n, 2]
                    ) / size
                    angle = np.arccos(max(-1.0, min(1.0, cosine)))
                    place = min(np.int64(angle * n_bins / np.pi), n_bins - 1)
                    for j in range(first_channel[found[m]], first_channel[found[m] + 1]):
                        if vectors[m, 3] >= reaches[channels[j]]:
                            continue
                        for k in range(first_channel[found[n]], first_channel[found[n] + 1]):
                            pair = pair_of[channels[j], channels[k]]
                            if pair < 0 or vectors[n, 3] >= reaches[channels[k]]:
                                continue
                            for s in range(n_states):
                                sums[row, pair, place, s] += weights[frame, target, s]


@compiled
def place_targets(system: Any, targets: Any, fractions: Any) -> None:
    """Wrapped fractions of the centres of all targets, (n_frames, n_targets, 3), filled in."""
    positions, images, _, inverses, pbc, _, masses = system
    target_atoms, offsets = targets
    own_images = np.empty((longest_target(offsets), 3), np.int64)
    for frame in range(len(positions)):
        for target in range(len(offsets) - 1):
            own = target_atoms[offsets[target] : offsets[target + 1]]
            place_target(
                positions[frame],
                images[frame],
                own,
                masses,
                inverses[frame],
                pbc,
                fractions[frame, target],
                own_images,
            )
