"""Callbacks of a training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

__all__ = ["ReportProgress"]


class ReportProgress(keras.callbacks.Callback):
    """Tell somebody how far a training is.

    Args:
        report: Called with the batches done, the batches in all and the latest epoch's logs.
    """

    def __init__(self, report: Callable[[int, int, dict[str, float]], None]) -> None:
        super().__init__()
        self.report = report
        self._done = 0
        self._logs: dict[str, float] = {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._done += 1
        total = self.params.get("epochs", 1) * (self.params.get("steps") or 0)
        self.report(self._done, total, self._logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._logs = {name: float(value) for name, value in (logs or {}).items()}
