"""Bond order of the targets of each state: means and distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman import Interval, Resampling
from kgdyn.observables._block_sums import BlockSums, block_intervals, plan_blocks
from kgdyn.observables._radial_sums import resampling_of
from kgdyn.observables._target_frames import target_frames
from kgdyn.observables.bond_order import bond_rule, order_chunks
from kgdyn.trajectories import Trajectory

__all__ = ["StateBondOrder", "state_bond_order"]

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class StateBondOrder:
    """Bond order of targets of each state; see :mod:`kgdyn.observables.bond_order`.

    Attributes
    ----------
    magnitude, correlation : (n_states, n_degrees) arrays
        Means; NaN for a state that is never visited. Targets without neighbours are left out.
    magnitude_interval, correlation_interval : Interval, 95%.
    magnitude_edges : (n_bins + 1,) array, 0 to 1
    correlation_edges : (n_bins + 1,) array, -1 to 1
    magnitude_density, correlation_density : (n_states, n_degrees, n_bins) arrays
        Distributions, which integrate to 1.
    magnitude_density_interval, correlation_density_interval : Interval, 95%.
    degrees : tuple of int
    n_neighbors : int or None
    cutoff : float or None, angstrom
    selection : str
        Which atoms count as neighbours.
    populations : (n_states,) array
    n_frames, n_targets : int
        Of all trajectories; targets of the first one.
    resampling : Resampling
    """

    magnitude: Float
    magnitude_interval: Interval
    correlation: Float
    correlation_interval: Interval
    magnitude_edges: Float
    magnitude_density: Float
    magnitude_density_interval: Interval
    correlation_edges: Float
    correlation_density: Float
    correlation_density_interval: Interval
    degrees: tuple[int, ...]
    n_neighbors: int | None
    cutoff: float | None
    selection: str
    populations: Float
    n_frames: int
    n_targets: int
    resampling: Resampling

    @property
    def n_states(self) -> int:
        return len(self.populations)

    def __repr__(self) -> str:
        near = (
            f"n_neighbors={self.n_neighbors}"
            if self.cutoff is None
            else f"cutoff={self.cutoff:g} angstrom"
        )
        return (
            f"StateBondOrder(n_states={self.n_states}, degrees={list(self.degrees)}, {near}, "
            f"selection={self.selection!r}, n_frames={self.n_frames}, "
            f"n_targets={self.n_targets}, intervals={self.resampling.describe()!r})"
        )


def state_bond_order(
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike] | None = None,
    degrees: Sequence[int] = (3, 4, 6),
    *,
    n_neighbors: int | None = None,
    cutoff: float | None = None,
    selection: Sequence[str | int] | ArrayLike | None = None,
    n_bins: int = 50,
    resampling: Resampling | None = None,
    lagtime: int = 1,
    n_threads: int | None = None,
) -> StateBondOrder:
    """State-weighted means and histograms of the bond order of targets.

    Parameters
    ----------
    trajectories, state_probabilities, resampling, lagtime, n_threads
        As for :func:`kgdyn.observables.state_rdf`.
    degrees, n_neighbors, cutoff, selection
        As for :func:`kgdyn.observables.bond_order`.
    n_bins : int
        Equal bins, of magnitudes from 0 to 1, of correlations from -1 to 1.

    Raises
    ------
    TypeError, ValueError
        As both functions; for targets of several atoms.
    """
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, received {n_bins}")
    frames = target_frames(trajectories, state_probabilities)
    rule = bond_rule(frames.trajectories, degrees, n_neighbors, cutoff, selection)
    for run in frames.trajectories:
        if len(run.targets.atoms) != run.n_targets:
            raise ValueError(
                f"{run.source}: targets must be of one atom each for bond order, received "
                f"{run.n_targets} targets of {len(run.targets.atoms)} atoms"
            )
    resampling = resampling_of(frames, resampling, lagtime)
    pieces, block_of, target_of = plan_blocks(
        [t.offsets for t in frames.trajectories], frames.n_targets, resampling
    )
    n_rows = 1 + max(int(piece.rows.max()) for piece in pieces)
    shape = (n_rows, len(rule.degrees), frames.n_states)
    sums = {f"{kind}_{what}": np.zeros(shape) for kind in _LOWEST for what in ("total", "seen")}
    sums |= {f"{kind}_counts": np.zeros((*shape, n_bins)) for kind in _LOWEST}
    weights = np.zeros((n_rows, frames.n_states))
    for piece in pieces:
        own = np.array(frames.trajectories[piece.trajectory].targets.atoms)
        span = (piece.trajectory, piece.start, piece.stop)
        for chunk, *orders in order_chunks(frames, span, own, rule, n_threads):
            np.add.at(weights, piece.rows, chunk.weights.sum(axis=0))
            for (kind, low), values in zip(_LOWEST.items(), orders, strict=True):
                _add(sums, kind, low, values, chunk.weights, piece.rows)

    def statistics(sums: dict[str, Float]) -> dict[str, Float]:
        result = {}
        for kind, low in _LOWEST.items():
            # What is left of a block's own share by rounding is no target.
            seen = np.swapaxes(sums[f"{kind}_seen"], 1, 2)
            seen = np.where(seen > 1e-9, seen, np.nan)
            result[kind] = np.swapaxes(sums[f"{kind}_total"], 1, 2) / seen
            counts = np.swapaxes(sums[f"{kind}_counts"], 1, 2)
            result[f"{kind}_density"] = counts / (seen[..., None] * (1.0 - low) / n_bins)
        return result

    found, intervals = block_intervals(resampling, BlockSums(sums, block_of, target_of), statistics)
    total = weights.sum(axis=0)
    return StateBondOrder(
        magnitude=readonly(found["magnitude"]),
        magnitude_interval=intervals["magnitude"],
        correlation=readonly(found["correlation"]),
        correlation_interval=intervals["correlation"],
        magnitude_edges=readonly(np.linspace(0.0, 1.0, n_bins + 1)),
        magnitude_density=readonly(found["magnitude_density"]),
        magnitude_density_interval=intervals["magnitude_density"],
        correlation_edges=readonly(np.linspace(-1.0, 1.0, n_bins + 1)),
        correlation_density=readonly(found["correlation_density"]),
        correlation_density_interval=intervals["correlation_density"],
        degrees=rule.degrees,
        n_neighbors=n_neighbors,
        cutoff=None if cutoff is None else float(cutoff),
        selection=rule.selection,
        populations=readonly(total / total.sum()),
        n_frames=frames.n_frames,
        n_targets=frames.n_targets[0],
        resampling=resampling,
    )


# The kinds in the order of ``order_chunks``, and the lowest value of each; the highest is 1.
_LOWEST = {"magnitude": 0.0, "correlation": -1.0}


def _add(
    sums: dict[str, Float],
    kind: str,
    low: float,
    values: Float,
    weights: Float,
    rows: NDArray[np.int64],
) -> None:
    """Add (n_frames, n_targets, n_degrees) values with (n_frames, n_targets, n_states) weights."""
    good = np.isfinite(values)
    known = np.where(good, values, 0.0)
    counts = sums[f"{kind}_counts"]
    np.add.at(sums[f"{kind}_total"], rows, np.einsum("ftd,fts->tds", known, weights))
    np.add.at(sums[f"{kind}_seen"], rows, np.einsum("ftd,fts->tds", good.astype(float), weights))
    n_bins = counts.shape[-1]
    places = np.clip((known - low) / (1.0 - low) * n_bins, 0, n_bins - 1).astype(np.int64)
    n_rows, n_degrees, n_states, _ = counts.shape
    owners = (rows[:, None] * n_degrees + np.arange(n_degrees)) * n_bins
    keys = (owners + places)[good]
    for state in range(n_states):
        share = np.broadcast_to(weights[..., state, None], values.shape)[good]
        added = np.bincount(keys, share, minlength=n_rows * n_degrees * n_bins)
        counts[:, :, state] += added.reshape(n_rows, n_degrees, n_bins)
