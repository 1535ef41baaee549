"""A training on disk, to go on from: arrays and JSON in one HDF5 file, no pickle.

The file holds every variable of model, optimizer and metrics (the state of random generators
among them), the weights of the best epoch, the history and the position. One file, written under
a temporary name and renamed: whatever happens, the last whole state is there.
"""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from kgdyn._atomic import replacing
from kgdyn.training.position import Position, TrainingState

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]

_FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.

    Attributes
    ----------
    path : Path
    description : dict
        Of the training, to compare with the one that is to go on.
    state : TrainingState
    variables : dict of lists
        "model", "optimizer", "metrics": path and value of each variable.
    """

    path: Path
    description: dict[str, Any]
    state: TrainingState
    variables: dict[str, list[tuple[str, NDArray[Any]]]]

    def restore(self, model: Any) -> None:
        """Give a compiled model, whose optimizer is built, its variables back (metrics not)."""
        self._assign("model", model.variables)
        self._assign("optimizer", model.optimizer.variables)

    def restore_metrics(self, model: Any, metric: Any) -> None:
        """Give loss and metric back what they have seen of the epoch."""
        self._assign("metrics", _metrics_variables(model, metric))

    def _assign(self, group: str, variables: Any) -> None:
        saved = self.variables[group]
        if len(saved) != len(variables):
            raise ValueError(
                f"{self.path}: holds {len(saved)} variables of the {group}, the training has "
                f"{len(variables)}"
            )
        for (path, value), variable in zip(saved, variables, strict=True):
            if value.shape != tuple(variable.shape):
                raise ValueError(
                    f"{self.path}: {path} has shape {value.shape}, the training has "
                    f"{variable.path} of shape {tuple(variable.shape)}"
                )
            variable.assign(value)


def write_checkpoint(
    path: Path, model: Any, metric: Any, state: TrainingState, description: dict[str, Any]
) -> None:
    """Write the state of a training, in place of what ``path`` held before.

    Parameters
    ----------
    path : Path
    model : compiled keras.Model
    metric : keras.metrics.Metric
        That it was compiled with.
    state : TrainingState
    description : dict
        Of plain values.
    """
    head = {
        "format": _FORMAT,
        "kgdyn": importlib.metadata.version("kgdyn"),
        "position": vars(state.position),
        "history": state.history,
        "best_score": state.best_score,
        "best_epoch": state.best_epoch,
        "wait": state.wait,
        "description": description,
    }
    groups = {
        "model": [(item.path, np.asarray(item)) for item in model.variables],
        "optimizer": [(item.path, np.asarray(item)) for item in model.optimizer.variables],
        "metrics": [(item.path, np.asarray(item)) for item in _metrics_variables(model, metric)],
        "best": [("", value) for value in state.best_weights or []],
    }
    with replacing(path) as partial, h5py.File(partial, "w") as file:
        file["head"] = json.dumps(head)
        for group, arrays in groups.items():
            folder = file.create_group(group)
            for place, (name, value) in enumerate(arrays):
                folder.create_dataset(f"{place:05d}", data=value).attrs["path"] = name


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what `write_checkpoint` wrote.

    Raises
    ------
    ValueError
        If the file is no checkpoint, damaged, or of another format.
    """
    try:
        with h5py.File(path) as file:
            head = json.loads(file["head"].asstr()[()])
            groups = {
                group: [
                    (str(file[group][key].attrs["path"]), np.asarray(file[group][key]))
                    for key in sorted(file[group])
                ]
                for group in ("model", "optimizer", "metrics", "best")
            }
        found = head["format"]
        best = [value for _, value in groups.pop("best")]
        state = TrainingState(
            position=Position(**head["position"]),
            history=head["history"],
            best_score=head["best_score"],
            best_epoch=head["best_epoch"],
            best_weights=best or None,
            wait=head["wait"],
        )
        description = head["description"]
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: is not a checkpoint of a training ({error})") from error
    if found != _FORMAT:
        raise ValueError(
            f"{path}: was written in checkpoint format {found}; this kgdyn reads {_FORMAT}"
        )
    return Checkpoint(path, description, state, groups)


def _metrics_variables(model: Any, metric: Any) -> list[Any]:
    """Of the mean loss and the metric; `model.metrics` lacks the metric until the first batch."""
    losses = [item for item in model.metrics if item.name == "loss"]
    return [variable for item in (*losses, metric) for variable in item.variables]
