"""Callbacks of a training: progress, order of pairs, history, best epoch, checkpoints."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from kgdyn._atomic import replacing
from kgdyn.training.checkpoint import Checkpoint, write_checkpoint
from kgdyn.training.interrupts import StopRequest
from kgdyn.training.position import Position, TrainingState

__all__ = ["FollowEpochs", "RecordEpochs", "ReportProgress", "SaveCheckpoints", "write_history"]


class ReportProgress(keras.callbacks.Callback):
    """Tell somebody how far a training is.

    Args:
        report: Called with the batches done, the batches in all and the latest epoch's logs.
    """

    def __init__(self, report: Callable[[int, int, dict[str, float]], None]) -> None:
        super().__init__()
        self.report = report
        self._done = 0
        self._total: int | None = None
        self._logs: dict[str, float] = {}

    def start_from(self, done: int, total: int, logs: dict[str, float]) -> None:
        """Go on from a number of batches: of a training resumed, or one of several."""
        self._done, self._total, self._logs = done, total, dict(logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._done += 1
        total = self.params.get("epochs", 1) * (self.params.get("steps") or 0)
        self.report(self._done, total if self._total is None else self._total, self._logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._logs = {name: float(value) for name, value in (logs or {}).items()}


class FollowEpochs(keras.callbacks.Callback):
    """Tell the dataset of pairs which epoch comes, whatever passes were made over it before.

    Args:
        position: That of the dataset.
        metric: Of the model.
        resumed: Checkpoint from within the first epoch, whose metrics go on.
    """

    def __init__(
        self, position: Position, metric: Any = None, resumed: Checkpoint | None = None
    ) -> None:
        super().__init__()
        self.position = position
        self.metric = metric
        self.resumed = resumed

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.position.epoch = epoch
        if self.resumed is not None:
            self.resumed.restore_metrics(self.model, self.metric)


class RecordEpochs(keras.callbacks.Callback):
    """Keep history and best weights in the state; stop where nothing gets better.

    Args:
        state: To be kept up to date.
        monitor: Name of the validation score; larger is better.
        patience: Epochs without a better one.
        path: CSV file of the history, optional.
    """

    def __init__(
        self, state: TrainingState, monitor: str, patience: int, path: Path | None = None
    ) -> None:
        super().__init__()
        self.state = state
        self.monitor = monitor
        self.patience = patience
        self.path = path

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        rate = float(self.model.optimizer.learning_rate)
        if self.state.add_epoch({**(logs or {}), "learning_rate": rate}, self.monitor):
            self.state.best_weights = self.model.get_weights()
        if self.state.wait >= self.patience:
            self.model.stop_training = True
        if self.path is not None:
            write_history(self.path, self.state.history)


class SaveCheckpoints(keras.callbacks.Callback):
    """Write checkpoints at the end of epochs and, every so often, within them.

    Must be the last of the callbacks: what others do at the end of an epoch belongs to it.

    Args:
        folder: For `latest.h5`, to go on from, and `best.keras`, the model of the best epoch.
        metric: Of the model.
        state: That is saved; its position is kept up to date.
        description: Of the training.
        n_batches: Batches of a whole epoch.
        every: Seconds between checkpoints within an epoch.
        stop: Asks to save and stop after this batch.
    """

    def __init__(
        self,
        folder: Path,
        metric: Any,
        state: TrainingState,
        description: dict[str, Any],
        n_batches: int,
        every: float,
        stop: StopRequest,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.metric = metric
        self.state = state
        self.description = description
        self.n_batches = n_batches
        self.every = every
        self.stop = stop
        self._saved_at = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.state.position.batch += 1
        # After the last batch validation follows, and then the checkpoint of the epoch.
        within = self.state.position.batch < self.n_batches
        if within and (self.stop or time.monotonic() - self._saved_at >= self.every):
            self._save()
        if within:
            self.stop.raise_it()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.state.position = Position(epoch + 1, 0)
        self._save()
        if self.state.wait == 0 and self.state.best_weights is not None:
            with replacing(self.folder / "best.keras") as partial:
                self.model.save(partial)
        self.stop.raise_it()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.stop.raise_it()

    def _save(self) -> None:
        path = self.folder / "latest.h5"
        write_checkpoint(path, self.model, self.metric, self.state, self.description)
        self._saved_at = time.monotonic()


def write_history(path: Path, history: dict[str, list[float]]) -> None:
    """All epochs so far as CSV, each once, whatever was written before an interruption."""
    with replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history])
        for number, values in enumerate(zip(*history.values(), strict=True), start=1):
            writer.writerow([number, *values])
