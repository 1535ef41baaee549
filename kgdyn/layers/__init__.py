"""Keras layers, one class a file, their mathematics in ``keras.ops``.

All work on flat arrays: the atoms of a whole batch are one disjoint graph. Where Keras runs on
JAX, importing them switches JAX to 64 bits (``jax_enable_x64``): the states need float64.
"""

from kgdyn.layers._float64 import enable_float64 as _enable_float64
from kgdyn.layers.attention_convolution import AttentionConvolution
from kgdyn.layers.cutoff_envelope import CutoffEnvelope
from kgdyn.layers.element_embedding import ElementEmbedding
from kgdyn.layers.radial_basis import RadialBasis
from kgdyn.layers.saved_arrays import SavedArrays
from kgdyn.layers.simplex_map import SimplexMap
from kgdyn.layers.state_head import StateHead
from kgdyn.layers.target_pooling import TargetPooling

__all__ = [
    "AttentionConvolution",
    "CutoffEnvelope",
    "ElementEmbedding",
    "RadialBasis",
    "SavedArrays",
    "SimplexMap",
    "StateHead",
    "TargetPooling",
]

_enable_float64()
