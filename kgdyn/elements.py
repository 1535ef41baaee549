"""Chemical symbols and atomic numbers."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["NUMBER_OF_SYMBOL", "element_name", "element_numbers"]

_SYMBOLS = tuple(
    """
    H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br
    Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho
    Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es
    Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og
    """.split()  # noqa: SIM905
)
NUMBER_OF_SYMBOL = {symbol: number for number, symbol in enumerate(_SYMBOLS, start=1)}


def element_name(number: int) -> str:
    """The symbol of an atomic number; ``type N`` for beads beyond the periodic table."""
    return _SYMBOLS[number - 1] if 1 <= number <= len(_SYMBOLS) else f"type {number}"


def element_numbers(elements: Iterable[str | int]) -> list[int]:
    """Atomic numbers of symbols; positive integers (bead types) stand for themselves.

    Raises
    ------
    ValueError
        For a text that is no symbol, or a number below 1.
    """
    numbers = []
    for element in elements:
        text = str(element).strip()
        number = NUMBER_OF_SYMBOL.get(text, int(text) if text.isdigit() else 0)
        if number < 1:
            raise ValueError(
                f"elements must be chemical symbols or positive numbers, received {element!r}"
            )
        numbers.append(number)
    return numbers
