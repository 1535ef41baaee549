"""DCD files in blocks of frames, and the cells that programs write into them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from MDAnalysis.lib.formats.libdcd import DCDFile
from numpy.typing import NDArray

__all__ = ["check_dcd", "dcd_blocks", "dcd_cells"]


def check_dcd(path: Path) -> None:
    """Raise ValueError unless the file holds a whole number of frames, as many as it says.

    The library rounds the number of frames down, so a file that was cut would silently lose
    its end.
    """
    where = str(path)
    try:
        with DCDFile(where) as file:
            n_frames = file.n_frames
            n_atoms = int(file.header["natoms"])
            periodic = bool(file.header["is_periodic"])
            n_columns = 4 if file.charmm_bitfield & 0x02 else 3
    except OSError as error:
        raise ValueError(f"{where}: not a DCD file that can be read: {error}") from error
    layout = _header_layout(path)
    if layout is None:  # records with 8-byte marks, or another writer's liberty
        raise ValueError(f"{where}: the header is not that of a DCD file with 4-byte marks")
    claimed, n_fixed, header_size = layout
    first = 4 * (n_atoms + 2) * n_columns + 56 * periodic
    later = first - 4 * n_fixed * n_columns
    left = os.path.getsize(path) - header_size - first
    if n_frames < 1 or left < 0:
        raise ValueError(f"{where}, frame 0: the file is cut or empty")
    if left % later:
        raise ValueError(
            f"{where}, frame {left // later + 1}: the file is cut: its last frame has "
            f"{left % later} of {later} bytes"
        )
    if n_frames < claimed:
        raise ValueError(
            f"{where}, frame {n_frames}: the file is cut: its header counts {claimed} frames, "
            f"received {n_frames}"
        )


def _header_layout(path: Path) -> tuple[int, int, int] | None:
    """Frames and fixed atoms that the header counts, and its size in bytes."""
    with open(path, "rb") as file:
        head = file.read(92)
        for order in "<>":
            if len(head) == 92 and struct.unpack_from(order + "i", head) == (84,):
                break
        else:
            return None
        fields = struct.unpack_from(order + "20i", head, 8)
        claimed, n_fixed = fields[0], fields[8]
        (title,) = struct.unpack(order + "i", file.read(4))
        file.seek(title + 4, os.SEEK_CUR)
        _, n_atoms, _ = struct.unpack(order + "3i", file.read(12))
        if n_fixed:
            file.seek(4 * (n_atoms - n_fixed) + 8, os.SEEK_CUR)
        return claimed, n_fixed, file.tell()


def dcd_blocks(
    path: Path, frames_per_block: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float64]]]:
    """Positions (n, n_atoms, 3) in angstrom and unit cells (n, 6) as written, block by block."""
    with DCDFile(str(path)) as file:
        for start in range(0, file.n_frames, frames_per_block):
            stop = min(start + frames_per_block, file.n_frames)
            try:
                block: Any = file.readframes(start, stop)
            except OSError as error:
                frame = _first_unreadable(file, start, stop)
                raise ValueError(f"{path}, frame {frame}: cannot be read: {error}") from error
            yield block.xyz, block.unitcell


def _first_unreadable(file: Any, start: int, stop: int) -> int:
    for frame in range(start, stop):
        try:
            file.readframes(frame, frame + 1)
        except OSError:
            return frame
    return start


def dcd_cells(unitcells: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n_frames, 3, 3) cells, rows are lattice vectors in angstrom, from DCD unit cells.

    Programs write ``A, gamma, B, beta, alpha, C`` with cosines (CHARMM, NAMD, LAMMPS) or
    degrees for the angles, and newer CHARMM the symmetric matrix ``xx, xy, yy, xz, yz, zz``;
    as in MDAnalysis and VMD the numbers decide. Without a cell all are zero.
    """
    unitcells = np.asarray(unitcells, dtype=np.float64)
    lengths = unitcells[:, [0, 2, 5]]
    angles = unitcells[:, [4, 3, 1]]  # alpha, beta, gamma
    is_cosine = np.all(np.abs(angles) <= 1.0, axis=1)
    is_matrix = ~is_cosine & (np.any(unitcells < 0.0, axis=1) | np.any(angles > 180.0, axis=1))
    # sin(90 - angle) is exactly 0 at 90 degrees, which cos(angle) is not.
    in_degrees = ~is_cosine & ~is_matrix
    cosines = np.where(in_degrees[:, None], np.sin(np.radians(90.0 - angles)), angles)
    cells = _cells_from_cosines(lengths, cosines)
    if is_matrix.any():
        xx, xy, yy, xz, yz, zz = unitcells[is_matrix].T
        rows = [np.stack(row, axis=-1) for row in ((xx, xy, xz), (xy, yy, yz), (xz, yz, zz))]
        cells[is_matrix] = np.stack(rows, axis=1)
    return cells


def _cells_from_cosines(
    lengths: NDArray[np.float64], cosines: NDArray[np.float64]
) -> NDArray[np.float64]:
    """a along x, b in the xy plane. Impossible angles give NaN, which no check lets pass."""
    a, b, c = lengths.T
    cos_alpha, cos_beta, cos_gamma = cosines.T
    cells = np.zeros((len(lengths), 3, 3))
    cells[:, 0, 0] = a
    with np.errstate(invalid="ignore", divide="ignore"):
        sin_gamma = np.sqrt(1.0 - cos_gamma**2)
        cells[:, 1, 0] = b * cos_gamma
        cells[:, 1, 1] = b * sin_gamma
        cells[:, 2, 0] = c * cos_beta
        cells[:, 2, 1] = c * (cos_alpha - cos_beta * cos_gamma) / sin_gamma
        cells[:, 2, 2] = np.sqrt(c**2 - cells[:, 2, 0] ** 2 - cells[:, 2, 1] ** 2)
    return cells
