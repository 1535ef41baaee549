"""The ``.npz`` layout of the 2019 gdynet code, streamed out of the archive."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.trajectories._frame_checks import (
    check_frame_interval,
    check_frames,
    check_frames_per_chunk,
)
from kgdyn.trajectories.source import FrameChunk

__all__ = ["GDyNetSource"]

_ARCHIVE_ERRORS = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error)
# Text output of LAMMPS leaves 1e-4 or so; a wrong lattice leaves angstroms.
_IMAGE_TOLERANCE = 0.05


class GDyNetSource:
    """A gdynet archive: periodic in all directions, atoms by atomic number.

    Parameters
    ----------
    path : path
        Holds ``traj_coords`` (n_frames, n_atoms, 3) and ``lattices`` (n_frames, 3, 3) in
        angstrom, rows are lattice vectors; ``atom_types`` (n_atoms,) and ``target_index``
        (n_targets,). ``dt_ps`` (a number) and ``unwrapped`` (as ``traj_coords``) are optional.
    frame_interval : float, optional, ps
        ``dt_ps`` if not given; if given, it counts more than the file.

    Attributes
    ----------
    target_index : (n_targets,) array of int64

    Raises
    ------
    ValueError
        For an archive that is cut, an array that is missing, pickled or of a wrong shape.
    """

    def __init__(self, path: str | PathLike[str], *, frame_interval: float | None = None) -> None:
        self.source = str(path)
        with ExitStack() as stack:
            archive = self._open(stack)
            coordinates = _Member(archive, "traj_coords", stack, self.source)
            lattices = _Member(archive, "lattices", stack, self.source)
            self._has_unwrapped = "unwrapped.npy" in archive.namelist()
            unwrapped = (
                _Member(archive, "unwrapped", stack, self.source) if (self._has_unwrapped) else None
            )
            types = _Member(archive, "atom_types", stack, self.source).whole()
            targets = _Member(archive, "target_index", stack, self.source).whole()
            interval = frame_interval
            if interval is None and "dt_ps.npy" in archive.namelist():
                interval = float(_Member(archive, "dt_ps", stack, self.source).whole())
        n_frames, n_atoms = (*coordinates.shape, 0, 0)[:2]
        self._check_shape("traj_coords", coordinates.shape, (n_frames, n_atoms, 3))
        if n_frames == 0 or n_atoms == 0:
            raise ValueError(f"{self.source}: holds {n_frames} frames of {n_atoms} atoms")
        self._check_shape("lattices", lattices.shape, (n_frames, 3, 3))
        self._check_shape("atom_types", types.shape, (n_atoms,))
        if unwrapped is not None:
            self._check_shape("unwrapped", unwrapped.shape, coordinates.shape)
        if types.dtype.kind not in "iu" or types.min() < 1:
            raise ValueError(
                f"{self.source}: atom_types must be positive integers, received {types[:10]}"
            )
        targets = np.atleast_1d(targets)
        if (
            targets.dtype.kind not in "iu"
            or targets.min(initial=0) < 0
            or (targets.max(initial=0) >= n_atoms)
        ):
            raise ValueError(
                f"{self.source}: target_index must be indices from 0 to {n_atoms - 1}, received "
                f"{targets[:10]}"
            )
        self.n_frames: int | None = n_frames
        self.species: NDArray[np.int32] = types.astype(np.int32)
        self.target_index: NDArray[np.int64] = targets.astype(np.int64)
        self.pbc: NDArray[np.bool_] = np.ones(3, dtype=bool)
        self.frame_interval = check_frame_interval(interval, self.source)

    def chunks(self, frames_per_chunk: int = 64) -> Iterator[FrameChunk]:
        """Yield all frames in order; positions keep the file's precision."""
        check_frames_per_chunk(frames_per_chunk)
        n_frames = self.n_frames or 0
        with ExitStack() as stack:
            archive = self._open(stack)
            coordinates = _Member(archive, "traj_coords", stack, self.source)
            lattices = _Member(archive, "lattices", stack, self.source)
            unwrapped = None
            if self._has_unwrapped:
                unwrapped = _Member(archive, "unwrapped", stack, self.source)
            for first in range(0, n_frames, frames_per_chunk):
                count = min(frames_per_chunk, n_frames - first)
                positions = coordinates.rows(first, count)
                cells = lattices.rows(first, count).astype(np.float64)
                check_frames(positions, cells, self.pbc, self.source, first)
                images = None
                if unwrapped is not None:
                    images = self._images(positions, unwrapped.rows(first, count), cells, first)
                yield FrameChunk(positions, cells, images=images)

    def _images(
        self,
        positions: NDArray[Any],
        unwrapped: NDArray[Any],
        cells: NDArray[np.float64],
        first: int,
    ) -> NDArray[np.int32]:
        offsets = unwrapped.astype(np.float64) - positions
        check_frames(offsets, cells, self.pbc, f"{self.source}, unwrapped", first)
        images = np.round(offsets @ np.linalg.inv(cells))
        error = np.abs(offsets - images @ cells).max(axis=(1, 2))
        if np.any(error > _IMAGE_TOLERANCE):
            frame = int(np.argmax(error > _IMAGE_TOLERANCE))
            raise ValueError(
                f"{self.source}, frame {first + frame}: unwrapped must differ from traj_coords by "
                f"whole lattice vectors, received {error[frame]:.3g} angstrom more"
            )
        result: NDArray[np.int32] = images.astype(np.int32)
        return result

    def _open(self, stack: ExitStack) -> zipfile.ZipFile:
        try:
            return stack.enter_context(zipfile.ZipFile(self.source))
        except zipfile.BadZipFile as error:
            raise ValueError(f"{self.source}: not a whole npz archive: {error}") from error

    def _check_shape(self, name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
        if shape != expected:
            raise ValueError(f"{self.source}: {name} must have shape {expected}, received {shape}")

    def __repr__(self) -> str:
        return (
            f"GDyNetSource({self.source!r}, n_frames={self.n_frames}, "
            f"n_atoms={len(self.species)}, n_targets={len(self.target_index)})"
        )


class _Member:
    """An array of the archive, read from its start to its end without being held."""

    def __init__(self, archive: zipfile.ZipFile, name: str, stack: ExitStack, source: str) -> None:
        self._what = f"{source}, {name}"
        try:
            self._file = stack.enter_context(archive.open(f"{name}.npy"))
            version = np.lib.format.read_magic(self._file)
            if version == (1, 0):
                header = np.lib.format.read_array_header_1_0(self._file)
            else:
                header = np.lib.format.read_array_header_2_0(self._file)
        except KeyError:
            raise ValueError(
                f"{source}: the array {name!r} is missing, received "
                f"{[member.removesuffix('.npy') for member in archive.namelist()]}"
            ) from None
        except _ARCHIVE_ERRORS as error:
            raise ValueError(f"{self._what}: cannot be read: {error}") from error
        self.shape, fortran_order, self.dtype = header
        if self.dtype.hasobject:
            raise ValueError(f"{self._what}: holds pickled objects, which are not read")
        if fortran_order and len(self.shape) > 1:
            raise ValueError(f"{self._what}: must be in C order, received Fortran order")

    def whole(self) -> NDArray[Any]:
        """All of it, for small arrays."""
        return self._read(self.shape, "")

    def rows(self, first: int, count: int) -> NDArray[Any]:
        """The next ``count`` rows, as native float32 or float64."""
        frames = f" of frames {first} to {first + count - 1}"
        array = self._read((count, *self.shape[1:]), frames)
        dtype = np.float32 if array.dtype.itemsize <= 4 and array.dtype.kind == "f" else np.float64
        return array.astype(dtype, copy=False)

    def _read(self, shape: tuple[int, ...], what: str) -> NDArray[Any]:
        n_bytes = math.prod(shape) * self.dtype.itemsize
        try:
            data = self._file.read(n_bytes)
        except _ARCHIVE_ERRORS as error:
            raise ValueError(f"{self._what}{what}: cannot be read: {error}") from error
        if len(data) < n_bytes:
            raise ValueError(f"{self._what}{what}: the file is cut")
        array: NDArray[Any] = np.frombuffer(bytearray(data), dtype=self.dtype).reshape(shape)
        return array
