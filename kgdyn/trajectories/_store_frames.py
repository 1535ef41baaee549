"""From a source's chunks to the columns of the store: checked, and as precise as float32 can be."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import check_cell
from kgdyn.trajectories.source import FrameChunk, FrameSource

__all__ = ["FrameColumns", "chunks_from", "fit_float32"]

# Beyond this, neighbouring float32 numbers are more than 1e-4 angstrom apart.
LARGEST_PRECISE = 1024.0
# Ten centimetres: beyond it float64 is not precise either.
LARGEST = 1e9

Columns = dict[str, NDArray[Any]]


def chunks_from(source: FrameSource, frames_per_chunk: int, start: int) -> Iterator[FrameChunk]:
    """The source's chunks from frame ``start`` on, read past where it cannot start there."""
    if start and "start" in inspect.signature(source.chunks).parameters:
        yield from source.chunks(frames_per_chunk, start=start)  # type: ignore[call-arg]
        return
    passed = 0
    for chunk in source.chunks(frames_per_chunk):
        if passed >= start:
            yield chunk
        elif passed + chunk.n_frames > start:
            tail = slice(start - passed, None)
            parts = (chunk.positions, chunk.cells, chunk.steps, chunk.times, chunk.images)
            yield FrameChunk(*(None if part is None else part[tail] for part in parts))  # type: ignore[arg-type]
        passed += chunk.n_frames


class FrameColumns:
    """Checks chunks one after the other and turns them into the columns to be stored.

    Parameters
    ----------
    source : FrameSource
    name : str
        What messages call it.
    n_frames : int
        The index of the next frame.
    """

    def __init__(self, source: FrameSource, name: str, n_frames: int) -> None:
        self.name = name
        self.n_frames = n_frames
        self.n_atoms = len(source.species)
        self.pbc = np.broadcast_to(np.asarray(source.pbc, dtype=bool), (3,))
        self.first_wrapped: int | None = None
        self._optional: tuple[bool, ...] | None = None
        self._last_cell: NDArray[np.float64] | None = None
        self._warned = False

    def where(self, index: int) -> str:
        return f"{self.name}, frame {self.n_frames + index}"

    def convert(self, chunk: FrameChunk) -> Columns:
        """The columns of the next frames: positions float32, cells, steps, times, images.

        Raises
        ------
        ValueError
            Naming source, frame and, for positions, atom.
        """
        positions = np.asarray(chunk.positions)
        cells = np.asarray(chunk.cells, dtype=np.float64)
        self._check_shapes(chunk, positions, cells)
        reach = self._check_positions(positions)
        self._check_cells(cells)
        images = None if chunk.images is None else np.asarray(chunk.images)
        far = np.zeros(len(positions), dtype=bool)
        if positions.dtype not in (np.float16, np.float32):  # else there is nothing to lose
            far = reach > LARGEST_PRECISE
        stored, images = fit_float32(positions, cells, self.pbc, images, far)
        if far.any():
            if self.first_wrapped is None:
                self.first_wrapped = self.n_frames + int(np.argmax(far))
            self._warn_of_precision(stored)
        columns: Columns = {"positions": stored, "cells": cells}
        if chunk.steps is not None:
            columns["steps"] = np.asarray(chunk.steps, dtype=np.int64)
        if chunk.times is not None:
            columns["times"] = np.asarray(chunk.times, dtype=np.float64)
            finite = np.isfinite(columns["times"])
            if not finite.all():
                index = int(np.argmin(finite))
                raise ValueError(
                    f"{self.where(index)}: the time must be finite, "
                    f"received {columns['times'][index]}"
                )
        if images is not None:
            columns["images"] = images
        self.n_frames += len(stored)
        return columns

    def _check_shapes(
        self, chunk: FrameChunk, positions: NDArray[Any], cells: NDArray[np.float64]
    ) -> None:
        n_frames = len(positions)
        shape = (n_frames, self.n_atoms, 3)
        if positions.shape != shape or positions.dtype.kind not in "fiu":
            raise ValueError(
                f"{self.where(0)}: positions must be numbers of shape (n_frames, n_atoms, 3) "
                f"with {self.n_atoms} atoms, received {positions.dtype} {positions.shape}"
            )
        optional = {
            "cells": (cells, (n_frames, 3, 3)),
            "steps": (chunk.steps, (n_frames,)),
            "times": (chunk.times, (n_frames,)),
            "images": (chunk.images, shape),
        }
        for name, (array, expected) in optional.items():
            if array is not None and np.shape(array) != expected:
                raise ValueError(
                    f"{self.where(0)}: {name} must have shape {expected}, "
                    f"received {np.shape(array)}"
                )
        present = tuple(part is not None for part in (chunk.steps, chunk.times, chunk.images))
        if self._optional is None:
            self._optional = present
        if self._optional != present:
            raise ValueError(
                f"{self.where(0)}: steps, times and images must each be known for all frames or "
                f"for none, received (known: {present}, before: {self._optional})"
            )

    def _check_positions(self, positions: NDArray[Any]) -> NDArray[np.float64]:
        """(n_frames,) largest absolute coordinates, which must be finite and physical."""
        # Extremes first: no temporary array of the size of the positions in the usual case.
        extremes = positions.max(axis=(1, 2)), positions.min(axis=(1, 2))
        reach: NDArray[np.float64] = np.abs(np.asarray(extremes, dtype=np.float64)).max(axis=0)
        good = reach <= LARGEST
        if not good.all():
            index = int(np.argmin(good))
            atom = int(np.argmin((np.abs(positions[index]) <= LARGEST).all(axis=1)))
            raise ValueError(
                f"{self.where(index)}: positions must be finite and within {LARGEST:.0e} "
                f"angstrom, received {positions[index, atom].tolist()} for atom {atom} "
                "(counted from 0)"
            )
        return reach

    def _check_cells(self, cells: NDArray[np.float64]) -> None:
        for index, cell in enumerate(cells):
            if self._last_cell is None or not np.array_equal(cell, self._last_cell):
                check_cell(cell, self.pbc, self.where(index))
                self._last_cell = cell.copy()

    def _warn_of_precision(self, stored: NDArray[np.float32]) -> None:
        largest = np.abs(stored).max(axis=(1, 2))
        index = int(np.argmax(largest))
        if self._warned or largest[index] <= LARGEST_PRECISE:
            return
        self._warned = True
        warnings.warn(
            f"{self.where(index)}: a coordinate of {largest[index]:.6g} angstrom in a large cell "
            f"or along a free direction is stored to {np.spacing(largest[index]):.1g} angstrom; "
            "shift the origin if that matters",
            UserWarning,
            stacklevel=6,
        )


