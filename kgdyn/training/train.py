"""Train a GDyNet the way `kgdyn train` does, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kgdyn.models import GDyNet
from kgdyn.scores import VAMP2Loss, VAMP2Score
from kgdyn.training._pipeline_errors import pipeline_errors
from kgdyn.training.assign import check_elements
from kgdyn.training.datasets import pairs_dataset
from kgdyn.trajectories.lagged_pairs import as_trajectories
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["TrainingSettings", "train_gdynet"]


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Parameters
    ----------
    epochs : int
    batch_size : int
        Pairs of frames.
    learning_rate : float
        Of Adam, falling to zero along half a cosine over the training.
    stride : int
        Train and validate on each ``stride``-th pair.
    seed : int
        Of the weights and the order of pairs.
    patience : int
        Stop after as many epochs without a better validation score.
    """

    epochs: int = 10
    batch_size: int = 1024
    learning_rate: float = 2e-3
    stride: int = 1
    seed: int = 0
    patience: int = 10


def train_gdynet(
    train: Trajectory | Sequence[Trajectory],
    validation: Trajectory | Sequence[Trajectory],
    *,
    n_states: int,
    n_neighbors: int,
    lagtime: int,
    settings: TrainingSettings | None = None,
    model_options: dict[str, Any] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> tuple[GDyNet, dict[str, list[float]]]:
    """Make a model for these trajectories, train it and fix its states.

    The weights of the epoch with the best validation score are kept.

    Parameters
    ----------
    train, validation : Trajectory or sequence of Trajectory
        All with the same frame interval.
    n_states, n_neighbors : int
    lagtime : int, frames.
    settings : TrainingSettings, optional
    model_options : dict, optional
        Further arguments of :class:`kgdyn.models.GDyNet`.
    callbacks : sequence of keras.callbacks.Callback

    Returns
    -------
    The model, and the history: lists with a value each epoch.

    Raises
    ------
    ValueError
        For different frame intervals, an element that only ``validation`` has, a frame that is
        not finite, or as :func:`kgdyn.training.pairs_dataset`.
    """
    settings = settings or TrainingSettings()
    parts, held_out = as_trajectories(train), as_trajectories(validation)
    intervals = sorted({part.frame_interval for part in (*parts, *held_out)})
    if intervals[-1] - intervals[0] > 1e-6 * intervals[0]:
        raise ValueError(f"trajectories must have the same frame interval, received {intervals} ps")
    keras.utils.set_random_seed(settings.seed)
    model = GDyNet(
        n_states=n_states,
        elements=sorted({number for part in parts for number in part.elements}),
        n_neighbors=n_neighbors,
        lagtime=lagtime,
        frame_interval=parts[0].frame_interval,
        targets=parts[0].targets.description,
        **(model_options or {}),
    )
    for part in held_out:
        check_elements(model, part)
    options: dict[str, Any] = {
        "lagtime": lagtime,
        "n_neighbors": n_neighbors,
        "batch_size": settings.batch_size,
        "stride": settings.stride,
        "seed": settings.seed,
        # Batch normalization must see all atoms.
        "n_hops": None
        if model.variant == "released" or model.variable_neighbors
        else model.n_convolutions,
    }
    pairs = pairs_dataset(parts, **options)
    held_out_pairs = pairs_dataset(held_out, shuffle=False, **options)
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, settings.epochs * len(pairs), alpha=0.02
    )
    model.compile(
        optimizer=keras.optimizers.Adam(schedule, global_clipnorm=10.0),
        loss=VAMP2Loss(),
        metrics=[VAMP2Score(n_states)],
    )
    stopping = keras.callbacks.EarlyStopping(
        monitor="val_vamp2", mode="max", patience=settings.patience, restore_best_weights=True
    )
    with pipeline_errors():
        history = model.fit(
            pairs,
            validation_data=held_out_pairs,
            epochs=settings.epochs,
            callbacks=[stopping, *callbacks],
            verbose=0,
        )
    return model, {name: list(map(float, values)) for name, values in history.history.items()}
