"""Graphs of any frames of some trajectories, each distinct frame built once."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kgdyn.graphs import PackedGraphs, concatenate_graphs, pack_graphs, take_graphs
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["GraphBuilder"]

_CACHED_FRAMES_AT_ONCE = 256


class GraphBuilder:
    """Build the graphs of a batch of frames, on the fly or from a cache.

    Parameters
    ----------
    trajectories : sequence of Trajectory
    n_neighbors : int
        M.
    n_hops : int, optional
        Cut down to the targets' receptive field, see :func:`kgdyn.graphs.pack_graphs`.
    cache : bool
        Build all graphs when first asked, and keep them.
    """

    def __init__(
        self,
        trajectories: Sequence[Trajectory],
        n_neighbors: int,
        n_hops: int | None = None,
        cache: bool = False,
    ) -> None:
        self.trajectories = tuple(trajectories)
        self.n_neighbors = n_neighbors
        self.n_hops = n_hops
        self.cache = cache
        self._cached: PackedGraphs | None = None

    def __call__(self, which: NDArray[np.int32], frames: NDArray[np.int64]) -> PackedGraphs:
        """Graphs of frames ``frames[k]`` of trajectory ``which[k]``; both of shape (n,).

        Raises
        ------
        ValueError
            Naming the file and frame that is not finite, or as
            :func:`kgdyn.graphs.batch_nearest_neighbors`.
        """
        if self.cache:
            counts = [trajectory.n_frames for trajectory in self.trajectories]
            first = np.concatenate([[0], np.cumsum(counts)])
            return take_graphs(self._all_graphs(), first[which] + frames)
        packs: list[PackedGraphs] = []
        place = np.empty(len(frames), np.int64)
        n_built = 0
        for number in np.unique(which):
            here = np.flatnonzero(which == number)
            distinct, back = np.unique(frames[here], return_inverse=True)
            packs.append(self._build(self.trajectories[int(number)], distinct))
            place[here] = n_built + back
            n_built += len(distinct)
        return take_graphs(concatenate_graphs(packs), place)

    def _all_graphs(self) -> PackedGraphs:
        if self._cached is None:
            packs = [
                self._build(trajectory, np.arange(start, min(start + step, trajectory.n_frames)))
                for trajectory in self.trajectories
                for step in [max(1, _CACHED_FRAMES_AT_ONCE)]
                for start in range(0, trajectory.n_frames, step)
            ]
            self._cached = concatenate_graphs(packs)
        return self._cached

    def _build(self, trajectory: Trajectory, frames: NDArray[np.int64]) -> PackedGraphs:
        positions = np.asarray(trajectory.positions[frames])
        finite = np.isfinite(positions).all(axis=(1, 2))
        if not finite.all():
            trajectory.frame(int(frames[np.argmin(finite)]))  # raises, and says where
        return pack_graphs(
            positions,
            trajectory.cells[frames],
            trajectory.pbc,
            trajectory.species,
            trajectory.targets,
            self.n_neighbors,
            n_hops=self.n_hops,
            n_threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
            where=trajectory.source,
        )
