"""A learned vector for each element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

__all__ = ["ElementEmbedding"]


@keras.saving.register_keras_serializable(package="kgdyn")
class ElementEmbedding(keras.layers.Layer):
    """Look up the learned vector v_i^0 of each atom's element (Xie et al. 2019, Methods).

    Args:
        elements: Sequence of int, the atomic numbers (or positive bead types) to learn.
        n_features: Int, length of the vectors.

    Call arguments:
        species: `(n_atoms,)` ints. An element that is not in `elements` gives NaN features:
            a model never returns a number for an atom that it does not know.

    Output: `(n_atoms, n_features)`.

    Raises:
        ValueError: if `elements` is empty, repeats a number or holds one below 1, or
            `n_features` is below 1.
    """

    def __init__(self, elements: Sequence[int], n_features: int, **kwargs: Any) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        numbers = [int(number) for number in elements]
        if not numbers or min(numbers) < 1 or len(set(numbers)) != len(numbers):
            raise ValueError(f"elements must be distinct positive ints, received {list(elements)}")
        if n_features < 1:
            raise ValueError(f"n_features must be at least 1, received {n_features}")
        self.elements = numbers
        self.n_features = n_features
        # Species beyond the table and species 0 share the last row, which means "unknown".
        table = np.full(max(numbers) + 2, len(numbers), dtype="int32")
        table[numbers] = np.arange(len(numbers))
        self._index_of_species = table

    def build(self, input_shape: Any) -> None:
        self.vectors = self.add_weight(
            name="vectors",
            shape=(len(self.elements), self.n_features),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
        )
        self.built = True

    def call(self, species: Any) -> Any:
        ops = keras.ops
        unknown = len(self._index_of_species) - 1
        known_range = ops.logical_and(species >= 0, species < unknown)
        index = ops.take(
            ops.convert_to_tensor(self._index_of_species),
            ops.where(known_range, species, unknown),
            axis=0,
        )
        return self._rows(ops.cast(self.vectors, self.compute_dtype), index)

    def _rows(self, vectors: Any, index: Any) -> Any:
        """Rows of the vectors, NaN for an index beyond them.

        The gradient is summed over the atoms of an element. TensorFlow's own leaves it in a row an
        atom, of which Keras' optimizers square each, so that Adam divides by something else than
        the root of the squared gradient.
        """
        ops = keras.ops
        n_elements = len(self.elements)

        @ops.custom_gradient  # type: ignore[untyped-decorator]
        def looked_up(vectors: Any) -> Any:
            rows = ops.take(vectors, ops.minimum(index, n_elements - 1), axis=0)
            rows = ops.where((index < n_elements)[..., None], rows, float("nan"))

            def gradient(*args: Any, upstream: Any = None) -> Any:
                upstream = args[0] if upstream is None else upstream
                of_rows = index
                if hasattr(upstream, "indices"):  # only some rows were taken from the result
                    of_rows = ops.take(index, upstream.indices, axis=0)
                    upstream = upstream.values
                total = ops.segment_sum(
                    # In full precision: an element has many atoms.
                    ops.reshape(ops.cast(upstream, "float32"), (-1, self.n_features)),
                    ops.reshape(of_rows, (-1,)),
                    num_segments=n_elements + 1,
                )
                return ops.cast(total[:n_elements], vectors.dtype)

            return rows, gradient

        return looked_up(vectors)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (*input_shape, self.n_features)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "elements": self.elements,
            "n_features": self.n_features,
        }
