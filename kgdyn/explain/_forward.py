"""A trained model taken apart: what its attention weighs, and its states under a mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kgdyn.graphs import PackedGraphs

if TYPE_CHECKING:
    from kgdyn.models import FlatGraph, GDyNet

__all__ = ["Batch", "Forward"]

# Added to the logit of a masked neighbour. Its weight is 0 as long as another one is left.
_MASKED_LOGIT = -1e30


class Batch(NamedTuple):
    """Graphs of some frames with what all passes share.

    ``flat`` holds numpy arrays, the rest tensors. Neighbours are (n_rows, M), those of the first
    ``n_rows`` atoms.
    """

    flat: FlatGraph
    neighbors: Any
    basis: Any
    log_envelope: Any

    @property
    def is_target(self) -> NDArray[np.bool_]:
        """(n_atoms,)"""
        found = np.zeros(len(self.flat.species), np.bool_)
        found[self.flat.target_atoms] = True
        return found


class Forward:
    """Passes through a model without compilation, so that they can be looked into.

    They use the layers of the model as they are, in the form in which all atoms have as many
    neighbours; on any backend of Keras.
    """

    def __init__(self, model: GDyNet) -> None:
        self.model = model

    def batch(self, graphs: PackedGraphs) -> Batch:
        import keras

        from kgdyn.models import flat_graph

        flat, model = flat_graph(graphs), self.model
        distances = keras.ops.convert_to_tensor(flat.distances)
        return Batch(
            flat,
            keras.ops.convert_to_tensor(flat.neighbors),
            model.radial_basis(distances),
            None if model.cutoff_envelope is None else model.cutoff_envelope(distances),
        )

    def states(self, graphs: PackedGraphs) -> NDArray[np.float32]:
        """(n_rows, n_states) of the model as it is, by its fastest way."""
        import keras

        from kgdyn.models import FlatGraph, flat_graph

        found = self.model.call_flat(
            FlatGraph(
                *(
                    keras.ops.convert_to_tensor(value) if isinstance(value, np.ndarray) else value
                    for value in flat_graph(graphs)
                )
            ),
            training=False,
        )
        return _numpy(found)

    def attention(self, batch: Batch) -> NDArray[np.float32]:
        """(n_convolutions, n_target_atoms, M) alpha_ij of the targets' atoms."""
        import keras

        ops, rows = keras.ops, batch.flat.target_atoms
        neighbors, basis = ops.take(batch.neighbors, rows, axis=0), ops.take(batch.basis, rows, 0)
        envelope = batch.log_envelope
        if envelope is not None:
            envelope = ops.take(envelope, rows, axis=0)
        return np.stack(
            [
                _numpy(convolution.attention_weights(nodes, neighbors, basis, None, envelope))
                for convolution, nodes in zip(
                    self.model.convolutions, self._nodes(batch, None, None, None), strict=False
                )
            ]
        )

    def masked_states(
        self,
        batch: Batch,
        masked: NDArray[np.bool_] | None = None,
        hidden: NDArray[np.bool_] | None = None,
        vector: NDArray[np.floating[Any]] | None = None,
    ) -> NDArray[np.float32]:
        """(n_rows, n_states) where the model is kept from seeing something.

        Parameters
        ----------
        batch : Batch
        masked : (n_rows, M) array of bool, optional
            Edges without weight; that of the others of the same atom grows in proportion. An atom
            all of whose edges are masked hears nothing, as one without neighbours.
        hidden : (n_atoms,) array of bool, optional
            Atoms that begin as ``vector`` in place of the embedding of their element.
        vector : (n_features,) array, optional
        """
        import keras

        ops, model, flat = keras.ops, self.model, batch.flat
        for nodes in self._nodes(batch, masked, hidden, vector):
            last = nodes
        pooled = model.target_pooling(
            last, flat.target_atoms, flat.target_of_atom, n_targets=flat.n_targets
        )
        if model.frame_pooling is not None:
            rows = ops.arange(flat.n_targets, dtype="int32")
            pooled = model.frame_pooling(
                pooled, rows, flat.frame_of_target, n_targets=flat.n_frames
            )
        return _numpy(model.simplex_map(model.head(pooled, training=False)))

    def _nodes(
        self,
        batch: Batch,
        masked: NDArray[np.bool_] | None,
        hidden: NDArray[np.bool_] | None,
        vector: NDArray[np.floating[Any]] | None,
    ) -> Iterator[Any]:
        """Vectors of the atoms before the first convolution, and after each."""
        import keras

        ops, model, flat = keras.ops, self.model, batch.flat
        nodes = model.embedding(ops.convert_to_tensor(flat.species))
        if hidden is not None:
            nodes = ops.where(hidden[:, None], ops.convert_to_tensor(vector, nodes.dtype), nodes)
        yield nodes
        shift, lonely = batch.log_envelope, None
        if masked is not None:
            lonely = np.asarray(masked.all(axis=1))
            mask = ops.convert_to_tensor(
                np.where(masked, np.float32(_MASKED_LOGIT), 0.0), "float32"
            )
            shift = mask if shift is None else shift + mask
        n_rows = len(flat.neighbors)
        for number, convolution in enumerate(model.convolutions, start=1):
            if flat.hops is not None:  # later ones reach the targets from fewer hops
                n_rows = int((flat.hops <= model.n_convolutions - number).sum())
            heard = convolution(
                nodes,
                batch.neighbors[:n_rows],
                batch.basis[:n_rows],
                log_envelope=None if shift is None else shift[:n_rows],
                training=False,
            )
            if lonely is not None and lonely[:n_rows].any():
                alone = self._without_neighbors(convolution, nodes[:n_rows])
                heard = ops.where(lonely[:n_rows, None], alone, heard)
            nodes = heard
            yield nodes

    def _without_neighbors(self, convolution: Any, nodes: Any) -> Any:
        """What a convolution makes of atoms that have no neighbour."""
        none = np.zeros(0, np.int32)
        basis = np.zeros((0, self.model.radial_basis.n_basis), np.float32)
        return convolution(nodes, none, basis, centers=none, training=False)


def _numpy(values: Any) -> NDArray[np.float32]:
    import keras

    return np.asarray(keras.ops.convert_to_numpy(values), np.float32)
