"""What a selection is to try, checked; a folder belongs to one plan."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kgdyn.training import TrainingSettings
from kgdyn.training.description import describe_training
from kgdyn.training.restarts import restart_seed
from kgdyn.trajectories import Trajectory

__all__ = ["SelectionPlan", "Task"]


@dataclass(frozen=True)
class Task:
    """One training of a selection; folds and restarts are counted from 1."""

    n_states: int
    fold: int
    restart: int

    @property
    def folder(self) -> str:
        """Its folder, below that of the selection."""
        return f"states-{self.n_states}/fold-{self.fold}/restart-{self.restart}"

    def __str__(self) -> str:
        return f"{self.n_states} states, fold {self.fold}, restart {self.restart}"


@dataclass(frozen=True)
class SelectionPlan:
    """What to train and what to test it at.

    Parameters
    ----------
    lagtimes : sequence of int, frames
        Candidates.
    n_states : sequence of int
        Candidates.
    n_neighbors : int
    train_lagtime : int, frames, optional
        One of ``lagtimes``, that all models are trained at; the middle one if not given, the
        shorter of two.
    n_restarts : int
        Trainings from other weights for each number of states and fold.
    n_folds : int
        At least 2.
    validation_share : float
        Of what is not held out, see :func:`kgdyn.selection.make_folds`.
    settings : TrainingSettings
        Of each training; ``restarts`` is not used.
    model_options : dict
        Further arguments of :class:`kgdyn.models.GDyNet`.

    Raises
    ------
    ValueError
        For an empty list, one with a value twice or out of range, a ``train_lagtime`` that is no
        candidate, fewer than one restart or two folds.
    """

    lagtimes: tuple[int, ...]
    n_states: tuple[int, ...]
    n_neighbors: int
    train_lagtime: int = 0
    n_restarts: int = 3
    n_folds: int = 3
    validation_share: float = 0.15
    settings: TrainingSettings = field(default_factory=TrainingSettings)
    model_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lagtimes = _candidates("lagtimes", self.lagtimes, 1)
        object.__setattr__(self, "lagtimes", lagtimes)
        object.__setattr__(self, "n_states", _candidates("n_states", self.n_states, 2))
        if self.train_lagtime == 0:
            object.__setattr__(self, "train_lagtime", lagtimes[(len(lagtimes) - 1) // 2])
        if self.train_lagtime not in lagtimes:
            raise ValueError(
                f"train_lagtime must be one of lagtimes {list(lagtimes)}, received "
                f"{self.train_lagtime}"
            )
        if self.n_restarts < 1:
            raise ValueError(f"restarts must be at least 1, received {self.n_restarts}")
        if self.n_folds < 2:
            raise ValueError(
                "folds must be at least 2 (each is held out once while the rest trains), received "
                f"{self.n_folds}"
            )

    def tasks(self) -> Iterator[Task]:
        """All trainings; first restarts of everything first, so that a stopped one covers most."""
        for restart, n_states, fold in itertools.product(
            range(1, self.n_restarts + 1), self.n_states, range(1, self.n_folds + 1)
        ):
            yield Task(n_states, fold, restart)

    def settings_of(self, task: Task) -> TrainingSettings:
        """The settings of one training: restarts differ by their seed."""
        seed = restart_seed(self.settings.seed, task.restart)
        return replace(self.settings, restarts=1, seed=seed)

    def describe(self, trajectories: Sequence[Trajectory]) -> dict[str, Any]:
        """A dict of plain values that is equal if, and only if, plan and data are the same."""
        arguments = {**self.model_options, "n_neighbors": self.n_neighbors}
        training = describe_training(list(trajectories), [], arguments, self.settings)
        training.pop("validation")
        training["training"].pop("restarts")
        training["trajectories"] = training.pop("train")
        return {
            "lagtimes": list(self.lagtimes),
            "n_states": list(self.n_states),
            "train_lagtime": self.train_lagtime,
            "restarts": self.n_restarts,
            "folds": self.n_folds,
            "validation_share": self.validation_share,
            **training,
        }


def _candidates(name: str, values: Sequence[int], least: int) -> tuple[int, ...]:
    """Sorted."""
    found = list(values)
    if not found:
        raise ValueError(f"{name}: at least one value is needed, received none")
    for value in found:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{name} must be whole numbers, received {value!r}")
        if value < least:
            raise ValueError(f"{name} must be at least {least}, received {value}")
    if len(set(found)) < len(found):
        raise ValueError(f"{name} must hold each value once, received {found}")
    return tuple(sorted(int(value) for value in found))
