"""How many atoms stand within a cut-off of targets of each state: means and distributions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn._threads import share, usable_cores
from kgdyn.frames import readonly
from kgdyn.koopman import Interval, Resampling
from kgdyn.observables._block_sums import BlockSums, block_intervals, plan_blocks
from kgdyn.observables._inputs import AtomValues
from kgdyn.observables._radial_sums import check_reaches, resampling_of
from kgdyn.observables._selections import Channels, Selections, channels_of, select_atoms
from kgdyn.observables._target_frames import TargetFrames, target_frames
from kgdyn.trajectories import Trajectory

__all__ = ["CoordinationNumbers", "coordination_numbers", "neighbor_counts"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class CoordinationNumbers:
    """Neighbours of targets of each state.

    Attributes
    ----------
    mean : (n_states, n_selections) array
        Mean number of atoms nearer than the cut-off; NaN for a state that is never visited.
    mean_interval : Interval, 95%.
    distribution : (n_states, n_selections, n_counts) array
        Share of targets with 0, 1, 2, ... neighbours; sums to 1.
    distribution_interval : Interval
        95%. Of a number that never or always occurs it has no width, which says nothing.
    selections : tuple of str
    cutoffs : dict, angstrom
        By selection.
    populations : (n_states,) array
    n_frames, n_targets : int
        Of all trajectories; targets of the first one.
    centre : str
        "atom", "mean of the atoms" or "centre of mass": where distances begin.
    resampling : Resampling
    """

    mean: Float
    mean_interval: Interval
    distribution: Float
    distribution_interval: Interval
    selections: tuple[str, ...]
    cutoffs: dict[str, float]
    populations: Float
    n_frames: int
    n_targets: int
    centre: str
    resampling: Resampling

    def __repr__(self) -> str:
        return (
            f"CoordinationNumbers(n_states={len(self.mean)}, cutoffs={self.cutoffs} angstrom, "
            f"n_frames={self.n_frames}, n_targets={self.n_targets}, centre={self.centre!r}, "
            f"intervals={self.resampling.describe()!r})"
        )


def coordination_numbers(
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike] | None = None,
    *,
    cutoffs: float | Mapping[str, float],
    selections: Selections = None,
    masses: AtomValues | None = None,
    resampling: Resampling | None = None,
    lagtime: int = 1,
    n_threads: int | None = None,
) -> CoordinationNumbers:
    """State-weighted numbers of atoms nearer than a cut-off, in all periodic images.

    The target's own atoms do not count; its images do.

    Parameters
    ----------
    trajectories, state_probabilities, selections, masses, resampling, lagtime, n_threads
        As for :func:`kgdyn.observables.state_rdf`.
    cutoffs : float, or mapping from the names of all selections, angstrom

    Raises
    ------
    ValueError
        As :func:`kgdyn.observables.state_rdf`; for cut-offs that are not positive or of other
        names.
    """
    frames = target_frames(trajectories, state_probabilities, masses)
    names, lists = select_atoms(frames.trajectories, selections)
    reaches = check_reaches(cutoffs, names)
    resampling = resampling_of(frames, resampling, lagtime)
    channels = [channels_of(t, own) for t, own in zip(frames.trajectories, lists, strict=True)]
    pieces, block_of, target_of = plan_blocks(
        [t.offsets for t in frames.trajectories], frames.n_targets, resampling
    )
    n_rows = 1 + max(int(piece.rows.max()) for piece in pieces)
    places = np.arange(len(names))
    weights = np.zeros((n_rows, frames.n_states))
    spread = np.zeros((n_rows, len(names), 1, frames.n_states))
    for piece in pieces:
        own = channels[piece.trajectory]
        span = (piece.trajectory, piece.start, piece.stop)
        for counts, states in _counts(frames, span, own, reaches, n_threads):
            more = int(counts.max()) + 1 - spread.shape[2]
            if more > 0:
                spread = np.pad(spread, ((0, 0), (0, 0), (0, more), (0, 0)))
            np.add.at(weights, piece.rows, states.sum(axis=0))
            where = (piece.rows[None, :, None], places[None, None, :], counts)
            np.add.at(spread, where, states[:, :, None, :])

    def statistics(sums: dict[str, Float]) -> dict[str, Float]:
        total = np.where(sums["weights"] > 0.0, sums["weights"], np.nan)
        shares = np.moveaxis(sums["spread"], -1, 1) / total[:, :, None, None]
        return {"distribution": shares, "mean": shares @ np.arange(float(shares.shape[-1]))}

    blocks = BlockSums({"weights": weights, "spread": spread}, block_of, target_of)
    found, intervals = block_intervals(
        resampling, blocks, statistics, {"distribution": "probability"}
    )
    return CoordinationNumbers(
        mean=readonly(found["mean"]),
        mean_interval=intervals["mean"],
        distribution=readonly(found["distribution"]),
        distribution_interval=intervals["distribution"],
        selections=names,
        cutoffs=dict(zip(names, reaches.tolist(), strict=True)),
        populations=readonly(weights.sum(axis=0) / weights.sum()),
        n_frames=frames.n_frames,
        n_targets=frames.n_targets[0],
        centre=frames.centre,
        resampling=resampling,
    )


def neighbor_counts(
    trajectory: Trajectory,
    *,
    cutoffs: float | Mapping[str, float],
    selections: Selections = None,
    masses: AtomValues | None = None,
    n_threads: int | None = None,
) -> Int:
    """Atoms of each selection within a cut-off of each target, in every frame.

    Parameters
    ----------
    trajectory : Trajectory
    cutoffs, selections, masses, n_threads
        As for :func:`coordination_numbers`, which says what is counted.

    Returns
    -------
    (n_frames, n_targets, n_selections) array of int64, selections in the order given, or elements
    by atomic number.

    Raises
    ------
    ValueError
        As :func:`coordination_numbers`.
    """
    frames = target_frames(trajectory, None, masses)
    names, lists = select_atoms(frames.trajectories, selections)
    reaches = check_reaches(cutoffs, names)
    own = channels_of(trajectory, lists[0])
    span = (0, 0, trajectory.n_frames)
    return np.concatenate([part for part, _ in _counts(frames, span, own, reaches, n_threads)])


def _counts(
    frames: TargetFrames,
    span: tuple[int, int, int],
    own: Channels,
    reaches: Float,
    n_threads: int | None,
) -> Iterator[tuple[Int, Float]]:
    """Counts (n_frames, n_targets, n_selections) and states of the frames of each chunk."""
    from kgdyn.observables._compiled_structure import add_distances

    n_threads = usable_cores() if n_threads is None else n_threads
    if n_threads < 1:
        raise ValueError(f"n_threads must be at least 1, received {n_threads}")
    trajectory, targets = frames.trajectories[span[0]], frames.targets(span[0])
    masses, pbc = frames.masses[span[0]], np.array(trajectory.pbc)
    membership: Any = (own.first_channel, own.channels, own.shares)
    for chunk in frames.chunks(*span):
        n_frames = len(chunk.positions)
        system = (
            chunk.positions, chunk.images, chunk.cells, chunk.inverses, pbc, own.atoms, masses
        )  # fmt: skip
        rows = np.arange(n_frames * trajectory.n_targets).reshape(n_frames, -1)
        found = np.zeros((rows.size, len(reaches), 1, 1))
        ones = np.ones((*rows.shape, 1))
        edges = [n_frames * part // n_threads for part in range(n_threads + 1)]
        share(
            n_threads,
            [
                (add_distances, (some, system, targets, ones, rows, membership, reaches, found))
                for some in pairwise(edges)
                if some[0] < some[1]
            ],
        )
        yield np.rint(found[..., 0, 0]).astype(np.int64).reshape(*rows.shape, -1), chunk.weights
