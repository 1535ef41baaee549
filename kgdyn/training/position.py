"""Where a training stands: the epoch and the batch that come next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Position", "TrainingState"]


@dataclass
class Position:
    """The next batch of a training, both counted from 0."""

    epoch: int = 0
    batch: int = 0


@dataclass
class TrainingState:
    """What a training remembers besides the variables of model, optimizer and metrics.

    Attributes
    ----------
    position : Position
    history : dict of lists
        A value for each finished epoch.
    best_score : float or None
        The highest validation score so far.
    best_epoch : int
        Where it was, counted from 0.
    best_weights : list of arrays or None
        ``model.get_weights()`` of then.
    wait : int
        Epochs since.
    """

    position: Position = field(default_factory=Position)
    history: dict[str, list[float]] = field(default_factory=dict)
    best_score: float | None = None
    best_epoch: int = 0
    best_weights: list[NDArray[Any]] | None = None
    wait: int = 0

    def add_epoch(self, logs: dict[str, float], monitor: str) -> bool:
        """Take in the values of an epoch; True if it is the best so far."""
        epoch = len(next(iter(self.history.values()), []))
        for name in {**self.history, **logs}:
            # What is counted only where it happens, as skipped batches, was 0 elsewhere.
            values = self.history.setdefault(name, [0.0] * epoch)
            values.append(float(logs.get(name, 0.0)))
        score = float(logs[monitor])
        better = np.isfinite(score) and (self.best_score is None or score > self.best_score)
        if better:
            self.best_score, self.best_epoch, self.wait = score, epoch, 0
        else:
            self.wait += 1
        return bool(better)
