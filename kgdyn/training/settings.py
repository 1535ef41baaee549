"""How a model is trained: every choice that is not data or model."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import get_type_hints

from kgdyn.training._value_types import typed
from kgdyn.training.objectives import SCORES

__all__ = ["TrainingSettings"]

_CHOICES = {
    "schedule": ("cosine", "constant"),
    "optimizer": ("adam", "sgd"),
    "score": SCORES,
    "precision": ("float32", "mixed_float16", "mixed_bfloat16"),
}
_AT_LEAST_ONE = ("epochs", "batch_size", "stride", "window", "patience", "restarts")
_NOT_NEGATIVE = ("warmup", "clipnorm", "seed", "checkpoint_every")


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Parameters
    ----------
    epochs : int
        At most; see ``patience``.
    batch_size : int, optional
        Pairs of frames; chosen by the amount of data if not given, see
        :func:`kgdyn.training.pairs_dataset`.
    learning_rate : float
        The highest of the training.
    schedule : {"cosine", "constant"}
        "cosine": the learning rate falls along half a cosine to 2% at the last epoch.
    warmup : float
        Epochs, at first, in which the learning rate rises from 0.
    clipnorm : float
        Gradients of a greater norm (of all weights together) are scaled down to it; 0 never.
    optimizer : {"adam", "sgd"}
        "sgd" with momentum 0.9.
    stride : int
        Train and validate on each ``stride``-th pair.
    window : int
        Pairs that continue each other and stay together in a batch, see
        :func:`kgdyn.training.pairs_dataset`.
    seed : int
        Of the weights and the order of pairs. The same seed gives the same weights on one CPU.
    patience : int
        Stop after as many epochs without a better validation score.
    restarts : int
        Train so many times from other weights and keep the best by validation score. The first
        uses ``seed`` itself, the others seeds made of it.
    score : {"VAMP1", "VAMP2", "VAMPE"}
        What is trained and validated on, see :func:`kgdyn.vamp_score`.
    reversible : bool
        Count each pair in both directions: for equilibrium data of reversible dynamics.
    precision : {"float32", "mixed_float16", "mixed_bfloat16"}
        Of the layers' arithmetic; weights and scores stay as they are.
    xla : bool
        Compile with XLA what numba does not. Without the compiled convolutions (half precision,
        accelerators, ``variant="released"``) that is all, and compiles again for each new shape of
        a batch (seconds each): use it there where every batch has as many atoms and neighbours.
    cache : bool, optional
        Keep all graphs in memory, or none; if not given, those of a data set that take less than
        512 MiB, see :func:`kgdyn.training.pairs_dataset`.
    checkpoint_every : float
        Seconds between checkpoints within an epoch; 0 writes one after each batch. There is one
        at the end of each epoch anyway.
    novelty : bool
        Keep in the model what surroundings it was trained on, see
        :func:`kgdyn.training.fit_novelty`.

    Raises
    ------
    TypeError
        For a value of another type.
    ValueError
        For a value out of range.
    """

    epochs: int = 10
    batch_size: int | None = None
    learning_rate: float = 2e-3
    schedule: str = "cosine"
    warmup: float = 0.0
    clipnorm: float = 10.0
    optimizer: str = "adam"
    stride: int = 1
    window: int = 1
    seed: int = 0
    patience: int = 10
    restarts: int = 1
    score: str = "VAMP2"
    reversible: bool = False
    precision: str = "float32"
    xla: bool = False
    cache: bool | None = None
    checkpoint_every: float = 120.0
    novelty: bool = True

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            value = typed(field.name, getattr(self, field.name), hints[field.name])
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{field.name} must be finite, received {value}")
            object.__setattr__(self, field.name, value)
        for name in _AT_LEAST_ONE:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, received {value}")
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, received {getattr(self, name)}")
        if self.learning_rate <= 0.0:
            raise ValueError(f"learning_rate must be positive, received {self.learning_rate}")
        if self.warmup > self.epochs:
            raise ValueError(
                f"warmup must not be longer than the {self.epochs} epochs, received {self.warmup}"
            )
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be one of {allowed}, received {getattr(self, name)!r}"
                )
