"""What every reader gives: the facts of a trajectory, and its frames in chunks.

A reader streams. It never holds more than a chunk, converts units and conventions at the door
(angstrom, ps, rows of ``cell`` are lattice vectors, atoms in one fixed order) and refuses what
is broken with a ValueError that names file, frame and row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["FrameChunk", "FrameSource"]


@dataclass(frozen=True)
class FrameChunk:
    """Consecutive frames of one source.

    Attributes
    ----------
    positions : (n_frames, n_atoms, 3) array of float32 or float64, angstrom
        Relative to the cell's origin, as the file has them: wrapped or not.
    cells : (n_frames, 3, 3) array of float64, angstrom; rows are lattice vectors.
    steps : (n_frames,) array of int64, or None where the file has no step counter.
    times : (n_frames,) array of float64, ps, or None where the file cannot say.
    images : (n_frames, n_atoms, 3) array of int32, or None
        ``positions + images @ cell`` are unwrapped coordinates. None where the file does not
        know them.
    """

    positions: NDArray[Any]
    cells: NDArray[np.float64]
    steps: NDArray[np.int64] | None = None
    times: NDArray[np.float64] | None = None
    images: NDArray[np.int32] | None = None

    @property
    def n_frames(self) -> int:
        return int(self.positions.shape[0])


@runtime_checkable
class FrameSource(Protocol):
    """A trajectory outside, about to be streamed in.

    ``species`` are atomic numbers (or positive bead types), in the atoms' order. ``n_frames``
    and ``frame_interval`` (ps) are None where only reading all of it, or the user, can tell.
    """

    source: str
    species: NDArray[np.int32]
    pbc: NDArray[np.bool_]

    @property
    def n_frames(self) -> int | None: ...

    @property
    def frame_interval(self) -> float | None: ...

    def chunks(self, frames_per_chunk: int = 64) -> Iterator[FrameChunk]:
        """Yield all frames in order, each chunk at most ``frames_per_chunk`` long."""
        ...
