"""From ragged inputs, a row a frame, to one disjoint graph in flat tensors.

Ragged tensors are TensorFlow's: this is the one place of the model that speaks it. With another
Keras backend the model takes :class:`FlatGraph` arrays directly.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras

__all__ = ["FlatGraph", "flatten_graphs"]


class FlatGraph(NamedTuple):
    """All atoms of a batch as one graph.

    ``species`` (n_atoms,), ``neighbors`` (n_atoms, M) rows of the whole batch, ``distances``
    (n_atoms, M) angstrom, ``target_atoms`` (n_target_atoms,) rows of the whole batch,
    ``target_of_atom`` (n_target_atoms,) ascending, ``n_targets`` scalar. With different numbers of
    neighbours, ``neighbors`` and ``distances`` are (n_edges,) and ``centers`` (n_edges,).
    """

    species: Any
    neighbors: Any
    distances: Any
    target_atoms: Any
    target_of_atom: Any
    n_targets: Any
    centers: Any = None


def flatten_graphs(inputs: dict[str, Any], n_neighbors: int | None) -> FlatGraph:
    """Join the frames of a batch.

    Parameters
    ----------
    inputs : dict of tf.RaggedTensor
        ``species`` [B, (atoms)], ``neighbors`` and ``distances`` [B, (atoms), (M)] with rows
        counted inside each frame, ``targets`` [B, (targets), (atoms of a target)].
    n_neighbors : int or None
        M where every atom has as many neighbours (their uniform length is lost on the way
        through tf.data); None where they differ.
    """
    ops = keras.ops
    species, neighbors, targets = inputs["species"], inputs["neighbors"], inputs["targets"]
    first_atom = ops.cast(species.row_splits[:-1], "int32")
    offset_of_atom = ops.take(first_atom, species.value_rowids(), axis=0)
    flat_neighbors = ops.cast(neighbors.flat_values, "int32")
    flat_distances = inputs["distances"].flat_values
    centers = None
    if n_neighbors is None:
        centers = ops.cast(neighbors.values.value_rowids(), "int32")
        flat_neighbors = flat_neighbors + ops.take(offset_of_atom, centers, axis=0)
    else:
        shape = (-1, n_neighbors)
        flat_neighbors = ops.reshape(flat_neighbors, shape) + offset_of_atom[:, None]
        flat_distances = ops.reshape(flat_distances, shape)
    target_of_atom = targets.values.value_rowids()
    frame_of_target = targets.value_rowids()
    offset_of_target = ops.take(first_atom, frame_of_target, axis=0)
    target_atoms = ops.cast(targets.flat_values, "int32") + ops.take(
        offset_of_target, target_of_atom, axis=0
    )
    return FlatGraph(
        species=ops.cast(species.flat_values, "int32"),
        neighbors=flat_neighbors,
        distances=flat_distances,
        target_atoms=target_atoms,
        target_of_atom=ops.cast(target_of_atom, "int32"),
        n_targets=ops.shape(frame_of_target)[0],
        centers=centers,
    )
