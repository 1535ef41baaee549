"""``kgdyn export``: frames and states for OVITO, VMD, ASE and spreadsheets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from kgdyn.cli import _options as options
from kgdyn.cli._console import load_tensorflow, progress_bar, say, set_quiet, user_errors

__all__ = ["export"]

_WRITERS = {
    ".extxyz": "write_extxyz",
    ".xyz": "write_extxyz",
    ".pdb": "write_pdb",
    ".lammpstrj": "write_lammps_dump",
    ".dump": "write_lammps_dump",
    ".csv": "write_states_csv",
}
_FORMATS = ".extxyz, .pdb, .lammpstrj or .csv (and .gz behind it)"


@user_errors
def export(
    trajectory: Annotated[
        Path,
        typer.Argument(
            help="A trajectory file (LAMMPS dump, gdynet .npz, XDATCAR, extxyz ...), or with "
            "--topology any that MDAnalysis reads; or a frame store."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help=f"A file that ends in {_FORMATS}.")
    ],
    model: Annotated[Path | None, typer.Option(help="A model.keras that kgdyn trained.")] = None,
    states: Annotated[
        Path | None,
        typer.Option(help="Instead of a model: a .npy or .h5 file that kgdyn assign wrote."),
    ] = None,
    every: Annotated[int, typer.Option(help="Write each so many-th frame, from the first.")] = 1,
    state: Annotated[
        int | None,
        typer.Option(
            help="For .pdb: the state, from 1, whose probability becomes the temperature factor."
        ),
    ] = None,
    targets: options.Targets = None,
    groupby: options.GroupBy = "atoms",
    topology: options.Topology = None,
    elements: options.Elements = None,
    frame_interval: options.FrameInterval = None,
    timestep: options.Timestep = None,
    quiet: options.Quiet = False,
) -> None:
    """Write the frames with a state for every atom, or a table of state probabilities.

    Extended XYZ, LAMMPS dump and PDB hold the number of each atom's state, from 1 (0: no target),
    and the probabilities; CSV has one row for each state of each target in each frame.
    """
    set_quiet(quiet)
    kind = Path(output.stem).suffix if output.suffix == ".gz" else output.suffix
    if kind not in _WRITERS:
        raise ValueError(f"output must end in {_FORMATS}, received {output}")
    if (model is None) == (states is None):
        raise ValueError("exactly one of --model and --states must be given")
    if every < 1:
        raise ValueError(f"every must be at least 1, received {every}")
    if state is not None and kind != ".pdb":
        raise ValueError(f"state is for .pdb files, received {output}")
    found = options.read_trajectories(
        [trajectory],
        targets=targets,
        groupby=groupby,
        topology=topology,
        elements=elements,
        frame_interval=frame_interval,
        timestep=timestep,
    )
    if len(found) != 1:
        raise ValueError(f"{trajectory}: holds {len(found)} trajectories; export needs one")
    values = _assigned(model, found[0]) if model is not None else _read_states(states)
    from kgdyn import exports

    write: Any = getattr(exports, _WRITERS[kind])
    more = {"state": state} if kind == ".pdb" else {}
    frames = slice(None, None, every)
    with progress_bar("writing") as report:
        write(output, found[0], values, frames=frames, progress=report, **more)
    n_frames = len(range(0, found[0].n_frames, every))
    say(f"{output}: {n_frames} frames, {found[0].n_targets} targets, {values.shape[-1]} states")


def _assigned(model: Path, trajectory: Any) -> np.ndarray[Any, Any]:
    load_tensorflow()
    from kgdyn.cli.assign import assign_with_progress
    from kgdyn.models import load_model

    return assign_with_progress(load_model(model), trajectory)


def _read_states(path: Path | None) -> np.ndarray[Any, Any]:
    """What ``kgdyn assign`` wrote."""
    if path is None or path.suffix not in (".npy", ".h5", ".hdf5"):
        raise ValueError(f"states must end in .npy, .h5 or .hdf5, received {path}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    if path.suffix == ".npy":
        values: np.ndarray[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return values
    import h5py

    with h5py.File(path, "r") as file:
        if "state_probabilities" not in file:
            raise ValueError(f"{path}: holds no data set 'state_probabilities'")
        return np.asarray(file["state_probabilities"])
