"""LAMMPS' own arrays, seen from its callback.

Python's wrapper of LAMMPS releases the interpreter lock in every call and takes it again; with a
worker thread at work each taking may wait. Here pointers are asked for once where they stay
(the box, the time step), and otherwise through calls that keep the lock.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LammpsMemory"]

_GLOBALS: dict[str, tuple[Any, int]] = {
    "boxlo": (ctypes.c_double, 3),
    "boxhi": (ctypes.c_double, 3),
    "xy": (ctypes.c_double, 1),
    "xz": (ctypes.c_double, 1),
    "yz": (ctypes.c_double, 1),
    "periodicity": (ctypes.c_int, 3),
    "dt": (ctypes.c_double, 1),
    "atime": (ctypes.c_double, 1),
    "atimestep": (ctypes.c_int64, 1),
}


class LammpsMemory:
    """Views of a LAMMPS instance's memory. Valid until its command ``clear``.

    Parameters
    ----------
    lmp : lammps.lammps
        With a simulation box.

    Attributes
    ----------
    n_image_bits : int
        Bits of each of the three packed image flags: 10, or 21 of a LAMMPS built with
        ``-DLAMMPS_BIGBIG``.
    """

    def __init__(self, lmp: Any) -> None:
        library = ctypes.PyDLL(lmp.lib._name, handle=lmp.lib._handle)
        find = library.lammps_extract_global
        find.argtypes, find.restype = [ctypes.c_void_p, ctypes.c_char_p], ctypes.c_void_p
        self._instance, self._extract_global = lmp.lmp, find
        self._extract = library.lammps_extract_atom
        self._extract.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self._extract.restype = ctypes.c_void_p
        self._globals = {}
        for name, (kind, length) in _GLOBALS.items():
            address = find(self._instance, name.encode())
            if not address:
                raise ValueError(f"this LAMMPS does not give out {name}: it is too old")
            self._globals[name] = _array((kind * length).from_address(address), kind)
        sizes = {name: lmp.extract_setting(name) for name in ("tagint", "imageint")}
        self._types = {
            "id": np.dtype(f"i{sizes['tagint']}"),
            "molecule": np.dtype(f"i{sizes['tagint']}"),
            "image": np.dtype(f"i{sizes['imageint']}"),
            "type": np.dtype("i4"),
            "x": np.dtype("f8"),
            "rmass": np.dtype("f8"),
        }
        self.n_image_bits = 21 if sizes["imageint"] == 8 else 10

    def cell_and_origin(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(3, 3) rows (lx, 0, 0), (xy, ly, 0), (xz, yz, lz), and (3,), of now, LAMMPS' units."""
        values = self._globals
        origin = values["boxlo"].copy()
        cell = np.diag(values["boxhi"] - origin)
        cell[1, 0], cell[2, 0], cell[2, 1] = values["xy"][0], values["xz"][0], values["yz"][0]
        return cell, origin

    @property
    def periodic(self) -> tuple[bool, ...]:
        return tuple(bool(flag) for flag in self._globals["periodicity"])

    def has_levels(self) -> bool:
        """Whether the run has several levels of time steps (run_style respa)."""
        address = self._extract_global(self._instance, b"respa_levels")
        return bool(address) and ctypes.c_int.from_address(address).value > 1

    @property
    def timestep(self) -> float:
        """Of now, in LAMMPS' unit of time."""
        return float(self._globals["dt"][0])

    def time_of(self, step: int) -> float:
        """Simulation time of a step, in LAMMPS' unit; changes of the time step are kept."""
        values = self._globals
        since = step - int(values["atimestep"][0])
        return float(values["atime"][0] + since * values["dt"][0])

    def per_atom(
        self, name: str, n_local: int, n_columns: int = 0, dtype: Any = None
    ) -> NDArray[Any] | None:
        """The values of this rank's atoms, not copied: (n_local,) or (n_local, n_columns).

        Valid until LAMMPS moves its arrays: inside of one callback. None if LAMMPS has no such
        property.
        """
        address = self._extract(self._instance, name.encode())
        if not address:
            return None
        kind = self._types[name] if dtype is None else np.dtype(dtype)
        if n_local == 0:
            return np.empty((0, n_columns) if n_columns else 0, kind)
        if n_columns:
            first_row = ctypes.c_void_p.from_address(address).value
            address = first_row if first_row is not None else 0
        n_bytes = n_local * max(n_columns, 1) * kind.itemsize
        flat = _array((ctypes.c_char * n_bytes).from_address(address), kind)
        return flat.reshape(n_local, n_columns) if n_columns else flat

    def unpack_images(self, packed: NDArray[Any]) -> NDArray[np.int32]:
        """(n_atoms, 3) image flags of LAMMPS' packed ones."""
        return unpacked_images(packed, self.n_image_bits)


def _array(memory: Any, kind: Any) -> NDArray[Any]:
    values: NDArray[Any] = np.frombuffer(memory, kind)
    return values


def unpacked_images(packed: NDArray[Any], n_bits: int) -> NDArray[np.int32]:
    """(n_atoms, 3) image flags: ``n_bits`` bits each, x lowest, all shifted by half the range."""
    middle, mask = 1 << (n_bits - 1), (1 << n_bits) - 1
    images = np.empty((len(packed), 3), np.int32)
    images[:, 0] = (packed & mask) - middle
    images[:, 1] = (packed >> n_bits & mask) - middle
    images[:, 2] = (packed >> 2 * n_bits) - middle
    return images
