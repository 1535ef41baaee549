"""A weight that takes each atom's farthest neighbour out smoothly."""

from __future__ import annotations

import math
from typing import Any

import keras

__all__ = ["CutoffEnvelope"]

# The polynomial with p = 6 is (1 - x)^3 (1 + 3 x + 6 x^2 + 10 x^3 + 15 x^4 + 21 x^5): so written
# it loses no digits near x = 1.
_POWERS = 6
_COEFFICIENTS = tuple(math.comb(power + 2, 2) for power in range(_POWERS))
# Of 1 - x. Its weight, 6e-29, is nothing beside any other and no infinity in a logarithm; float16
# holds its logarithm, -65.
_SMALLEST_GAP = 1e-10
# angstrom; atoms that all coincide have no distance to divide by.
_SMALLEST_DISTANCE = 1e-12


@keras.saving.register_keras_serializable(package="kgdyn")
class CutoffEnvelope(keras.layers.Layer):
    """log u(d_ij / d_iM) with u(x) = 1 - 28 x^6 + 48 x^7 - 21 x^8, d_iM the largest of atom i.

    The polynomial envelope of Gasteiger, Gross and Guennemann (ICLR 2020, DimeNet, Eq. 8, p = 6):
    1 with zero slope at 0, and 0 with zero first and second derivative at 1. Added to the logits
    of an attention, it multiplies each neighbour's weight by u. The M-th neighbour then weighs
    nothing, and nothing jumps when another atom takes its place. The length that others are
    measured with is that atom's own distance: no cut-off radius is needed.

    Where all neighbours of an atom are equally far, as in a shell of a perfect crystal, all weigh
    the same. Where atoms have different numbers of neighbours, this takes away the jump of a
    change of places, not that of a change of number.

    Call arguments:
        distances: `(n_rows, M)` floats in angstrom; or `(n_edges,)` with `centers`.
        centers: `(n_edges,)` ints: whose neighbour each edge is.
        n_atoms: Int or scalar tensor, by name, with `centers`: how many atoms there are.

    Output: the shape of `distances`, float32 whatever the policy; at most 0, at least -66.

    Raises:
        ValueError: if `distances` has one dimension and `centers` or `n_atoms` is missing.
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        self.built = True

    def call(self, distances: Any, centers: Any = None, n_atoms: Any = None) -> Any:
        ops = keras.ops
        distances = ops.cast(distances, "float32")
        if len(distances.shape) == 1:
            if centers is None or n_atoms is None:
                raise ValueError(
                    "distances of shape (n_edges,) need centers and n_atoms, received centers "
                    f"{None if centers is None else tuple(centers.shape)} and n_atoms {n_atoms}"
                )
            largest = ops.segment_max(distances, centers, num_segments=n_atoms, sorted=False)
            largest = ops.take(largest, centers, axis=0)
        else:
            largest = ops.max(distances, axis=-1, keepdims=True)
        largest = ops.maximum(largest, _SMALLEST_DISTANCE)
        gap = ops.maximum((largest - distances) / largest, _SMALLEST_GAP)
        ratio = 1.0 - gap
        series = ops.full_like(ratio, _COEFFICIENTS[-1])
        for coefficient in _COEFFICIENTS[-2::-1]:  # Horner's scheme
            series = series * ratio + coefficient
        return 3.0 * ops.log(gap) + ops.log(series)

    def compute_output_shape(self, distances_shape: Any, *others: Any, **kwargs: Any) -> Any:
        return distances_shape
