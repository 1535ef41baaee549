"""Each n-th frame of some trajectories: their graphs, states and blocks."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.graphs import PackedGraphs
from kgdyn.koopman import Resampling, as_segments
from kgdyn.observables._block_sums import chosen_resampling, plan_blocks
from kgdyn.trajectories import Trajectory

if TYPE_CHECKING:
    from kgdyn.models import GDyNet

__all__ = ["Progress", "Rows", "Sample", "Steps", "sample_frames", "whole_number", "within_simplex"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Progress = Callable[[int, int], None]

_ATOMS_PER_BATCH = 10_000
_FRAMES_TO_DESCRIBE = 20


@dataclass(frozen=True, eq=False)
class Rows:
    """Where the targets of each frame stand in sums that are kept apart by blocks.

    ``places`` is one (n_frames, n_rows) array a trajectory; the others are as
    :class:`kgdyn.koopman.Covariances` has them.
    """

    places: list[Int]
    n_blocks: int
    block_of: Int | None
    target_of: Int | None


@dataclass(frozen=True, eq=False)
class Sample:
    """Frames 0, stride, 2 stride ... of each segment.

    Parameters
    ----------
    model : GDyNet
    trajectories : tuple of Trajectory
    stride : int
    frames : list of (n_used,) arrays of int
        Of each trajectory.
    offsets : list of (n_segments + 1,) arrays of int
        Borders of segments among the used frames.
    """

    model: GDyNet
    trajectories: tuple[Trajectory, ...]
    stride: int
    frames: list[Int]
    offsets: list[Int]

    @property
    def n_frames(self) -> int:
        return sum(map(len, self.frames))

    @property
    def n_rows(self) -> list[int]:
        """Rows of states in a frame: its targets, or one for all of them."""
        whole = self.model.pooling == "global"
        return [1 if whole else trajectory.n_targets for trajectory in self.trajectories]

    def batches(self) -> Iterator[tuple[int, slice, PackedGraphs]]:
        """Trajectory, used frames and their graphs, cut down to what the model sees."""
        from kgdyn.training.graph_builder import GraphBuilder

        build = GraphBuilder(
            self.trajectories, self.model.n_neighbors, n_hops=self.model.n_convolutions
        )
        for number, frames in enumerate(self.frames):
            size = max(1, _ATOMS_PER_BATCH // self.trajectories[number].n_atoms)
            for start in range(0, len(frames), size):
                part = slice(start, min(start + size, len(frames)))
                which = np.full(part.stop - part.start, number, np.int32)
                yield number, part, build(which, frames[part])

    def describing_graphs(self) -> Iterator[PackedGraphs]:
        """The targets' own neighbours in a few frames of each trajectory."""
        from kgdyn.training.graph_builder import GraphBuilder

        build = GraphBuilder(self.trajectories, self.model.n_neighbors, n_hops=1)
        for number, frames in enumerate(self.frames):
            places = np.linspace(0, len(frames) - 1, min(len(frames), _FRAMES_TO_DESCRIBE))
            chosen = frames[np.unique(places.round().astype(np.int64))]
            yield build(np.full(len(chosen), number, np.int32), chosen)

    def empty_states(self) -> list[NDArray[np.float32]]:
        """One (n_used, n_rows, n_states) array a trajectory, to be filled."""
        return [
            np.empty((len(frames), n_rows, self.model.n_states), np.float32)
            for frames, n_rows in zip(self.frames, self.n_rows, strict=True)
        ]

    def states_of(self, given: ArrayLike | Sequence[ArrayLike]) -> list[NDArray[np.float32]]:
        """States of all frames as the user has them -> those of the used frames.

        Raises
        ------
        ValueError
            For another number of arrays, another shape, or rows that do not sum to 1.
        """
        found = as_segments(given)
        if len(found) != len(self.trajectories):
            raise ValueError(
                "state_probabilities must be one array for each trajectory, received "
                f"{len(found)} for {len(self.trajectories)}"
            )
        result = []
        for trajectory, n_rows, frames, values in zip(
            self.trajectories, self.n_rows, self.frames, found, strict=True
        ):
            wanted = (trajectory.n_frames, n_rows, self.model.n_states)
            if values.shape != wanted:
                raise ValueError(
                    f"{trajectory.source}: state_probabilities must have shape (n_frames, "
                    f"n_targets, n_states) = {wanted}, received {values.shape}"
                )
            result.append(values[frames].astype(np.float32))
        return result

    def segments(self, states: Sequence[NDArray[Any]]) -> list[Float]:
        """States of the used frames, one array a gap-free segment."""
        return [
            np.asarray(part, np.float64)
            for values, borders in zip(states, self.offsets, strict=True)
            for part in np.split(values, borders[1:-1])
        ]

    def resampling(
        self, states: Sequence[NDArray[Any]], given: Resampling | None, lagtime: int
    ) -> Resampling:
        """Blocks in units of used frames: ``given``, in frames, or what the data allow."""
        if given is not None:
            return _scaled(given, 1.0 / self.stride)
        lengths = [int(n) for borders in self.offsets for n in np.diff(borders)]
        return chosen_resampling(
            self.segments(states), lengths, min(self.n_rows), max(1, lagtime // self.stride)
        )

    def in_frames(self, resampling: Resampling) -> Resampling:
        """The same blocks in units of the trajectories' frames."""
        return _scaled(resampling, float(self.stride))

    def rows(self, resampling: Resampling) -> Rows:
        """Where the targets of each used frame are summed."""
        pieces, block_of, target_of = plan_blocks(self.offsets, self.n_rows, resampling)
        places = [
            np.empty((len(frames), n_rows), np.int64)
            for frames, n_rows in zip(self.frames, self.n_rows, strict=True)
        ]
        for piece in pieces:
            places[piece.trajectory][piece.start : piece.stop] = piece.rows
        n_blocks = 1 + max(int(part.max()) for part in places)
        return Rows(places, n_blocks, block_of, target_of)


class Steps:
    """Frames done, for ``progress``."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def add(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)


def sample_frames(
    model: GDyNet, trajectories: Trajectory | Sequence[Trajectory], stride: int
) -> Sample:
    """Each ``stride``-th frame, checked against the model.

    Raises
    ------
    TypeError
        If the model is no GDyNet, a trajectory no Trajectory, or ``stride`` no whole number.
    ValueError
        For no trajectory, an element that the model never saw, or a stride below 1.
    """
    from kgdyn.models import GDyNet
    from kgdyn.training.assign import check_elements
    from kgdyn.trajectories.lagged_pairs import as_trajectories

    if not isinstance(model, GDyNet):
        raise TypeError(f"model must be a kgdyn.GDyNet, received {model!r}")
    stride = whole_number("stride", stride)
    runs = as_trajectories(trajectories)
    frames, offsets = [], []
    for run in runs:
        check_elements(model, run)
        parts = [np.arange(start, stop, stride) for start, stop in pairwise(run.offsets.tolist())]
        frames.append(np.concatenate(parts).astype(np.int64))
        offsets.append(np.cumsum([0, *map(len, parts)]).astype(np.int64))
    return Sample(model, runs, stride, frames, offsets)


def whole_number(name: str, value: Any) -> int:
    """``value`` as an int of at least 1; TypeError or ValueError else."""
    try:
        found = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, received {value!r}") from None
    if found < 1:
        raise ValueError(f"{name} must be at least 1, received {found}")
    return found


def within_simplex(chi: NDArray[Any]) -> Float:
    """Rows (..., n_states) without negative values, summing to 1.

    The linear map behind the softmax leads a little out of the simplex, and far out where
    surroundings are strange, as masked ones are: shares and distances would mean nothing there.
    """
    found = np.maximum(chi, 0.0, dtype=np.float64)
    result: Float = found / found.sum(axis=-1, keepdims=True)
    return result


def _scaled(resampling: Resampling, factor: float) -> Resampling:
    return replace(
        resampling,
        block_length=max(1, round(resampling.block_length * factor)),
        correlation_time=resampling.correlation_time * factor,
    )
