"""The fixed linear map that turns network outputs into states."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

__all__ = ["SimplexMap"]


@keras.saving.register_keras_serializable(package="kgdyn")
class SimplexMap(keras.layers.Layer):
    """Multiply probabilities by a fixed matrix whose rows sum to 1; the identity until set.

    A VAMP score does not see a linear change of its features, so softmax outputs need not be the
    states. The matrix is found after training by :func:`kgdyn.koopman.fit_simplex_map`.

    Args:
        n_states: Int, at least 2.
        n_outputs: Int, at least `n_states`, which it is if not given. With more outputs than
            states, output k counts to state k modulo `n_states` until the matrix is set.

    Call arguments:
        probabilities: `(n_targets, n_outputs)`, rows sum to 1.

    Output: `(n_targets, n_states)` float32, rows sum to 1. On data beyond what the map was found
    on, a value may leave [0, 1] by a little: clipping would break linearity, and with it the
    Koopman model.

    Raises:
        ValueError: if `n_states` is below 2, or `n_outputs` below `n_states`.
    """

    def __init__(self, n_states: int, n_outputs: int | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(trainable=kwargs.pop("trainable", False), **kwargs)
        if n_states < 2:
            raise ValueError(f"n_states must be at least 2, received {n_states}")
        n_outputs = n_states if n_outputs is None else n_outputs
        if n_outputs < n_states:
            raise ValueError(
                f"n_outputs must be at least n_states, {n_states}, received {n_outputs}"
            )
        self.n_states = int(n_states)
        self.n_outputs = int(n_outputs)

    def build(self, input_shape: Any) -> None:
        self.matrix = self.add_weight(
            name="matrix",
            shape=(self.n_outputs, self.n_states),
            initializer=lambda shape, dtype: keras.ops.convert_to_tensor(self._unset(), dtype),
            trainable=False,
            dtype="float64",
        )
        self.built = True

    def _unset(self) -> Any:
        return np.eye(self.n_states)[np.arange(self.n_outputs) % self.n_states]

    def call(self, probabilities: Any) -> Any:
        # The map may stretch small differences a hundredfold: float64 until that is done.
        ops = keras.ops
        return ops.cast(ops.matmul(ops.cast(probabilities, "float64"), self.matrix), "float32")

    def set_matrix(self, matrix: ArrayLike) -> None:
        """Set the map, (n_outputs, n_states); ValueError unless its rows sum to 1."""
        values = np.asarray(matrix, dtype=np.float64)
        shape = (self.n_outputs, self.n_states)
        if values.shape != shape:
            raise ValueError(f"matrix must have shape {shape}, received {values.shape}")
        if not np.allclose(values.sum(axis=1), 1.0, atol=1e-8):
            raise ValueError(f"rows of matrix must sum to 1, received {values.sum(axis=1)}")
        self.matrix.assign(values)

    def reset(self) -> None:
        """Back to the identity, or what stands for it."""
        self.matrix.assign(self._unset())

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], self.n_states)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "n_states": self.n_states,
            "n_outputs": self.n_outputs,
        }
