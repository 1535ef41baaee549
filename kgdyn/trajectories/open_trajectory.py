"""Any trajectory in by one call: files into memory, frame stores as memory maps."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kgdyn.frames import TargetGroups
from kgdyn.trajectories._frame_checks import check_frame_interval
from kgdyn.trajectories._store_frames import Columns, FrameColumns
from kgdyn.trajectories.frame_store import FrameStore
from kgdyn.trajectories.open_source import SourceOptions, describe_options, open_source
from kgdyn.trajectories.segments import interval_from_times, segment_offsets
from kgdyn.trajectories.source import FrameSource
from kgdyn.trajectories.targets import select_targets
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["from_universe", "load_source", "open_trajectories", "open_trajectory"]

_Path = str | os.PathLike[str]


def open_trajectory(
    path: _Path | Sequence[_Path],
    *,
    targets: str | TargetGroups | Sequence[int] | None = None,
    groupby: str = "atoms",
    topology: _Path | None = None,
    elements: Sequence[str | int] | Mapping[str, str | int] | None = None,
    frame_interval: float | None = None,
    timestep: float | None = None,
    pbc: ArrayLike | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Trajectory:
    """Read a trajectory into memory, or open a frame store of one.

    Long trajectories are better converted to a frame store once (``kgdyn convert``), which costs
    no memory to open.

    Parameters
    ----------
    path : path, or sequence of paths that continue each other
        See :func:`kgdyn.trajectories.open_source` for the formats.
    targets : str, TargetGroups or sequence of int, optional
        An MDAnalysis selection, or atom indices from 0. Needed where the file names none.
    groupby : "atoms", "residues" or "molecules"
        What one target is, for a selection.
    topology, elements, frame_interval, timestep, pbc
        What the file does not say, see :class:`kgdyn.trajectories.SourceOptions`.
    progress : callable, optional
        Called with the frames read and the frames in all (None if not known).

    Raises
    ------
    FileNotFoundError, ValueError
        Naming file, frame and row, for what cannot be read rightly.
    """
    options = SourceOptions(topology, elements, frame_interval, timestep, pbc)
    if isinstance(path, (str, os.PathLike)) and Path(path).is_dir():
        if isinstance(targets, str):
            raise ValueError(
                f"{path}: a frame store keeps the targets it was made with; targets must be a "
                f"TargetGroups or indices to change them, received {targets!r}"
            )
        own = describe_options(options)
        if own:
            name, value = next(iter(own.items()))
            raise ValueError(
                f"{path}: a frame store keeps what it was made with, received {name}={value!r}"
            )
        found = FrameStore.open(path).trajectories()
        if len(found) != 1:
            raise ValueError(f"{path}: holds {len(found)} trajectories; use open_trajectories")
        return found[0] if targets is None else found[0].with_targets(_groups(targets))
    source = open_source(path, options)
    if targets is None or isinstance(targets, str):
        groups = select_targets(source, targets, groupby)
    else:
        groups = _groups(targets)
    return load_source(source, groups, frame_interval=frame_interval, progress=progress)


def open_trajectories(paths: Sequence[_Path], **options: Any) -> list[Trajectory]:
    """Open several trajectories that do not continue each other, and all those of frame stores.

    Parameters
    ----------
    paths : sequence of paths
    **options
        As :func:`open_trajectory`.
    """
    found: list[Trajectory] = []
    for path in paths:
        if Path(path).is_dir() and options.get("targets") is None:
            found += FrameStore.open(path).trajectories()
        else:
            found.append(open_trajectory(path, **options))
    return found


def from_universe(
    universe: Any,
    targets: str,
    *,
    groupby: str = "atoms",
    elements: Sequence[str | int] | Mapping[str, str | int] | None = None,
    frame_interval: float | None = None,
    pbc: ArrayLike | None = None,
) -> Trajectory:
    """Read an MDAnalysis Universe and selection into memory.

    Parameters
    ----------
    universe : MDAnalysis.Universe
    targets : str
        A selection in MDAnalysis' language.
    groupby : "atoms", "residues" or "molecules"
        What one target is.
    elements : mapping or sequence, optional
        Needed where the topology does not know them.
    frame_interval : float, ps, optional
        Needed where the file's times are not to be trusted (DCD) or missing.
    pbc : bool or (3,) sequence of bool, optional

    Raises
    ------
    ValueError
        For a selection that matches nothing, unknown elements, an unknown frame interval, or
        frames that are broken.
    """
    from kgdyn.trajectories.mdanalysis_source import UniverseSource

    source = UniverseSource(universe, elements=elements, frame_interval=frame_interval, pbc=pbc)
    return load_source(source, select_targets(source, targets, groupby))


def load_source(
    source: FrameSource,
    targets: TargetGroups,
    *,
    frame_interval: float | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Trajectory:
    """Read all frames of a source into memory, split where steps or times are irregular.

    Positions become float32 as in a frame store (:mod:`kgdyn.trajectories.frame_store`): beyond
    1024 angstrom they are wrapped first.

    Raises
    ------
    ValueError
        For frames that are broken, or if nothing tells the frame interval.
    """
    targets.check_within(len(source.species))
    check_frame_interval(frame_interval, source.source)
    seen = FrameColumns(source, source.source, 0)
    parts: list[Columns] = []
    for chunk in source.chunks():
        if chunk.n_frames:
            parts.append(seen.convert(chunk))
            if progress is not None:
                progress(seen.n_frames, source.n_frames)
    if not parts:
        raise ValueError(f"{source.source}: holds no frame")
    if source.n_frames not in (None, seen.n_frames):
        raise ValueError(
            f"{source.source}: gave {seen.n_frames} frames, expected {source.n_frames}; the file "
            "may be cut short"
        )
    steps, times, images = (_joined(parts, name) for name in ("steps", "times", "images"))
    interval = source.frame_interval if frame_interval is None else frame_interval
    offsets, _ = segment_offsets(steps, times, n_frames=seen.n_frames, frame_interval=interval)
    if interval is None and times is not None:
        interval = interval_from_times(times, offsets)
    if interval is None:
        raise ValueError(
            f"{source.source}: frame_interval must be given in ps: the file does not tell the "
            "time between frames"
        )
    return Trajectory(
        positions=_joined(parts, "positions"),
        cells=_joined(parts, "cells"),
        pbc=source.pbc,
        species=source.species,
        targets=targets,
        frame_interval=interval,
        segment_offsets=offsets,
        images=images,
        source=source.source,
    )


def _groups(targets: TargetGroups | Sequence[int]) -> TargetGroups:
    return targets if isinstance(targets, TargetGroups) else TargetGroups.from_indices(targets)


def _joined(parts: Sequence[Columns], name: str) -> Any:
    return np.concatenate([part[name] for part in parts]) if name in parts[0] else None
