"""Any trajectory in: which reader a path needs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kgdyn.frames import periodic_directions
from kgdyn.trajectories.source import FrameSource

__all__ = ["SourceOptions", "open_source"]

_Path = str | os.PathLike[str]
_DUMPS = (".lammpstrj", ".dump", ".lammpsdump")


@dataclass(frozen=True)
class SourceOptions:
    """What files do not say of themselves.

    Parameters
    ----------
    topology : path, optional
        For formats without atoms (XTC, TRR, DCD ...): any topology that MDAnalysis reads.
    elements : sequence, mapping or "masses", optional
        Symbols in the order of LAMMPS types, or label (type, atom name) -> symbol. "masses" takes
        the elements from the masses of a topology.
    frame_interval : float, ps, optional
        Time between frames.
    timestep : float, ps, optional
        Time of one simulation step, for LAMMPS dumps: time = step * timestep.
    pbc : bool or (3,) sequence of bool, optional
        Periodicity where the file does not know it.
    """

    topology: _Path | None = None
    elements: Sequence[str | int] | Mapping[str, str | int] | str | None = None
    frame_interval: float | None = None
    timestep: float | None = None
    pbc: ArrayLike | None = None


def open_source(path: _Path | Sequence[_Path], options: SourceOptions | None = None) -> FrameSource:
    """Open a trajectory file to be streamed.

    Parameters
    ----------
    path : path, or sequence of paths
        Several files (of XDATCAR, or with a topology) are one trajectory, joined in order.
        LAMMPS text dump (.lammpstrj, .dump, also .gz), XDATCAR (also .gz), extended XYZ, gdynet
        .npz, DiffusionAnalyzer .json; with ``topology`` all that MDAnalysis reads. A topology
        with coordinates of its own (PDB, GRO ...) needs no other file.
    options : SourceOptions, optional

    Raises
    ------
    FileNotFoundError
        Naming the file that does not exist.
    ValueError
        For a format that is not known, or as the reader.
    """
    options = options or SourceOptions()
    paths = [Path(path)] if isinstance(path, (str, os.PathLike)) else [Path(part) for part in path]
    if isinstance(options.elements, str) and options.elements != "masses":
        raise ValueError(
            "elements must be a sequence, a mapping or the word 'masses', "
            f"received {options.elements!r}"
        )
    if options.elements == "masses" and options.topology is None:
        raise ValueError("elements='masses' needs a topology, which has them")
    if not paths:
        raise ValueError("path: at least one file is needed, received none")
    for part in (*paths, *([Path(options.topology)] if options.topology else [])):
        if not part.is_file():
            raise FileNotFoundError(f"{part}: there is no such file")
    source = _opened(paths, options)
    given = source.pbc if options.pbc is None else periodic_directions(options.pbc, source.source)
    if not np.array_equal(given, source.pbc):
        raise ValueError(
            f"{source.source}: the file says pbc={source.pbc.tolist()}, received {given.tolist()}"
        )
    return source


def _opened(paths: list[Path], options: SourceOptions) -> FrameSource:
    name = paths[0].name.lower().removesuffix(".gz")
    if options.topology is not None:
        if len(paths) == 1 and is_dump(paths[0]):
            return _dump_with_topology(paths[0], options.topology, options)
        return _universe(options.topology, paths, options)
    if "xdatcar" in name:
        from kgdyn.trajectories.xdatcar import XDATCARSource

        return XDATCARSource(paths, frame_interval=options.frame_interval)
    if len(paths) > 1:
        raise ValueError(
            "path: only XDATCAR files, and files with a topology, can be joined to one trajectory; "
            f"received {[str(part) for part in paths]}"
        )
    return _single(paths[0], name, options)


def _single(path: Path, name: str, options: SourceOptions) -> FrameSource:
    if name.endswith(".npz"):
        from kgdyn.trajectories.gdynet_source import GDyNetSource

        return GDyNetSource(path, frame_interval=options.frame_interval)
    if name.endswith(".json"):
        from kgdyn.trajectories.structures import diffusion_analyzer_source

        return diffusion_analyzer_source(path)
    if name.endswith((".extxyz", ".xyz")):
        from kgdyn.trajectories.extxyz import ExtXYZSource

        elements = options.elements
        if elements is not None and not isinstance(elements, Mapping):
            raise ValueError(
                f"{path}: elements must be a mapping, label -> symbol, received {elements!r}"
            )
        return ExtXYZSource(path, elements=elements, frame_interval=options.frame_interval)
    if name.endswith(_DUMPS) or name.startswith("dump.") or is_dump(path):
        from kgdyn.trajectories.lammps_dump import LAMMPSDump

        return LAMMPSDump(
            path,
            elements=options.elements,
            frame_interval=options.frame_interval,
            timestep=options.timestep,
            pbc=options.pbc,
        )
    if name.endswith((".pdb", ".gro", ".data")):
        return _universe(path, [path], options)
    raise ValueError(
        f"{path}: the format is not known by its name; files without atoms (XTC, TRR, DCD, NetCDF, "
        "H5MD ...) need a topology beside them"
    )


def _dump_with_topology(path: Path, topology: _Path, options: SourceOptions) -> FrameSource:
    """A dump by our own reader; elements, bonds and residues of its atoms from a topology."""
    from kgdyn.trajectories.lammps_dump import LAMMPSDump
    from kgdyn.trajectories.topology import read_topology

    known = read_topology(topology, options.elements)
    species = known.species
    dump = LAMMPSDump(
        path,
        elements=known.elements_of_types(),
        types=None,
        frame_interval=options.frame_interval,
        timestep=options.timestep,
        pbc=options.pbc,
    )
    if len(dump.species) != len(species):
        raise ValueError(
            f"{path}: has {len(dump.species)} atoms, its topology {topology} {len(species)}"
        )
    if not (dump.species == species).all():
        raise ValueError(
            f"{path}: its atoms, in the order of ids, have other elements than those of {topology}"
        )
    dump.universe = known.universe
    return dump


def _universe(topology: _Path, paths: Sequence[Path], options: SourceOptions) -> FrameSource:
    from kgdyn.trajectories.mdanalysis_source import UniverseSource, universe_from_files

    return UniverseSource(
        universe_from_files(topology, paths),
        elements=options.elements,
        frame_interval=options.frame_interval,
        pbc=options.pbc,
        source=", ".join(str(path) for path in paths),
    )


def is_dump(path: Path) -> bool:
    """Whether a file (plain or gz) begins as a LAMMPS text dump does."""
    import gzip

    with path.open("rb") as plain:
        zipped = plain.read(2) == b"\x1f\x8b"
    with gzip.open(path) if zipped else path.open("rb") as file:
        return file.read(64).lstrip().startswith(b"ITEM:")


def describe_options(options: SourceOptions) -> dict[str, Any]:
    """The options that were given, as plain values, to be written down."""
    return {
        key: str(value) if isinstance(value, os.PathLike) else value
        for key, value in vars(options).items()
        if value is not None
    }
