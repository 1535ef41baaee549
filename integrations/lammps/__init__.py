"""LAMMPS, driven from Python: loading its library, following its runs, running toy systems."""

from kgdyn.integrations.lammps.engine import lammps_version, new_lammps
from kgdyn.integrations.lammps.imd_frames import IMDFrames
from kgdyn.integrations.lammps.simulate import simulate, simulate_li_fcc_s
from kgdyn.integrations.lammps.state_monitor import StateMonitor

__all__ = [
    "IMDFrames",
    "StateMonitor",
    "lammps_version",
    "new_lammps",
    "simulate",
    "simulate_li_fcc_s",
]
