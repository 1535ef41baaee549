"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kgdyn.trajectories import Trajectory, open_trajectories

Trajectories = Annotated[
    list[Path],
    typer.Argument(
        help="Trajectory files (LAMMPS dump, gdynet .npz, XDATCAR, extxyz ...), "
        "or with --topology any that MDAnalysis reads; or frame stores."
    ),
]
Targets = Annotated[
    str | None,
    typer.Option(help='What to assign: an MDAnalysis selection, such as "element Li".'),
]
GroupBy = Annotated[str, typer.Option(help="One target each: atoms, residues or molecules.")]
Topology = Annotated[
    Path | None, typer.Option(help="Topology of files without atoms (XTC, TRR, DCD, NetCDF ...).")
]
Elements = Annotated[
    str | None, typer.Option(help='Elements in the order of LAMMPS types, such as "Li,S".')
]
FrameInterval = Annotated[
    float | None, typer.Option(help="Time between frames in ps, where the file does not tell.")
]
Timestep = Annotated[
    float | None, typer.Option(help="Time of a simulation step in ps, for LAMMPS dumps.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only results and errors.")]


def elements_list(text: str | None) -> list[str] | None:
    """``"Li,S"`` or ``"Li S"`` -> ["Li", "S"]."""
    return None if text is None else text.replace(",", " ").split()


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
