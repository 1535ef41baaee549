"""From the graphs of frames to one disjoint graph in flat arrays.

Ragged tensors are TensorFlow's: `flatten_graphs` is the one place of the model that speaks it. With
another Keras backend `flat_graph` makes the same arrays from packed graphs, in numpy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
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
        offset_of_row = offset_of_atom
        if "hops" in inputs:  # not every atom has a row of neighbours
            owners = neighbors.values.value_rowids()[::n_neighbors]
            offset_of_row = ops.take(offset_of_atom, owners, axis=0)
        flat_neighbors = ops.reshape(flat_neighbors, shape) + offset_of_row[:, None]
        flat_distances = ops.reshape(flat_distances, shape)
    hops = place = None
    if "hops" in inputs:
        if n_neighbors is None:
            raise ValueError("hops: graphs with different numbers of neighbours cannot be cut down")
        hops, place, rows, order = _by_hop(inputs["hops"].flat_values, neighbors)
        flat_neighbors = ops.take(place, ops.take(flat_neighbors, rows, axis=0), axis=0)
        flat_distances = ops.take(flat_distances, rows, axis=0)
        flat_species = ops.take(species.flat_values, order, axis=0)
    else:
        flat_species = species.flat_values
    target_of_atom = targets.values.value_rowids()
    frame_of_target = targets.value_rowids()
    offset_of_target = ops.take(first_atom, frame_of_target, axis=0)
    target_atoms = ops.cast(targets.flat_values, "int32") + ops.take(
        offset_of_target, target_of_atom, axis=0
    )
    if place is not None:
        target_atoms = ops.take(place, target_atoms, axis=0)
    return FlatGraph(
        species=ops.cast(flat_species, "int32"),
        neighbors=flat_neighbors,
        distances=flat_distances,
        target_atoms=target_atoms,
        target_of_atom=ops.cast(target_of_atom, "int32"),
        n_targets=ops.shape(frame_of_target)[0],
        centers=centers,
        hops=hops,
        frame_of_target=ops.cast(frame_of_target, "int32"),
        n_frames=ops.shape(first_atom)[0],
    )


def _by_hop(hops: Any, neighbors: Any) -> tuple[Any, Any, Any, Any]:
    """Order the atoms of all frames by hop, so that each convolution works on the first of them.

    Returns
    -------
    hops (n_atoms,) ascending; place (n_atoms,) of each atom in the new order; rows (n_rows,) of
    the neighbour lists in the new order; order (n_atoms,), the atom at each new place.
    """
    ops = keras.ops
    order = ops.argsort(hops)
    place = ops.cast(ops.argsort(order), "int32")
    has_row = ops.cast(neighbors.values.row_lengths() > 0, "int32")
    row_of_atom = ops.cumsum(has_row) - 1
    # Atoms with a list are nearer than those without: they come first.
    rows = ops.take(row_of_atom, order[: ops.sum(has_row)], axis=0)
    return ops.take(hops, order, axis=0), place, rows, order


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
