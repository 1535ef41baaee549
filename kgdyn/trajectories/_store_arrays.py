"""One growing ``.npy`` file: a header of fixed length, appended rows, a running checksum.

Rows are written with plain writes, not through a memory map: dirty pages of a map count as
memory of the process. The header has a fixed length, so that the number of rows can be put in
when it is known; ``np.load(path, mmap_mode="r")`` reads the result.
"""

from __future__ import annotations

import os
import zlib
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["HEADER_BYTES", "ArrayWriter", "find_damage", "load_readonly", "write_array"]

HEADER_BYTES = 256
_MAGIC = b"\x93NUMPY\x01\x00"
_BLOCK_BYTES = 1 << 22


def npy_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """A version 1.0 ``.npy`` header of ``HEADER_BYTES`` bytes, padded with spaces."""
    text = f"{{'descr': {dtype.str!r}, 'fortran_order': False, 'shape': {shape!r}, }}"
    length = HEADER_BYTES - len(_MAGIC) - 2
    padded = text.encode("ascii").ljust(length - 1) + b"\n"
    return _MAGIC + length.to_bytes(2, "little") + padded


class ArrayWriter:
    """Appends rows to one file.

    Parameters
    ----------
    path : Path
    dtype : dtype
        Written little-endian.
    row_shape : tuple of int
        Shape of one row, that is of one frame's share.
    record : dict, optional
        What ``record()`` gave at a checkpoint: go on behind its last row. A new file otherwise.
    """

    def __init__(
        self,
        path: Path,
        dtype: DTypeLike,
        row_shape: tuple[int, ...],
        record: dict[str, Any] | None = None,
    ) -> None:
        self.path = path
        self.dtype = np.dtype(dtype).newbyteorder("<")
        self.row_shape = row_shape
        self.n_rows, self.crc = 0, 0
        self._file = FileIO(path, "w+" if record is None else "r+")
        try:
            if record is None:
                self._write(npy_header(self.dtype, (0, *row_shape)))
            else:
                self._go_on(record)
        except BaseException:
            self.close()
            raise

    def _go_on(self, record: dict[str, Any]) -> None:
        np.lib.format.read_magic(self._file)
        on_disk = np.lib.format.read_array_header_1_0(self._file)[2]
        self.n_rows, self.crc = int(record["shape"][0]), int(record["crc32"])
        if on_disk != self.dtype:  # widened after the checkpoint
            self.dtype = on_disk
            self.crc = _checksum(self.path, self._end())
        if os.path.getsize(self.path) < self._end():
            raise ValueError(
                f"{self.path}: holds less than the {self.n_rows} frames that the manifest names"
            )
        self._file.truncate(self._end())
        self._file.seek(self._end())

    def _end(self) -> int:
        return HEADER_BYTES + self.n_rows * self.dtype.itemsize * int(np.prod(self.row_shape))

    def _write(self, data: bytes | memoryview) -> None:
        rest = memoryview(data)
        while len(rest):  # an unbuffered write may be partial
            rest = rest[self._file.write(rest) :]

    def append(self, rows: NDArray[Any]) -> None:
        """Write rows, (n_rows, *row_shape), behind the last one."""
        data = np.ascontiguousarray(rows, dtype=self.dtype).data.cast("B")
        self._write(data)
        self.crc = zlib.crc32(data, self.crc)
        self.n_rows += len(rows)

    def widen(self, dtype: DTypeLike) -> None:
        """Rewrite the file, block by block, with a wider type."""
        wide = ArrayWriter(self.path.with_suffix(".widened"), dtype, self.row_shape)
        shape = (self.n_rows, *self.row_shape)
        rows = np.memmap(self.path, self.dtype, "r", HEADER_BYTES, shape)
        per_block = max(1, _BLOCK_BYTES // rows[0].nbytes)
        try:
            for start in range(0, self.n_rows, per_block):
                wide.append(rows[start : start + per_block])
            wide.sync()
            os.replace(wide.path, self.path)
        except BaseException:
            wide.close()
            raise
        self._file.close()
        self._file, self.dtype, self.crc = wide._file, wide.dtype, wide.crc

    def record(self) -> dict[str, Any]:
        """Type, shape and checksum of the rows so far, as the manifest keeps them."""
        shape = [self.n_rows, *self.row_shape]
        return {"dtype": self.dtype.str, "shape": shape, "crc32": self.crc}

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def finish(self) -> dict[str, Any]:
        """Write the final header; return the record."""
        self._file.seek(0)
        self._write(npy_header(self.dtype, (self.n_rows, *self.row_shape)))
        self.sync()
        return self.record()

    def close(self) -> None:
        self._file.close()


def write_array(path: Path, array: NDArray[Any]) -> dict[str, Any]:
    """Write a small array at once; return its record."""
    writer = ArrayWriter(path, array.dtype, array.shape[1:])
    try:
        writer.append(array)
        return writer.finish()
    finally:
        writer.close()


def load_readonly(path: Path, record: dict[str, Any]) -> NDArray[Any]:
    """A read-only memory map of a finished array, its size and header checked."""
    problem = _shape_problem(path, record)
    if problem:
        raise ValueError(f"{path}: {problem}")
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def find_damage(path: Path, record: dict[str, Any]) -> str | None:
    """What is wrong with a finished array's file, or None: reads all of it."""
    problem = _shape_problem(path, record)
    if problem:
        return problem
    found = _checksum(path, os.path.getsize(path))
    if found != record["crc32"]:
        return f"checksum {found:08x}, the manifest says {record['crc32']:08x}"
    return None


def _shape_problem(path: Path, record: dict[str, Any]) -> str | None:
    if not path.is_file():
        return "the file is missing"
    dtype, shape = np.dtype(record["dtype"]), tuple(record["shape"])
    expected = HEADER_BYTES + dtype.itemsize * int(np.prod(shape))
    size = os.path.getsize(path)
    if size != expected:
        return f"the file must have {expected} bytes, received {size}"
    with open(path, "rb") as file:
        if file.read(HEADER_BYTES) != npy_header(dtype, shape):
            return f"the header does not say dtype {dtype} and shape {shape}"
    return None


def _checksum(path: Path, end: int) -> int:
    """CRC-32 of the rows up to byte ``end``."""
    crc = 0
    with open(path, "rb") as file:
        file.seek(HEADER_BYTES)
        remaining = end - HEADER_BYTES
        while remaining > 0:
            block = file.read(min(_BLOCK_BYTES, remaining))
            if not block:
                break
            crc = zlib.crc32(block, crc)
            remaining -= len(block)
    return crc
