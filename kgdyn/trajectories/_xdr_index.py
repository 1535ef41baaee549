"""Where the frames of a GROMACS file (XTC, TRR) are, and whether all of each frame is there.

The C library that decodes these files counts a frame that was cut short, and is killed by
an XTC frame whose compressed coordinates were zeroed (a full disk, a crash). Therefore the
headers, which tell the length of every frame, are walked here first, and the compressed
coordinates are looked at for a run of zeros before they are decoded.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["XDRIndex", "read_xdr_index"]

_XTC_MAGIC = 1995
_XTC_MAGIC_LARGE = 2023  # lengths of 8 bytes, for more than 300 million atoms
_TRR_MAGIC = 1993
_ANGSTROM_PER_NM = 10.0
_XTC_HEADER_BYTES = 92
_UNCOMPRESSED_ATOMS = 9  # XTC keeps so few atoms as plain floats
# The coder never writes more than five zero bytes in a row, even for coincident atoms.
_ZERO_RUN = bytes(16)
_ZERO_END = bytes(8)


@dataclass(frozen=True)
class XDRIndex:
    """Frames of an XTC or TRR file.

    Attributes
    ----------
    offsets : (n_frames + 1,) array of int64, bytes
        Start of each frame, and the end of the file.
    steps : (n_frames,) array of int64
    times : (n_frames,) array of float64, ps
        As precise as the file: float32 in XTC and in most TRR files.
    cells : (n_frames, 3, 3) array of float64, angstrom
        Rows are lattice vectors, as the file has them; zero without a box.
    """

    path: Path
    n_atoms: int
    offsets: NDArray[np.int64]
    steps: NDArray[np.int64]
    times: NDArray[np.float64]
    cells: NDArray[np.float64]

    @property
    def n_frames(self) -> int:
        return len(self.steps)

    def check_payload(self, start: int, stop: int) -> None:
        """Raise ValueError if the coordinates of a frame in ``start:stop`` were zeroed."""
        if self.path.suffix.lower() != ".xtc" or self.n_atoms <= _UNCOMPRESSED_ATOMS:
            return
        with open(self.path, "rb") as file:
            file.seek(int(self.offsets[start]))
            for frame in range(start, stop):
                data = file.read(int(self.offsets[frame + 1] - self.offsets[frame]))
                if data.endswith(_ZERO_END) or _ZERO_RUN in data[_XTC_HEADER_BYTES:]:
                    raise ValueError(
                        f"{self.path}, frame {frame}: the compressed coordinates hold a run of "
                        "zero bytes: this part of the file was never written"
                    )


def read_xdr_index(path: Path) -> XDRIndex:
    """Walk the headers of an XTC or TRR file.

    Raises
    ------
    ValueError
        For an empty file, a frame that is cut short, bytes that are not a frame, a change of
        the number of atoms, and a frame without positions.
    """
    read_header = _xtc_header if path.suffix.lower() == ".xtc" else _trr_header
    size = os.path.getsize(path)
    offsets, headers = [0], list[_Header]()
    with open(path, "rb") as file:
        while offsets[-1] < size:
            where = f"{path}, frame {len(headers)}"
            header = _checked(read_header, file, where)
            if header.end > size:
                raise ValueError(
                    f"{where}: the file is cut: it ends at byte {size}, the frame at {header.end}"
                )
            if headers and header.n_atoms != headers[0].n_atoms:
                raise ValueError(
                    f"{where}: the number of atoms must not change: {headers[0].n_atoms} before, "
                    f"received {header.n_atoms}"
                )
            headers.append(header)
            offsets.append(header.end)
            file.seek(header.end)
    if not headers:
        raise ValueError(f"{path}: the file is empty")
    return XDRIndex(
        path,
        headers[0].n_atoms,
        np.array(offsets, dtype=np.int64),
        np.array([header.step for header in headers], dtype=np.int64),
        np.array([header.time for header in headers], dtype=np.float64),
        _ANGSTROM_PER_NM * np.array([header.box for header in headers]).reshape(-1, 3, 3),
    )


@dataclass(frozen=True)
class _Header:
    """``box`` is in nm, row by row; ``end`` is the byte after the frame."""

    n_atoms: int
    step: int
    time: float
    box: tuple[float, ...]
    end: int


def _checked(
    read_header: Callable[[BinaryIO, str], _Header], file: BinaryIO, where: str
) -> _Header:
    start = file.tell()
    try:
        return read_header(file, where)
    except struct.error as error:
        raise ValueError(
            f"{where}: the file is cut: it ends inside of the frame's header, which starts at byte "
            f"{start}"
        ) from error


def _xtc_header(file: BinaryIO, where: str) -> _Header:
    start = file.tell()
    head = file.read(100)
    magic, n_atoms, step, time = struct.unpack_from(">iiif", head)
    if magic not in (_XTC_MAGIC, _XTC_MAGIC_LARGE):
        raise _not_a_frame(where, start, magic)
    box = struct.unpack_from(">9f", head, 16)  # then the number of atoms again
    if n_atoms <= _UNCOMPRESSED_ATOMS:
        return _Header(n_atoms, step, time, box, start + 56 + 12 * n_atoms)
    # Precision, 2 x 3 limits and the width of small numbers precede the length.
    length_format = ">i" if magic == _XTC_MAGIC else ">q"
    (length,) = struct.unpack_from(length_format, head, 88)
    data = start + 88 + struct.calcsize(length_format)
    if length <= 0:
        raise ValueError(f"{where}: the length of the coordinates is {length} bytes")
    return _Header(n_atoms, step, time, box, data + -(-length // 4) * 4)


def _trr_header(file: BinaryIO, where: str) -> _Header:
    start = file.tell()
    head = file.read(128)
    (magic,) = struct.unpack_from(">i", head)
    if magic != _TRR_MAGIC:
        raise _not_a_frame(where, start, magic)
    # The length with and without its end, then the text itself ("GMX_trn_file"), padded to 4.
    (length,) = struct.unpack_from(">i", head, 8)
    if not 0 < length <= 32:
        raise ValueError(f"{where}: the header's text has a length of {length}, expected 12")
    fields = struct.unpack_from(">13i", head, 12 + -(-length // 4) * 4)
    *sizes, n_atoms, step, _ = fields
    box_size, x_size = sizes[2], sizes[7]
    if n_atoms < 1 or min(sizes) < 0:
        raise ValueError(f"{where}: the header holds {n_atoms} atoms and sizes {list(sizes)}")
    if x_size == 0:
        raise ValueError(f"{where}: the frame holds no positions")
    real = "d" if x_size // (3 * n_atoms) == 8 else "f"
    after = 12 + -(-length // 4) * 4 + 52
    time, _ = struct.unpack_from(f">2{real}", head, after)
    data = start + after + struct.calcsize(f">2{real}")
    box: tuple[float, ...] = (0.0,) * 9
    if box_size:
        file.seek(data + sizes[0] + sizes[1])  # two records that are empty since GROMACS 4
        box = struct.unpack(f">9{real}", file.read(struct.calcsize(f">9{real}")))
    return _Header(n_atoms, step, time, box, data + sum(sizes))


def _not_a_frame(where: str, start: int, magic: int) -> ValueError:
    return ValueError(
        f"{where}: no frame starts at byte {start} (its first number is {magic}): the file was cut "
        "or filled up with other bytes"
    )
