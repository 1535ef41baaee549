"""Extended XYZ files, streamed through ASE.

ASE stops without a word at a blank line and takes "CA" for calcium; so the frames are counted
here first, and the species column is read as plain labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase.io.extxyz import key_val_str_to_dict
from numpy.typing import NDArray

from kgdyn.trajectories._frame_checks import (
    check_frame_interval,
    check_frames,
    check_frames_per_chunk,
)
from kgdyn.trajectories._species import numbers_of_labels
from kgdyn.trajectories._text_file import LineReader, is_cut_number
from kgdyn.trajectories.source import FrameChunk

__all__ = ["ExtXYZSource"]

_LABEL = "kgdyn_label"


class ExtXYZSource:
    """An extended XYZ file, plain or ``.gz``; cell and pbc are the file's own.

    Parameters
    ----------
    path : path
    frame_interval : float, optional, ps
        Time between two frames; the file does not know it.
    elements : mapping, optional
        Label in the species column -> symbol (or positive integer for a bead). Needed where
        labels are not spelled as element symbols are.

    Raises
    ------
    ValueError
        Naming file, frame and row: for an empty file, one that is cut, text between frames, a
        change of the number of atoms, and labels that are no elements.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        frame_interval: float | None = None,
        elements: Mapping[str, str | int] | None = None,
    ) -> None:
        self.path = Path(path)
        self.source = str(path)
        self.frame_interval = check_frame_interval(frame_interval, self.source)
        self._elements = elements
        self._n_atoms, n_frames = _count(self.path)
        self.n_frames: int | None = n_frames
        self.species: NDArray[np.int32] = np.zeros(0, np.int32)
        first = next(self._atoms())
        self.species = self._species_of(first, 0)
        self.pbc: NDArray[np.bool_] = np.array(first.pbc, dtype=bool)

    def chunks(self, frames_per_chunk: int = 64) -> Iterator[FrameChunk]:
        """Yield all frames in order; float64 positions, without steps and times."""
        check_frames_per_chunk(frames_per_chunk)
        positions: list[NDArray[np.float64]] = []
        cells: list[NDArray[np.float64]] = []
        first = 0
        for frame, atoms in enumerate(self._atoms()):
            self._check_same(atoms, frame)
            positions.append(atoms.positions)
            cells.append(np.asarray(atoms.cell, dtype=np.float64))
            if len(cells) == frames_per_chunk or frame + 1 == self.n_frames:
                chunk = FrameChunk(np.stack(positions), np.stack(cells))
                check_frames(chunk.positions, chunk.cells, self.pbc, self.source, first)
                yield chunk
                first += chunk.n_frames
                positions, cells = [], []

    def _atoms(self) -> Iterator[Any]:
        frames = ase.io.iread(
            str(self.path), index=":", format="extxyz", properties_parser=_labels_as_text
        )
        for frame in range(self.n_frames or 0):
            first_row = 1 + frame * (self._n_atoms + 2)
            try:
                yield next(frames)
            # ASE names neither frame nor row, and raises what its parsing happens to raise.
            except (StopIteration, ValueError, TypeError, KeyError, IndexError, OSError) as error:
                raise ValueError(
                    f"{self.source}, frame {frame}, in rows {first_row} to "
                    f"{first_row + self._n_atoms + 1}: cannot be read: {error!r}"
                ) from error

    def _species_of(self, atoms: Any, frame: int) -> NDArray[np.int32]:
        where = f"{self.source}, frame {frame}"
        if _LABEL in atoms.arrays:
            return numbers_of_labels(map(str, atoms.arrays[_LABEL]), self._elements, where)
        numbers: NDArray[np.int32] = np.asarray(atoms.numbers, dtype=np.int32)
        if numbers.min() < 1:
            raise ValueError(
                f"{where}: needs a column of species or of atomic numbers, received "
                f"{sorted(atoms.arrays)}"
            )
        return numbers

    def _check_same(self, atoms: Any, frame: int) -> None:
        where = f"{self.source}, frame {frame}"
        species = self._species_of(atoms, frame)
        differs = np.flatnonzero(species != self.species)
        if len(differs):
            atom = int(differs[0])
            raise ValueError(
                f"{where}, row {frame * (self._n_atoms + 2) + 3 + atom}: atoms must keep their "
                f"order and species: atom {atom} (counted from 0) was {self.species[atom]}, "
                f"received {species[atom]}"
            )
        if not np.array_equal(atoms.pbc, self.pbc):
            raise ValueError(
                f"{where}: pbc must not change: {self.pbc.tolist()} before, received "
                f"{atoms.pbc.tolist()}"
            )

    def __repr__(self) -> str:
        return f"ExtXYZSource({self.source!r}, n_frames={self.n_frames}, n_atoms={self._n_atoms})"


def _labels_as_text(comment: str) -> dict[str, Any]:
    """ASE's parser of the comment line, with the species column under another name."""
    parse: Any = key_val_str_to_dict
    info: dict[str, Any] = parse(comment)
    properties = str(info.get("Properties", "species:S:1:pos:R:3"))
    info["Properties"] = re.sub(r"(^|:)species:[SI]:1", rf"\1{_LABEL}:S:1", properties)
    return info


def _count(path: Path) -> tuple[int, int]:
    """Numbers of atoms and of frames; ValueError if the rows do not add up."""
    n_atoms = n_frames = 0
    with LineReader(path) as reader:
        while line := reader.line():
            if not line.strip():
                while line := reader.line():
                    if line.strip():
                        raise ValueError(
                            f"{path}, frame {n_frames}, row {reader.row}: expected the end of the "
                            f"file after a blank line, received {line.strip()!r}"
                        )
                break
            if not line.strip().isdigit() or int(line) < 1:
                raise ValueError(
                    f"{path}, frame {n_frames}, row {reader.row}: expected the number of atoms, "
                    f"received {line.strip()!r}"
                )
            if n_frames and int(line) != n_atoms:
                raise ValueError(
                    f"{path}, frame {n_frames}, row {reader.row}: the number of atoms must not "
                    f"change: {n_atoms} before, received {int(line)}"
                )
            n_atoms = int(line)
            rows = reader.lines(n_atoms + 1)
            if len(rows) < n_atoms + 1 or not rows[-1].strip():
                raise ValueError(
                    f"{path}, frame {n_frames}, row {reader.row}: the file ends after "
                    f"{max(len(rows) - 1, 0)} of {n_atoms} atoms"
                )
            if n_atoms > 1 and is_cut_number(rows[-1], rows[-2]):
                raise ValueError(
                    f"{path}, frame {n_frames}, row {reader.row}: the file is cut inside of a "
                    f"number, received {rows[-1].strip()!r}"
                )
            n_frames += 1
    if n_frames == 0:
        raise ValueError(f"{path}: the file holds no frame")
    return n_atoms, n_frames
