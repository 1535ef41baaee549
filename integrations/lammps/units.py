"""LAMMPS' unit styles: what its lengths, times and masses are in angstrom, ps and g/mol."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["UnitScale", "unit_scale"]

_GRAM = 1.0 / 1.66053906660e-24  # g/mol

# length in angstrom, time in ps, mass in g/mol
_STYLES = {
    "real": (1.0, 1e-3, 1.0),
    "metal": (1.0, 1.0, 1.0),
    "si": (1e10, 1e12, 1e3 * _GRAM),
    "cgs": (1e8, 1e12, _GRAM),
    "electron": (0.529177210903, 1e-3, 1.0),
    "micro": (1e4, 1e6, 1e-12 * _GRAM),
    "nano": (10.0, 1e3, 1e-18 * _GRAM),
}


@dataclass(frozen=True)
class UnitScale:
    """What one unit of LAMMPS is.

    Attributes
    ----------
    length : float, angstrom
    time : float, ps, or None
        None where nobody knows: units ``lj`` without a given time unit.
    mass : float, g/mol, or None
        None in units ``lj``.
    """

    length: float
    time: float | None
    mass: float | None


def unit_scale(
    style: str, length_unit: float | None = None, time_unit: float | None = None
) -> UnitScale:
    """The scale of a unit style.

    Parameters
    ----------
    style : str
        As of LAMMPS' command ``units``.
    length_unit : float, optional, angstrom
        Of sigma, with ``lj`` only; 1 if not given, as the dump reader has it.
    time_unit : float, optional, ps
        Of tau, with ``lj`` only.

    Raises
    ------
    ValueError
        For an unknown style, a scale that is not positive, or one given where the style has it.
    """
    given = {"length_unit": length_unit, "time_unit": time_unit}
    for name, value in given.items():
        if value is None:
            continue
        if style != "lj":
            raise ValueError(
                f"{name} is for units lj only: units {style} have their own, received {value}"
            )
        if not 0.0 < value < float("inf"):
            raise ValueError(f"{name} must be positive, received {value}")
    if style == "lj":
        return UnitScale(1.0 if length_unit is None else float(length_unit), time_unit, None)
    if style not in _STYLES:
        raise ValueError(f"units must be one of {sorted([*_STYLES, 'lj'])}, received {style!r}")
    return UnitScale(*_STYLES[style])
