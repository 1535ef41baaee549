"""State probabilities of every target in every frame of a trajectory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.elements import element_name
from kgdyn.models import GDyNet
from kgdyn.training._pipeline_errors import pipeline_errors
from kgdyn.training.datasets import frames_dataset
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["assign_states", "check_elements"]

_ATOMS_PER_BATCH = 10_000


def assign_states(
    model: GDyNet,
    trajectory: Trajectory,
    *,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Apply a model to all frames.

    Parameters
    ----------
    model : GDyNet
    trajectory : Trajectory
        Its targets are assigned.
    batch_size : int, optional
        Frames at once; about 10,000 atoms if not given.
    progress : callable, optional
        Called with the frames done and the frames in all.

    Returns
    -------
    (n_frames, n_targets, n_states) array of float32; rows sum to 1.

    Raises
    ------
    ValueError
        If the trajectory holds an element that the model never saw, or a frame is bad.
    """
    check_elements(model, trajectory)
    if batch_size is None:
        batch_size = max(1, _ATOMS_PER_BATCH // trajectory.n_atoms)
    shape = (trajectory.n_frames, trajectory.n_targets, model.n_states)
    result = np.empty(shape, np.float32)
    done = 0
    predict = _compiled_call(model)
    frames = frames_dataset(
        trajectory,
        n_neighbors=model.n_neighbors,
        batch_size=batch_size,
        n_hops=None if model.variable_neighbors else model.n_convolutions,
    )
    with pipeline_errors():
        for (graphs,) in frames:
            values = predict(graphs).numpy().reshape(-1, *shape[1:])
            result[done : done + len(values)] = values
            done += len(values)
            if progress is not None:
                progress(done, shape[0])
    return result


def _compiled_call(model: GDyNet) -> Any:
    import tensorflow as tf

    return tf.function(lambda graphs: model(graphs, training=False), reduce_retracing=True)


def check_elements(model: GDyNet, trajectory: Trajectory) -> None:
    """Raise ValueError if the trajectory holds an element that the model does not know."""
    unknown = sorted(set(trajectory.elements) - set(model.elements))
    if unknown:
        raise ValueError(
            f"{trajectory.source}: holds {', '.join(map(element_name, unknown))}, which the model "
            f"never saw; it knows {', '.join(map(element_name, model.elements))}"
        )
