"""What is known of a simulation's atoms before its first frame: a topology file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.elements import element_name
from kgdyn.frames import readonly

__all__ = ["Topology", "read_topology"]


@dataclass(frozen=True, eq=False)
class Topology:
    """The atoms of a topology file, in its order (a LAMMPS data file's: ascending ids).

    Attributes
    ----------
    source : str, the file's name.
    species : (n_atoms,) array of int32, atomic numbers or positive bead types.
    universe : MDAnalysis.Universe
        With elements, bonds, residues and whatever else the file tells, for selections.
    type_labels : tuple of str, or None
    """

    source: str
    species: NDArray[np.int32]
    universe: Any
    type_labels: tuple[str, ...] | None = None

    @property
    def n_atoms(self) -> int:
        return len(self.species)

    def elements_of_types(self) -> dict[str, str | int]:
        """Atomic number of each type label.

        Raises
        ------
        ValueError
            If the file has no types, or atoms of one type are of several elements.
        """
        if self.type_labels is None:
            raise ValueError(f"{self.source}: the topology has no types")
        found: dict[str, str | int] = {}
        for label, number in zip(self.type_labels, self.species.tolist(), strict=True):
            if found.setdefault(label, number) != number:
                raise ValueError(f"{self.source}: type {label} stands for several elements")
        return found


def read_topology(
    path: str | os.PathLike[str],
    elements: Sequence[str | int] | Mapping[str, str | int] | str | None = None,
) -> Topology:
    """Read a topology that MDAnalysis understands: LAMMPS data, GRO, PDB, PSF, TPR ...

    Parameters
    ----------
    path : path
    elements : sequence, mapping or "masses", optional
        As in :class:`kgdyn.trajectories.SourceOptions`.

    Raises
    ------
    FileNotFoundError
    ValueError
        If the elements are not known.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    from kgdyn.trajectories._universe_species import universe_species
    from kgdyn.trajectories.mdanalysis_source import universe_from_files

    universe = universe_from_files(path, [])
    species = readonly(universe_species(universe, elements, str(path)))
    if not hasattr(universe.atoms, "elements"):  # so that a selection may name them
        names = [element_name(number) for number in species.tolist()]
        universe.add_TopologyAttr("elements", names)
    types = getattr(universe.atoms, "types", None)
    labels = None if types is None else tuple(str(label) for label in types)
    return Topology(os.fspath(path), species, universe, labels)
