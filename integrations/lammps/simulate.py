"""Run the package's toy systems in LAMMPS and leave trajectories on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from kgdyn.integrations.lammps.engine import new_lammps

from kgdyn.toys import LiInFccSulfur

__all__ = ["simulate_li_fcc_s"]

_PARTS = 200


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
