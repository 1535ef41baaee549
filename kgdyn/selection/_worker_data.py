"""What worker processes need, as plain arrays and JSON that they map into memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from kgdyn.frames import TargetGroups
from kgdyn.selection.plan import SelectionPlan
from kgdyn.training import TrainingSettings
from kgdyn.trajectories import Trajectory

__all__ = ["read_worker_data", "write_worker_data"]

_ARRAYS = ("positions", "cells", "pbc", "species", "offsets")


def write_worker_data(
    folder: Path, plan: SelectionPlan, trajectories: Sequence[Trajectory], root: Path
) -> None:
    """Write it all; one copy on disk, whatever the number of workers."""
    folder.mkdir(parents=True, exist_ok=True)
    heads = []
    for number, trajectory in enumerate(trajectories):
        for name in _ARRAYS:
            np.save(_file(folder, number, name), getattr(trajectory, name), allow_pickle=False)
        for name in ("atoms", "offsets"):
            values = getattr(trajectory.targets, name)
            np.save(_file(folder, number, f"target_{name}"), values, allow_pickle=False)
        heads.append(
            {
                "targets": trajectory.targets.description,
                "frame_interval": trajectory.frame_interval,
                "first_frame": trajectory.first_frame,
                "source": trajectory.source,
            }
        )
    values = {"plan": asdict(plan), "trajectories": heads, "root": str(root.resolve())}
    (folder / "plan.json").write_text(json.dumps(values))


def read_worker_data(folder: Path) -> tuple[SelectionPlan, list[Trajectory], Path]:
    """Plan, trajectories as memory maps, and the folder of the selection."""
    values = json.loads((folder / "plan.json").read_text())
    plan = values["plan"]
    settings = TrainingSettings(**plan.pop("settings"))
    trajectories = []
    for number, head in enumerate(values["trajectories"]):
        arrays: dict[str, Any] = {
            name: np.load(_file(folder, number, name), mmap_mode="r", allow_pickle=False)
            for name in (*_ARRAYS, "target_atoms", "target_offsets")
        }
        targets = TargetGroups(
            arrays.pop("target_atoms"), arrays.pop("target_offsets"), head.pop("targets")
        )
        arrays["segment_offsets"] = arrays.pop("offsets")
        trajectories.append(Trajectory(**arrays, **head, targets=targets))
    return SelectionPlan(**plan, settings=settings), trajectories, Path(values["root"])


def _file(folder: Path, number: int, name: str) -> Path:
    return folder / f"{number}-{name}.npy"
