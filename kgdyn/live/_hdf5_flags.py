"""Opening an HDF5 file whose writer was killed.

A writer marks the file as open in the superblock, and a killed writer leaves the mark, because of
which the library refuses the file. What ``h5clear`` does is done here: the mark is taken off, and
the end of the file that the superblock knows is set to the true one (new chunks would otherwise
be written over those that came after the superblock was last written).

Superblock of version 2 or 3 (HDF5 File Format Specification 3.0, section II.A), 48 bytes: signature
(8), version (1), sizes of offsets and lengths (1 each), consistency flags (1), base address,
extension, end of file and root group (8 each), checksum (4, Jenkins' lookup3 of the first 44).
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["clear_flags", "end_of_file", "open_to_read"]

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_LENGTH = 48
_FLAGS = 11
_END_OF_FILE = slice(28, 36)
_WORD = 0xFFFFFFFF


@contextmanager
def open_to_read(path: Path) -> Iterator[Any]:
    """An ``h5py.File`` to read from, whether its writer lives, was killed or has closed it.

    The file on disk is not changed.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no HDF5 file, or damaged.
    """
    import h5py

    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file of states")
    try:
        # Without a lock of its own: a writer that opens the file meanwhile must not fail.
        file = h5py.File(path, "r", libver="latest", swmr=True, locking=False)
    except OSError as error:
        # Killed between opening the file and declaring that it may be read meanwhile.
        block = _superblock(path)
        if block is None or not block[_FLAGS]:
            raise ValueError(f"{path}: is not an HDF5 file, or damaged ({error})") from error
        with _Patched(path, _mended(block, path.stat().st_size)) as source:
            try:
                file = h5py.File(source, "r")
            except OSError as second:
                raise ValueError(f"{path}: the file is damaged ({second})") from second
            with file:
                yield file
        return
    with file:
        yield file


def clear_flags(path: Path) -> bool:
    """Take the mark of a killed writer off a file; the caller knows that no writer lives.

    Returns
    -------
    True if there was a mark.
    """
    block = _superblock(path)
    if block is None or not block[_FLAGS]:
        return False
    size = path.stat().st_size
    with path.open("rb+") as file:
        mended = _mended(block, size)
        end = int.from_bytes(mended[_END_OF_FILE], "little")
        if end > size:  # allocated, but never written
            file.truncate(end)
        file.write(mended)
        file.flush()
        os.fsync(file.fileno())
    return True


def end_of_file(path: Path) -> int | None:
    """Where a file that was closed says that it ends; None if it is no such file."""
    block = _superblock(path)
    return None if block is None else int.from_bytes(block[_END_OF_FILE], "little")


def _superblock(path: Path) -> bytes | None:
    """The 48 bytes, or None if this is not such a file."""
    with path.open("rb") as file:
        block = file.read(_LENGTH)
    known = block[:8] == _SIGNATURE and len(block) == _LENGTH and block[8] in (2, 3)
    return block if known and block[9:11] == b"\x08\x08" else None


def _mended(block: bytes, size: int) -> bytes:
    """The superblock without marks, of a file of ``size`` bytes."""
    changed = bytearray(block)
    changed[_FLAGS] = 0
    end = max(size, int.from_bytes(block[_END_OF_FILE], "little"))
    changed[_END_OF_FILE] = end.to_bytes(8, "little")
    changed[44:] = _lookup3(bytes(changed[:44])).to_bytes(4, "little")
    return bytes(changed)


class _Patched(io.RawIOBase):
    """A file as it is, but for its first bytes and zeros as far as the superblock reaches."""

    def __init__(self, path: Path, block: bytes) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._block = block
        self._end = int.from_bytes(block[_END_OF_FILE], "little")
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self._end - self._at))
        self._file.seek(self._at)
        data = bytearray(self._file.read(count).ljust(count, b"\0"))
        inside = max(0, min(count, _LENGTH - self._at))
        data[:inside] = self._block[self._at : self._at + inside]
        buffer[:count] = data
        self._at += count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _lookup3(data: bytes) -> int:
    """Jenkins' hash of some whole words, at most 12 bytes of them in the last round."""
    words = struct.unpack(f"<{len(data) // 4}I", data)
    a = b = c = (0xDEADBEEF + len(data)) & _WORD

    def rotated(value: int, bits: int) -> int:
        return ((value << bits) | (value >> (32 - bits))) & _WORD

    def added(words: tuple[int, ...]) -> tuple[int, ...]:
        return tuple((state + word) & _WORD for state, word in zip((a, b, c), words, strict=True))

    while len(words) > 3:
        a, b, c = added(words[:3])
        words = words[3:]
        for bits in (4, 6, 8, 16, 19, 4):  # the same step six times, the three change places
            a, b, c = b, (c + b) & _WORD, ((a - c) & _WORD) ^ rotated(c, bits)
    a, b, c = added((*words, 0, 0, 0)[:3])
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c, b, a = a, ((c ^ b) - rotated(b, bits)) & _WORD, b
    return b
