"""One vector for each target from the vectors of its atoms."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["TargetPooling"]


@keras.saving.register_keras_serializable(package="kgdyn")
class TargetPooling(keras.layers.Layer):
    """Mean over the atoms of each target (Xie et al. 2019, Methods): an ion, or a molecule.

    Call arguments:
        nodes: `(n_atoms, n_features)`.
        target_atoms: `(n_target_atoms,)` ints, rows of `nodes`.
        target_of_atom: `(n_target_atoms,)` ints, ascending: which target each belongs to.
        n_targets: Int or scalar tensor, given by name: Keras takes no ints by position.

    Output: `(n_targets, n_features)`.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.built = True

    def call(self, nodes: Any, target_atoms: Any, target_of_atom: Any, n_targets: Any) -> Any:
        ops = keras.ops
        # Summed in float32 also under float16: a large molecule would lose digits.
        members = ops.cast(ops.take(nodes, target_atoms, axis=0), "float32")
        ones = ops.ones_like(members[:, :1])
        total = ops.segment_sum(members, target_of_atom, num_segments=n_targets, sorted=False)
        count = ops.segment_sum(ones, target_of_atom, num_segments=n_targets, sorted=False)
        return ops.cast(total / count, self.compute_dtype)
