"""The surroundings that a model was trained on, and how far those of a trajectory are from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from kgdyn.graphs import PackedGraphs
from kgdyn.models import GDyNet
from kgdyn.novelty import Novelty, novelty_of, surroundings_of
from kgdyn.training.assign import check_elements
from kgdyn.training.graph_builder import GraphBuilder
from kgdyn.trajectories.lagged_pairs import as_trajectories
from kgdyn.trajectories.splits import split_by_time
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["assign_novelty", "fit_novelty"]

_ATOMS_PER_BATCH = 10_000
# Of a sample: memory and time stay bounded, however long the trajectories.
_MOST_FRAMES, _MOST_ROWS, _MOST_ATOMS = 2_000, 20_000, 1_000_000
_FEWEST_FRAMES = 50
# The range of distances is known from some of them.
_ATOMS_TO_DESCRIBE = 100_000
_HELD_OUT, _BLOCKS = 0.2, 10


def fit_novelty(
    model: GDyNet,
    train: Trajectory | Sequence[Trajectory],
    validation: Trajectory | Sequence[Trajectory] | None = None,
) -> Novelty:
    """Find what surroundings the targets of a training have, and keep that in the model.

    Up to 2,000 frames and 20,000 targets of each part are looked at, evenly spread in time. The
    weights play no part, and the same trajectories give the same numbers.

    Parameters
    ----------
    model : GDyNet
        Its ``novelty`` is set; save it afterwards.
    train : Trajectory or sequence of Trajectory
    validation : Trajectory or sequence of Trajectory, optional
        For the threshold. If not given, a fifth of ``train`` is kept for that, in ten blocks of
        each trajectory (or as many as it has frames for).

    Returns
    -------
    What ``model.novelty`` is from now on.

    Raises
    ------
    ValueError
        For an element that the model does not know, or no frame that is finite.
    """
    parts = list(as_trajectories(train))
    if validation is None:
        parts, held_out = _split(parts)
    else:
        held_out = list(as_trajectories(validation))
    for part in (*parts, *held_out):
        check_elements(model, part)
    sample, some = _Sample(parts, model.n_neighbors), []
    for graphs, _ in sample:
        some.append(graphs)
        if sum(len(graphs.neighbors) for graphs in some) >= _ATOMS_TO_DESCRIBE:
            break
    surroundings = surroundings_of(some, model.elements)
    features = [
        np.concatenate([surroundings(graphs)[rows] for graphs, rows in chosen])
        for chosen in (sample, _Sample(held_out, model.n_neighbors))
    ]
    novelty = novelty_of(surroundings, features[0], features[1])
    model.novelty = novelty
    return novelty


def assign_novelty(
    model: GDyNet,
    trajectory: Trajectory,
    *,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """How far the surroundings of all targets in all frames are from those of the training.

    Parameters
    ----------
    model : GDyNet
    trajectory : Trajectory
    batch_size : int, optional
        Frames at once; about 10,000 atoms if not given.
    progress : callable, optional
        Called with the frames done and the frames in all.

    Returns
    -------
    (n_frames, n_targets) array of float32, see :meth:`kgdyn.novelty.Novelty.distances`. With
    ``pooling="global"`` too there is one number for each target.

    Raises
    ------
    ValueError
        If the model does not know its training's surroundings, the trajectory holds an element
        that the model never saw, or a frame is bad.
    """
    novelty = model.novelty
    if novelty is None:
        raise ValueError(
            "the model does not know the surroundings that it was trained on: "
            "kgdyn.training.fit_novelty(model, trajectories) tells it"
        )
    check_elements(model, trajectory)
    if batch_size is None:
        batch_size = max(1, _ATOMS_PER_BATCH // trajectory.n_atoms)
    build = GraphBuilder([trajectory], model.n_neighbors, n_hops=1)
    result = np.empty((trajectory.n_frames, trajectory.n_targets), np.float32)
    for start in range(0, len(result), batch_size):
        frames = np.arange(start, min(start + batch_size, len(result)))
        graphs = build(np.zeros(len(frames), np.int32), frames)
        result[frames] = novelty.distances(graphs).reshape(len(frames), -1)
        if progress is not None:
            progress(int(frames[-1]) + 1, len(result))
    return result


class _Sample:
    """Graphs of frames spread evenly over trajectories, and which targets of them to take."""

    def __init__(self, trajectories: list[Trajectory], n_neighbors: int) -> None:
        self.trajectories = trajectories
        # A target has no need of more hops than its own neighbours.
        self.build = GraphBuilder(trajectories, n_neighbors, n_hops=1)
        ends = np.cumsum([part.n_frames for part in trajectories])
        most_atoms = max(part.n_atoms for part in trajectories)
        n_frames = min(_MOST_FRAMES, max(_FEWEST_FRAMES, _MOST_ATOMS // most_atoms), int(ends[-1]))
        chosen = np.linspace(0, ends[-1] - 1, n_frames).round().astype(np.int64)
        self.which = np.searchsorted(ends, chosen, side="right").astype(np.int32)
        self.frames = chosen - np.concatenate([[0], ends])[self.which]
        n_rows = sum(trajectories[number].n_targets for number in self.which)
        self.step = -(-n_rows // _MOST_ROWS)

    def __iter__(self) -> Iterator[tuple[PackedGraphs, NDArray[np.int64]]]:
        n_atoms = max(part.n_atoms for part in self.trajectories)
        size = max(1, _ATOMS_PER_BATCH // n_atoms)
        found = False
        for start in range(0, len(self.frames), size):
            batch = slice(start, start + size)
            # Training may never have met a bad frame, and must not fail for one at its end.
            good = [
                bool(np.isfinite(self.trajectories[number].positions[frame]).all())
                for number, frame in zip(self.which[batch], self.frames[batch], strict=True)
            ]
            if not any(good):
                continue
            found = True
            graphs = self.build(self.which[batch][good], self.frames[batch][good])
            # Another choice in each frame: every target has its turn.
            n_targets = np.diff(graphs.target_splits)
            numbers = np.flatnonzero(good) + start
            target = np.concatenate([np.arange(count) for count in n_targets])
            yield graphs, np.flatnonzero((target + np.repeat(numbers, n_targets)) % self.step == 0)
        if not found:
            raise ValueError(f"{self.trajectories[0].source}: no frame is finite")


def _split(trajectories: list[Trajectory]) -> tuple[list[Trajectory], list[Trajectory]]:
    """Alternating blocks, a fifth of each held out; a trajectory of few frames is in both."""
    parts: list[Trajectory] = []
    held_out: list[Trajectory] = []
    for trajectory in trajectories:
        n_blocks = min(_BLOCKS, trajectory.n_frames // 5)
        if n_blocks < 1:
            parts.append(trajectory)
            held_out.append(trajectory)
            continue
        shares = split_by_time(trajectory, [1.0 - _HELD_OUT, _HELD_OUT], n_blocks=n_blocks)
        parts += shares[0]
        held_out += shares[1]
    return parts, held_out
