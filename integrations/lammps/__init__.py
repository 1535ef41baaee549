"""LAMMPS, driven from Python: loading its library and running the package's toy systems."""

from kgdyn.integrations.lammps.engine import lammps_version, new_lammps
from kgdyn.integrations.lammps.simulate import simulate_li_fcc_s

__all__ = ["lammps_version", "new_lammps", "simulate_li_fcc_s"]
