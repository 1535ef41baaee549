"""From the labels that files give to atoms to atomic numbers, without guessing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kgdyn.elements import NUMBER_OF_SYMBOL

__all__ = ["Elements", "numbers_of_labels", "species_number"]

# What a user may pass: label -> element, or elements in the order of numeric types or of atoms.
# An element is a symbol, or a positive integer for the beads of a coarse-grained model.
Elements = Mapping[str, str | int] | Sequence[str | int]


def species_number(element: str | int, source: str) -> int:
    """Atomic number of a symbol; a positive integer stands for itself."""
    if isinstance(element, str):
        number = NUMBER_OF_SYMBOL.get(element.strip())
        if number is None:
            raise ValueError(f"{source}: {element!r} is not the symbol of an element")
        return number
    if int(element) != element or element < 1:
        raise ValueError(
            f"{source}: an element must be a symbol or a positive integer, received {element!r}"
        )
    return int(element)


def numbers_of_labels(
    labels: Iterable[str], elements: Mapping[str, str | int] | None, source: str
) -> NDArray[np.int32]:
    """(n_atoms,) atomic numbers of atom labels.

    Without ``elements`` every label must be spelled as the symbol of an element is: "Ca" is
    calcium, but "CA" may be an alpha carbon and is refused.

    Raises
    ------
    ValueError
        Naming all labels, if one of them is not known.
    """
    names, which = np.unique(np.asarray(list(labels), dtype=str), return_inverse=True)
    table = {name: name for name in names.tolist()} if elements is None else elements
    known = table.keys() if elements is not None else NUMBER_OF_SYMBOL.keys()
    unknown = [name for name in names.tolist() if name not in known]
    if unknown:
        raise ValueError(
            f"{source}: the element of {', '.join(map(repr, unknown))} is not known; pass elements="
            f"{{label: symbol}} for all of {names.tolist()}"
        )
    numbers = np.array([species_number(table[name], source) for name in names.tolist()])
    result: NDArray[np.int32] = numbers.astype(np.int32)[which]
    return result
