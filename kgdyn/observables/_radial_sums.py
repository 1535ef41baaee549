"""State-weighted sums over frames of what is found around targets, in blocks, in parallel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn._threads import share, usable_cores
from kgdyn.koopman import Resampling
from kgdyn.observables._block_sums import BlockSums, chosen_resampling, plan_blocks
from kgdyn.observables._selections import Channels
from kgdyn.observables._target_frames import TargetFrames

__all__ = ["check_bins", "check_reaches", "resampling_of", "state_sums"]

Float = NDArray[np.float64]


def resampling_of(frames: TargetFrames, resampling: Resampling | None, lagtime: int) -> Resampling:
    """The given one, or what the data allow (:func:`kgdyn.koopman.resampling_for`)."""
    if resampling is not None:
        return resampling
    return chosen_resampling(frames.segments, frames.lengths, min(frames.n_targets), lagtime)


def state_sums(
    frames: TargetFrames,
    resampling: Resampling,
    channels: Sequence[Channels],
    reaches: Float,
    kernel: Callable[..., None],
    extra: tuple[Any, ...],
    shape: tuple[int, int],
    n_threads: int | None,
) -> BlockSums:
    """Run a kernel of ``_compiled_structure`` over all frames.

    Parameters
    ----------
    frames : TargetFrames
    resampling : Resampling
    channels : sequence of Channels
        Of each trajectory.
    reaches : (n_channels,) array, angstrom
    kernel, extra
        ``kernel(frames, system, targets, weights, rows, membership, reaches, *extra, sums)``.
    shape : tuple of two ints
        Of the second and third axis of its sums.
    n_threads : int, optional
        All cores if not given. The sums depend on it by rounding only.

    Returns
    -------
    BlockSums with, for each block,
        ``counts`` (shape, n_states): what the kernel adds; ``weights`` (n_states,): sum of state
        probabilities; ``ideal`` (n_channels, n_states): sum of probabilities times the density of
        atoms of a channel, without the target's own, per cubic angstrom; ``own`` (the same shape):
        sum of probabilities times the shares of the target's own atoms.
    """
    n_threads = usable_cores() if n_threads is None else n_threads
    if n_threads < 1:
        raise ValueError(f"n_threads must be at least 1, received {n_threads}")
    pieces, block_of, target_of = plan_blocks(
        [t.offsets for t in frames.trajectories], frames.n_targets, resampling
    )
    n_rows = 1 + max(int(piece.rows.max()) for piece in pieces)
    n_channels, n_states = len(reaches), frames.n_states
    sums = {
        "counts": np.zeros((n_rows, *shape, n_states)),
        "weights": np.zeros((n_rows, n_states)),
        "ideal": np.zeros((n_rows, n_channels, n_states)),
        "own": np.zeros((n_rows, n_channels, n_states)),
    }
    for piece in pieces:
        trajectory, own = frames.trajectories[piece.trajectory], channels[piece.trajectory]
        targets = frames.targets(piece.trajectory)
        held, local = np.unique(piece.rows, return_inverse=True)
        parts = np.zeros((n_threads, len(held), *shape, n_states))
        membership = (own.first_channel, own.channels, own.shares)
        masses, pbc = frames.masses[piece.trajectory], np.array(trajectory.pbc)
        others = own.totals - own.own  # (n_targets, n_channels)
        for chunk in frames.chunks(piece.trajectory, piece.start, piece.stop):
            n_frames = len(chunk.positions)
            system = (
                chunk.positions, chunk.images, chunk.cells, chunk.inverses, pbc, own.atoms, masses
            )  # fmt: skip
            rows = np.tile(local.astype(np.int64), (n_frames, 1))
            fixed = (system, targets, chunk.weights, rows, membership, reaches, *extra)
            edges = [n_frames * part // n_threads for part in range(n_threads + 1)]
            share(
                n_threads,
                [
                    (kernel, (some, *fixed, part))
                    for some, part in zip(pairwise(edges), parts, strict=True)
                    if some[0] < some[1]
                ],
            )
            inside = chunk.weights.sum(axis=0)  # (n_targets, n_states)
            dense = np.einsum("fts,f->ts", chunk.weights, 1.0 / chunk.volumes)
            np.add.at(sums["weights"], piece.rows, inside)
            np.add.at(sums["ideal"], piece.rows, others[:, :, None] * dense[:, None, :])
            np.add.at(sums["own"], piece.rows, own.own[:, :, None] * inside[:, None, :])
        sums["counts"][held] += parts.sum(axis=0)
    return BlockSums(sums, block_of, target_of)


def check_bins(r_max: float, n_bins: int) -> None:
    """Raise ValueError unless there are bins of a positive, finite width."""
    if not (np.isfinite(r_max) and r_max > 0.0):
        raise ValueError(f"r_max must be a positive distance in angstrom, received {r_max}")
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, received {n_bins}")


def check_reaches(cutoffs: float | Mapping[str, float], names: Sequence[str]) -> Float:
    """(n_selections,) cut-offs in angstrom, from one for all or one for each name.

    Raises
    ------
    ValueError
        For a name without a cut-off, one that is no selection, or a distance that is not positive.
    """
    if isinstance(cutoffs, Mapping):
        if set(cutoffs) != set(names):
            raise ValueError(
                f"cutoffs must be one distance, or one for each of {sorted(names)}, received "
                f"those of {sorted(map(str, cutoffs))}"
            )
        values: ArrayLike = [cutoffs[name] for name in names]
    else:
        values = np.broadcast_to(np.asarray(cutoffs, dtype=np.float64), (len(names),))
    reaches = np.array(values, dtype=np.float64)
    if not (np.isfinite(reaches).all() and (reaches > 0.0).all()):
        raise ValueError(
            f"cutoffs must be positive distances in angstrom, received {reaches.tolist()}"
        )
    return reaches
