"""LAMMPS' unit styles, as far as a dump needs them."""

from __future__ import annotations

__all__ = ["LENGTH_UNITS", "TIME_UNITS"]

# Angstrom in one unit of length. ``lj`` lengths are left as they are.
LENGTH_UNITS = {
    "lj": 1.0,
    "real": 1.0,
    "metal": 1.0,
    "si": 1e10,
    "cgs": 1e8,
    "electron": 0.529177210903,
    "micro": 1e4,
    "nano": 10.0,
}

# Picoseconds in one unit of time; ``lj`` has none.
TIME_UNITS = {
    "real": 1e-3,
    "metal": 1.0,
    "si": 1e12,
    "cgs": 1e12,
    "electron": 1e-3,
    "micro": 1e6,
    "nano": 1e3,
}
