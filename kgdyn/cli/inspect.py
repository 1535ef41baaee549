"""``kgdyn inspect``: what a trajectory or store holds, and whether it can be used."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from kgdyn.cli import _options as options
from kgdyn.cli._console import console, progress_bar, set_quiet, user_errors

__all__ = ["inspect"]

_FINDINGS_SHOWN = 20


@user_errors
def inspect(
    paths: Annotated[list[Path], typer.Argument(help="Trajectory files, or frame stores.")],
    topology: options.Topology = None,
    elements: options.Elements = None,
    frame_interval: options.FrameInterval = None,
    timestep: options.Timestep = None,
    join: options.Join = False,
    quiet: options.Quiet = False,
) -> None:
    """Read every frame; print atoms, elements, cell, interval, segments and problems.

    Exits with 1, naming file, frame and row, where something must be refused.
    """
    from kgdyn.trajectories import FrameStore, SourceOptions, inspect_source

    set_quiet(quiet)
    for part in options.joined(paths, join):
        if not isinstance(part, list) and part.is_dir():
            store = FrameStore.open(part)
            with progress_bar("checking") as report:
                report(0, 1)
                store.verify()
                report(1, 1)
            for index, trajectory in enumerate(store.trajectories()):
                _print_stored(trajectory, store.findings(index), store.images(index) is not None)
            continue
        symbols = options.elements_list(elements)
        source = options.open_for_inspection(
            part, SourceOptions(topology, symbols, frame_interval, timestep)
        )
        with progress_bar("reading") as report:
            found = inspect_source(source, frame_interval=frame_interval, progress=report)
        _print(found, named=getattr(source, "named_elements", True))


def _print(found: Any, named: bool) -> None:
    table = _table(found.source)
    table.add_row("frames", f"{found.n_frames}")
    if found.first_step is not None:
        table.add_row("steps", f"{found.first_step} to {found.last_step}")
    _add_atoms(table, found.species, named)
    _add_cell(table, found.pbc, found.cell_lower, found.cell_upper)
    interval = found.frame_interval
    table.add_row(
        "frame interval",
        "not known: give --frame-interval or --timestep"
        if interval is None
        else f"{interval:g} ps",
    )
    _add_segments(table, found.segment_offsets, found.findings)
    table.add_row("unwrapped coordinates", "known" if found.unwrapped else "not known")
    console.print(table)


def _print_stored(trajectory: Any, findings: Any, unwrapped: bool) -> None:
    from kgdyn.trajectories import cell_parameters

    table = _table(trajectory.source)
    table.add_row("frames", f"{trajectory.n_frames}")
    _add_atoms(table, trajectory.species, named=True)
    cells = np.unique(np.asarray(trajectory.cells).reshape(-1, 9), axis=0).reshape(-1, 3, 3)
    parameters = np.array([cell_parameters(cell) for cell in cells])
    _add_cell(table, trajectory.pbc, parameters.min(axis=0), parameters.max(axis=0))
    table.add_row("frame interval", f"{trajectory.frame_interval:g} ps")
    _add_segments(table, trajectory.offsets, findings)
    table.add_row("unwrapped coordinates", "known" if unwrapped else "not known")
    targets = trajectory.targets
    table.add_row("targets", f"{targets.n_targets} ({targets.description})")
    console.print(table)


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(overflow="fold")
    return table


def _add_atoms(table: Table, species: Any, named: bool) -> None:
    from kgdyn.elements import element_name

    numbers, counts = np.unique(species, return_counts=True)
    names = [element_name(int(n)) if named else f"type {n}" for n in numbers]
    composition = ", ".join(f"{count} {name}" for name, count in zip(names, counts, strict=True))
    table.add_row("atoms", f"{len(species)}: {composition}")


def _add_cell(table: Table, pbc: Any, lower: Any, upper: Any) -> None:
    directions = "".join(axis if on else "-" for axis, on in zip("xyz", pbc, strict=True))
    table.add_row("periodic", directions)
    names = ("a", "b", "c", "alpha", "beta", "gamma")

    def span(k: int) -> str:
        unit = "" if k < 3 else "°"
        if upper[k] - lower[k] < 1e-6:
            return f"{names[k]} {lower[k]:.6g}{unit}"
        return f"{names[k]} {lower[k]:.6g} to {upper[k]:.6g}{unit}"

    table.add_row("cell (angstrom)", ", ".join(span(k) for k in range(3)))
    angles = ", ".join(span(k) for k in range(3, 6))
    off = float(np.abs(np.stack([lower[3:], upper[3:]]) - 90.0).max())
    if off == 0.0:
        angles += " (orthogonal)"
    elif off < 0.1:
        angles += f" (off by {off:.1e}°: not exactly orthogonal)"
    table.add_row("angles", angles)


def _add_segments(table: Table, offsets: Any, findings: Any) -> None:
    lengths = np.diff(offsets)
    text = (
        f"{len(lengths)}"
        if len(lengths) == 1
        else f"{len(lengths)}, of {lengths.min()} to {lengths.max()} frames"
    )
    table.add_row("segments", text)
    shown = [str(finding) for finding in findings[:_FINDINGS_SHOWN]]
    if len(findings) > _FINDINGS_SHOWN:
        shown.append(f"and {len(findings) - _FINDINGS_SHOWN} more")
    table.add_row("problems", "\n".join(shown) if shown else "none")
