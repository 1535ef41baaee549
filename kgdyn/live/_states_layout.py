"""What stands in a file of states: made, checked against a stream, and how many rows are whole.

=======================  =====================================  =================================
``step``                 (n_frames,) int64                      written last: -1 where a row is not
``time``                 (n_frames,) float64, ps                NaN where it is not known
``segment_start``        (n_frames,) bool                       frames are missing before this one
``state_probabilities``  (n_frames, n_rows, n_states) float32   a row a target, or one for all
``novelty``              (n_frames, n_targets) float32          no rows if it is not known
``target_atoms``,        int64                                  as in kgdyn.frames.TargetGroups
``target_offsets``
``species``              (n_atoms,) int32
=======================  =====================================  =================================
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np

from kgdyn._atomic import replacing
from kgdyn.elements import element_name
from kgdyn.live.stream import StreamInfo

__all__ = [
    "FORMAT",
    "check_layout",
    "check_stream",
    "create",
    "row_and_chunk_bytes",
    "whole_rows",
]

FORMAT = "kgdyn live states"
FORMAT_VERSION = 1
# A chunk that is not full is written again with each row: large ones would cost time.
_CHUNK_BYTES = 32_768
_MOST_ROWS_PER_CHUNK = 1024
_COLUMNS = ("step", "time", "segment_start", "state_probabilities", "novelty")


def create(path: Path, info: StreamInfo, n_rows: int, n_states: int) -> None:
    """A file without frames, whole or absent."""
    import h5py

    columns: tuple[tuple[str, tuple[int, ...], str, Any], ...] = (
        ("step", (), "i8", -1),
        ("time", (), "f8", np.nan),
        ("segment_start", (), "?", False),
        ("state_probabilities", (n_rows, n_states), "f4", np.nan),
        ("novelty", (info.n_targets,), "f4", np.nan),
    )
    with (
        replacing(path) as partial,
        h5py.File(partial, "w", libver="latest", locking=False) as file,
    ):
        for name, shape, dtype, fill in columns:
            row = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))
            rows = min(max(1, _CHUNK_BYTES // row), _MOST_ROWS_PER_CHUNK)
            file.create_dataset(
                name,
                (0, *shape),
                dtype,
                maxshape=(None, *shape),
                chunks=(rows, *shape),
                fillvalue=fill,
            )
        file["target_atoms"] = np.asarray(info.targets.atoms)
        file["target_offsets"] = np.asarray(info.targets.offsets)
        file["species"] = np.asarray(info.species)
        file.attrs.update(
            {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "kgdyn_version": importlib.metadata.version("kgdyn"),
                "source": info.source,
                "targets": info.targets.description,
                "elements": ",".join(map(element_name, info.elements)),
                "pbc": np.asarray(info.pbc),
                "frame_interval": info.frame_interval or np.nan,
                "steps_per_frame": info.steps_per_frame or 0,
                "model_digest": info.model_digest or "",
            }
        )


def check_layout(file: Any, path: Path) -> None:
    """Raise ValueError if a file is something else, or of another version."""
    if file.attrs.get("format") != FORMAT:
        raise ValueError(f"{path}: is no file of states that a live analysis has written")
    version = file.attrs.get("format_version")
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{path}: was written in format version {version}; this kgdyn reads version "
            f"{FORMAT_VERSION}"
        )
    missing = [name for name in _COLUMNS if name not in file]
    if missing:
        raise ValueError(f"{path}: the file is damaged: {', '.join(missing)} is not in it")


def check_stream(file: Any, path: Path, info: StreamInfo, n_rows: int, n_states: int) -> None:
    """Raise ValueError, naming the difference, if a file was begun with another stream or model."""

    def refuse(what: str, old: object, new: object) -> None:
        raise ValueError(
            f"{path}: holds states of {what} {old}, received {new}: go on with the same, or write "
            "to another file"
        )

    old_shape = file["state_probabilities"].shape[1:]
    if old_shape[1] != n_states:
        refuse("a model with n_states =", old_shape[1], n_states)
    if not np.array_equal(file["species"][:], info.species):
        old, new = file["species"][:], info.species
        if len(old) != len(new):
            refuse("a system with n_atoms =", len(old), len(new))
        atom = int(np.argmax(old != new))
        names = [element_name(int(species[atom])) for species in (old, new)]
        refuse(f"a system whose elements differ: atom {atom} (counted from 0) is", *names)
    targets = info.targets
    if not (
        np.array_equal(file["target_atoms"][:], targets.atoms)
        and np.array_equal(file["target_offsets"][:], targets.offsets)
    ):
        old_name, old_count = file.attrs["targets"], len(file["target_offsets"]) - 1
        refuse(
            "targets",
            f"{old_name!r} ({old_count} targets)",
            f"{targets.description!r} ({targets.n_targets} targets), which are other atoms",
        )
    if old_shape[0] != n_rows:
        refuse("a model with rows a frame =", old_shape[0], n_rows)
    digest = str(file.attrs["model_digest"])
    if digest != (info.model_digest or ""):
        refuse("the model with digest", digest[:12] or "none", (info.model_digest or "none")[:12])
    interval = float(file.attrs["frame_interval"])
    given = np.nan if info.frame_interval is None else info.frame_interval
    if not np.isclose(interval, given, rtol=1e-6, atol=0.0, equal_nan=True):
        refuse("a stream with frame_interval", f"{interval:g} ps", f"{given:g} ps")
    steps = int(file.attrs["steps_per_frame"])
    if steps and info.steps_per_frame and steps != info.steps_per_frame:
        refuse("a stream with steps_per_frame", steps, info.steps_per_frame)


def whole_rows(file: Any) -> int:
    """Frames that are in the file as a whole: the step of each is written after all else."""
    steps = file["step"][:]
    missing = np.flatnonzero(steps < 0)
    count = int(missing[0]) if len(missing) else len(steps)
    others = (name for name in _COLUMNS if name not in ("step", "novelty"))
    return min(count, *(len(file[name]) for name in others))


def row_and_chunk_bytes(file: Any) -> tuple[int, int]:
    """Of one frame, and of a chunk of every column."""
    columns = [file[name] for name in _COLUMNS]
    row = sum(int(np.prod(c.shape[1:], dtype=np.int64)) * c.dtype.itemsize for c in columns)
    chunk = sum(int(np.prod(c.chunks, dtype=np.int64)) * c.dtype.itemsize for c in columns)
    return row, chunk
