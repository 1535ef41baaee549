"""Numbers as text: rounded by their errors, with powers of ten and units."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["power_of_ten", "rounded", "typographic", "with_power"]

_MINUS = "\N{MINUS SIGN}"
_NOTHING = "\N{EN DASH}"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def typographic(text: str) -> str:
    """The same with minus signs for hyphens."""
    return text.replace("-", _MINUS)


def power_of_ten(values: ArrayLike) -> int:
    """The exponent to divide by, so that the largest has one digit before its point; 0 mostly."""
    sizes = np.abs(np.asarray(values, dtype=np.float64))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0.0)]
    if not sizes.size:
        return 0
    exponent = int(np.floor(np.log10(sizes.max())))
    return 0 if -1 <= exponent <= 2 else exponent


def with_power(unit: str, exponent: int) -> str:
    """ "(unit)", or "(10⁻³ unit)"."""
    power = f"10{str(exponent).translate(_RAISED)}" if exponent else ""
    inside = f"{power} {unit}".strip()
    return f"({inside})" if inside else ""


def rounded(value: float, lower: float, upper: float) -> tuple[str, str]:
    """A value and its error as text, both with the digits that the error leaves.

    Two digits of an error that begins with 1 or 2, else one: ("0.131", "±0.012"). Errors that
    differ in what is shown: ("0.13", "+0.05 / −0.03"). Without an error three digits; a dash for a
    value that is not known.
    """
    if not np.isfinite(value):
        return _NOTHING, ""
    value = value + 0.0  # a zero has no sign
    above, below = max(upper - value, 0.0), max(value - lower, 0.0)
    if not (np.isfinite(above) and np.isfinite(below)):
        return typographic(f"{value:.3g}"), ""
    largest = max(above, below)
    if largest == 0.0:
        return typographic(f"{value + 0.0:.3g}"), "±0"
    mantissa, exponent = f"{largest:.5e}".split("e")
    digits = (1 if mantissa[0] in "12" else 0) - int(exponent)
    digits = max(digits, 0)
    shown, more, less = (f"{number:.{digits}f}" for number in (value, above, below))
    if float(shown) == 0.0:
        shown = shown.lstrip("-")
    error = f"±{more}" if more == less else f"+{more} / {_MINUS}{less}"
    return typographic(shown), error
