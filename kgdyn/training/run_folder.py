"""The folder of a training: what lies where, and whether a training may go on in it.

With one training: ``checkpoints/latest.h5`` (to go on from), ``checkpoints/best.keras`` (the best
epoch so far, states not yet fixed), ``logs/`` (for TensorBoard), ``history.csv`` and, when it is
done, ``model.keras``. With restarts each has such a folder, ``restart-1``, ``restart-2`` ..., and
model and history of the best are copied beside them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from kgdyn.training.checkpoint import read_checkpoint
from kgdyn.training.description import differences

__all__ = ["checkpoint_file", "checkpoints_in", "clear_run", "refuse_other_training", "run_parts"]

_FILES = ("model.keras", "history.csv", "training.json", "training.png", "config.toml")
_FOLDERS = ("checkpoints", "logs", "restart-*")


def run_parts(folder: Path, n_restarts: int) -> list[Path]:
    """The folder of each restart; with one, the folder itself."""
    if n_restarts == 1:
        return [folder]
    return [folder / f"restart-{number}" for number in range(1, n_restarts + 1)]


def checkpoint_file(part: Path) -> Path:
    """Where the checkpoint of one training is."""
    return part / "checkpoints" / "latest.h5"


def checkpoints_in(folder: str | Path) -> list[Path]:
    """All checkpoint files of a run folder."""
    folder = Path(folder)
    parts = sorted(path for path in folder.glob("restart-*") if path.is_dir())
    return [path for path in map(checkpoint_file, [folder, *parts]) if path.is_file()]


def refuse_other_training(folder: Path, description: dict[str, Any]) -> None:
    """Raise ValueError, naming what differs, if the folder holds another training's state."""
    found = checkpoints_in(folder)
    for path in found:
        wrong = differences(read_checkpoint(path).description, description)
        if wrong:
            raise ValueError(
                f"{folder}: holds a training with other settings ({'; '.join(wrong)}): give the "
                "same to go on with it, choose another folder, or overwrite it"
            )
    if not found and (folder / "model.keras").exists():
        raise ValueError(
            f"{folder}: holds a model.keras without its checkpoint: choose another folder, or "
            "overwrite it"
        )


def clear_run(folder: str | Path) -> None:
    """Remove what a training left in a folder, and nothing else."""
    folder = Path(folder)
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    for pattern in _FOLDERS:
        for path in folder.glob(pattern):
            shutil.rmtree(path)
