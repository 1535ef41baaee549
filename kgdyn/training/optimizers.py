"""Optimizer and learning rate of a training, made of Keras' own parts.

Only Keras' own, so that a model file can be loaded by whoever knows the model.
"""

from __future__ import annotations

from typing import Any

import keras

from kgdyn.training.settings import TrainingSettings

__all__ = ["learning_rate_schedule", "make_optimizer"]

_LAST_SHARE = 0.02
_MOMENTUM = 0.9


def learning_rate_schedule(settings: TrainingSettings, n_batches: int) -> Any:
    """The learning rate as a function of the optimizer's steps.

    Parameters
    ----------
    settings : TrainingSettings
    n_batches : int
        Steps an epoch.
    """
    rise = round(settings.warmup * n_batches)
    if settings.schedule == "constant" and not rise:
        return settings.learning_rate
    # A cosine that falls by nothing is constant.
    alpha = _LAST_SHARE if settings.schedule == "cosine" else 1.0
    fall = max(1, settings.epochs * n_batches - rise)
    if not rise:
        return keras.optimizers.schedules.CosineDecay(settings.learning_rate, fall, alpha=alpha)
    return keras.optimizers.schedules.CosineDecay(
        0.0, fall, alpha=alpha, warmup_target=settings.learning_rate, warmup_steps=rise
    )


def make_optimizer(settings: TrainingSettings, n_batches: int) -> Any:
    """The optimizer that ``settings`` describe; arguments as `learning_rate_schedule`."""
    options: dict[str, Any] = {
        "learning_rate": learning_rate_schedule(settings, n_batches),
        "global_clipnorm": settings.clipnorm or None,
    }
    if settings.optimizer == "sgd":
        return keras.optimizers.SGD(momentum=_MOMENTUM, **options)
    return keras.optimizers.Adam(**options)
