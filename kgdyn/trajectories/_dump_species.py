"""Which element each atom of a LAMMPS dump is: the file's word, or the user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.trajectories._species import numbers_of_labels, species_number

__all__ = ["species_of_atoms"]


def species_of_atoms(
    source: str,
    n_atoms: int,
    elements: Sequence[str | int] | Mapping[str, str | int] | None,
    types: ArrayLike | None,
    type_texts: list[str] | None,
    symbols: list[str] | None,
) -> NDArray[np.int32]:
    """(n_atoms,) atomic numbers, or bead types.

    Parameters
    ----------
    source : str
        What messages call the dump.
    n_atoms : int
    elements, types : as in LAMMPSDump.
    type_texts, symbols : the columns ``type`` and ``element``, None where missing.

    Raises
    ------
    ValueError
        If the file and the arguments do not say which element each atom is.
    """
    if elements is None:
        if symbols is None:
            raise ValueError(
                f"{source}: the dump has no element column; pass elements=, the symbol of each "
                "LAMMPS type, type 1 first"
            )
        return numbers_of_labels(symbols, None, source)
    if isinstance(elements, str):
        raise TypeError(
            f"elements must be a sequence with one symbol for each type, received {elements!r}"
        )
    if isinstance(elements, Mapping):
        labels = _types_of_atoms(source, n_atoms, types, type_texts).astype(str)
        table = {str(label): element for label, element in elements.items()}
        return numbers_of_labels(labels.tolist(), table, source)
    numbers = np.array([species_number(element, source) for element in elements], np.int32)
    found = _types_of_atoms(source, n_atoms, types, type_texts)
    if found.min() < 1 or found.max() > len(numbers):
        raise ValueError(
            f"{source}: elements must name every type, types are {int(found.min())} to "
            f"{int(found.max())}, received {len(numbers)} elements"
        )
    result: NDArray[np.int32] = numbers[found - 1]
    return result


def _types_of_atoms(
    source: str, n_atoms: int, types: ArrayLike | None, type_texts: list[str] | None
) -> NDArray[np.int64]:
    in_file = None
    if type_texts is not None:
        bad = [token for token in type_texts if not token.isdecimal()]
        if bad:
            raise ValueError(f"{source}: a type must be an integer, received {bad[0]!r}")
        in_file = np.array([int(token) for token in type_texts], np.int64)
    if types is None:
        if in_file is None:
            raise ValueError(
                f"{source}: elements= needs to know each atom's type, but the dump has no type "
                "column; pass types=, one for each atom in ascending id"
            )
        return in_file
    given = np.asarray(types, dtype=np.int64)
    if given.shape != (n_atoms,):
        raise ValueError(
            f"{source}: types must have shape (n_atoms,) = {(n_atoms,)}, received {given.shape}"
        )
    if in_file is not None and not np.array_equal(in_file, given):
        raise ValueError(f"{source}: types contradict the type column of the dump")
    return given
