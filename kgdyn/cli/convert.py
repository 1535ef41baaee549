"""``kgdyn convert``: trajectories of any format into one frame store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kgdyn.cli import _options as options
from kgdyn.cli._console import progress_bar, say, set_quiet, user_errors

__all__ = ["convert"]


@user_errors
def convert(
    paths: Annotated[list[Path], typer.Argument(help="Trajectory files.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the frame store; made, or added to.")
    ],
    targets: options.Targets = None,
    groupby: options.GroupBy = "atoms",
    topology: options.Topology = None,
    elements: options.Elements = None,
    frame_interval: options.FrameInterval = None,
    timestep: options.Timestep = None,
    join: options.Join = False,
    name: Annotated[
        str | None, typer.Option(help="What to call the trajectory; its file name if not given.")
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Write trajectories once into a frame store: later commands open it at once.

    A store is a folder that remembers elements, times and targets, and is read from disk while a
    model trains. Run the same command again after an interruption: it goes on where it stopped.
    """
    from kgdyn.trajectories import FrameStore, SourceOptions, open_source, select_targets

    set_quiet(quiet)
    parts = options.joined(paths, join)
    if name is not None and len(parts) > 1:
        raise ValueError(f"name goes with one trajectory, received {len(parts)}")
    arguments = SourceOptions(topology, options.elements_list(elements), frame_interval, timestep)
    sources = [open_source(part, arguments) for part in parts]
    groups = [select_targets(source, targets, groupby) for source in sources]
    exists = output.is_dir()
    store = FrameStore.open(output, writable=True) if exists else FrameStore.create(output)
    for source, group in zip(sources, groups, strict=True):
        with progress_bar("converting") as report:
            store.append(
                source,
                targets=group,
                frame_interval=frame_interval,
                name=name,
                resume=True,
                progress=report,
            )
    for trajectory in FrameStore.open(output).trajectories():
        say(
            f"{trajectory.source}: {trajectory.n_frames} frames of {trajectory.n_atoms} atoms, "
            f"{trajectory.n_segments} segment(s), {trajectory.n_targets} target(s)"
        )
