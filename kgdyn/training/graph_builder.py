"""Graphs of any frames of some trajectories, each distinct frame built once."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kgdyn.graphs import PackedGraphs, concatenate_graphs, pack_graphs, take_graphs
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["GraphBuilder"]

_MOST_BYTES = 2**29  # that are held unasked
_FRAMES_TO_MEASURE = 8
_ATOMS_AT_ONCE = 2**17  # temporary arrays are several times the graphs


class GraphBuilder:
    """Build the graphs of a batch of frames, on the fly or once for all.

    Parameters
    ----------
    trajectories : sequence of Trajectory
    n_neighbors : int
        M.
    n_hops : int, optional
        Cut down to the targets' receptive field, see :func:`kgdyn.graphs.pack_graphs`.
    cache : bool, optional
        Build the graphs of all ``frames`` when first asked, and keep them; if not given, where
        they take less than 512 MiB.
    frames : sequence of (n,) arrays of int, optional
        Of each trajectory, the frames that will be asked for, if not all.
    """

    def __init__(
        self,
        trajectories: Sequence[Trajectory],
        n_neighbors: int,
        n_hops: int | None = None,
        cache: bool | None = False,
        frames: Sequence[NDArray[np.int64]] | None = None,
    ) -> None:
        self.trajectories = tuple(trajectories)
        self.n_neighbors = n_neighbors
        self.n_hops = n_hops
        if frames is None:
            frames = [np.arange(trajectory.n_frames) for trajectory in trajectories]
        self.frames = tuple(frames)
        self._keeps = cache  # None: not known yet
        self._kept: tuple[PackedGraphs, list[NDArray[np.int64]]] | None = None
        self._lock = threading.Lock()  # a dataset may be read by several iterators at once

    def __call__(self, which: NDArray[np.int32], frames: NDArray[np.int64]) -> PackedGraphs:
        """Graphs of frames ``frames[k]`` of trajectory ``which[k]``; both of shape (n,).

        Raises
        ------
        ValueError
            Naming the file and frame that is not finite, or as
            :func:`kgdyn.graphs.batch_nearest_neighbors`.
        """
        return take_graphs(*self.distinct(which, frames))

    def distinct(
        self, which: NDArray[np.int32], frames: NDArray[np.int64]
    ) -> tuple[PackedGraphs, NDArray[np.int64]]:
        """Graphs that hold each frame once, and where in them each that was asked for is."""
        with self._lock:
            if self._keeps is None:
                self._keeps = self._are_few()
            if self._keeps and self._kept is None:
                self._kept = self._all_graphs()
        place = np.empty(len(frames), np.int64)
        if self._kept is not None:
            graphs, places = self._kept
            for number in np.unique(which):
                here = which == number
                place[here] = places[int(number)][frames[here]]
            if (place < 0).any():
                raise ValueError(
                    f"frames must be of those that were told, received frame "
                    f"{frames[np.argmin(place)]} of trajectory {which[np.argmin(place)]}"
                )
            return graphs, place
        packs: list[PackedGraphs] = []
        n_built = 0
        for number in np.unique(which):
            here = np.flatnonzero(which == number)
            distinct, back = np.unique(frames[here], return_inverse=True)
            packs.append(self._build(self.trajectories[int(number)], distinct))
            place[here] = n_built + back
            n_built += len(distinct)
        return concatenate_graphs(packs), place

    def _are_few(self) -> bool:
        """Whether all graphs may be kept, as far as those of the first frames tell."""
        total = 0
        for trajectory, frames in zip(self.trajectories, self.frames, strict=True):
            if len(frames):
                enough = max(1, min(_FRAMES_TO_MEASURE, _ATOMS_AT_ONCE // trajectory.n_atoms))
                first = self._build(trajectory, frames[:enough])
                total += first.n_bytes * len(frames) // first.n_frames
            if total > _MOST_BYTES:
                return False
        return True

    def _all_graphs(self) -> tuple[PackedGraphs, list[NDArray[np.int64]]]:
        """Graphs of all frames, and of each trajectory where in them each frame is, -1: nowhere."""
        places, n_before = [], 0
        for trajectory, frames in zip(self.trajectories, self.frames, strict=True):
            place = np.full(trajectory.n_frames, -1, np.int64)
            place[frames] = n_before + np.arange(len(frames))
            places.append(place)
            n_before += len(frames)
        packs = (
            self._build(trajectory, frames[start : start + at_once])
            for trajectory, frames in zip(self.trajectories, self.frames, strict=True)
            for at_once in [max(1, _ATOMS_AT_ONCE // trajectory.n_atoms)]
            for start in range(0, len(frames), at_once)
        )
        return concatenate_graphs(packs), places

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
