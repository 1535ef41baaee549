"""Several trainings from different weights, and the best of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Restart", "best_restart", "restart_seed"]


@dataclass(frozen=True)
class Restart:
    """One of the trainings.

    Attributes
    ----------
    number : int
        Counted from 1.
    seed : int
    score : float
        Validation score of its best epoch; NaN if no epoch had a finite one.
    best_epoch : int
        Counted from 1.
    history : dict of lists
        A value each epoch.
    """

    number: int
    seed: int
    score: float
    best_epoch: int
    history: dict[str, list[float]]


def restart_seed(seed: int, number: int) -> int:
    """Seed of restart ``number`` (from 1): the first has ``seed`` itself, the others a hash."""
    if number == 1:
        return seed
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def best_restart(restarts: Sequence[Restart]) -> Restart:
    """That of the highest validation score; the first of equals."""
    return max(restarts, key=lambda item: -math.inf if math.isnan(item.score) else item.score)
