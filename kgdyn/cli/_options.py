"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kgdyn.trajectories import (
    FrameSource,
    SourceOptions,
    Trajectory,
    open_source,
    open_trajectories,
)

_MOST_TYPES = 1000

Trajectories = Annotated[
    list[Path],
    typer.Argument(
        help="Trajectory files (LAMMPS dump, gdynet .npz, XDATCAR, extxyz ...), "
        "or with --topology any that MDAnalysis reads; or frame stores."
    ),
]
TrajectoriesOrNone = Annotated[
    list[Path] | None,
    typer.Argument(
        help="Trajectory files (LAMMPS dump, gdynet .npz, XDATCAR, extxyz ...), "
        "or with --topology any that MDAnalysis reads; or frame stores."
    ),
]
Targets = Annotated[
    str | None,
    typer.Option(
        help='What gets states: an MDAnalysis selection, such as "element Li". '
        "A frame store remembers them."
    ),
]
GroupBy = Annotated[str, typer.Option(help="One target each: atoms, residues or molecules.")]
Topology = Annotated[
    Path | None, typer.Option(help="Topology of files without atoms (XTC, TRR, DCD, NetCDF ...).")
]
Elements = Annotated[
    str | None,
    typer.Option(
        help='Elements in the order of LAMMPS types, such as "Li,S"; or by type or name, such as '
        '"OW=O,HW1=H,HW2=H"; or "masses", from those of the topology.'
    ),
]
FrameInterval = Annotated[
    float | None, typer.Option(help="Time between frames in ps, where the file does not tell.")
]
Timestep = Annotated[
    float | None, typer.Option(help="Time of a simulation step in ps, for LAMMPS dumps.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only results and errors.")]


Join = Annotated[
    bool, typer.Option("--join", help="The files continue each other: one trajectory, in order.")
]


def joined(paths: list[Path], join: bool) -> list[Any]:
    """Each path by itself, or all of them as one trajectory."""
    return [paths] if join and len(paths) > 1 else list(paths)


def open_for_inspection(path: Any, options: SourceOptions) -> FrameSource:
    """As `open_source`, but LAMMPS dumps are shown by type where no elements are given."""
    if options.elements is None and options.topology is None and not isinstance(path, list):
        from kgdyn.trajectories.open_source import is_dump

        if path.is_file() and is_dump(path):
            from kgdyn.trajectories.lammps_dump import LAMMPSDump

            try:
                return open_source(path, options)
            except ValueError as error:
                if "elements" not in str(error):
                    raise
            dump = LAMMPSDump(
                path,
                elements=list(range(1, _MOST_TYPES + 1)),
                frame_interval=options.frame_interval,
                timestep=options.timestep,
            )
            dump.named_elements = False
            return dump
    return open_source(path, options)


def elements_list(text: str | None) -> list[str] | dict[str, str] | str | None:
    """``"Li,S"`` -> ["Li", "S"]; ``"OW=O,HW1=H"`` -> {"OW": "O", "HW1": "H"}; "masses"."""
    if text is None or text.strip() == "masses":
        return text
    words = text.replace(",", " ").split()
    if any("=" in word for word in words):
        pairs = [word.partition("=") for word in words]
        bad = [word for word, (name, _, symbol) in zip(words, pairs, strict=True) if not symbol]
        if bad:
            raise ValueError(f"elements must be NAME=SYMBOL for all names, received {bad[0]!r}")
        return {name: symbol for name, _, symbol in pairs}
    return words


def read_trajectories(
    paths: list[Path],
    *,
    targets: str | None,
    groupby: str,
    topology: Path | None,
    elements: str | None,
    frame_interval: float | None,
    timestep: float | None = None,
) -> list[Trajectory]:
    """Open the files of a command line, with progress."""
    from kgdyn.cli._console import progress_bar

    with progress_bar("reading") as report:
        return open_trajectories(
            paths,
            targets=targets,
            groupby=groupby,
            topology=topology,
            elements=elements_list(elements),
            frame_interval=frame_interval,
            timestep=timestep,
            progress=report,
        )