def fit_float32(
    positions: NDArray[Any],
    cells: NDArray[np.float64],
    pbc: NDArray[np.bool_],
    images: NDArray[Any] | None,
    far: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
    """Positions as float32, wrapping those atoms that float32 could not hold precisely.

    Positions are stored as they come, wrapped or not. Beyond 1024 angstrom float32 numbers are
    more than 1e-4 angstrom apart, so an atom out there is first wrapped, in float64, along the
    periodic directions; ``images``, where known, take up the shift, so that
    ``positions + images @ cell`` stays what it was. Positions that come as float32 have nothing
    to lose and are left alone.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3) array, angstrom.
    cells : (n_frames, 3, 3) array, angstrom.
    pbc : (3,) array of bool.
    images : (n_frames, n_atoms, 3) array of int, or None.
    far : (n_frames,) array of bool
        Frames in which atoms beyond 1024 angstrom are to be wrapped.
    """
    if far.any() and pbc.any():
        positions = np.array(positions, dtype=np.float64)
        images = None if images is None else np.array(images, dtype=np.int64)
        for frame in np.flatnonzero(far):
            atoms = np.flatnonzero(np.abs(positions[frame]).max(axis=1) > LARGEST_PRECISE)
            periodic = cells[frame][pbc]
            # The pseudo-inverse leaves out what lies across the periodic directions.
            shifts = np.floor(positions[frame, atoms] @ np.linalg.pinv(periodic))
            positions[frame, atoms] -= shifts @ periodic
            if images is not None:
                images[np.ix_([frame], atoms, np.flatnonzero(pbc))] += shifts.astype(np.int64)
    return positions.astype(np.float32, copy=False), images
