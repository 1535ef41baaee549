"""Keras models: the Graph Dynamical Network, a plain VAMPnet beside it, and how to load one."""

from kgdyn.models._disjoint_graph import FlatGraph, flat_graph
from kgdyn.models.gdynet import GDyNet
from kgdyn.models.load_model import load_model
from kgdyn.models.vampnet import VAMPNet

# A model file names the loss and the metric that it was compiled with: Keras must know them.
from kgdyn.scores import VAMP2Loss as _VAMP2Loss  # noqa: F401

__all__ = ["FlatGraph", "GDyNet", "VAMPNet", "flat_graph", "load_model"]
