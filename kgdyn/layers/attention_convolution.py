"""Graph convolution with attention over each atom's neighbours."""

from __future__ import annotations

from typing import Any

import keras

from kgdyn.layers._attend import attend
from kgdyn.layers._compiled_attention import attend_compiled, compiled_attention_available
from kgdyn.layers._radial_table import RadialTable
from kgdyn.layers._replicas import several_replicas

__all__ = ["AttentionConvolution"]

_REDUCTIONS = ("sum", "mean")


@keras.saving.register_keras_serializable(package="kgdyn")
class AttentionConvolution(keras.layers.Layer):
    r"""v_i <- v_i + sum_j alpha_ij relu(z_ij W + b), z_ij = v_i ++ v_j ++ u_ij.

    alpha_ij is the softmax over the neighbours j of z_ij w_a + b_a (Xie et al. 2019, Methods).
    The weights are split, z_ij W = v_i W_1 + v_j W_2 + u_ij W_3, so that products with atoms are
    made once an atom instead of once an edge. The parts of the attention logit that do not
    depend on j (v_i and b_a) cancel in its softmax and do not exist here.

    Args:
        reduction: `"sum"` as in the paper, or `"mean"` over the neighbours as in the released
            2019 code.
        batch_normalization: Bool. Normalize messages before and their reduction after the relu,
            as in the released code. Made in the scope of a `tf.distribute` strategy it
            normalizes over the batches of all replicas.
        final_relu: Bool. Apply a relu to the result, as in the released code.

    Call arguments:
        nodes: `(n_atoms, n_features)`.
        neighbors: `(n_atoms, M)` ints, rows of `nodes`; or `(n_edges,)` where atoms have
            different numbers of neighbours.
        basis: `(n_atoms, M, n_basis)`, or `(n_edges, n_basis)`.
        centers: `(n_edges,)` ints, ascending: whose neighbour each edge is. Only for the ragged
            form. An atom without neighbours keeps its features.
        log_envelope: `(n_atoms, M)`, or `(n_edges,)`; added to the logits of the attention, as
            `CutoffEnvelope` gives it. Optional.
        training: Bool.

    Output: `(n_atoms, n_features)`. If `neighbors` has fewer rows than `nodes`, only the first
        atoms, as many as it has rows, are convolved and returned.

    Raises:
        ValueError: if `reduction` is unknown, or the ragged form comes without `centers`.
    """

    def __init__(
        self,
        reduction: str = "sum",
        batch_normalization: bool = False,
        final_relu: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        if reduction not in _REDUCTIONS:
            raise ValueError(f"reduction must be one of {_REDUCTIONS}, received {reduction!r}")
        self.reduction = reduction
        self.batch_normalization = bool(batch_normalization)
        self.final_relu = bool(final_relu)
        self.message_norm = self.reduced_norm = None
        if batch_normalization:
            # On one device it would only change the rounding of the moments.
            options = {"synchronized": several_replicas(), "dtype": self.dtype_policy}
            self.message_norm = keras.layers.BatchNormalization(name="message_norm", **options)
            self.reduced_norm = keras.layers.BatchNormalization(name="reduced_norm", **options)

    def build(
        self,
        nodes_shape: Any,
        neighbors_shape: Any,
        basis_shape: Any,
        centers_shape: Any = None,
        log_envelope_shape: Any = None,
    ) -> None:
        n_features, n_basis = nodes_shape[-1], basis_shape[-1]
        # One initializer over the whole z_ij, as if the weights were not split.
        fan_in, fan_out = 2 * n_features + n_basis, n_features
        limit = (6.0 / (fan_in + fan_out)) ** 0.5
        logit_limit = (6.0 / (fan_in + 1)) ** 0.5

        def weight(name: str, rows: int, columns: int, bound: float) -> Any:
            return self.add_weight(
                name=name,
                shape=(rows, columns),
                initializer=keras.initializers.RandomUniform(-bound, bound),
            )

        self.center_kernel = weight("center_kernel", n_features, n_features, limit)
        self.neighbor_kernel = weight("neighbor_kernel", n_features, n_features, limit)
        self.basis_kernel = weight("basis_kernel", n_basis, n_features, limit)
        self.neighbor_attention = weight("neighbor_attention", n_features, 1, logit_limit)
        self.basis_attention = weight("basis_attention", n_basis, 1, logit_limit)
        self.bias = self.add_weight(name="bias", shape=(n_features,), initializer="zeros")
        if self.message_norm is not None and self.reduced_norm is not None:
            self.message_norm.build((None, n_features))
            self.reduced_norm.build((None, n_features))
        self.built = True

    def call(
        self,
        nodes: Any,
        neighbors: Any,
        basis: Any,
        centers: Any = None,
        log_envelope: Any = None,
        training: bool | None = None,
    ) -> Any:
        ops = keras.ops
        dtype = self.compute_dtype
        nodes, basis = ops.cast(nodes, dtype), ops.cast(basis, dtype)
        ragged = len(neighbors.shape) == 1
        if ragged and centers is None:
            raise ValueError(
                "centers must say whose neighbour each edge is where neighbors has shape "
                f"(n_edges,), received neighbors {tuple(neighbors.shape)} and centers None"
            )
        # The attention column rides along with the feature columns.
        from_neighbor = ops.matmul(
            nodes, self._kernel(self.neighbor_kernel, self.neighbor_attention)
        )
        from_basis = ops.matmul(basis, self._kernel(self.basis_kernel, self.basis_attention))
        if log_envelope is not None:
            logits = from_basis[..., -1] + ops.cast(log_envelope, dtype)
            from_basis = ops.concatenate([from_basis[..., :-1], logits[..., None]], axis=-1)
        if not ragged:
            nodes = nodes[: ops.shape(neighbors)[0]]
        from_center = self._from_center(nodes)
        if ragged or self.message_norm is not None:
            reduced = self._reduce(
                from_neighbor, from_basis, from_center, neighbors, centers, training
            )
        else:
            reduced = attend(from_neighbor, from_basis, from_center, neighbors)
        if not ragged:
            reduced = self._scaled(reduced, neighbors)
        if self.reduced_norm is not None:
            reduced = self.reduced_norm(reduced, training=training)
        return self._updated(nodes, reduced)

    def can_be_compiled(self) -> bool:
        """Whether `call_compiled` is possible here: TensorFlow on a processor, float32."""
        return (
            compiled_attention_available()
            and self.compute_dtype == "float32"
            and self.message_norm is None
        )

    def call_compiled(
        self,
        nodes: Any,
        neighbors: Any,
        distances: Any,
        radial_table: RadialTable,
        log_envelope: Any = None,
    ) -> Any:
        """The same as `call`, compiled, several times as fast; not where XLA compiles.

        Args:
            nodes: `(n_atoms, n_features)`.
            neighbors: `(n_rows, M)` ints.
            distances: `(n_rows, M)` floats in angstrom, in place of their basis.
            radial_table: Of their basis, as `radial_table` makes it.
            log_envelope: As in `call`.

        Returns:
            `(n_rows, n_features)`.
        """
        ops = keras.ops
        logit = ops.matmul(nodes, self.neighbor_attention)[:, 0]
        from_neighbor = ops.matmul(nodes, self.neighbor_kernel)
        nodes = nodes[: ops.shape(neighbors)[0]]
        reduced = attend_compiled(
            from_neighbor,
            logit,
            distances,
            radial_table,
            neighbors,
            log_envelope,
            ops.convert_to_tensor(self.basis_kernel),
            ops.convert_to_tensor(self.basis_attention)[:, 0],
            self._from_center(nodes),
        )
        return self._updated(nodes, self._scaled(reduced, neighbors))

    def attention_weights(
        self,
        nodes: Any,
        neighbors: Any,
        basis: Any,
        centers: Any = None,
        log_envelope: Any = None,
    ) -> Any:
        """alpha_ij: how `call` weighs the messages of each atom's neighbours.

        Args:
            nodes: As in `call`, and so are the others. `neighbors` may have rows of any atoms.
            neighbors: `(n_rows, M)` ints, or `(n_edges,)`.
            basis: `(n_rows, M, n_basis)`, or `(n_edges, n_basis)`.
            centers: `(n_edges,)` ints.
            log_envelope: `(n_rows, M)`, or `(n_edges,)`.

        Returns:
            Float32 of the shape of `neighbors`; sums to 1 over the neighbours of an atom.
        """
        ops, dtype = keras.ops, self.compute_dtype
        nodes, basis = ops.cast(nodes, dtype), ops.cast(basis, dtype)
        of_atom = ops.matmul(nodes, ops.cast(self.neighbor_attention, dtype))[:, 0]
        logits = ops.matmul(basis, ops.cast(self.basis_attention, dtype))[..., 0]
        if log_envelope is not None:
            logits = logits + ops.cast(log_envelope, dtype)
        logits = ops.cast(ops.take(of_atom, neighbors, axis=0) + logits, "float32")
        if centers is None:
            return ops.softmax(logits, axis=-1)
        return _ragged_softmax(logits, centers, ops.shape(nodes)[0])

    def _from_center(self, nodes: Any) -> Any:
        ops, dtype = keras.ops, self.compute_dtype
        product = ops.matmul(nodes, ops.cast(self.center_kernel, dtype))
        return product + ops.cast(self.bias, dtype)

    def _scaled(self, reduced: Any, neighbors: Any) -> Any:
        """A sum over M neighbours, or their mean."""
        return reduced / neighbors.shape[1] if self.reduction == "mean" else reduced

    def _updated(self, nodes: Any, reduced: Any) -> Any:
        result = nodes + keras.ops.cast(reduced, self.compute_dtype)
        return keras.ops.relu(result) if self.final_relu else result

    def _kernel(self, features: Any, attention: Any) -> Any:
        ops = keras.ops
        return ops.cast(ops.concatenate([features, attention], axis=1), self.compute_dtype)

    def _reduce(
        self,
        from_neighbor: Any,
        from_basis: Any,
        from_center: Any,
        neighbors: Any,
        centers: Any,
        training: bool | None,
    ) -> Any:
        """What `attend` does, for ragged edges and with batch normalization of the messages."""
        ops = keras.ops
        ragged = centers is not None
        edges = ops.take(from_neighbor, neighbors, axis=0) + from_basis
        centered = ops.take(from_center, centers, axis=0) if ragged else from_center[:, None, :]
        messages = edges[..., :-1] + centered
        logits = ops.cast(edges[..., -1:], "float32")
        if self.message_norm is not None:
            # One row an edge in both forms: the normalization was built for that rank.
            rows = ops.reshape(messages, (-1, messages.shape[-1]))
            rows = self.message_norm(rows, training=training)
            messages = ops.reshape(rows, ops.shape(messages))
        messages = ops.relu(messages)
        if ragged:
            return self._reduce_ragged(messages, logits, centers, ops.shape(from_center)[0])
        attention = ops.cast(ops.softmax(logits, axis=1), messages.dtype)
        return ops.sum(attention * messages, axis=1)

    def _reduce_ragged(self, messages: Any, logits: Any, centers: Any, n_atoms: Any) -> Any:
        ops = keras.ops
        attention = ops.cast(_ragged_softmax(logits, centers, n_atoms), messages.dtype)
        reduced = ops.segment_sum(attention * messages, centers, num_segments=n_atoms, sorted=False)
        if self.reduction == "sum":
            return reduced
        count = ops.segment_sum(
            ops.ones_like(attention), centers, num_segments=n_atoms, sorted=False
        )
        return reduced / ops.maximum(count, 1.0)

    def compute_output_shape(self, nodes_shape: Any, *others: Any, **kwargs: Any) -> Any:
        return nodes_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "reduction": self.reduction,
            "batch_normalization": self.batch_normalization,
            "final_relu": self.final_relu,
        }


def _ragged_softmax(logits: Any, centers: Any, n_atoms: Any) -> Any:
    """Softmax over the edges of each of `n_atoms` atoms; `logits` (n_edges, ...)."""
    ops = keras.ops
    largest = ops.segment_max(logits, centers, num_segments=n_atoms, sorted=False)
    # Any shift cancels; an atom without neighbours has none to take.
    weights = ops.exp(logits - ops.take(ops.stop_gradient(largest), centers, axis=0))
    total = ops.segment_sum(weights, centers, num_segments=n_atoms, sorted=False)
    return weights / ops.take(total, centers, axis=0)
