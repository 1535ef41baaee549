"""Keras models: the Graph Dynamical Network, and how to load one."""

from kgdyn.models.gdynet import GDyNet
from kgdyn.models.load_model import load_model

__all__ = ["GDyNet", "load_model"]
