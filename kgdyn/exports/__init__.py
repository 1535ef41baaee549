"""States out to other tools: files with a state for every atom, tables, solvation-analysis."""

from kgdyn.exports.extxyz import write_extxyz
from kgdyn.exports.lammps_dump import write_lammps_dump
from kgdyn.exports.pdb import write_pdb
from kgdyn.exports.solvation import shell_shares, with_states
from kgdyn.exports.states_table import states_dataframe, write_states_csv
from kgdyn.exports.tables import to_dataframe

__all__ = [
    "shell_shares",
    "states_dataframe",
    "to_dataframe",
    "with_states",
    "write_extxyz",
    "write_lammps_dump",
    "write_pdb",
    "write_states_csv",
]
