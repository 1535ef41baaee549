"""Opening MDAnalysis Universes, after a look at whether the files are whole."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import MDAnalysis
import numpy as np
from MDAnalysis.coordinates.DCD import DCDReader
from MDAnalysis.coordinates.PDB import PDBReader
from MDAnalysis.coordinates.TRR import TRRReader
from MDAnalysis.coordinates.XTC import XTCReader
from MDAnalysis.lib.mdamath import triclinic_vectors
from MDAnalysis.lib.util import openany
from numpy.typing import NDArray

from kgdyn.trajectories._dcd import check_dcd
from kgdyn.trajectories._xdr_index import XDRIndex, read_xdr_index

__all__ = ["READ_ERRORS", "cell_before_models", "checked_files", "universe_from_files"]

_Path = str | PathLike[str]
# What readers raise on broken files.
READ_ERRORS = (OSError, EOFError, ValueError, TypeError, KeyError, IndexError, RuntimeError)

# Columns of a, b, c, alpha, beta, gamma.
_CRYST1 = ((6, 15), (15, 24), (24, 33), (33, 40), (40, 47), (47, 54))
_LAMMPS_DATA = (".data", ".lmp", ".lammps", ".lmpdat")
_LAMMPS_COLUMNS = {
    "atomic": "id type x y z",
    "charge": "id type charge x y z",
    "molecular": "id resid type x y z",
    "full": "id resid type charge x y z",
}


class _WalkedOffsets:
    """Takes the offsets from the file's headers, and leaves no cache beside the user's file."""

    filename: str
    _xdr: Any

    def _load_offsets(self) -> None:
        self.index = read_xdr_index(Path(self.filename))
        self.index.check_payload(0, min(2, self.index.n_frames))  # read while opening
        self._xdr.set_offsets(self.index.offsets[:-1])

    def _read_offsets(self, store: bool = False) -> None:
        self._load_offsets()


class _XTCReader(_WalkedOffsets, XTCReader):  # type: ignore[misc]
    pass


class _TRRReader(_WalkedOffsets, TRRReader):  # type: ignore[misc]
    pass


def universe_from_files(
    topology: _Path, coordinates: _Path | Sequence[_Path]
) -> MDAnalysis.Universe:
    """Open a topology and one or several coordinate files, each checked for a missing end.

    Several files are one trajectory, joined in order; none is the topology alone. Nothing is
    written beside the files, and no element is guessed.

    Raises
    ------
    ValueError
        Naming file and frame, if an XTC, TRR or DCD file is cut or was not written to its end;
        naming the files, if MDAnalysis cannot open them.
    FileNotFoundError
    """
    several = [coordinates] if isinstance(coordinates, (str, PathLike)) else list(coordinates)
    files: list[tuple[str, Any]] = []
    for path in map(Path, [topology, *several]):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file")
    for path in map(Path, several):
        reader = {".xtc": _XTCReader, ".trr": _TRRReader}.get(path.suffix.lower())
        if reader is not None:
            read_xdr_index(path)
        elif path.suffix.lower() == ".dcd":
            check_dcd(path)
        files.append((str(path), reader))
    options = _lammps_options(Path(topology))
    try:
        with warnings.catch_warnings():
            # Their notes to developers, and about masses and times that are not used here.
            warnings.filterwarnings("ignore", module="MDAnalysis")
            if not files:
                return MDAnalysis.Universe(str(topology), to_guess=(), **options)
            if len(files) == 1:
                return MDAnalysis.Universe(
                    str(topology), files[0][0], format=files[0][1], to_guess=(), **options
                )
            return MDAnalysis.Universe(str(topology), files, to_guess=(), **options)
    except READ_ERRORS as error:
        names = ", ".join(name for name, _ in files)
        raise ValueError(f"{topology} with {names}: cannot be opened: {error}") from error


def checked_files(readers: Sequence[Any], n_frames: int, source: str) -> XDRIndex | None:
    """Refuse files that are cut; the frames of XTC and TRR files, where all of them are such."""
    indices = []
    for reader in readers:
        if isinstance(reader, _WalkedOffsets):
            indices.append(reader.index)
        elif isinstance(reader, (XTCReader, TRRReader)):
            indices.append(read_xdr_index(Path(reader.filename)))
        elif type(reader) is DCDReader:
            check_dcd(Path(reader.filename))
            continue
        else:
            continue
        if indices[-1].n_frames != len(reader):
            raise ValueError(
                f"{reader.filename}: holds {indices[-1].n_frames} frames, but the universe counts "
                f"{len(reader)}: the file changed, or its cached offsets are stale"
            )
        if len(readers) > 1:  # a single file is looked at chunk by chunk
            indices[-1].check_payload(0, indices[-1].n_frames)
    # MDAnalysis may leave out frames that several files share: then its own count is followed.
    if len(indices) < len(readers) or sum(index.n_frames for index in indices) != n_frames:
        return None
    if len(indices) == 1:
        return indices[0]
    return XDRIndex(
        Path(source),
        indices[0].n_atoms,
        np.zeros(0, np.int64),
        np.concatenate([index.steps for index in indices]),
        np.concatenate([index.times for index in indices]),
        np.concatenate([index.cells for index in indices]),
    )


def cell_before_models(readers: Sequence[Any]) -> NDArray[np.float64] | None:
    """(3, 3) cell of a PDB file that has it once, before its first model.

    So MDAnalysis writes them, but its reader gives such frames no box.
    """
    if len(readers) != 1 or not isinstance(readers[0], PDBReader):
        return None
    with openany(readers[0].filename) as file:
        for line in file:
            if line.startswith(("MODEL", "ATOM", "HETATM")):
                return None
            if line.startswith("CRYST1"):
                box = [float(line[start:stop]) for start, stop in _CRYST1]
                if box[:3] == [1.0, 1.0, 1.0]:  # stands for "no crystal"
                    return None
                cell: NDArray[np.float64] = triclinic_vectors(box, dtype=np.float64)
                return cell
    return None


def _lammps_options(topology: Path) -> dict[str, str]:
    """What MDAnalysis must be told of a LAMMPS data file: that it is one, and its columns.

    MDAnalysis tells styles apart by the number of columns, which does not work for all of them.
    """
    if topology.suffix.lower() not in _LAMMPS_DATA:
        return {}
    options = {"topology_format": "DATA"}
    with open(topology, errors="replace") as file:
        for line in file:
            section, _, style = line.partition("#")
            if section.strip() == "Atoms":
                if style.strip() in _LAMMPS_COLUMNS:
                    options["atom_style"] = _LAMMPS_COLUMNS[style.strip()]
                break
    return options
