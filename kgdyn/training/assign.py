"""State probabilities of every target in every frame of a trajectory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kgdyn.elements import element_name
from kgdyn.models import FlatGraph, GDyNet, VAMPNet, flat_graph
from kgdyn.training._pipeline_errors import pipeline_errors
from kgdyn.training.coordinates import target_coordinates
from kgdyn.training.datasets import frames_dataset
from kgdyn.training.graph_builder import GraphBuilder
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["assign_states", "check_elements"]

_ATOMS_PER_BATCH = 10_000


def assign_states(
    model: GDyNet | VAMPNet,
    trajectory: Trajectory,
    *,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Apply a model to all frames, on any backend of Keras.

    Parameters
    ----------
    model : GDyNet or VAMPNet
    trajectory : Trajectory
        Its targets are assigned.
    batch_size : int, optional
        Frames at once; about 10,000 atoms if not given.
    progress : callable, optional
        Called with the frames done and the frames in all.

    Returns
    -------
    (n_frames, n_targets, n_states) array of float32; rows sum to 1. A model with
    ``pooling="global"`` has one row a frame: (n_frames, 1, n_states).

    Raises
    ------
    TypeError
        For a list of trajectories.
    ValueError
        If the trajectory holds an element that the model never saw, or targets of another size
        than a VAMPNet's, or a frame is bad.
    """
    if not isinstance(trajectory, Trajectory):
        raise TypeError(
            "trajectory must be one kgdyn.Trajectory (call once for each of several), received "
            f"{type(trajectory).__name__}"
        )
    if batch_size is None:
        batch_size = max(1, _ATOMS_PER_BATCH // trajectory.n_atoms)
    n_rows = trajectory.n_targets
    if isinstance(model, VAMPNet):
        batches = _by_coordinates(model, trajectory, batch_size)
    else:
        check_elements(model, trajectory)
        n_rows = 1 if model.pooling == "global" else n_rows
        on_tensorflow = keras.backend.backend() == "tensorflow"
        predicted = _by_tensorflow if on_tensorflow else _by_another_backend
        batches = predicted(model, trajectory, batch_size)
    result = np.empty((trajectory.n_frames, n_rows, model.n_states), np.float32)
    done = 0
    for batch in batches:
        values = batch.reshape(-1, *result.shape[1:])
        result[done : done + len(values)] = values
        done += len(values)
        if progress is not None:
            progress(done, len(result))
    return result


def _by_coordinates(
    model: VAMPNet, trajectory: Trajectory, batch_size: int
) -> Iterator[NDArray[np.float32]]:
    """On any backend: there are arrays only."""
    n_atoms = int(trajectory.targets.offsets[1])
    if n_atoms != model.n_target_atoms:
        raise ValueError(
            f"{trajectory.source}: has targets of {n_atoms} atoms, the model was made for "
            f"{model.n_target_atoms}"
        )
    for start in range(0, trajectory.n_frames, batch_size):
        yield model.states_of(
            target_coordinates(
                trajectory[start : start + batch_size],
                others=model.others,
                coordinates=model.coordinates,
            )
        )


def _by_tensorflow(
    model: GDyNet, trajectory: Trajectory, batch_size: int
) -> Iterator[NDArray[np.float32]]:
    import tensorflow as tf

    frames = frames_dataset(
        trajectory,
        n_neighbors=model.n_neighbors,
        batch_size=batch_size,
        n_hops=None if model.variable_neighbors else model.n_convolutions,
    )
    predict = tf.function(lambda graphs: model(graphs, training=False), reduce_retracing=True)
    with pipeline_errors():
        for (graphs,) in frames:
            yield predict(graphs).numpy()


def _by_another_backend(
    model: GDyNet, trajectory: Trajectory, batch_size: int
) -> Iterator[NDArray[np.float32]]:
    """Graphs as numpy arrays: ragged tensors and tf.data are TensorFlow's."""
    on_jax = keras.backend.backend() == "jax"
    # JAX compiles once for each shape. That of whole graphs is the same for all batches.
    whole = on_jax or model.variable_neighbors
    build = GraphBuilder([trajectory], model.n_neighbors, None if whole else model.n_convolutions)
    predict = _jax_call(model) if on_jax else _torch_call(model)
    for start in range(0, trajectory.n_frames, batch_size):
        frames = np.arange(start, min(start + batch_size, trajectory.n_frames))
        graphs = build(np.zeros(len(frames), np.int32), frames)
        yield keras.ops.convert_to_numpy(predict(flat_graph(graphs, model.variable_neighbors)))


def _jax_call(model: GDyNet) -> Callable[[FlatGraph], Any]:
    import jax

    def call(arrays: dict[str, Any], n_targets: int, n_frames: int) -> Any:
        graph = FlatGraph(**arrays, n_targets=n_targets, n_frames=n_frames)
        return model.call_flat(graph, training=False)

    compiled = jax.jit(call, static_argnums=(1, 2))

    def predict(graph: FlatGraph) -> Any:
        arrays = graph._asdict()
        return compiled(arrays, arrays.pop("n_targets"), arrays.pop("n_frames"))

    return predict


def _torch_call(model: GDyNet) -> Callable[[FlatGraph], Any]:
    import torch

    def predict(graph: FlatGraph) -> Any:
        arrays = {
            name: keras.ops.convert_to_tensor(value) if isinstance(value, np.ndarray) else value
            for name, value in graph._asdict().items()
        }
        with torch.no_grad():
            return model.call_flat(FlatGraph(**arrays), training=False)

    return predict


def check_elements(model: GDyNet, trajectory: Trajectory) -> None:
    """Raise ValueError if the trajectory holds an element that the model does not know."""
    unknown = sorted(set(trajectory.elements) - set(model.elements))
    if unknown:
        raise ValueError(
            f"{trajectory.source}: holds {', '.join(map(element_name, unknown))}, which the model "
            f"never saw; it knows {', '.join(map(element_name, model.elements))}"
        )
