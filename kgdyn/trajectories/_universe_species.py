"""The elements of an MDAnalysis Universe's atoms, from the topology or from the user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.trajectories._species import Elements, numbers_of_labels, species_number

__all__ = ["universe_species"]


# Force fields write 12.0112 for 12.011; no two elements' masses are as near as this.
_MASS_TOLERANCE = 0.02


def universe_species(universe: Any, elements: Elements | None, source: str) -> NDArray[np.int32]:
    """(n_atoms,) atomic numbers.

    In this order: ``elements``; the topology's elements, if every atom has one; atom names, if
    all are spelled as element symbols are ("Li", not "LI" or "OW"; types only where there are
    no names, because MDAnalysis may have guessed them). Masses are used only if asked for, with
    ``elements="masses"``.

    Raises
    ------
    ValueError
        If these leave an atom unknown, telling which types and names there are.
    """
    atoms = universe.atoms
    types = [str(label) for label in getattr(atoms, "types", [])]
    names = [str(label) for label in getattr(atoms, "names", [])]
    if elements is None:
        symbols = [str(symbol).strip().capitalize() for symbol in getattr(atoms, "elements", [])]
        for labels in (symbols, names or types):
            try:
                if labels and all(labels):
                    return numbers_of_labels(labels, None, source)
            except ValueError:
                continue
        raise ValueError(
            f"{source}: the topology does not tell the elements. Pass elements={{type or name: "
            "symbol}, or a list of symbols in the order of numeric types, or one for each atom. "
            f"Types: {_distinct(types)}; names: {_distinct(names)}"
        )
    if isinstance(elements, str):
        if elements != "masses":
            raise TypeError(
                "elements must be a mapping, a list of symbols or the word 'masses', "
                f"received {elements!r}"
            )
        return _species_of_masses(universe, source)
    if isinstance(elements, Mapping):
        table = {str(label): element for label, element in elements.items()}
        for labels in (types, names):
            if labels and set(labels) <= table.keys():
                return numbers_of_labels(labels, table, source)
        raise ValueError(
            f"{source}: elements must tell the element of every type or of every name, received "
            f"{sorted(table)}. Types: {_distinct(types)}; names: {_distinct(names)}"
        )
    symbols_given = list(elements)
    if types and all(label.isdigit() for label in types):
        table = {str(index): element for index, element in enumerate(symbols_given, start=1)}
        if set(types) <= table.keys() and len(symbols_given) != len(atoms):
            return numbers_of_labels(types, table, source)
    if len(symbols_given) != len(atoms):
        raise ValueError(
            f"{source}: a list of elements needs one for each numeric type or for each of the "
            f"{len(atoms)} atoms, received {len(symbols_given)}. Types: {_distinct(types)}"
        )
    numbers = [species_number(element, source) for element in symbols_given]
    return np.array(numbers, dtype=np.int32)


def _species_of_masses(universe: Any, source: str) -> NDArray[np.int32]:
    """(n_atoms,) atomic numbers of the elements whose standard masses the topology has."""
    from ase.data import atomic_masses

    if not hasattr(universe.atoms, "masses"):
        raise ValueError(f"{source}: elements='masses' needs a topology with masses")
    masses, which = np.unique(universe.atoms.masses, return_inverse=True)
    difference = np.abs(masses[:, None] - atomic_masses[None, 1:])
    bad = masses[difference.min(axis=1) > _MASS_TOLERANCE]
    if len(bad):
        raise ValueError(
            f"{source}: elements='masses' needs the masses of elements, within {_MASS_TOLERANCE} "
            f"amu, received {bad.tolist()}"
        )
    result: NDArray[np.int32] = (difference.argmin(axis=1) + 1).astype(np.int32)[which]
    return result


def _distinct(labels: list[str]) -> str:
    distinct = sorted(set(labels))
    if not distinct:
        return "none"
    return ", ".join(distinct[:20]) + (f" and {len(distinct) - 20} more" if distinct[20:] else "")
