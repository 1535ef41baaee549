"""Arrays that belong to a trajectory, from ``FILE.npy`` or ``FILE.npz:NAME``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["atom_table", "read_labels"]


def read_labels(text: str, trajectories: list[Any]) -> list[np.ndarray[Any, Any]]:
    """(n_frames, n_targets) labels of the frames in use, one array a trajectory.

    The file has a row for every frame of the source, also of those that are not in use. A row is
    of the targets, or of all atoms, of which those are taken that are targets.

    Raises
    ------
    FileNotFoundError
    ValueError
        For an archive without that array, or one with too few rows.
    """
    values = _array("labels", text)
    labels = []
    for trajectory in trajectories:
        first, last = trajectory.first_frame, trajectory.first_frame + trajectory.n_frames
        if len(values) < last:
            path = text.partition(":")[0]
            raise ValueError(
                f"labels: {path} has {len(values)} rows, the trajectory needs at least {last}"
            )
        part = values[first:last].reshape(last - first, -1)
        single = len(trajectory.targets.atoms) == trajectory.n_targets
        if single and part.shape[1] == trajectory.n_atoms != trajectory.n_targets:
            part = part[:, trajectory.targets.atoms]
        labels.append(part.astype(np.int64) if part.dtype == bool else part)
    return labels


def atom_table(name: str, text: str, n_atoms: int) -> np.ndarray[Any, Any]:
    """One number for each atom.

    Raises
    ------
    FileNotFoundError
    ValueError
        For another shape.
    """
    values = _array(name, text)
    if values.shape != (n_atoms,):
        raise ValueError(
            f"{name}: {text} must hold one number for each of {n_atoms} atoms, received shape "
            f"{values.shape}"
        )
    return values


def _array(option: str, text: str) -> np.ndarray[Any, Any]:
    path, _, name = text.partition(":")
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: there is no such file of {option}")
    values = np.load(path, allow_pickle=False)
    if isinstance(values, np.lib.npyio.NpzFile):
        with values as archive:
            if name not in archive:
                raise ValueError(f"{path}: holds no array {name!r}, it has {sorted(archive)}")
            return np.asarray(archive[name])
    if name:
        raise ValueError(f"{path}: is one array; {text!r} names {name!r} of an archive")
    return np.asarray(values)
