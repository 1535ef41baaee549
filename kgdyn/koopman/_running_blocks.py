"""Sums over blocks of time that stay few however long the data grow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TimeBlocks"]

Float = NDArray[np.float64]

# Blocks shorter than this are added up by reduceat, longer ones in a loop, which is faster then.
_LONG = 16


class TimeBlocks:
    """Sums of arrays over equal blocks of frames, in a fixed amount of memory.

    Frame ``f`` lies in block ``f // block_length``. When the blocks are used up, neighbours are
    added up two by two, and the block length doubles: past the first ``capacity`` frames there are
    always between a half of ``capacity`` and all of it.

    Parameters
    ----------
    capacity : int, even
    shape : tuple of int
        Of what is summed.
    """

    def __init__(self, capacity: int, shape: tuple[int, ...]) -> None:
        self._store = np.zeros((capacity, *shape))
        self._n_frames = 0
        self.block_length = 1

    @property
    def n_blocks(self) -> int:
        """Those begun; the last one may not be full yet."""
        return -(-self._n_frames // self.block_length)

    @property
    def sums(self) -> Float:
        """(n_blocks, ...) view of the sums."""
        return self._store[: self.n_blocks]

    @property
    def n_full(self) -> int:
        """Blocks whose frames have all come."""
        return self._n_frames // self.block_length

    def reach(self, n_frames: int) -> None:
        """Make room for frames up to ``n_frames``."""
        self._n_frames = n_frames
        while self.n_blocks > len(self._store):
            half = len(self._store) // 2
            self._store[:half] = self._store[0::2] + self._store[1::2]
            self._store[half:] = 0.0
            self.block_length *= 2

    def add(self, first: int, values: Float, part: Any = ()) -> None:
        """Add ``values`` (n_frames, ...) of frames ``first``, ``first + 1``, ... to ``part``.

        ``part`` is an index into the shape of a block.
        """
        length = self.block_length
        begin, end = first // length, (first + len(values) - 1) // length
        into = part if isinstance(part, tuple) else (part,)
        if begin == end:
            self._store[(begin, *into)] += values.sum(axis=0)
            return
        borders = np.arange(begin, end + 1) * length - first
        borders[0] = 0
        if length >= _LONG:
            stops = np.append(borders[1:], len(values))
            for block, (start, stop) in enumerate(zip(borders, stops, strict=True), begin):
                self._store[(block, *into)] += values[start:stop].sum(axis=0)
            return
        self._store[(slice(begin, end + 1), *into)] += np.add.reduceat(values, borders, axis=0)
