"""Which neighbours decide a state: what a model attends to, and what it cannot do without.

The results are plain arrays: importing this room loads neither Keras nor TensorFlow.
"""

from kgdyn.explain.attention_result import NeighborAttention
from kgdyn.explain.describe_importance import describe_importance
from kgdyn.explain.masking_importance import masking_importance
from kgdyn.explain.masking_result import Mask, MaskingImportance
from kgdyn.explain.neighbor_attention import neighbor_attention

__all__ = [
    "Mask",
    "MaskingImportance",
    "NeighborAttention",
    "describe_importance",
    "masking_importance",
    "neighbor_attention",
]
