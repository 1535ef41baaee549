"""From the graphs of frames to one disjoint graph in flat arrays.

Ragged tensors are TensorFlow's: `flatten_graphs` is the one place of the model that speaks it. With
another Keras backend `flat_graph` makes the same arrays from packed graphs, in numpy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

__all__ = ["FlatGraph", "flat_graph", "flatten_graphs"]


class FlatGraph(NamedTuple):
    """All atoms of a batch as one graph.

    ``species`` (n_atoms,), ``neighbors`` (n_atoms, M) rows of the whole batch, ``distances``
    (n_atoms, M) angstrom, ``target_atoms`` (n_target_atoms,) rows of the whole batch,
    ``target_of_atom`` (n_target_atoms,) ascending, ``n_targets`` scalar. With different numbers of
    neighbours, ``neighbors`` and ``distances`` are (n_edges,) and ``centers`` (n_edges,). Graphs
    cut down to a receptive field have their atoms ordered by ``hops`` (n_atoms,) from the targets,
    and neighbours only for the first of them. ``frame_of_target`` (n_targets,) ascending and
    ``n_frames`` scalar say which frame each target is in.
    """

    species: Any
    neighbors: Any
    distances: Any
    target_atoms: Any
    target_of_atom: Any
    n_targets: Any
    centers: Any = None
    hops: Any = None
    frame_of_target: Any = None
    n_frames: Any = None


def flatten_graphs(inputs: dict[str, Any], n_neighbors: int | None) -> FlatGraph:
    """Join the frames of a batch.

    Parameters
    ----------
    inputs : dict of tf.RaggedTensor
        ``species`` [B, (atoms)], ``neighbors`` and ``distances`` [B, (atoms), (M)] with rows
        counted inside each frame, ``targets`` [B, (targets), (atoms of a target)]. Optional
        ``hops`` [B, (atoms)]: the graphs hold the targets' receptive field only.
    n_neighbors : int or None
        M where every atom has as many neighbours (their uniform length is lost on the way
        through tf.data); None where they differ.
    """
    import tensorflow as tf

    # TensorFlow's own gathers: those of keras.ops look for indices below 0, and here are none.
    species, neighbors, targets = inputs["species"], inputs["neighbors"], inputs["targets"]
    first_atom = tf.cast(species.row_splits[:-1], tf.int32)
    frame_of_atom = _row_of_each(species)
    flat_neighbors = tf.cast(neighbors.flat_values, tf.int32)
    flat_distances = inputs["distances"].flat_values
    flat_species = species.flat_values
    centers = hops = place = None
    if n_neighbors is None:
        centers = _row_of_each(neighbors.values)
        flat_neighbors += tf.gather(first_atom, tf.gather(frame_of_atom, centers))
    else:
        shape = (-1, n_neighbors)
        frame_of_row = frame_of_atom
        if "hops" in inputs:  # not every atom has a row of neighbours
            frame_of_row = tf.boolean_mask(frame_of_atom, neighbors.values.row_lengths() > 0)
        flat_neighbors = tf.reshape(flat_neighbors, shape)
        flat_neighbors += tf.gather(first_atom, frame_of_row)[:, None]
        flat_distances = tf.reshape(flat_distances, shape)
    if "hops" in inputs:
        if n_neighbors is None:
            raise ValueError("hops: graphs with different numbers of neighbours cannot be cut down")
        hops, place, rows, order = _by_hop(inputs["hops"].flat_values, neighbors)
        flat_neighbors = tf.gather(place, tf.gather(flat_neighbors, rows))
        flat_distances = tf.gather(flat_distances, rows)
        flat_species = tf.gather(flat_species, order)
    target_of_atom, frame_of_target = _row_of_each(targets.values), _row_of_each(targets)
    offset_of_target = tf.gather(first_atom, frame_of_target)
    target_atoms = tf.cast(targets.flat_values, tf.int32)
    target_atoms += tf.gather(offset_of_target, target_of_atom)
    if place is not None:
        target_atoms = tf.gather(place, target_atoms)
    return FlatGraph(
        species=tf.cast(flat_species, tf.int32),
        neighbors=flat_neighbors,
        distances=flat_distances,
        target_atoms=target_atoms,
        target_of_atom=target_of_atom,
        n_targets=tf.shape(frame_of_target)[0],
        centers=centers,
        hops=hops,
        frame_of_target=frame_of_target,
        n_frames=tf.shape(first_atom)[0],
    )


def _row_of_each(ragged: Any) -> Any:
    """The row of each value, int32: ``value_rowids`` in a third of its operations."""
    import tensorflow as tf

    # From a shape, which XLA knows, and not from the last of the splits, which it does not.
    values, first = ragged.values, tf.cast(ragged.row_splits[1:-1], tf.int32)
    n_values = values.nrows(tf.int32) if hasattr(values, "nrows") else tf.shape(values)[0]
    # One where a row begins; several rows may begin at a place, and empty ones behind the end.
    begins = tf.math.unsorted_segment_sum(tf.ones_like(first), first, n_values + 1)[:-1]
    return tf.cumsum(begins)


def _by_hop(hops: Any, neighbors: Any) -> tuple[Any, Any, Any, Any]:
    """Order the atoms of all frames by hop, so that each convolution works on the first of them.

    Returns
    -------
    hops (n_atoms,) ascending; place (n_atoms,) of each atom in the new order; rows (n_rows,) of
    the neighbour lists in the new order; order (n_atoms,), the atom at each new place.
    """
    import tensorflow as tf

    order = tf.argsort(hops, stable=True)
    place = tf.math.invert_permutation(order)
    has_row = tf.cast(neighbors.values.row_lengths() > 0, tf.int32)
    row_of_atom = tf.cumsum(has_row) - 1
    # Atoms with a list are nearer than those without: they come first.
    rows = tf.gather(row_of_atom, order[: tf.reduce_sum(has_row)])
    return tf.gather(hops, order), place, rows, order


def flat_graph(graphs: Any, variable_neighbors: bool = False) -> FlatGraph:
    """What `flatten_graphs` gives, from packed graphs, as numpy arrays for any Keras backend.

    Parameters
    ----------
    graphs : kgdyn.graphs.PackedGraphs
    variable_neighbors : bool
        The ragged form, for models with ``variable_neighbors``.
    """
    if variable_neighbors and graphs.hops.any():
        raise ValueError("hops: graphs with different numbers of neighbours cannot be cut down")
    first_atom, n_rows = graphs.atom_splits[:-1], np.diff(graphs.row_splits)
    offset_of_row = np.repeat(first_atom, n_rows)
    neighbors, distances = graphs.neighbors + offset_of_row[:, None], graphs.distances
    target_of_atom = _owners(graphs.target_atom_splits)
    frame_of_target = _owners(graphs.target_splits)
    target_atoms = graphs.target_atoms + first_atom[frame_of_target][target_of_atom]
    species, centers, hops = graphs.species, None, None
    if graphs.hops.any():
        order = np.argsort(graphs.hops, kind="stable")
        place = np.argsort(order, kind="stable")
        # Rows belong to the first atoms of each frame, which are nearer than those without.
        atom_of_row = offset_of_row + np.arange(len(neighbors))
        atom_of_row -= np.repeat(graphs.row_splits[:-1], n_rows)
        rows = np.argsort(place[atom_of_row], kind="stable")
        neighbors, distances = place[neighbors[rows]], distances[rows]
        species, hops, target_atoms = species[order], graphs.hops[order], place[target_atoms]
    if variable_neighbors:
        centers = _owners(np.arange(len(neighbors) + 1) * graphs.n_neighbors)
        neighbors, distances = neighbors.reshape(-1), distances.reshape(-1)
    return FlatGraph(
        species=species,
        neighbors=neighbors.astype(np.int32),
        distances=distances,
        target_atoms=target_atoms.astype(np.int32),
        target_of_atom=target_of_atom,
        n_targets=len(frame_of_target),
        centers=centers,
        hops=hops,
        frame_of_target=frame_of_target,
        n_frames=len(first_atom),
    )


def _owners(splits: Any) -> Any:
    """Which group each row belongs to."""
    return np.repeat(np.arange(len(splits) - 1, dtype=np.int32), np.diff(splits))
