"""From a target's vector to the probabilities of its states."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["StateHead"]


@keras.saving.register_keras_serializable(package="kgdyn")
class StateHead(keras.layers.Layer):
    """Dense layers with relu, a last dense layer and a softmax (Xie et al. 2019, Methods).

    The last layer stays in float32 and the softmax in float64 whatever the policy: rows that sum
    to one only to half precision give the covariances a spurious mode, and a score does not care
    how small the differences are that it lives on.

    Args:
        n_states: Int, at least 2.
        n_hidden: Int, number of hidden dense layers, each as wide as its input.

    Call arguments:
        targets: `(n_targets, n_features)`.

    Output: `(n_targets, n_states)` float64, rows sum to 1.

    Raises:
        ValueError: if `n_states` is below 2 or `n_hidden` is negative.
    """

    def __init__(self, n_states: int, n_hidden: int = 1, **kwargs: Any) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        if n_states < 2:
            raise ValueError(f"n_states must be at least 2, received {n_states}")
        if n_hidden < 0:
            raise ValueError(f"n_hidden must not be negative, received {n_hidden}")
        self.n_states = int(n_states)
        self.n_hidden = int(n_hidden)
        self.hidden: list[Any] = []
        self.logits = keras.layers.Dense(n_states, dtype="float32", name="logits")

    def build(self, input_shape: Any) -> None:
        n_features = input_shape[-1]
        self.hidden = [
            keras.layers.Dense(
                n_features, activation="relu", dtype=self.dtype_policy, name=f"hidden_{number}"
            )
            for number in range(self.n_hidden)
        ]
        for layer in self.hidden:
            layer.build((None, n_features))
        self.logits.build((None, n_features))
        self.built = True

    def call(self, targets: Any) -> Any:
        ops = keras.ops
        for layer in self.hidden:
            targets = layer(targets)
        logits = self.logits(ops.cast(targets, "float32"))
        return ops.softmax(ops.cast(logits, "float64"), axis=-1)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (*input_shape[:-1], self.n_states)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "n_states": self.n_states, "n_hidden": self.n_hidden}
