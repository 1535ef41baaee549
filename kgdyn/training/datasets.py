"""tf.data pipelines: graphs built while the model trains, each distinct frame of a batch once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.graphs import PackedGraphs, take_graphs
from kgdyn.training.graph_builder import GraphBuilder
from kgdyn.training.pair_windows import pair_windows
from kgdyn.training.position import Position
from kgdyn.trajectories.lagged_pairs import LaggedPairs, as_trajectories, lagged_pairs
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["frames_dataset", "pairs_dataset", "to_ragged"]

_PREFETCHED_BATCHES = 2
_LARGEST_BATCH = 1024  # pairs
_FEWEST_TARGETS = 1024  # in all frames of a batch at t
_BATCHES_PER_EPOCH = 40


def pairs_dataset(
    trajectories: Trajectory | Sequence[Trajectory],
    *,
    lagtime: int,
    n_neighbors: int,
    batch_size: int | None = None,
    n_hops: int | None = None,
    window: int = 1,
    shuffle: bool = True,
    seed: int = 0,
    stride: int = 1,
    cache: bool | None = None,
    position: Position | None = None,
) -> Any:
    """Pairs of graphs a lag time apart, for ``model.fit`` and ``model.evaluate``.

    Graphs are built in a background thread; where they are many, on the fly, and no more than
    a few batches are held.

    Parameters
    ----------
    trajectories : Trajectory or sequence of Trajectory
        Pairs never cross a border of a trajectory or segment.
    lagtime : int, frames.
    n_neighbors : int
        M of the graphs.
    batch_size : int, optional
        Pairs of frames a batch; the last batch of an epoch may be smaller. If not given, what
        makes at least 40 batches an epoch: up to 1,024, and never so few that a batch has less
        than 1,024 targets in all, which its covariances need.
    n_hops : int, optional
        ``model.n_convolutions`` cuts the graphs down to the targets' receptive field: the same
        result, faster where targets are few.
    window : int
        Keep as many pairs (t, t + lagtime), (t + lagtime, t + 2 lagtime) ... together in a batch:
        they share frames, whose graphs are built once.
    shuffle : bool
        A new order each epoch, the same for the same ``seed``.
    seed : int
    stride : int
        Use each ``stride``-th pair only.
    cache : bool, optional
        Build each frame's graph once, before the first batch, and keep them in memory (for all
        atoms of a frame 8 M + 8 bytes each); False builds them anew for each batch. If not given,
        they are kept where all of them take less than 512 MiB.
    position : Position, optional
        Where each pass begins: its epoch gives the order, its first batches are left out. Read
        when a pass begins; without it passes count as epochs.

    Returns
    -------
    tf.data.Dataset of ``({"t": graphs, "lag": graphs},)``, see :class:`kgdyn.models.GDyNet`.

    Raises
    ------
    ValueError
        For a lag time longer than every segment, a ``batch_size``, ``n_neighbors``, ``n_hops``,
        ``stride`` or ``window`` below 1, or a negative ``seed``.
    tf.errors.InvalidArgumentError
        While the dataset is read, with the text of the ValueError: for a frame that is not
        finite, or too few atoms for ``n_neighbors``.
    """
    trajectories = as_trajectories(trajectories)
    pairs = lagged_pairs(trajectories, lagtime)
    _check_at_least_one(
        batch_size=batch_size,
        n_neighbors=n_neighbors,
        n_hops=n_hops,
        stride=stride,
        window=window,
    )
    if seed < 0:
        raise ValueError(f"seed must not be negative, received {seed}")
    windows = pair_windows(pairs, window, stride)
    n_pairs = int(windows.lengths.sum())
    if batch_size is None:
        batch_size = _usual_batch_size(n_pairs, min(t.n_targets for t in trajectories))
    n_batches, skipped = -(-n_pairs // batch_size), 0 if position is None else position.batch
    if not 0 <= skipped < n_batches:
        raise ValueError(
            f"position must be within the {n_batches} batches of an epoch, received {position}"
        )
    build = GraphBuilder(
        trajectories,
        n_neighbors,
        n_hops,
        cache,
        _frames_of(pairs, windows.pairs, len(trajectories)),
    )
    epoch = 0

    def batches() -> Iterator[dict[str, Any]]:
        nonlocal epoch
        now = Position(epoch) if position is None else position
        order = windows.in_order(np.random.default_rng([seed, now.epoch]) if shuffle else None)
        epoch += 1
        for start in range(now.batch * batch_size, len(order), batch_size):
            part = order[start : start + batch_size]
            which, first = pairs.trajectory[part], pairs.first[part]
            graphs, place = build.distinct(
                np.concatenate([which, which]), np.concatenate([first, first + lagtime])
            )
            yield {
                name: _flat(take_graphs(graphs, frames))
                for name, frames in zip(("t", "lag"), np.split(place, 2), strict=True)
            }

    cut_down = n_hops is not None
    spec = {"t": _flat_spec(), "lag": _flat_spec()}
    return _dataset(
        batches,
        spec,
        n_batches - skipped,
        lambda flat: ({name: _ragged(flat[name], cut_down) for name in ("t", "lag")},),
    )


def frames_dataset(
    trajectories: Trajectory | Sequence[Trajectory],
    *,
    n_neighbors: int,
    batch_size: int = 1024,
    n_hops: int | None = None,
) -> Any:
    """The graphs of all frames in order, for ``model.predict``.

    Parameters
    ----------
    trajectories : Trajectory or sequence of Trajectory
    n_neighbors : int
        M of the graphs.
    batch_size : int
        Frames a batch.
    n_hops : int, optional
        As in :func:`pairs_dataset`.

    Returns
    -------
    tf.data.Dataset of ``(graphs,)``.

    Raises
    ------
    ValueError
        For a ``batch_size``, ``n_neighbors`` or ``n_hops`` below 1.
    tf.errors.InvalidArgumentError
        As in :func:`pairs_dataset`.
    """
    trajectories = as_trajectories(trajectories)
    _check_at_least_one(batch_size=batch_size, n_neighbors=n_neighbors, n_hops=n_hops)
    counts = [trajectory.n_frames for trajectory in trajectories]
    which = np.repeat(np.arange(len(trajectories), dtype=np.int32), counts)
    frame = np.concatenate([np.arange(count) for count in counts])
    build = GraphBuilder(trajectories, n_neighbors, n_hops)

    def batches() -> Iterator[dict[str, Any]]:
        for start in range(0, len(frame), batch_size):
            part = slice(start, start + batch_size)
            yield _flat(build(which[part], frame[part]))

    cut_down = n_hops is not None
    n_batches = -(-len(frame) // batch_size)
    return _dataset(batches, _flat_spec(), n_batches, lambda flat: (_ragged(flat, cut_down),))


def to_ragged(graphs: PackedGraphs) -> dict[str, Any]:
    """One batch of graphs as the ragged tensors that a model takes."""
    import tensorflow as tf

    cut_down = bool(graphs.hops.any())
    flat = {key: tf.convert_to_tensor(value) for key, value in _flat(graphs).items()}
    return _ragged(flat, cut_down)


def _frames_of(
    pairs: LaggedPairs, chosen: NDArray[np.int64], n_trajectories: int
) -> list[NDArray[np.int64]]:
    """Of each trajectory, the frames that the chosen pairs are made of, ascending."""
    which, first = pairs.trajectory[chosen], pairs.first[chosen]
    of_each = [first[which == number] for number in range(n_trajectories)]
    return [np.union1d(frames, frames + pairs.lagtime) for frames in of_each]


def _check_at_least_one(**values: int | None) -> None:
    for name, value in values.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, received {value}")


def _flat(graphs: PackedGraphs) -> dict[str, NDArray[Any]]:
    return {
        "species": graphs.species,
        "atom_splits": graphs.atom_splits,
        "neighbors": graphs.neighbors.reshape(-1),
        "distances": graphs.distances.reshape(-1),
        "edge_splits": _edge_splits(graphs),
        "hops": graphs.hops,
        "target_atoms": graphs.target_atoms,
        "target_atom_splits": graphs.target_atom_splits,
        "target_splits": graphs.target_splits,
    }


def _edge_splits(graphs: PackedGraphs) -> NDArray[np.int64]:
    """Where the neighbours of each atom begin; the outermost atoms of a frame may have none."""
    n_atoms, n_rows = np.diff(graphs.atom_splits), np.diff(graphs.row_splits)
    slot = np.arange(graphs.atom_splits[-1]) - np.repeat(graphs.atom_splits[:-1], n_atoms)
    has_row = slot < np.repeat(n_rows, n_atoms)
    return np.concatenate([[0], np.cumsum(has_row * graphs.n_neighbors)])


def _flat_spec() -> dict[str, Any]:
    import tensorflow as tf

    return {
        "species": tf.TensorSpec([None], tf.int32),
        "atom_splits": tf.TensorSpec([None], tf.int64),
        "neighbors": tf.TensorSpec([None], tf.int32),
        "distances": tf.TensorSpec([None], tf.float32),
        "edge_splits": tf.TensorSpec([None], tf.int64),
        "hops": tf.TensorSpec([None], tf.int32),
        "target_atoms": tf.TensorSpec([None], tf.int32),
        "target_atom_splits": tf.TensorSpec([None], tf.int64),
        "target_splits": tf.TensorSpec([None], tf.int64),
    }


def _ragged(flat: dict[str, Any], cut_down: bool = False) -> dict[str, Any]:
    """Ragged values must be one-dimensional: a dense inner M breaks predict on empty replicas."""
    import tensorflow as tf

    def rows(values: Any, splits: Any) -> Any:
        return tf.RaggedTensor.from_row_splits(values, splits, validate=False)

    atom_splits, edge_splits = flat["atom_splits"], flat["edge_splits"]

    def edges(values: Any) -> Any:
        return rows(rows(values, edge_splits), atom_splits)

    inputs = {
        "species": rows(flat["species"], atom_splits),
        "neighbors": edges(flat["neighbors"]),
        "distances": edges(flat["distances"]),
        "targets": rows(
            rows(flat["target_atoms"], flat["target_atom_splits"]), flat["target_splits"]
        ),
    }
    return {**inputs, "hops": rows(flat["hops"], atom_splits)} if cut_down else inputs


def _dataset(
    batches: Callable[[], Iterator[dict[str, Any]]],
    spec: dict[str, Any],
    n_batches: int,
    to_inputs: Callable[[dict[str, Any]], tuple[Any, ...]],
) -> Any:
    import tensorflow as tf

    dataset = tf.data.Dataset.from_generator(batches, output_signature=spec)
    dataset = dataset.map(to_inputs).apply(tf.data.experimental.assert_cardinality(n_batches))
    return dataset.prefetch(_PREFETCHED_BATCHES)


def _usual_batch_size(n_pairs: int, n_targets: int) -> int:
    """Small enough for an epoch of several steps, large enough for covariances of a batch."""
    enough = -(-_FEWEST_TARGETS // n_targets)
    return min(max(n_pairs // _BATCHES_PER_EPOCH, enough, 1), _LARGEST_BATCH)
