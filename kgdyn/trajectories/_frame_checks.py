"""What every reader asks of the frames it hands on, whatever file they came from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import check_cell

__all__ = ["check_frame_interval", "check_frames", "check_frames_per_chunk", "wrap_fractions"]


def check_frames(
    positions: NDArray[Any],
    cells: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    source: str,
    first_frame: int = 0,
) -> None:
    """Raise ValueError at the first frame with a bad position or cell.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3) array of float, angstrom.
    cells : (n_frames, 3, 3) array, angstrom; rows are lattice vectors.
    pbc : (3,) array of bool.
    source : str
        What the message calls the file.
    first_frame : int
        Number of the first of these frames in ``source``.
    """
    finite = np.isfinite(positions).all(axis=(1, 2))
    if not finite.all():
        frame = int(np.argmin(finite))
        atom = int(np.argmin(np.isfinite(positions[frame]).all(axis=1)))
        raise ValueError(
            f"{source}, frame {first_frame + frame}: positions must be finite, received "
            f"{positions[frame, atom].tolist()} for atom {atom} (counted from 0)"
        )
    # Most cells repeat: only those that differ from the one before are looked at.
    changed = np.any(cells[1:] != cells[:-1], axis=(1, 2))
    for frame in [0, *(np.flatnonzero(changed) + 1)]:
        check_cell(cells[frame], pbc, f"{source}, frame {first_frame + int(frame)}")


def check_frames_per_chunk(frames_per_chunk: int) -> None:
    """Raise ValueError unless a chunk may hold at least one frame."""
    if frames_per_chunk < 1:
        raise ValueError(f"frames_per_chunk must be at least 1, received {frames_per_chunk}")


def check_frame_interval(frame_interval: float | None, source: str) -> float | None:
    """``frame_interval`` as a float in ps, or None; ValueError unless it is positive."""
    if frame_interval is None:
        return None
    if not (np.isfinite(frame_interval) and frame_interval > 0.0):
        raise ValueError(
            f"{source}: frame_interval must be a positive time in ps, received {frame_interval}"
        )
    return float(frame_interval)


def wrap_fractions(
    fractions: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Fractions in [0, 1) and the images that restore them: ``fractions = wrapped + images``."""
    images = np.floor(fractions)
    wrapped = fractions - images
    over = wrapped >= 1.0  # a tiny negative fraction rounds to exactly 1
    wrapped[over] = 0.0
    images[over] += 1.0
    return wrapped, images.astype(np.int32)
