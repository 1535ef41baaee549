"""What LAMMPS and the user together know of a simulation: elements, targets, times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from kgdyn.integrations.lammps.atom_types import check_masses_of_types, numbers_of_types
from kgdyn.integrations.lammps.frame_capture import FrameCapture
from kgdyn.integrations.lammps.ranks import Ranks
from kgdyn.integrations.lammps.units import UnitScale
from numpy.typing import NDArray

from kgdyn.frames import TargetGroups
from kgdyn.live import StreamInfo
from kgdyn.trajectories import FrameChunk, select_targets

__all__ = ["Targets", "masses_by_type", "molecules_by_row", "stream_of_lammps"]

Targets = str | TargetGroups | Sequence[int]


def stream_of_lammps(
    capture: FrameCapture,
    scale: UnitScale,
    *,
    source: str,
    every: int,
    targets: Targets,
    groupby: str,
    elements: Sequence[str | int] | Mapping[Any, str | int] | str,
    n_types: int,
    masses: Mapping[int, float],
    check_masses: bool,
    molecules: NDArray[np.int64] | None,
) -> StreamInfo:
    """Everything that is known before the first frame; on rank 0.

    Parameters
    ----------
    capture : FrameCapture
    scale : UnitScale
    source : str
        How messages call it.
    every : int
        Steps between two frames.
    targets : str, TargetGroups or sequence of int
        A selection as in :func:`kgdyn.trajectories.select_targets`; ``"id 5 7 20:30"``, LAMMPS'
        atom ids; or indices, or groups of them, from 0 in ascending order of ids.
    groupby : "atoms" or "molecules"
        Of a selection. Molecules are LAMMPS' own.
    elements : as in :func:`numbers_of_types`.
    n_types : int
    masses : mapping from type to g/mol
    check_masses : bool
        Whether they must be those of the elements.
    molecules : (n_atoms,) array of int64, or None
        LAMMPS' molecule ids, 0 for none, where its atoms have them.

    Raises
    ------
    ValueError, TypeError
        For elements or targets that do not fit.
    """
    used = np.unique(capture.types).tolist()
    numbers = numbers_of_types(elements, n_types, used, masses)
    if check_masses and not isinstance(elements, str):
        check_masses_of_types(elements, {kind: masses[kind] for kind in used if kind in masses})
    species = numbers[capture.types - 1]
    listing = _Listing(source, species, capture)
    return StreamInfo(
        source,
        species,
        np.array(capture.pbc),
        _targets(listing, targets, groupby, molecules, capture.ids),
        None if scale.time is None else capture.timestep * every * scale.time,
        every,
    )


def masses_by_type(lmp: Any, scale: UnitScale) -> dict[int, float]:
    """Mass of each type in g/mol; empty where LAMMPS' atoms have masses of their own, or in lj."""
    masses = lmp.numpy.extract_atom("mass")
    if scale.mass is None or masses is None:
        return {}
    return {kind: float(masses[kind]) * scale.mass for kind in range(1, len(masses))}


def molecules_by_row(lmp: Any, capture: FrameCapture, ranks: Ranks) -> NDArray[np.int64] | None:
    """(n_atoms,) molecule ids in the order of the frames, on rank 0; collective."""
    n_local = lmp.extract_setting("nlocal")
    molecules = capture.memory.per_atom("molecule", n_local)
    if not lmp.extract_setting("molecule_flag") or molecules is None:
        return None
    rows = np.empty((n_local, 2), np.int64)
    rows[:, 0], rows[:, 1] = capture.memory.per_atom("id", n_local), molecules
    everywhere = ranks.gather(rows)
    return None if everywhere is None else everywhere[np.argsort(everywhere[:, 0]), 1]


class _Listing:
    """Which atoms there are, as :func:`select_targets` asks for them."""

    n_frames = None
    frame_interval = None

    def __init__(self, source: str, species: NDArray[np.int32], capture: FrameCapture) -> None:
        self.source, self.species = source, species
        self.pbc = np.array(capture.pbc)
        self.type_labels = [str(kind) for kind in capture.types.tolist()]

    def chunks(self, frames_per_chunk: int = 64) -> Iterator[FrameChunk]:
        return iter(())


def _targets(
    listing: _Listing,
    targets: Targets,
    groupby: str,
    molecules: NDArray[np.int64] | None,
    ids: NDArray[np.int64],
) -> TargetGroups:
    if groupby not in ("atoms", "molecules"):
        raise ValueError(f"groupby must be 'atoms' or 'molecules', received {groupby!r}")
    if isinstance(targets, TargetGroups):
        return targets
    if isinstance(targets, str):
        by_id = targets.split()[:1] == ["id"]
        atoms = _by_id(listing, targets, ids) if by_id else select_targets(listing, targets)
        if groupby == "atoms":
            return atoms
        return _whole_molecules(listing.source, atoms.atoms, molecules, ids, targets)
    wanted = np.asarray(targets)
    if wanted.ndim != 1 or not len(wanted) or not np.issubdtype(wanted.dtype, np.integer):
        raise TypeError(
            "targets must be a selection such as 'element Li' or 'id 5 7', a list of indices or "
            f"TargetGroups, received {targets!r}"
        )
    return TargetGroups.from_indices(wanted.tolist())


def _by_id(listing: _Listing, selection: str, ids: NDArray[np.int64]) -> TargetGroups:
    """Atoms by LAMMPS' ids: numbers, and ranges such as 20:30, as in its command ``group``."""
    wanted: set[int] = set()
    for word in selection.split()[1:]:
        first, _, last = word.partition(":")
        if not (first.isdecimal() and (last or first).isdecimal()):
            raise ValueError(
                f"{listing.source}: targets {selection!r} is not understood: ids are numbers and "
                f"ranges such as 20:30, received {word!r}"
            )
        named = ids[(ids >= int(first)) & (ids <= int(last or first))].tolist()
        if not named:
            raise ValueError(f"{listing.source}: targets {selection!r}: no atom has id {word}")
        wanted.update(named)
    rows = np.searchsorted(ids, sorted(wanted))
    return TargetGroups.from_indices(rows.tolist(), selection)


def _whole_molecules(
    source: str,
    atoms: NDArray[np.int64],
    molecules: NDArray[np.int64] | None,
    ids: NDArray[np.int64],
    selection: str,
) -> TargetGroups:
    if molecules is None:
        raise ValueError(
            f"{source}: groupby='molecules' needs an atom style with molecule ids, such as "
            "molecular or full"
        )
    alone = atoms[molecules[atoms] == 0]
    if len(alone):
        raise ValueError(
            f"{source}: groupby='molecules': the atom of id {ids[alone[0]]} belongs to no molecule"
        )
    groups = [np.flatnonzero(molecules == number) for number in np.unique(molecules[atoms])]
    return TargetGroups.from_groups(
        [group.tolist() for group in groups], f"molecules of {selection}"
    )
