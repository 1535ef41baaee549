"""Where along an axis of the cell the targets of each state are: interfaces, layers, slabs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman import Interval, Resampling
from kgdyn.observables._block_sums import BlockSums, block_intervals, plan_blocks
from kgdyn.observables._inputs import AtomValues
from kgdyn.observables._radial_sums import resampling_of
from kgdyn.observables._target_frames import Chunk, TargetFrames, target_frames
from kgdyn.trajectories import Trajectory

__all__ = ["StateProfile", "state_profile"]

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class StateProfile:
    """Targets of each state in slabs of equal thickness.

    Attributes
    ----------
    positions : (n_slabs,) array, angstrom
        Middle of each slab, along the normal of the slabs; of cells that change, in the mean.
    edges : (n_slabs + 1,) array, angstrom
    density : (n_states, n_slabs) array, per cubic angstrom
        Number density of targets, times their probability of a state.
    density_interval : Interval, 95%.
    share : (n_states, n_slabs) array
        Mean probability of each state among the targets of a slab; sums to 1 over states, NaN in a
        slab without targets.
    share_interval : Interval, 95%.
    axis : int
        Lattice vector that crosses the slabs.
    n_frames, n_targets : int
        Of all trajectories; targets of the first one.
    centre : str
        "atom", "mean of the atoms" or "centre of mass": what of a target lies in a slab.
    resampling : Resampling
    """

    positions: Float
    edges: Float
    density: Float
    density_interval: Interval
    share: Float
    share_interval: Interval
    axis: int
    n_frames: int
    n_targets: int
    centre: str
    resampling: Resampling

    def __repr__(self) -> str:
        return (
            f"StateProfile(n_states={len(self.density)}, axis={self.axis}, "
            f"n_slabs={len(self.positions)}, from {self.edges[0]:g} to {self.edges[-1]:g} "
            f"angstrom, n_frames={self.n_frames}, n_targets={self.n_targets}, "
            f"centre={self.centre!r}, intervals={self.resampling.describe()!r})"
        )


def state_profile(
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike] | None = None,
    *,
    axis: int = 2,
    n_slabs: int = 50,
    bounds: tuple[float, float] | None = None,
    masses: AtomValues | None = None,
    resampling: Resampling | None = None,
    lagtime: int = 1,
) -> StateProfile:
    """State-weighted density of targets, and shares of states, in slabs across an axis.

    Slabs are parallel to the two other lattice vectors. Along a periodic axis they divide the cell
    of each frame into equal parts, beginning at the origin. Along a free one they lie between
    ``bounds``, measured along the normal of the others, which points to larger coordinates.

    Parameters
    ----------
    trajectories, state_probabilities, masses, resampling, lagtime
        As for :func:`kgdyn.observables.state_rdf`.
    axis : {0, 1, 2}
    n_slabs : int
    bounds : (low, high), angstrom
        For an axis that is not periodic, and only there; targets beyond them are left out.

    Raises
    ------
    ValueError
        As :func:`kgdyn.observables.state_rdf`; for another axis, no slab, or bounds that are
        missing, out of place, or do not rise; if another direction than a free axis is free, too.
    """
    from kgdyn.observables._compiled_structure import place_targets

    if axis not in (0, 1, 2):
        raise ValueError(f"axis must be 0, 1 or 2, received {axis}")
    if n_slabs < 1:
        raise ValueError(f"n_slabs must be at least 1, received {n_slabs}")
    frames = target_frames(trajectories, state_probabilities, masses)
    _check_bounds(frames, axis, bounds)
    resampling = resampling_of(frames, resampling, lagtime)
    pieces, block_of, target_of = plan_blocks(
        [t.offsets for t in frames.trajectories], frames.n_targets, resampling
    )
    n_rows = 1 + max(int(piece.rows.max()) for piece in pieces)
    sums = {
        "inside": np.zeros((n_rows, n_slabs, frames.n_states)),
        # Volume of a slab, summed over frames, and shared out over the targets.
        "volume": np.zeros((n_rows, 1)),
    }
    height = 0.0
    for piece in pieces:
        trajectory = frames.trajectories[piece.trajectory]
        targets = frames.targets(piece.trajectory)
        masses_of, pbc = frames.masses[piece.trajectory], np.array(trajectory.pbc)
        for chunk in frames.chunks(piece.trajectory, piece.start, piece.stop):
            system = (
                chunk.positions, chunk.images, chunk.cells, chunk.inverses, pbc,
                np.zeros(0, np.int64), masses_of,
            )  # fmt: skip
            fractions = np.empty((*chunk.weights.shape[:2], 3))
            place_targets(system, targets, fractions)
            slabs, heights, areas = _slabs(chunk, fractions, axis, n_slabs, bounds)
            good = (slabs >= 0) & (slabs < n_slabs)
            rows = np.broadcast_to(piece.rows, slabs.shape)
            np.add.at(sums["inside"], (rows[good], slabs[good]), chunk.weights[good])
            volume = (areas * heights).sum() / n_slabs
            np.add.at(sums["volume"], piece.rows, volume / len(piece.rows))
            height += float(heights.sum())

    def statistics(sums: dict[str, Float]) -> dict[str, Float]:
        inside = np.moveaxis(sums["inside"], -1, 1)
        total = inside.sum(axis=1, keepdims=True)
        # What is left of a block's own targets by rounding is no target.
        seen = np.where(total > 1e-9, total, np.nan)
        return {"density": inside / sums["volume"][:, :, None], "share": inside / seen}

    # Without some of the targets the density is that of the others, scaled to all of them: their
    # shares of the volume go with them.
    blocks = BlockSums(sums, block_of, target_of)
    found, intervals = block_intervals(resampling, blocks, statistics, {"share": "probability"})
    low, high = (0.0, height / frames.n_frames) if bounds is None else bounds
    edges = np.linspace(low, high, n_slabs + 1)
    return StateProfile(
        positions=readonly(0.5 * (edges[1:] + edges[:-1])),
        edges=readonly(edges),
        density=readonly(found["density"]),
        density_interval=intervals["density"],
        share=readonly(found["share"]),
        share_interval=intervals["share"],
        axis=axis,
        n_frames=frames.n_frames,
        n_targets=frames.n_targets[0],
        centre=frames.centre,
        resampling=resampling,
    )


def _slabs(
    chunk: Chunk, fractions: Float, axis: int, n_slabs: int, bounds: tuple[float, float] | None
) -> tuple[NDArray[Any], Float, Float]:
    """Slab of each target, thickness of all slabs and their area, of each frame."""
    others = np.cross(chunk.cells[:, (axis + 1) % 3], chunk.cells[:, (axis + 2) % 3])
    areas = np.linalg.norm(others, axis=1)
    if bounds is None:
        heights = np.abs(np.linalg.det(chunk.cells)) / areas
        scaled = np.floor(fractions[..., axis] * n_slabs).astype(np.int64)
        return np.minimum(scaled, n_slabs - 1), heights, areas
    normals = others / areas[:, None]
    largest = np.argmax(np.abs(normals), axis=1)
    normals *= np.sign(normals[np.arange(len(normals)), largest])[:, None]
    along = np.einsum("ftk,fkc,fc->ft", fractions, chunk.cells, normals)
    heights = np.full(len(chunk.cells), bounds[1] - bounds[0])
    places = np.floor((along - bounds[0]) / heights[:, None] * n_slabs)
    return np.clip(places, -1, n_slabs).astype(np.int64), heights, areas


def _check_bounds(frames: TargetFrames, axis: int, bounds: tuple[float, float] | None) -> None:
    for trajectory in frames.trajectories:
        pbc = trajectory.pbc.tolist()
        if not all(periodic for k, periodic in enumerate(pbc) if k != axis):
            raise ValueError(
                f"{trajectory.source}: the directions within the slabs must be periodic, received "
                f"pbc={pbc} for axis {axis}"
            )
        if pbc[axis] == (bounds is not None):
            raise ValueError(
                "bounds must be given for an axis that is not periodic, and only there, received "
                f"bounds={bounds} for pbc={pbc} and axis {axis}"
            )
    if bounds is not None and not (np.isfinite(bounds).all() and bounds[0] < bounds[1]):
        raise ValueError(f"bounds must rise, in angstrom, received {bounds}")
