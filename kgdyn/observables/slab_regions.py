"""Which slab of the cell each target is in, frame by frame: labels for regions."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.observables._inputs import AtomValues
from kgdyn.observables._target_frames import target_frames
from kgdyn.trajectories import Trajectory

__all__ = ["slab_regions"]

Float = NDArray[np.float64]


def slab_regions(
    trajectory: Trajectory,
    axis: int,
    edges: ArrayLike,
    *,
    fractional: bool = False,
    masses: AtomValues | None = None,
) -> NDArray[np.int64]:
    """Label targets by the slab that they are in; slabs are parallel to the other lattice vectors.

    Along a periodic axis n edges make n regions: k from edge k to edge k + 1, and the last one from
    the last edge through the border of the cell to the first edge. Along a free axis they make
    n - 1, and targets beyond the outer edges get -1.

    Parameters
    ----------
    trajectory : Trajectory
    axis : {0, 1, 2}
        Lattice vector that crosses the slabs.
    edges : (n_edges,) array, rising
        Heights in angstrom along the normal of the slabs, from the origin; along a periodic axis at
        least one, within the cell of every frame.
    fractional : bool
        Edges are fractions of the cell instead, from 0 to below 1, and move with a cell that
        changes. Only for a periodic axis.
    masses : mapping from elements, or (n_atoms,) array, optional
        The centre of a target of several atoms is that of mass; without, the mean of positions.

    Returns
    -------
    (n_frames, n_targets) array of int64

    Raises
    ------
    ValueError
        For another axis, edges that break these rules, or a bad frame (naming source and frame).
    """
    from kgdyn.observables._compiled_structure import place_targets

    if axis not in (0, 1, 2):
        raise ValueError(f"axis must be 0, 1 or 2, received {axis}")
    borders = np.asarray(edges, dtype=np.float64)
    periodic = bool(trajectory.pbc[axis])
    least = 1 if periodic else 2
    if (
        borders.ndim != 1
        or len(borders) < least
        or not np.isfinite(borders).all()
        or np.any(np.diff(borders) <= 0.0)
    ):
        raise ValueError(
            f"edges must rise, at least {least} of them for this axis, received {borders.tolist()}"
        )
    if fractional and not periodic:
        raise ValueError("fractional edges need a periodic axis, received one that is free")
    frames = target_frames(trajectory, None, masses)
    own, pbc = frames.targets(0), np.array(trajectory.pbc)
    found = []
    first = 0
    for chunk in frames.chunks(0, 0, trajectory.n_frames):
        system = (
            chunk.positions, chunk.images, chunk.cells, chunk.inverses, pbc,
            np.zeros(0, np.int64), frames.masses[0],
        )  # fmt: skip
        fractions = np.empty((*chunk.weights.shape[:2], 3))
        place_targets(system, own, fractions)
        normals = np.cross(chunk.cells[:, (axis + 1) % 3], chunk.cells[:, (axis + 2) % 3])
        normals /= np.linalg.norm(normals, axis=1)[:, None]
        heights = np.einsum("fc,fc->f", normals, chunk.cells[:, axis])
        if periodic:
            tops = np.ones(len(heights)) if fractional else np.abs(heights)
            if borders[0] < 0.0 or borders[-1] >= tops.min():
                frame = first + int(np.argmin(tops))
                raise ValueError(
                    f"{trajectory.where(frame)}: edges must be from 0 to below "
                    f"{tops.min():g}, received {borders.tolist()}"
                )
            along = fractions[..., axis] * tops[:, None]
            places = np.searchsorted(borders, along.reshape(-1), side="right") - 1
            places[places < 0] = len(borders) - 1
        else:
            # The normal points to larger coordinates, as in state_profile.
            largest = np.argmax(np.abs(normals), axis=1)
            normals *= np.sign(normals[np.arange(len(normals)), largest])[:, None]
            along = np.einsum("ftk,fkc,fc->ft", fractions, chunk.cells, normals)
            places = np.searchsorted(borders, along.reshape(-1), side="right") - 1
            places[places >= len(borders) - 1] = -1
        found.append(places.reshape(along.shape))
        first += len(chunk.positions)
    return np.concatenate(found).astype(np.int64)
