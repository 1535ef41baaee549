"""One training from one seed, on its own or as one of several restarts."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kgdyn._atomic import replacing
from kgdyn.models import GDyNet
from kgdyn.models.load_model import load_model
from kgdyn.training._pipeline_errors import pipeline_errors
from kgdyn.training.callbacks import (
    FollowEpochs,
    RecordEpochs,
    ReportProgress,
    SaveCheckpoints,
    write_history,
)
from kgdyn.training.checkpoint import Checkpoint, read_checkpoint
from kgdyn.training.datasets import pairs_dataset
from kgdyn.training.event_file import WriteEvents
from kgdyn.training.interrupts import StopRequest, signals_wait
from kgdyn.training.novelty import fit_novelty
from kgdyn.training.objectives import loss_and_metric
from kgdyn.training.optimizers import make_optimizer
from kgdyn.training.position import Position, TrainingState
from kgdyn.training.restarts import Restart
from kgdyn.training.run_folder import checkpoint_file
from kgdyn.training.settings import TrainingSettings
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["OneTraining"]


@dataclass(frozen=True)
class OneTraining:
    """What is trained on what, and how; `run` does it.

    Parameters
    ----------
    train, validation : list of Trajectory
    model_arguments : dict
        All arguments of :class:`kgdyn.models.GDyNet`.
    settings : TrainingSettings
        Its seed and number of restarts are not used here.
    description : dict
        Kept in checkpoints.
    callbacks : sequence of keras.callbacks.Callback
    """

    train: list[Trajectory]
    validation: list[Trajectory]
    model_arguments: dict[str, Any]
    settings: TrainingSettings
    description: dict[str, Any]
    callbacks: Sequence[keras.callbacks.Callback] = ()

    def run(self, number: int, seed: int, folder: Path | None = None) -> tuple[GDyNet, Restart]:
        """Train to the end, from where the folder says that it stopped.

        Parameters
        ----------
        number : int
            Of this restart, from 1.
        seed : int
        folder : Path, optional
            Nothing is written, and nothing resumed, without.
        """
        keras.utils.set_random_seed(seed)
        model = GDyNet(**self.model_arguments)
        whole = Position()
        pairs = self._pairs(model, seed, whole)
        loss, metric = loss_and_metric(
            self.settings.score, model.n_outputs, self.settings.reversible
        )
        model.compile(
            optimizer=make_optimizer(self.settings, len(pairs)),
            loss=loss,
            metrics=[metric],
            jit_compile=self.settings.xla,
        )
        model.optimizer.build(model.trainable_variables)
        state, saved = TrainingState(), None
        if folder is not None and checkpoint_file(folder).is_file():
            saved = read_checkpoint(checkpoint_file(folder))
            state = saved.state
            if self._is_over(state) and (folder / "model.keras").is_file():
                return load_model(folder / "model.keras"), _result(number, seed, state)
            saved.restore(model)
        with pipeline_errors(), _signals_if(folder is not None) as stop:
            fit = _Fit(self, model, metric, state, number, len(pairs), folder, stop)
            if state.position.batch > 0:
                # The rest of the epoch is a short epoch of its own.
                rest = Position(state.position.epoch, state.position.batch)
                fit(self._pairs(model, seed, rest), rest, state.position.epoch + 1, saved)
            if not self._is_over(state) and not model.stop_training:
                fit(pairs, whole, self.settings.epochs)
            if state.best_weights is not None:
                model.set_weights(state.best_weights)
            whole.epoch, whole.batch = self.settings.epochs, 0
            model.fix_states(pairs)
            stop.raise_it()
            if self.settings.novelty:
                fit_novelty(model, self.train, self.validation)
                stop.raise_it()
        if folder is not None:
            write_history(folder / "history.csv", state.history)
            with replacing(folder / "model.keras") as partial:
                model.save(partial)
        return model, _result(number, seed, state)

    def held_out_pairs(self, model: GDyNet) -> Any:
        """The pairs that every epoch is validated on."""
        options = self._pair_options(model)
        return pairs_dataset(self.validation, shuffle=False, **options)

    def _pairs(self, model: GDyNet, seed: int, position: Position) -> Any:
        options = self._pair_options(model)
        return pairs_dataset(self.train, seed=seed, position=position, **options)

    def _pair_options(self, model: GDyNet) -> dict[str, Any]:
        # Batch normalization must see all atoms.
        whole = model.variant == "released" or model.variable_neighbors
        return {
            "lagtime": model.lagtime,
            "n_neighbors": model.n_neighbors,
            "batch_size": self.settings.batch_size,
            "stride": self.settings.stride,
            "window": self.settings.window,
            "cache": self.settings.cache,
            "n_hops": None if whole else model.n_convolutions,
        }

    def _is_over(self, state: TrainingState) -> bool:
        return state.position.batch == 0 and (
            state.position.epoch >= self.settings.epochs or state.wait >= self.settings.patience
        )


class _Fit:
    """``model.fit`` from the epoch of the state on, with the callbacks of a training."""

    def __init__(
        self,
        plan: OneTraining,
        model: GDyNet,
        metric: Any,
        state: TrainingState,
        number: int,
        n_batches: int,
        folder: Path | None,
        stop: StopRequest,
    ) -> None:
        settings = plan.settings
        self.plan, self.model, self.metric, self.state = plan, model, metric, state
        self.number, self.n_batches = number, n_batches
        self.held_out = plan.held_out_pairs(model)
        csv = None if folder is None else folder / "history.csv"
        self.first = [RecordEpochs(state, f"val_{metric.name}", settings.patience, csv)]
        self.last: list[keras.callbacks.Callback] = []
        if folder is not None:
            self.first.append(WriteEvents(folder / "logs"))
            every = settings.checkpoint_every
            target = folder / "checkpoints"
            self.last = [
                SaveCheckpoints(target, metric, state, plan.description, n_batches, every, stop)
            ]

    def __call__(
        self, pairs: Any, position: Position, epochs: int, resumed: Checkpoint | None = None
    ) -> None:
        n_all = self.plan.settings.epochs * self.n_batches
        now = self.state.position
        n_done = (self.number - 1) * n_all + now.epoch * self.n_batches + now.batch
        latest = {name: values[-1] for name, values in self.state.history.items()}
        for callback in self.plan.callbacks:
            if isinstance(callback, ReportProgress):
                callback.start_from(n_done, self.plan.settings.restarts * n_all, latest)
        follow = FollowEpochs(position, self.metric, resumed)
        self.model.fit(
            pairs,
            validation_data=self.held_out,
            initial_epoch=now.epoch,
            epochs=epochs,
            callbacks=[follow, *self.first, *self.plan.callbacks, *self.last],
            verbose=0,
            fix_states=False,
        )


def _signals_if(wanted: bool) -> Any:
    return signals_wait() if wanted else nullcontext(StopRequest())


def _result(number: int, seed: int, state: TrainingState) -> Restart:
    score = float("nan") if state.best_score is None else state.best_score
    return Restart(number, seed, score, state.best_epoch + 1, state.history)
