"""What makes a training the one it is, in plain values: an interrupted one goes on only as such."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from kgdyn.training.settings import TrainingSettings
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["describe_training", "differences"]

# These change nothing of the result.
_FREE = ("checkpoint_every", "cache", "novelty")


def describe_training(
    train: list[Trajectory],
    validation: list[Trajectory],
    model: dict[str, Any],
    settings: TrainingSettings,
) -> dict[str, Any]:
    """A dict that is equal if, and only if, the training is the same."""
    chosen = {name: value for name, value in asdict(settings).items() if name not in _FREE}
    return {
        "model": {name: _plain(value) for name, value in sorted(model.items())},
        "training": chosen,
        "train": [_describe(part) for part in train],
        "validation": [_describe(part) for part in validation],
    }


def _describe(trajectory: Trajectory) -> dict[str, Any]:
    """A few frames stand for all: reading a long trajectory twice would take too long."""
    frames = sorted({0, trajectory.n_frames // 2, trajectory.n_frames - 1})
    digest = hashlib.sha256()
    for values in (
        *(trajectory.positions[frame] for frame in frames),
        *(trajectory.cells[frame] for frame in frames),
        trajectory.species,
        trajectory.offsets,
        trajectory.targets.atoms,
        trajectory.targets.offsets,
    ):
        digest.update(np.ascontiguousarray(np.asarray(values, np.float64)).tobytes())
    return {
        "n_frames": trajectory.n_frames,
        "n_atoms": trajectory.n_atoms,
        "n_targets": trajectory.n_targets,
        "frame_interval": trajectory.frame_interval,
        "data": digest.hexdigest()[:16],
    }


def _plain(value: Any) -> Any:
    """As JSON would give it back."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def differences(old: Any, new: Any, name: str = "") -> list[str]:
    """What differs between two descriptions, as "training.epochs: 10 there, 20 here"."""
    return list(_differences(old, new, name))


def _differences(old: Any, new: Any, name: str) -> Iterator[str]:
    missing = "nothing"
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            inner = f"{name}.{key}" if name else str(key)
            yield from _differences(old.get(key, missing), new.get(key, missing), inner)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, pair in enumerate(zip(old, new, strict=True)):
            yield from _differences(*pair, f"{name}[{place}]")
    elif old != new:
        if isinstance(old, list) and isinstance(new, list):
            old, new = f"{len(old)} entries", f"{len(new)}"
        yield f"{name}: {old} there, {new} here"
