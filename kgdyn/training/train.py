"""Train a GDyNet the way `kgdyn train` does, in one call."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from kgdyn._atomic import replacing
from kgdyn.models import GDyNet
from kgdyn.training.assign import check_elements
from kgdyn.training.description import describe_training
from kgdyn.training.one_training import OneTraining
from kgdyn.training.restarts import Restart, best_restart, restart_seed
from kgdyn.training.run_folder import clear_run, refuse_other_training, run_parts
from kgdyn.training.settings import TrainingSettings
from kgdyn.trajectories.lagged_pairs import as_trajectories
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["train_gdynet", "train_restarts"]


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
    folder: str | Path | None = None,
    overwrite: bool = False,
) -> tuple[GDyNet, dict[str, list[float]]]:
    """Make a model for these trajectories, train it and fix its states.

    The weights of the epoch with the best validation score are kept; with several restarts those
    of the best of all.

    With a folder the training may be interrupted in any way: the same call goes on from the last
    checkpoint, and ends with the same weights (on one CPU). Called once more it gives the finished
    model.

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
        A training that goes on after an interruption is, for them, one that begins.
    folder : path, optional
        For checkpoints, logs, history.csv and model.keras, see
        :mod:`kgdyn.training.run_folder`. Nothing is written without.
    overwrite : bool
        Start again, whatever training the folder holds.

    Returns
    -------
    The model, and the history: lists with a value each epoch.

    Raises
    ------
    ValueError
        For different frame intervals, an element that only ``validation`` has, a frame that is
        not finite, a folder that holds another training (naming what differs), or as
        :func:`kgdyn.training.pairs_dataset`.
    """
    model, restarts = train_restarts(
        train,
        validation,
        n_states=n_states,
        n_neighbors=n_neighbors,
        lagtime=lagtime,
        settings=settings,
        model_options=model_options,
        callbacks=callbacks,
        folder=folder,
        overwrite=overwrite,
    )
    return model, best_restart(restarts).history


def train_restarts(
    train: Trajectory | Sequence[Trajectory],
    validation: Trajectory | Sequence[Trajectory],
    *,
    n_states: int,
    n_neighbors: int,
    lagtime: int,
    settings: TrainingSettings | None = None,
    model_options: dict[str, Any] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    folder: str | Path | None = None,
    overwrite: bool = False,
) -> tuple[GDyNet, list[Restart]]:
    """As :func:`train_gdynet`, but tells of every restart.

    Returns
    -------
    The best model, and what came of each restart, in order.
    """
    settings = settings or TrainingSettings()
    parts, held_out = list(as_trajectories(train)), list(as_trajectories(validation))
    intervals = sorted({part.frame_interval for part in (*parts, *held_out)})
    if intervals[-1] - intervals[0] > 1e-6 * intervals[0]:
        raise ValueError(f"trajectories must have the same frame interval, received {intervals} ps")
    arguments = {
        "n_states": n_states,
        "elements": sorted({number for part in parts for number in part.elements}),
        "n_neighbors": n_neighbors,
        "lagtime": lagtime,
        "frame_interval": parts[0].frame_interval,
        "targets": parts[0].targets.description,
        **({} if settings.precision == "float32" else {"dtype": settings.precision}),
        **(model_options or {}),
    }
    model = GDyNet(**arguments)  # bad options are refused before anything is written
    for part in held_out:
        check_elements(model, part)
    description = describe_training(parts, held_out, arguments, settings)
    if folder is not None:
        folder = Path(folder)
        if overwrite:
            clear_run(folder)
        refuse_other_training(folder, description)
    plan = OneTraining(parts, held_out, arguments, settings, description, callbacks)
    where = run_parts(folder, settings.restarts) if folder is not None else []
    restarts: list[Restart] = []
    for number in range(1, settings.restarts + 1):
        own = where[number - 1] if where else None
        trained, restart = plan.run(number, restart_seed(settings.seed, number), own)
        restarts.append(restart)
        if best_restart(restarts) is restart:
            model = trained
    if folder is not None and settings.restarts > 1:
        best = where[best_restart(restarts).number - 1]
        for name in ("history.csv", "model.keras"):
            with replacing(folder / name) as partial:
                shutil.copyfile(best / name, partial)
    return model, restarts
