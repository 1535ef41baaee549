"""From a selection in words to target groups."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from kgdyn.elements import element_name
from kgdyn.frames import TargetGroups
from kgdyn.trajectories.source import FrameSource

__all__ = ["select_targets"]

_GROUPINGS = ("atoms", "residues", "molecules")


def select_targets(
    source: FrameSource, selection: str | None = None, groupby: str = "atoms"
) -> TargetGroups:
    """The targets of a source, by an MDAnalysis selection.

    Parameters
    ----------
    source : FrameSource
    selection : str, optional
        In MDAnalysis' language, for example ``"element Li"`` or ``"resname SOL"``. A topology
        without elements (a LAMMPS data file) has those that the source was given. Without a
        topology there are ``element``, ``index`` (from 0), ``bynum`` (from 1) and ``type`` (of a
        LAMMPS dump its own, else the atomic number or bead type).
        Not needed where the file names its targets (gdynet's ``target_index``).
    groupby : "atoms", "residues" or "molecules"
        One target for each selected atom, or for each whole residue or molecule of which an atom
        is selected.

    Raises
    ------
    ValueError
        For a selection that is not understood or matches nothing, or a topology that does not
        know molecules.
    """
    if groupby not in _GROUPINGS:
        raise ValueError(f"groupby must be one of {_GROUPINGS}, received {groupby!r}")
    if selection is None:
        index = getattr(source, "target_index", None)
        if index is None:
            raise ValueError(
                f"{source.source}: targets must be given, as an MDAnalysis selection such as "
                '"element Li": the file does not name them'
            )
        return TargetGroups.from_indices(index, "target_index of the file")
    universe = getattr(source, "universe", None)
    if universe is None:
        universe = _universe_of_species(source)
    atoms = _select(universe, selection, source)
    if groupby == "atoms":
        return TargetGroups.from_indices(atoms.indices, selection)
    description = f"{groupby} of {selection}"
    if groupby == "residues":
        if not hasattr(universe.atoms, "resindices") or getattr(source, "universe", None) is None:
            raise ValueError(f"{source.source}: groupby='residues' needs a topology with residues")
        return TargetGroups.from_groups(
            [residue.atoms.indices for residue in atoms.residues], description
        )
    return TargetGroups.from_groups(_molecules(universe, atoms, source.source), description)


def _select(universe: Any, selection: str, source: FrameSource) -> Any:
    from MDAnalysis.exceptions import SelectionError

    lacks_elements = not hasattr(universe.atoms, "elements")
    if lacks_elements:
        universe.add_TopologyAttr("elements", _element_names(source))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of an empty selection: refused below
            atoms = universe.select_atoms(selection)
    except (SelectionError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{source.source}: targets {selection!r} is not understood: {error}"
        ) from error
    finally:
        if lacks_elements:  # a Universe of the user's own stays as it was
            universe.del_TopologyAttr("elements")
    if len(atoms) == 0:
        raise ValueError(
            f"{source.source}: targets {selection!r} matches no atom of {len(universe.atoms)}"
        )
    return atoms


def _molecules(universe: Any, atoms: Any, source: str) -> list[np.ndarray[Any, Any]]:
    """Atoms that bonds join, or that share a molecule number."""
    if len(getattr(universe, "bonds", ())):
        return [fragment.indices for fragment in atoms.fragments]
    for attribute in ("molnums", "molecules"):
        if hasattr(atoms, attribute):
            numbers = getattr(universe.atoms, attribute)
            return [
                np.flatnonzero(numbers == number) for number in np.unique(getattr(atoms, attribute))
            ]
    residues = atoms.residues
    if len(universe.residues) > 1:
        # GRO and PDB files of solvents: each molecule is one residue.
        return [residue.atoms.indices for residue in residues]
    raise ValueError(
        f"{source}: groupby='molecules' needs a topology with bonds, molecule numbers or residues"
    )


def _universe_of_species(source: FrameSource) -> Any:
    import MDAnalysis

    universe = MDAnalysis.Universe.empty(len(source.species), trajectory=False)
    names = _element_names(source)
    universe.add_TopologyAttr("elements", names)
    universe.add_TopologyAttr("names", names)
    types = getattr(source, "type_labels", None) or [str(int(kind)) for kind in source.species]
    universe.add_TopologyAttr("types", np.array(types, dtype=object))
    return universe


def _element_names(source: FrameSource) -> np.ndarray[Any, Any]:
    """(n_atoms,) symbols, as MDAnalysis wants them."""
    return np.array([element_name(int(number)) for number in source.species], dtype=object)
