"""Arrays that are saved with a model and are none of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

__all__ = ["SavedArrays"]


@keras.saving.register_keras_serializable(package="kgdyn")
class SavedArrays(keras.layers.Layer):
    """Named numpy arrays that go into the model's file, next to the weights.

    No variables: optimizers, checkpoints, `set_weights` and distribution do not see them, their
    shapes need not be known when the model is built, and their type is kept on every backend. A
    file without them loads, and leaves none; an older reader passes them over.

    Attributes:
        arrays: Dict of arrays. Set all at once, with `set_arrays`.

    Call arguments:
        inputs: Anything.

    Output: the inputs.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trainable=kwargs.pop("trainable", False), **kwargs)
        self.arrays: dict[str, NDArray[Any]] = {}
        self.built = True

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep copies of these instead of what was there."""
        self.arrays = {name: np.array(value) for name, value in arrays.items()}

    def call(self, inputs: Any) -> Any:
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def save_own_variables(self, store: Any) -> None:
        for name, value in self.arrays.items():
            store[name] = value

    def load_own_variables(self, store: Any) -> None:
        self.set_arrays({name: store[name] for name in store.keys()})  # noqa: SIM118
