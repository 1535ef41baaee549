"""Angles neighbour-target-neighbour around the targets of each state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman import Interval, Resampling
from kgdyn.observables._block_sums import block_intervals
from kgdyn.observables._inputs import AtomValues
from kgdyn.observables._radial_sums import check_reaches, resampling_of, state_sums
from kgdyn.observables._selections import Selections, channels_of, select_atoms
from kgdyn.observables._target_frames import target_frames
from kgdyn.trajectories import Trajectory

__all__ = ["AngularDistribution", "angular_distribution"]

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class AngularDistribution:
    """Density of the angle between two neighbours, seen from targets of each state.

    Attributes
    ----------
    angles : (n_bins,) array, degrees
        Middle of each bin.
    edges : (n_bins + 1,) array, degrees, 0 to 180.
    density : (n_states, n_pairs, n_bins) array, per degree
        Integrates to 1; NaN where no such pair was seen.
    density_interval : Interval, 95%.
    isotropic : (n_bins,) array, per degree
        The density of neighbours in random directions, (sin theta) / 2 averaged over each bin.
    angles_per_target : (n_states, n_pairs) array
        Mean number of such angles around a target; NaN for a state that is never visited.
    angles_per_target_interval : Interval, 95%.
    pairs : tuple of (str, str)
        Selections of the two neighbours.
    cutoffs : dict, angstrom
        By selection.
    populations : (n_states,) array
    n_frames, n_targets : int
        Of all trajectories; targets of the first one.
    centre : str
        "atom", "mean of the atoms" or "centre of mass": where the angle's corner is.
    resampling : Resampling
    """

    angles: Float
    edges: Float
    density: Float
    density_interval: Interval
    isotropic: Float
    angles_per_target: Float
    angles_per_target_interval: Interval
    pairs: tuple[tuple[str, str], ...]
    cutoffs: dict[str, float]
    populations: Float
    n_frames: int
    n_targets: int
    centre: str
    resampling: Resampling

    def __repr__(self) -> str:
        return (
            f"AngularDistribution(n_states={len(self.density)}, pairs={list(self.pairs)}, "
            f"cutoffs={self.cutoffs} angstrom, n_bins={len(self.angles)}, "
            f"n_frames={self.n_frames}, n_targets={self.n_targets}, centre={self.centre!r}, "
            f"intervals={self.resampling.describe()!r})"
        )


def angular_distribution(
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike] | None = None,
    *,
    cutoffs: float | Mapping[str, float],
    selections: Selections = None,
    pairs: Sequence[tuple[str, str]] | None = None,
    n_bins: int = 90,
    masses: AtomValues | None = None,
    resampling: Resampling | None = None,
    lagtime: int = 1,
    n_threads: int | None = None,
) -> AngularDistribution:
    """State-weighted distribution of angles between neighbours of a target.

    Every two different neighbours nearer than the cut-offs make an angle at the target, those of
    the pair (A, A) once. Images of one atom are different neighbours.

    Parameters
    ----------
    trajectories, state_probabilities, selections, masses, resampling, lagtime, n_threads
        As for :func:`kgdyn.observables.state_rdf`.
    cutoffs : float, or mapping from the names of all selections, angstrom
        Neighbours are nearer than this.
    pairs : sequence of (str, str), optional
        Which selections the two neighbours are of; all pairs if not given.
    n_bins : int
        Equal bins from 0 to 180 degrees.

    Raises
    ------
    ValueError
        As :func:`kgdyn.observables.state_rdf`; for cut-offs that are not positive or of other
        names, and pairs of what is no selection, or given twice.
    """
    from kgdyn.observables._compiled_structure import add_angles

    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, received {n_bins}")
    frames = target_frames(trajectories, state_probabilities, masses)
    names, lists = select_atoms(frames.trajectories, selections)
    reaches = check_reaches(cutoffs, names)
    chosen = tuple(combinations_with_replacement(names, 2)) if pairs is None else tuple(pairs)
    pair_of = _pair_table(names, chosen)
    resampling = resampling_of(frames, resampling, lagtime)
    channels = [channels_of(t, own) for t, own in zip(frames.trajectories, lists, strict=True)]
    shape = (len(chosen), n_bins)
    blocks = state_sums(
        frames, resampling, channels, reaches, add_angles, (pair_of,), shape, n_threads
    )
    edges = np.linspace(0.0, 180.0, n_bins + 1)
    width = 180.0 / n_bins

    def statistics(sums: dict[str, Float]) -> dict[str, Float]:
        counts = np.moveaxis(sums["counts"], -1, 1)
        total = counts.sum(axis=-1)
        # What is left of a block's own share by rounding is no angle.
        seen = np.where(total > 1e-9, total, np.nan)
        weights = np.where(sums["weights"] > 0.0, sums["weights"], np.nan)
        return {
            "density": counts / (seen[..., None] * width),
            "angles_per_target": total / weights[..., None],
        }

    found, intervals = block_intervals(resampling, blocks, statistics)
    weights = blocks.sums["weights"].sum(axis=0)
    return AngularDistribution(
        angles=readonly(0.5 * (edges[1:] + edges[:-1])),
        edges=readonly(edges),
        density=readonly(found["density"]),
        density_interval=intervals["density"],
        isotropic=readonly(-0.5 * np.diff(np.cos(np.radians(edges))) / width),
        angles_per_target=readonly(found["angles_per_target"]),
        angles_per_target_interval=intervals["angles_per_target"],
        pairs=chosen,
        cutoffs=dict(zip(names, reaches.tolist(), strict=True)),
        populations=readonly(weights / weights.sum()),
        n_frames=frames.n_frames,
        n_targets=frames.n_targets[0],
        centre=frames.centre,
        resampling=resampling,
    )


def _pair_table(names: tuple[str, ...], pairs: tuple[tuple[str, str], ...]) -> NDArray[np.int64]:
    """(n_selections, n_selections) number of each pair, whichever comes first; -1 for others."""
    table = np.full((len(names), len(names)), -1, np.int64)
    for number, pair in enumerate(pairs):
        if len(pair) != 2 or not set(pair) <= set(names):
            raise ValueError(f"pairs must be two of the selections {list(names)}, received {pair}")
        first, second = names.index(pair[0]), names.index(pair[1])
        if table[first, second] >= 0:
            raise ValueError(f"pairs must each be given once, received {pair} again")
        table[first, second] = table[second, first] = number
    if not pairs:
        raise ValueError("pairs: at least one is needed, received none")
    return table
