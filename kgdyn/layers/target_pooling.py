"""One vector for each target from the vectors of its atoms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

__all__ = ["TargetPooling"]

_POOLS = ("mean", "max", "sum")


@keras.saving.register_keras_serializable(package="kgdyn")
class TargetPooling(keras.layers.Layer):
    """Pool the atoms of each target (an ion, or a molecule) into one vector.

    The mean is that of Xie et al. 2019, Methods. Several pools are set side by side. For a target
    of one atom all are the same.

    Args:
        pools: Sequence of `"mean"`, `"max"` (of each feature on its own: what a single atom of a
            large molecule does is not averaged away) and `"sum"` (counts atoms, for targets of
            different sizes).

    Call arguments:
        nodes: `(n_atoms, n_features)`.
        target_atoms: `(n_target_atoms,)` ints, rows of `nodes`.
        target_of_atom: `(n_target_atoms,)` ints, ascending: which target each belongs to.
        n_targets: Int or scalar tensor, given by name: Keras takes no ints by position.

    Output: `(n_targets, len(pools) * n_features)`.

    Raises:
        ValueError: if `pools` is empty, repeats a pool or holds an unknown one.
    """

    def __init__(self, pools: Sequence[str] = ("mean",), **kwargs: Any) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        names = [pools] if isinstance(pools, str) else list(pools)
        if not names or len(set(names)) != len(names) or not set(names) <= set(_POOLS):
            raise ValueError(f"pools must be distinct and of {_POOLS}, received {pools!r}")
        self.pools = names
        self.built = True

    def call(self, nodes: Any, target_atoms: Any, target_of_atom: Any, n_targets: Any) -> Any:
        ops = keras.ops
        # Summed in float32 also under float16: a large molecule would lose digits.
        members = ops.cast(ops.take(nodes, target_atoms, axis=0), "float32")
        segments = {"num_segments": n_targets, "sorted": False}
        pooled = []
        for pool in self.pools:
            if pool == "max":
                pooled.append(ops.segment_max(members, target_of_atom, **segments))
                continue
            total = ops.segment_sum(members, target_of_atom, **segments)
            if pool == "mean":
                ones = ops.ones_like(members[:, :1])
                total = total / ops.segment_sum(ones, target_of_atom, **segments)
            pooled.append(total)
        together = pooled[0] if len(pooled) == 1 else ops.concatenate(pooled, axis=-1)
        return ops.cast(together, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pools": self.pools}
