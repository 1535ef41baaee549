"""Distances expanded in Gaussians."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

__all__ = ["RadialBasis"]


@keras.saving.register_keras_serializable(package="kgdyn")
class RadialBasis(keras.layers.Layer):
    """u_t = exp(-(d - mu_t)^2 / width^2) with mu_t = spacing * t (Xie et al. 2019, Methods).

    Distances stay in float32 whatever the policy: float16 would lose 0.004 angstrom near 6.

    Args:
        cutoff: Float, angstrom. Centre of the last Gaussian.
        spacing: Float, angstrom. Distance between centres.
        width: Float, angstrom.

    Call arguments:
        distances: `(...)` floats in angstrom.

    Output: `(..., n_basis)` in the compute dtype, `n_basis = round(cutoff / spacing) + 1`.

    Raises:
        ValueError: if an argument is not positive.
    """

    def __init__(
        self, cutoff: float = 8.0, spacing: float = 0.2, width: float = 0.2, **kwargs: Any
    ) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        for name, value in (("cutoff", cutoff), ("spacing", spacing), ("width", width)):
            if not value > 0.0:
                raise ValueError(f"{name} must be a positive length in angstrom, received {value}")
        self.cutoff = float(cutoff)
        self.spacing = float(spacing)
        self.width = float(width)
        self.n_basis = round(cutoff / spacing) + 1
        self._centers = (spacing * np.arange(self.n_basis)).astype("float32")
        self.built = True

    def call(self, distances: Any) -> Any:
        ops = keras.ops
        offset = ops.cast(distances, "float32")[..., None] - self._centers
        return ops.cast(ops.exp(-ops.square(offset / self.width)), self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        return (*input_shape, self.n_basis)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "cutoff": self.cutoff,
            "spacing": self.spacing,
            "width": self.width,
        }
