"""The model as one compiled function of a frame's graph."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.graphs import PackedGraphs

if TYPE_CHECKING:
    from kgdyn.models import GDyNet

__all__ = ["compiled_call", "model_digest", "receptive_field"]


def receptive_field(model: GDyNet) -> int | None:
    """How many hops graphs are cut down to; None for whole graphs. As kgdyn.assign_states."""
    import keras

    # JAX compiles once for each shape. That of whole graphs is the same for all frames.
    whole = keras.backend.backend() == "jax" or model.variable_neighbors
    return None if whole else int(model.n_convolutions)


def compiled_call(model: GDyNet) -> Callable[[PackedGraphs], NDArray[np.float32]]:
    """Function from packed graphs to (n_rows, n_states) state probabilities.

    On TensorFlow it is traced once, whatever the shapes.
    """
    import keras

    from kgdyn.models import flat_graph

    backend = keras.backend.backend()
    if backend == "tensorflow":
        predict = _tensorflow_call(model)
    else:
        from kgdyn.training.assign import _jax_call, _torch_call

        predict = _jax_call(model) if backend == "jax" else _torch_call(model)

    def call(graphs: PackedGraphs) -> NDArray[np.float32]:
        found = predict(flat_graph(graphs, model.variable_neighbors))
        result: NDArray[np.float32] = np.asarray(keras.ops.convert_to_numpy(found), np.float32)
        return result

    return call


def _tensorflow_call(model: GDyNet) -> Callable[[Any], Any]:
    import tensorflow as tf

    from kgdyn.models import FlatGraph

    variable = model.variable_neighbors
    edges = [None] if variable else [None, model.n_neighbors]
    numbers = tf.TensorSpec([None], tf.int32)
    spec = {
        "species": numbers,
        "neighbors": tf.TensorSpec(edges, tf.int32),
        "distances": tf.TensorSpec(edges, tf.float32),
        "target_atoms": numbers,
        "target_of_atom": numbers,
        "n_targets": tf.TensorSpec([], tf.int32),
        "frame_of_target": numbers,
        "n_frames": tf.TensorSpec([], tf.int32),
        "centers" if variable else "hops": numbers,
    }

    def call(arrays: dict[str, Any]) -> Any:
        return model.call_flat(FlatGraph(**arrays), training=False)

    compiled = tf.function(call, input_signature=[spec])

    def predict(graph: FlatGraph) -> Any:
        arrays = graph._asdict()
        if graph.hops is None and not variable:  # all atoms are targets
            arrays["hops"] = np.zeros(len(graph.species), np.int32)
        kinds = {name: value.dtype for name, value in spec.items()}
        return compiled({name: tf.constant(arrays[name], kinds[name]) for name in spec})

    return predict


def model_digest(model: GDyNet) -> str:
    """SHA-256 of what makes the states: the configuration and the weights."""
    config = {
        key: value for key, value in model.get_config().items() if key not in ("name", "trainable")
    }
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for weight in model.weights:
        values = np.ascontiguousarray(np.asarray(weight.numpy()))
        digest.update(f"{values.dtype}{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
