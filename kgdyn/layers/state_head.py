"""From a target's vector to the probabilities of its states."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

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
        dropout: Float in [0, 1). Share of each hidden layer's features that is set to zero in
            training, the same for all targets of a batch: each batch trains a thinner network.
            (A mask for each row would be noise in the covariances, in which a score near 1 has
            no gradient left.) The training score of an epoch then mixes networks: look at that
            of held-out data. The masks follow from `keras.utils.set_random_seed`, and go on
            where they were in a model that is saved and loaded.
        weight_decay: Float, not negative. Adds `weight_decay * sum(kernel^2)` of every dense
            layer, biases aside, to what is minimised, once a batch however many replicas share
            it, and to the loss that Keras reports. A score hardly feels the size of the logits:
            the decay makes outputs flatter before the simplex map stretches them. Decay apart
            from the gradient (Loshchilov and Hutter, ICLR 2019) is an optimizer's:
            `keras.optimizers.AdamW`.

    Call arguments:
        targets: `(n_targets, n_features)`.
        training: Bool; matters for `dropout` only.

    Output: `(n_targets, n_states)` float64, rows sum to 1.

    Raises:
        ValueError: if an argument breaks its rule.
    """

    def __init__(
        self,
        n_states: int,
        n_hidden: int = 1,
        dropout: float = 0.0,
        weight_decay: float = 0.0,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        if n_states < 2:
            raise ValueError(f"n_states must be at least 2, received {n_states}")
        if n_hidden < 0:
            raise ValueError(f"n_hidden must not be negative, received {n_hidden}")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, received {dropout}")
        if dropout > 0.0 and n_hidden == 0:
            raise ValueError(f"dropout acts on hidden layers, received {dropout} and n_hidden 0")
        if not 0.0 <= weight_decay < float("inf"):
            raise ValueError(
                f"weight_decay must be finite and not negative, received {weight_decay}"
            )
        self.n_states = int(n_states)
        self.n_hidden = int(n_hidden)
        self.dropout = float(dropout)
        self.weight_decay = float(weight_decay)
        self.hidden: list[Any] = []
        self.dropouts: list[Any] = []
        if dropout > 0.0:
            self.dropouts = [
                keras.layers.Dropout(
                    dropout,
                    noise_shape=(1, None),
                    dtype=self.dtype_policy,
                    name=f"dropout_{number}",
                )
                for number in range(self.n_hidden)
            ]
        self.logits = keras.layers.Dense(
            n_states, dtype="float32", kernel_regularizer=self._regularizer(), name="logits"
        )

    def _regularizer(self) -> Any:
        return keras.regularizers.L2(self.weight_decay) if self.weight_decay > 0.0 else None

    def build(self, input_shape: Any) -> None:
        n_features = input_shape[-1]
        self.hidden = [
            keras.layers.Dense(
                n_features,
                activation="relu",
                kernel_regularizer=self._regularizer(),
                dtype=self.dtype_policy,
                name=f"hidden_{number}",
            )
            for number in range(self.n_hidden)
        ]
        for layer in self.hidden:
            layer.build((None, n_features))
        self.logits.build((None, n_features))
        self.built = True

    def call(self, targets: Any, training: bool | None = None) -> Any:
        ops = keras.ops
        for number, layer in enumerate(self.hidden):
            targets = layer(targets)
            if self.dropouts:
                targets = self.dropouts[number](targets, training=training)
        logits = self.logits(ops.cast(targets, "float32"))
        return ops.softmax(ops.cast(logits, "float64"), axis=-1)

    def save_own_variables(self, store: Any) -> None:
        """Where the masks stand: Keras itself does not keep that in a file."""
        for number, layer in enumerate(self.dropouts):
            store[f"dropout_{number}"] = keras.ops.convert_to_numpy(layer.seed_generator.state)

    def load_own_variables(self, store: Any) -> None:
        for number, layer in enumerate(self.dropouts):
            layer.seed_generator.state.assign(np.array(store[f"dropout_{number}"]))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (*input_shape[:-1], self.n_states)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "n_states": self.n_states,
            "n_hidden": self.n_hidden,
            "dropout": self.dropout,
            "weight_decay": self.weight_decay,
        }
