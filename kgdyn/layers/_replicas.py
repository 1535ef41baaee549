"""Whether a layer is made for several replicas of a tf.distribute strategy."""

from __future__ import annotations

import keras

__all__ = ["several_replicas"]


def several_replicas() -> bool:
    """True in the scope of a strategy with more than one replica."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return bool(tf.distribute.get_strategy().num_replicas_in_sync > 1)
