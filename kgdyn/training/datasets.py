"""tf.data pipelines: graphs built while the model trains, each distinct frame of a batch once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.graphs import PackedGraphs, concatenate_graphs, pack_graphs, take_graphs
from kgdyn.trajectories.lagged_pairs import as_trajectories, lagged_pairs
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["frames_dataset", "graphs_of_frames", "pairs_dataset", "to_ragged"]

_PREFETCHED_BATCHES = 2


def pairs_dataset(
    trajectories: Trajectory | Sequence[Trajectory],
    *,
    lagtime: int,
    n_neighbors: int,
    batch_size: int = 1024,
    shuffle: bool = True,
    seed: int = 0,
    stride: int = 1,
) -> Any:
    """Pairs of graphs a lag time apart, for ``model.fit`` and ``model.evaluate``.

    Graphs are built on the fly in a background thread: no more than a few batches are held.

    Parameters
    ----------
    trajectories : Trajectory or sequence of Trajectory
        Pairs never cross a border of a trajectory or segment.
    lagtime : int, frames.
    n_neighbors : int
        M of the graphs.
    batch_size : int
        Pairs of frames a batch; the last batch of an epoch may be smaller.
    shuffle : bool
        A new order each epoch, the same for the same ``seed``.
    seed : int
    stride : int
        Use each ``stride``-th pair only.

    Returns
    -------
    tf.data.Dataset of ``({"t": graphs, "lag": graphs},)``, see :class:`kgdyn.models.GDyNet`.

    Raises
    ------
    ValueError
        For a lag time longer than every segment, too few atoms for ``n_neighbors``, a frame that
        is not finite, or a ``batch_size`` or ``stride`` below 1.
    """
    trajectories = as_trajectories(trajectories)
    pairs = lagged_pairs(trajectories, lagtime)
    _check_at_least_one(batch_size=batch_size, stride=stride)
    chosen = np.arange(0, len(pairs), stride)
    epoch = 0

    def batches() -> Iterator[dict[str, Any]]:
        nonlocal epoch
        order = chosen
        if shuffle:
            order = np.random.default_rng([seed, epoch]).permutation(chosen)
        epoch += 1
        for start in range(0, len(order), batch_size):
            part = order[start : start + batch_size]
            which, first = pairs.trajectory[part], pairs.first[part]
            graphs = graphs_of_frames(
                trajectories,
                np.concatenate([which, which]),
                np.concatenate([first, first + lagtime]),
                n_neighbors,
            )
            half = len(part)
            yield {
                "t": _flat(take_graphs(graphs, np.arange(half))),
                "lag": _flat(take_graphs(graphs, np.arange(half, 2 * half))),
            }

    n_batches = -(-len(chosen) // batch_size)
    spec = {"t": _flat_spec(n_neighbors), "lag": _flat_spec(n_neighbors)}
    return _dataset(
        batches,
        spec,
        n_batches,
        lambda flat: ({"t": _ragged(flat["t"]), "lag": _ragged(flat["lag"])},),
    )


def frames_dataset(
    trajectories: Trajectory | Sequence[Trajectory], *, n_neighbors: int, batch_size: int = 1024
) -> Any:
    """The graphs of all frames in order, for ``model.predict``.

    Parameters
    ----------
    trajectories : Trajectory or sequence of Trajectory
    n_neighbors : int
        M of the graphs.
    batch_size : int
        Frames a batch.

    Returns
    -------
    tf.data.Dataset of ``(graphs,)``.

    Raises
    ------
    ValueError
        For too few atoms for ``n_neighbors``, a frame that is not finite, or a ``batch_size``
        below 1.
    """
    trajectories = as_trajectories(trajectories)
    _check_at_least_one(batch_size=batch_size)
    counts = [trajectory.n_frames for trajectory in trajectories]
    which = np.repeat(np.arange(len(trajectories), dtype=np.int32), counts)
    frame = np.concatenate([np.arange(count) for count in counts])

    def batches() -> Iterator[dict[str, Any]]:
        for start in range(0, len(frame), batch_size):
            part = slice(start, start + batch_size)
            yield _flat(graphs_of_frames(trajectories, which[part], frame[part], n_neighbors))

    n_batches = -(-len(frame) // batch_size)
    return _dataset(batches, _flat_spec(n_neighbors), n_batches, lambda flat: (_ragged(flat),))


def graphs_of_frames(
    trajectories: Sequence[Trajectory],
    which: NDArray[np.int32],
    frames: NDArray[np.int64],
    n_neighbors: int,
) -> PackedGraphs:
    """Graphs of frames ``frames[k]`` of trajectory ``which[k]``, each distinct one built once.

    Parameters
    ----------
    which, frames : (n,) arrays of int.
    n_neighbors : int

    Raises
    ------
    ValueError
        Naming the file and frame that is not finite, or as
        :func:`kgdyn.graphs.batch_nearest_neighbors`.
    """
    packs: list[PackedGraphs] = []
    place = np.empty(len(frames), np.int64)
    n_built = 0
    for number in np.unique(which):
        trajectory = trajectories[int(number)]
        here = np.flatnonzero(which == number)
        distinct, back = np.unique(frames[here], return_inverse=True)
        positions = np.asarray(trajectory.positions[distinct])
        finite = np.isfinite(positions).all(axis=(1, 2))
        if not finite.all():
            trajectory.frame(int(distinct[np.argmin(finite)]))  # raises, and says where
        packs.append(
            pack_graphs(
                positions,
                trajectory.cells[distinct],
                trajectory.pbc,
                trajectory.species,
                trajectory.targets,
                n_neighbors,
                where=trajectory.source,
            )
        )
        place[here] = n_built + back
        n_built += len(distinct)
    return take_graphs(concatenate_graphs(packs), place)


def to_ragged(graphs: PackedGraphs) -> dict[str, Any]:
    """One batch of graphs as the ragged tensors that a model takes."""
    import tensorflow as tf

    return _ragged({key: tf.convert_to_tensor(value) for key, value in _flat(graphs).items()})


def _check_at_least_one(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, received {value}")


def _flat(graphs: PackedGraphs) -> dict[str, NDArray[Any]]:
    return {
        "species": graphs.species,
        "atom_splits": graphs.atom_splits,
        "neighbors": graphs.neighbors,
        "distances": graphs.distances,
        "target_atoms": graphs.target_atoms,
        "target_atom_splits": graphs.target_atom_splits,
        "target_splits": graphs.target_splits,
    }


def _flat_spec(n_neighbors: int) -> dict[str, Any]:
    import tensorflow as tf

    return {
        "species": tf.TensorSpec([None], tf.int32),
        "atom_splits": tf.TensorSpec([None], tf.int64),
        "neighbors": tf.TensorSpec([None, n_neighbors], tf.int32),
        "distances": tf.TensorSpec([None, n_neighbors], tf.float32),
        "target_atoms": tf.TensorSpec([None], tf.int32),
        "target_atom_splits": tf.TensorSpec([None], tf.int64),
        "target_splits": tf.TensorSpec([None], tf.int64),
    }


def _ragged(flat: dict[str, Any]) -> dict[str, Any]:
    """Ragged values must be one-dimensional: a dense inner M breaks predict on empty replicas."""
    import tensorflow as tf

    def rows(values: Any, splits: Any) -> Any:
        return tf.RaggedTensor.from_row_splits(values, splits, validate=False)

    n_atoms = tf.shape(flat["neighbors"], tf.int64)[0]
    n_neighbors = tf.shape(flat["neighbors"], tf.int64)[1]
    edge_splits = tf.range(n_atoms + 1) * n_neighbors

    def edges(values: Any) -> Any:
        return rows(rows(tf.reshape(values, [-1]), edge_splits), flat["atom_splits"])

    return {
        "species": rows(flat["species"], flat["atom_splits"]),
        "neighbors": edges(flat["neighbors"]),
        "distances": edges(flat["distances"]),
        "targets": rows(
            rows(flat["target_atoms"], flat["target_atom_splits"]), flat["target_splits"]
        ),
    }


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
