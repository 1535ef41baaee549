"""The bytes of a file that somebody else is still writing, plain or gzip.

The name is opened again at each look (so that a network file system asks its server), and what
it leads to is one of three: the file as it was, perhaps longer; a copy of it that goes on (rsync
writes a new file each time); or another file, or the same one written anew. The last bytes that
were read tell them apart: they still stand in front of the place, or they do not.
"""

from __future__ import annotations

import errno
import os
import zlib
from pathlib import Path
from typing import BinaryIO

__all__ = ["GrowingFile"]

_PIECE = 1 << 20  # bytes read at once
_PIECE_COMPRESSED = 1 << 16  # text of numbers shrinks to a quarter, zeros to a thousandth
_REMEMBERED = 4096  # bytes in front of the place that must not have changed
_GZIP = b"\x1f\x8b"


class GrowingFile:
    """Read a growing file from its start, a piece at a time, never waiting.

    Call ``refresh`` at each look, then ``read`` until it gives nothing, then ``switch``.

    Parameters
    ----------
    path : path; need not be there yet.

    Attributes
    ----------
    found : bool
        Whether the file has been there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found = False
        self._file: BinaryIO | None = None
        self._next: BinaryIO | None = None
        self._start_over()

    def _start_over(self) -> None:
        self._offset = 0
        self._remembered = b""
        self._rewritten = False
        self._head: bytes | None = b""  # until it says whether the file is compressed
        self._inflate: _Inflate | None = None

    def refresh(self) -> None:
        """Look again at what the name leads to.

        Raises
        ------
        OSError
            If the file is there but cannot be opened.
        """
        try:
            new = open(self.path, "rb", buffering=0)  # noqa: SIM115 (closed when replaced)
        except FileNotFoundError:
            return  # in between two files of this name; the old one is still open
        self.found = True
        if self._file is None:
            self._file = new
            return
        try:
            goes_on = self._stands_in_front(new)
            same = os.path.samestat(os.fstat(new.fileno()), os.fstat(self._file.fileno()))
        except OSError as error:
            new.close()
            if error.errno != errno.ESTALE:
                raise
            return
        if goes_on:
            self._file.close()
            self._file = new
            return
        # What was still written into the old file is read first, unless it is gone.
        self._rewritten = same
        if self._next is not None:
            self._next.close()
        self._next = new

    def read(self) -> bytes:
        """The next bytes (decompressed); nothing if there are none by now.

        Raises
        ------
        zlib.error
            If a compressed file is damaged.
        """
        while self._file is not None and not self._rewritten:
            size = _PIECE if self._inflate is None else _PIECE_COMPRESSED
            try:
                raw = os.pread(self._file.fileno(), size, self._offset)
            except OSError as error:
                if error.errno != errno.ESTALE:
                    raise
                break
            if not raw:
                break
            self._offset += len(raw)
            self._remembered = (self._remembered + raw)[-_REMEMBERED:]
            data = self._decoded(raw)
            if data:
                return data
        return b""

    def switch(self) -> bool:
        """Go on with the file that replaced the one read so far; False if there is none."""
        if self._next is None:
            return False
        if self._file is not None:
            self._file.close()
        self._file, self._next = self._next, None
        self._start_over()
        return True

    def close(self) -> None:
        for file in (self._file, self._next):
            if file is not None:
                file.close()
        self._file = self._next = None

    def _stands_in_front(self, file: BinaryIO) -> bool:
        """Whether what was read last stands in this file, at its place."""
        length = len(self._remembered)
        found = os.pread(file.fileno(), length, self._offset - length)
        return found == self._remembered

    def _decoded(self, raw: bytes) -> bytes:
        if self._head is not None:
            raw = self._head + raw
            if len(raw) < len(_GZIP) and _GZIP.startswith(raw):
                self._head = raw
                return b""
            self._head = None
            if raw.startswith(_GZIP):
                self._inflate = _Inflate()
        return raw if self._inflate is None else self._inflate(raw)


class _Inflate:
    """gzip members one after the other, as far as they can be decompressed."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    def __call__(self, raw: bytes) -> bytes:
        parts = []
        while raw:
            if self._member.eof:
                raw = raw.lstrip(b"\0")  # padding between members
                if not raw:
                    break
                self._member = zlib.decompressobj(wbits=31)
            parts.append(self._member.decompress(raw))
            raw = self._member.unused_data
        return b"".join(parts)
