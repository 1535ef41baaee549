"""Keras layers, one class a file, their mathematics in ``keras.ops``.

All work on flat arrays: the atoms of a whole batch are one disjoint graph.
"""

from kgdyn.layers.attention_convolution import AttentionConvolution
from kgdyn.layers.element_embedding import ElementEmbedding
from kgdyn.layers.radial_basis import RadialBasis
from kgdyn.layers.simplex_map import SimplexMap
from kgdyn.layers.state_head import StateHead
from kgdyn.layers.target_pooling import TargetPooling

__all__ = [
    "AttentionConvolution",
    "ElementEmbedding",
    "RadialBasis",
    "SimplexMap",
    "StateHead",
    "TargetPooling",
]
