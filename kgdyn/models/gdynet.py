"""The Graph Dynamical Network: from the graphs of frames to the states of targets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kgdyn.layers import (
    AttentionConvolution,
    CutoffEnvelope,
    ElementEmbedding,
    RadialBasis,
    SavedArrays,
    SimplexMap,
    StateHead,
    TargetPooling,
)
from kgdyn.layers._radial_table import RadialTable, radial_table
from kgdyn.models._disjoint_graph import FlatGraph, flatten_graphs
from kgdyn.models._state_model import FORMAT_VERSION, StateModel, check_lag, needs_tensorflow
from kgdyn.novelty import Novelty

__all__ = ["FORMAT_VERSION", "GDyNet"]

_VARIANTS = ("paper", "released")
_POOLINGS = ("targets", "global")


@keras.saving.register_keras_serializable(package="kgdyn")
class GDyNet(StateModel):
    """State probabilities of target atoms or molecules from their surroundings.

    Xie et al., Nat. Commun. 10, 2667 (2019). An embedding of each atom's element goes through
    convolutions over its M nearest neighbours; each target is pooled over its atoms and read out
    as a softmax; a fixed linear map, found at the end of `fit`, makes states of the outputs.

    The model carries what it needs to be used again: elements, `n_neighbors`, `lagtime`,
    `frame_interval` and a description of the targets.

    Args:
        n_states: Int, at least 2.
        elements: Sequence of int, atomic numbers (or bead types) that the model will know.
        n_neighbors: Int, M.
        lagtime: Int, in frames, that the model is trained at, or that `kgdyn select` recommends.
        frame_interval: Float, ps between frames of the training data.
        targets: String, what the targets are, for example an MDAnalysis selection.
        n_features: Int, length of an atom's vector.
        n_convolutions: Int.
        n_hidden: Int, hidden dense layers of the head.
        radial_cutoff: Float, angstrom. Centre of the last Gaussian of the radial basis.
        variant: `"paper"`: messages summed, no normalization. `"released"`: the authors' 2019
            code: messages averaged, batch normalization and a relu after each convolution.
        variable_neighbors: Bool. Inputs in which atoms have different numbers of neighbours.
        reduction: `"sum"` or `"mean"` of the messages; as `variant` says if not given.
        dropout: Float, share of the head's hidden outputs dropped in training.
        weight_decay: Float, L2 penalty on the head's kernels, see `kgdyn.layers.StateHead`.
        envelope: Bool. Let a neighbour's weight go to zero where the M-th one stands, so that
            states do not jump when another atom takes that place, see
            `kgdyn.layers.CutoffEnvelope`.
        pooling: What has states. `"targets"`: each target. `"global"`: the whole frame, from the
            mean over its targets (take all atoms as targets for the whole system); a row a frame.
            Targets of different kinds, say cations and anions, are better two models: in one,
            "which kind" would be a perfectly slow function, and the score would find that.
        target_pools: Sequence of `"mean"`, `"max"` and `"sum"`: how a target's vector is made of
            those of its atoms, side by side, see `kgdyn.layers.TargetPooling`.
        n_outputs: Int, columns of the softmax, at least `n_states`, which it is if not given. With
            more of them the network has room for faster processes too, and the states are made of
            the `n_states - 1` slowest functions. Losses and metrics are then those of the
            outputs: compile with `VAMP2Score(n_outputs)`.

    Attributes:
        compiled_convolution: Bool, not saved. On a processor, in float32, convolutions are compiled
            by numba, several times as fast as keras.ops (`AttentionConvolution.call_compiled`).
            With `jit_compile=True` XLA then compiles what stands around them: head, score and
            update. Set it to False to leave all to XLA, or to call the model inside of your own
            function with `jit_compile=True`.
        novelty: `kgdyn.novelty.Novelty` or None: how far surroundings are from those of the
            training, saved with the model. `kgdyn.training.fit_novelty` sets it, and so do
            `train_gdynet` and `kgdyn train`.

    Call arguments:
        inputs: Dict of ragged tensors, a row a frame: `species` [B, (atoms)], `neighbors` and
            `distances` [B, (atoms), (M)], `targets` [B, (targets), (atoms of a target)], as
            `kgdyn.training.frames_dataset` yields. Or `{"t": ..., "lag": ...}` of two such
            dicts, as `kgdyn.training.pairs_dataset` yields. With `hops` [B, (atoms)] the graphs
            hold only what `n_convolutions` can carry to a target; the result is the same (but
            for the statistics that batch normalization sees in training).
        training: Bool.

    Output: `(n_targets_total, n_states)` float32, rows sum to 1; for pairs
    `(n_targets_total, 2, n_states)`. With `pooling="global"` frames stand for targets. With more
    outputs than states, pairs give the outputs that the score is of, `(n_targets_total, 2,
    n_outputs)`; frames give states, which mean nothing before `fix_states`.

    Ragged tensors are TensorFlow's, and so is training. With Keras on JAX or torch a model file
    predicts through `kgdyn.assign_states`, or `call_flat` on a `FlatGraph` of arrays.

    Raises:
        ValueError: if an argument breaks its rule.
        NotImplementedError: for ragged inputs, or `fit`, on another backend than TensorFlow.
    """

    def __init__(
        self,
        n_states: int,
        elements: Sequence[int],
        n_neighbors: int,
        lagtime: int = 1,
        frame_interval: float | None = None,
        targets: str = "",
        n_features: int = 16,
        n_convolutions: int = 3,
        n_hidden: int = 1,
        radial_cutoff: float = 8.0,
        variant: str = "paper",
        variable_neighbors: bool = False,
        reduction: str | None = None,
        dropout: float = 0.0,
        weight_decay: float = 0.0,
        envelope: bool = False,
        pooling: str = "targets",
        target_pools: Sequence[str] = ("mean",),
        n_outputs: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_lag(
            frame_interval,
            n_neighbors=n_neighbors,
            lagtime=lagtime,
            n_features=n_features,
            n_convolutions=n_convolutions,
        )
        if variant not in _VARIANTS:
            raise ValueError(f"variant must be one of {_VARIANTS}, received {variant!r}")
        if pooling not in _POOLINGS:
            raise ValueError(f"pooling must be one of {_POOLINGS}, received {pooling!r}")
        released = variant == "released"
        self.n_states = int(n_states)
        self.elements = [int(number) for number in elements]
        self.n_neighbors = int(n_neighbors)
        self.lagtime = int(lagtime)
        self.frame_interval = None if frame_interval is None else float(frame_interval)
        self.targets = str(targets)
        self.n_features = int(n_features)
        self.n_convolutions = int(n_convolutions)
        self.n_hidden = int(n_hidden)
        self.radial_cutoff = float(radial_cutoff)
        self.variant = variant
        self.variable_neighbors = bool(variable_neighbors)
        self.reduction = reduction
        self.dropout = float(dropout)
        self.weight_decay = float(weight_decay)
        self.envelope = bool(envelope)
        self.pooling = pooling
        self.compiled_convolution = True

        policy = self.dtype_policy
        self.embedding = ElementEmbedding(self.elements, n_features, dtype=policy)
        self.radial_basis = RadialBasis(cutoff=radial_cutoff, dtype=policy)
        self.convolutions = [
            AttentionConvolution(
                reduction=reduction or ("mean" if released else "sum"),
                batch_normalization=released,
                final_relu=released,
                dtype=policy,
                name=f"convolution_{number}",
            )
            for number in range(n_convolutions)
        ]
        self.cutoff_envelope = CutoffEnvelope(dtype=policy) if envelope else None
        self.target_pooling = TargetPooling(target_pools, dtype=policy)
        self.target_pools = self.target_pooling.pools
        self.frame_pooling = TargetPooling(dtype=policy) if pooling == "global" else None
        simplex_map = SimplexMap(n_states, n_outputs)
        self.n_outputs = simplex_map.n_outputs
        self.head = StateHead(self.n_outputs, n_hidden, dropout, weight_decay, dtype=policy)
        self.simplex_map = simplex_map  # the last layer, also in the order of weights
        self.novelty_arrays = SavedArrays()
        self._build_layers()

    def _build_layers(self) -> None:
        """Every shape is known: the weights exist from the start, whatever the first batch."""
        nodes, n_basis = (None, self.n_features), self.radial_basis.n_basis
        self.embedding.build((None,))
        for convolution in self.convolutions:
            convolution.build(nodes, (None, self.n_neighbors), (None, self.n_neighbors, n_basis))
        self.head.build((None, len(self.target_pools) * self.n_features))
        self.simplex_map.build((None, self.n_outputs))
        self.built = True

    @property
    def novelty(self) -> Novelty | None:
        arrays = self.novelty_arrays.arrays
        return Novelty.from_arrays(arrays) if arrays else None

    @novelty.setter
    def novelty(self, novelty: Novelty | None) -> None:
        if novelty is not None and not isinstance(novelty, Novelty):
            raise TypeError(
                f"novelty must be a kgdyn.novelty.Novelty or None, received {novelty!r}"
            )
        self.novelty_arrays.set_arrays({} if novelty is None else novelty.to_arrays())

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        needs_tensorflow("ragged inputs", "use kgdyn.assign_states or call_flat")
        n_neighbors = None if self.variable_neighbors else self.n_neighbors
        if "t" not in inputs:
            return self.call_flat(flatten_graphs(inputs, n_neighbors), training=training)
        import tensorflow as tf

        # Both frames of all pairs in one pass.
        both = {
            name: tf.concat([inputs["t"][name], inputs["lag"][name]], axis=0)
            for name in inputs["t"]
        }
        graph = flatten_graphs(both, n_neighbors)
        return self.as_pairs(self.call_flat(graph, training=training, mapped=self.maps_pairs))

    def call_flat(self, graph: FlatGraph, training: bool | None = None, mapped: bool = True) -> Any:
        """The network on one disjoint graph; (n_targets, n_states), or (n_frames, n_states).

        With `mapped=False` the outputs as they are before the simplex map: n_outputs columns.
        """
        nodes = self.embedding(graph.species)
        compiled = graph.centers is None and self._has_compiled_convolutions()
        edges, table = graph.distances, None
        if compiled:
            rows, step = radial_table(self.radial_basis)
            table = RadialTable(keras.ops.convert_to_tensor(rows), step)  # once for all layers
        else:
            edges = self.radial_basis(edges)
        envelope = self._log_envelope(graph)
        for number, convolution in enumerate(self.convolutions, start=1):
            neighbors = graph.neighbors
            if graph.hops is not None:
                # Later layers reach the targets from fewer hops: the first rows are enough.
                n_rows = keras.ops.sum(
                    keras.ops.cast(graph.hops <= self.n_convolutions - number, "int32")
                )
                neighbors, edges = neighbors[:n_rows], edges[:n_rows]
                envelope = None if envelope is None else envelope[:n_rows]
            if table is not None:
                nodes = convolution.call_compiled(nodes, neighbors, edges, table, envelope)
                continue
            nodes = convolution(
                nodes,
                neighbors,
                edges,
                centers=graph.centers,
                log_envelope=envelope,
                training=training,
            )
        pooled = self.target_pooling(
            nodes, graph.target_atoms, graph.target_of_atom, n_targets=graph.n_targets
        )
        if self.frame_pooling is not None:
            rows = keras.ops.arange(keras.ops.shape(pooled)[0], dtype="int32")
            pooled = self.frame_pooling(
                pooled, rows, graph.frame_of_target, n_targets=graph.n_frames
            )
        return self.read_out(pooled, training, mapped)

    def _has_compiled_convolutions(self) -> bool:
        return (
            self.compiled_convolution
            and not self.variable_neighbors
            and self.convolutions[0].can_be_compiled()
        )

    def _runs_outside_xla(self) -> bool:
        return self._has_compiled_convolutions()

    def _log_envelope(self, graph: FlatGraph) -> Any:
        """Added to the logits of all convolutions; None without an envelope."""
        if self.cutoff_envelope is None:
            return None
        if graph.centers is None:
            return self.cutoff_envelope(graph.distances)
        n_atoms = keras.ops.shape(graph.species)[0]
        return self.cutoff_envelope(graph.distances, graph.centers, n_atoms=n_atoms)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "n_states": self.n_states,
            "elements": self.elements,
            "n_neighbors": self.n_neighbors,
            "lagtime": self.lagtime,
            "frame_interval": self.frame_interval,
            "targets": self.targets,
            "n_features": self.n_features,
            "n_convolutions": self.n_convolutions,
            "n_hidden": self.n_hidden,
            "radial_cutoff": self.radial_cutoff,
            "variant": self.variant,
            "variable_neighbors": self.variable_neighbors,
            "reduction": self.reduction,
            "dropout": self.dropout,
            "weight_decay": self.weight_decay,
            "envelope": self.envelope,
            "pooling": self.pooling,
            "target_pools": list(self.target_pools),
            "n_outputs": self.n_outputs,
        }
