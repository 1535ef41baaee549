"""Sums over the replicas of a tf.distribute strategy; nothing where there is one."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["n_replicas", "sum_over_replicas"]


def _context() -> Any:
    """The replica context where several replicas compute one batch together, else None."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()  # None between the replicas
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def n_replicas() -> int:
    """Replicas that compute one batch together."""
    context = _context()
    return 1 if context is None else int(context.num_replicas_in_sync)


def sum_over_replicas(value: Any) -> Any:
    """The sum over all replicas, on each; its gradient is summed over them too."""
    context = _context()
    if context is None:
        return value
    import tensorflow as tf

    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)
