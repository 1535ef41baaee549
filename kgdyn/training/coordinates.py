"""Coordinates of targets as a plain VAMPnet takes them, and pairs of them a lag time apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.graphs._lattice import completed_cells
from kgdyn.models.vampnet import COORDINATES
from kgdyn.trajectories.lagged_pairs import as_trajectories, lagged_pairs
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["coordinates_dataset", "target_coordinates"]

_FRAMES_AT_ONCE = 4096
_PREFETCHED_BATCHES = 2


def target_coordinates(
    trajectory: Trajectory, *, others: Sequence[int] = (), coordinates: str = "cartesian"
) -> NDArray[np.float32]:
    """Where the targets are in each frame.

    Parameters
    ----------
    trajectory : Trajectory
        Its targets have all the same number of atoms.
    others : sequence of int
        Atoms whose coordinates enter beside those of each target.
    coordinates : {"cartesian", "fractional", "circular"}
        As for :class:`kgdyn.models.VAMPNet`. Atoms are wrapped along periodic directions; those of
        a target of several atoms stay with its first. In a cell that changes, Cartesian
        coordinates are of each frame's own cell.

    Returns
    -------
    (n_frames, n_targets, n_inputs) array of float32
        Of the target's atoms, then of the others; of each atom x, y, z (angstrom or fractions),
        or three sines and three cosines.

    Raises
    ------
    ValueError
        For targets of different sizes, an atom that is not there, another kind of coordinates,
        directions without a period where they are needed, or a frame that is not finite.
    """
    if coordinates not in COORDINATES:
        raise ValueError(
            f"coordinates must be one of {tuple(COORDINATES)}, received {coordinates!r}"
        )
    sizes = np.diff(trajectory.targets.offsets)
    if (sizes != sizes[0]).any():
        raise ValueError(
            f"{trajectory.source}: targets must have the same number of atoms each for a VAMPNet, "
            f"received {sorted(set(sizes.tolist()))}"
        )
    for atom in others:
        if not 0 <= atom < trajectory.n_atoms:
            raise ValueError(
                f"others must be indices of the {trajectory.n_atoms} atoms, received {atom}"
            )
    if coordinates != "cartesian" and not trajectory.pbc.all():
        raise ValueError(
            f"coordinates={coordinates!r} needs a cell that is periodic in all directions, "
            f"received pbc={trajectory.pbc.tolist()}"
        )
    atoms = np.asarray(trajectory.targets.atoms).reshape(trajectory.n_targets, -1)
    n_atoms = atoms.shape[1] + len(others)
    shape = (trajectory.n_frames, trajectory.n_targets, COORDINATES[coordinates] * n_atoms)
    result = np.empty(shape, np.float32)
    for start in range(0, trajectory.n_frames, _FRAMES_AT_ONCE):
        stop = min(start + _FRAMES_AT_ONCE, trajectory.n_frames)
        positions = np.asarray(trajectory.positions[start:stop])
        cells = np.asarray(trajectory.cells[start:stop], np.float64)
        fractions, cells = _fractions(positions, cells, trajectory.pbc, atoms, list(others))
        finite = np.isfinite(fractions).all(axis=(1, 2, 3))
        if not finite.all():
            frame = start + int(np.argmin(finite))
            trajectory.frame(frame)  # raises, and says where, for any atom of it
            raise ValueError(f"{trajectory.where(frame)}: the cell has no volume")
        if coordinates == "cartesian":
            fractions = fractions @ cells[:, None]
        elif coordinates == "circular":
            angles = 2.0 * np.pi * fractions
            fractions = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
        result[start:stop] = fractions.reshape(stop - start, *shape[1:])
    return result


def coordinates_dataset(
    trajectories: Trajectory | Sequence[Trajectory],
    *,
    lagtime: int,
    others: Sequence[int] = (),
    coordinates: str = "cartesian",
    batch_size: int = 1024,
    shuffle: bool = True,
    seed: int = 0,
    stride: int = 1,
) -> Any:
    """Pairs of coordinates a lag time apart, for ``fit`` and ``evaluate`` of a VAMPNet.

    Coordinates of all frames are held in memory.

    Parameters
    ----------
    trajectories : Trajectory or sequence of Trajectory
        Pairs never cross a border of a trajectory or segment.
    lagtime : int, frames.
    others, coordinates
        As for :func:`target_coordinates`, and the same as the model's.
    batch_size : int
        Pairs of targets a batch; the last batch of an epoch may be smaller.
    shuffle : bool
        A new order each epoch, the same for the same ``seed``.
    seed : int
    stride : int
        Use each ``stride``-th pair of frames only.

    Returns
    -------
    tf.data.Dataset of ``({"t": coordinates, "lag": coordinates},)``, each ``(batch, n_inputs)``.

    Raises
    ------
    ValueError
        For a lag time longer than every segment, a ``batch_size`` or ``stride`` below 1, a
        negative ``seed``, or as :func:`target_coordinates`.
    """
    import tensorflow as tf

    trajectories = as_trajectories(trajectories)
    pairs = lagged_pairs(trajectories, lagtime)
    for name, value in (("batch_size", batch_size), ("stride", stride)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, received {value}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, received {seed}")
    parts = [target_coordinates(t, others=others, coordinates=coordinates) for t in trajectories]
    widths = sorted({part.shape[2] for part in parts})
    if len(widths) > 1:
        raise ValueError(
            "trajectories must have targets of one number of atoms for a VAMPNet, received "
            f"{widths} coordinates a target"
        )
    rows = np.concatenate([part.reshape(-1, widths[0]) for part in parts])
    first, second = _rows_of_pairs(
        parts, pairs.trajectory[::stride], pairs.first[::stride], lagtime
    )
    epoch = 0

    def batches() -> Iterator[dict[str, NDArray[np.float32]]]:
        nonlocal epoch
        order = np.arange(len(first))
        if shuffle:
            np.random.default_rng([seed, epoch]).shuffle(order)
        epoch += 1
        for start in range(0, len(order), batch_size):
            now = order[start : start + batch_size]
            yield {"t": rows[first[now]], "lag": rows[second[now]]}

    spec = tf.TensorSpec([None, widths[0]], tf.float32)
    dataset = tf.data.Dataset.from_generator(
        batches, output_signature={"t": spec, "lag": spec}
    ).map(lambda inputs: (inputs,))
    n_batches = -(-len(first) // batch_size)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(n_batches))
    return dataset.prefetch(_PREFETCHED_BATCHES)


def _rows_of_pairs(
    parts: Sequence[NDArray[np.float32]],
    which: NDArray[np.int32],
    first: NDArray[np.int64],
    lagtime: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every pair of frames and each target the rows at t and a lag time later."""
    n_targets = np.array([part.shape[1] for part in parts])
    sizes = np.array([len(part) for part in parts]) * n_targets
    start = (np.cumsum(sizes) - sizes)[which] + first * n_targets[which]
    count = n_targets[which]
    target = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    at_t = np.repeat(start, count) + target
    return at_t, at_t + lagtime * np.repeat(count, count)


def _fractions(
    positions: NDArray[Any],
    cells: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    atoms: NDArray[np.int64],
    others: list[int],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n_frames, n_targets, n_atoms, 3) wrapped fractions of a cell, and that cell."""
    cells = np.asarray(completed_cells(cells, pbc), np.float64)
    inverse = np.linalg.inv(cells)
    own = positions[:, atoms].astype(np.float64) @ inverse[:, None]
    lead = own[:, :, :1]
    own = own - np.round(own - lead) * pbc
    own = own - np.floor(lead) * pbc
    beside = positions[:, others].astype(np.float64) @ inverse
    beside = beside - np.floor(beside) * pbc
    shape = (*own.shape[:2], len(others), 3)
    return np.concatenate([own, np.broadcast_to(beside[:, None], shape)], axis=2), cells
