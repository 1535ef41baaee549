"""Float64 where Keras runs on JAX, which turns it into float32 unless told otherwise."""

from __future__ import annotations

import importlib

import keras

__all__ = ["enable_float64"]


def enable_float64() -> None:
    """Set ``jax_enable_x64`` if JAX is Keras' backend.

    The softmax of the states and the simplex map work in float64 (a map may stretch small
    differences a hundredfold), and a model file holds float64 weights: JAX must keep them. The
    switch belongs to the whole process and changes JAX's default types for other code in it.
    """
    if keras.backend.backend() == "jax":
        importlib.import_module("jax").config.update("jax_enable_x64", True)
