"""Which element each LAMMPS type is: the user's word, checked against the masses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.elements import element_name, element_numbers

__all__ = ["ATOMIC_MASSES", "check_masses_of_types", "numbers_of_types"]

# Standard atomic weights in g/mol, hydrogen first (IUPAC 2021; the mass number of an element
# that has no stable isotope).
_MASSES = """
    1.008 4.0026 6.94 9.01218 10.81 12.011 14.007 15.999 18.9984 20.1797 22.9898 24.305 26.9815
    28.085 30.9738 32.06 35.45 39.948 39.0983 40.078 44.9559 47.867 50.9415 51.9961 54.938
    55.845 58.9332 58.6934 63.546 65.38 69.723 72.63 74.9216 78.971 79.904 83.798 85.4678 87.62
    88.9058 91.224 92.9064 95.95 97.9072 101.07 102.906 106.42 107.868 112.414 114.818 118.71
    121.76 127.6 126.904 131.293 132.905 137.327 138.905 140.116 140.908 144.242 144.913 150.36
    151.964 157.25 158.925 162.5 164.93 167.259 168.934 173.054 174.967 178.49 180.948 183.84
    186.207 190.23 192.217 195.084 196.967 200.592 204.38 207.2 208.98 208.982 209.987 222.018
    223.02 226.025 227.028 232.038 231.036 238.029 237.048 244.064 243.061 247.07 247.07 251.08
    252.083 257.095 258.098 259.101 262.11 267.122 268.126 271.134 270.133 269.134 278.156
    281.165 281.166 285.177 286.182 289.19 289.194 293.204 293.208 294.214
    """.split()  # noqa: SIM905
ATOMIC_MASSES = tuple(float(mass) for mass in _MASSES)

# "mass 2 32" for sulfur must pass, and nitrogen for carbon must not. Deuterium and other single
# isotopes need check_masses=False.
_TOLERANCE = 0.02
_LEAST_TOLERANCE = 0.1  # g/mol
# Elements are taken from masses only where these are theirs: force fields write 12.0112 for 12.011.
_SAME_MASS = 0.02  # g/mol


def numbers_of_types(
    elements: Sequence[str | int] | Mapping[Any, str | int] | str,
    n_types: int,
    used: Iterable[int] | None = None,
    masses: Mapping[int, float] | None = None,
) -> NDArray[np.int32]:
    """(n_types,) atomic numbers or bead types, of LAMMPS types 1, 2 ...

    Parameters
    ----------
    elements : sequence, mapping or "masses"
        Symbols or positive numbers: of type 1, type 2 and so on, or ``{type: element}`` for all
        types that atoms have; or the elements that have these masses.
    n_types : int
    used : iterable of int, optional
        Types that atoms have; all if not given. Others may be left out, and get 0.
    masses : mapping from type to g/mol, for ``elements="masses"``.

    Raises
    ------
    TypeError
        If ``elements`` is another text.
    ValueError
        If not every type that atoms have gets an element, or for a symbol that is none.
    """
    wanted = sorted(range(1, n_types + 1) if used is None else used)
    if isinstance(elements, str) and elements == "masses":
        return _numbers_of_masses(n_types, wanted, masses or {})
    if isinstance(elements, str) or not isinstance(elements, (Sequence, Mapping)):
        raise TypeError(
            "elements must be a sequence with one symbol for each LAMMPS type, type 1 first, a "
            f"mapping or the word 'masses', received {elements!r}"
        )
    by_type = {str(kind): element for kind, element in _items(elements)}
    needed = {str(kind) for kind in wanted}
    if isinstance(elements, Mapping):
        fits = needed <= set(by_type) <= {str(kind) for kind in range(1, n_types + 1)}
    else:
        fits = len(by_type) == n_types
    if not fits:
        received = dict(elements) if isinstance(elements, Mapping) else list(elements)
        missing = sorted(needed - set(by_type), key=int)
        raise ValueError(
            f"elements must name every LAMMPS type, 1 to {n_types}, received {received}"
            + (f"; missing: {', '.join(missing)}" if missing else "")
        )
    numbers = np.zeros(n_types, np.int32)
    numbers[[int(kind) - 1 for kind in by_type]] = element_numbers(by_type.values())
    return numbers


def _numbers_of_masses(
    n_types: int, wanted: Sequence[int], masses: Mapping[int, float]
) -> NDArray[np.int32]:
    numbers = np.zeros(n_types, np.int32)
    for kind in wanted:
        if kind not in masses:
            raise ValueError(
                "elements='masses' needs a mass in g/mol for each LAMMPS type: not of units lj, "
                f"nor of atoms with masses of their own; type {kind} has none"
            )
        off = np.abs(np.array(ATOMIC_MASSES) - masses[kind])
        if off.min() > _SAME_MASS:
            raise ValueError(
                f"elements='masses' needs the masses of elements, within {_SAME_MASS} g/mol, "
                f"received {masses[kind]:g} for LAMMPS type {kind}"
            )
        numbers[kind - 1] = int(off.argmin()) + 1
    return numbers


def check_masses_of_types(
    elements: Sequence[str | int] | Mapping[Any, str | int], masses: Mapping[int, float]
) -> None:
    """Raise ValueError if a type has not the mass of its element.

    Parameters
    ----------
    elements : as in :func:`numbers_of_types`
        Only those that are symbols are checked: numbers may be beads.
    masses : mapping from type to g/mol.
    """
    by_type = {str(kind): element for kind, element in _items(elements)}
    for kind, mass in masses.items():
        element = str(by_type.get(str(kind), "0")).strip()
        if element.isdigit():  # beads, and types that no atom has
            continue
        (number,) = element_numbers([element])
        expected = ATOMIC_MASSES[number - 1]
        if abs(mass - expected) > max(_TOLERANCE * expected, _LEAST_TOLERANCE):
            nearest = int(np.argmin(np.abs(np.array(ATOMIC_MASSES) - mass))) + 1
            raise ValueError(
                f"elements: LAMMPS type {kind} has mass {mass:g} g/mol, but {element} has "
                f"{expected:g} (nearest: {element_name(nearest)}); elements must stand in the "
                "order of LAMMPS' types. Pass check_masses=False if the masses are not those of "
                "elements"
            )


def _items(
    elements: Sequence[str | int] | Mapping[Any, str | int],
) -> Iterable[tuple[Any, str | int]]:
    return elements.items() if isinstance(elements, Mapping) else enumerate(elements, start=1)
