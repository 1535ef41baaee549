"""Numbers as a reader wants them: as many digits as their interval bears."""

from __future__ import annotations

import math

__all__ = ["bracketed", "duration", "percent", "rounded"]

_NOT_KNOWN = "\N{EN DASH}"
_PLAIN = 4  # significant digits of a number whose interval is not known


def bracketed(value: float, low: float, high: float) -> str:
    """``"52.1 [50.3, 54.0]"``: value and 95% interval, to two digits of the interval's half width.

    Bounds that are not known are left out; a value that is not known is a dash.
    """
    if not math.isfinite(value):
        return _NOT_KNOWN
    value, low, high = value + 0.0, low + 0.0, high + 0.0  # no -0
    if not (math.isfinite(low) and math.isfinite(high)):
        known = f", at most {high:.3g}" if math.isfinite(high) else ""
        return f"{rounded(value)} [not known{known}]"
    half = max(abs(high - value), abs(value - low))
    if half == 0.0:
        return f"{rounded(value)} [±0]"
    places = 1 - math.floor(math.log10(half))
    largest = max(abs(value), abs(low), abs(high))
    if largest >= 1e6 or largest < 1e-4:
        digits = max(0, math.floor(math.log10(largest)) + places)
        return f"{value:.{digits}e} [{low:.{digits}e}, {high:.{digits}e}]"
    places = max(0, places)
    shown = [f"{x:.{places}f}" for x in (value, low, high)]
    shown = [text.lstrip("-") if float(text) == 0.0 else text for text in shown]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def percent(value: float, low: float, high: float) -> str:
    """``"7.0% [6.1, 7.9]"`` of a share from 0 to 1."""
    if not math.isfinite(value):
        return _NOT_KNOWN
    text = bracketed(100.0 * value, 100.0 * low, 100.0 * high)
    number, _, rest = text.partition(" ")
    return f"{number}% {rest}"


def rounded(value: float) -> str:
    """Four significant digits, without an exponent where that is readable."""
    if not math.isfinite(value):
        return _NOT_KNOWN
    if value != 0.0 and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.{_PLAIN - 1}e}"
    text = f"{value:.{_PLAIN}g}"
    return f"{float(text):.0f}" if "e" in text else text


def duration(picoseconds: float) -> str:
    """A time in the unit that suits it: fs, ps, ns or us."""
    if not math.isfinite(picoseconds):
        return _NOT_KNOWN
    for limit, unit, size in ((1.0, "fs", 1e-3), (1e3, "ps", 1.0), (1e6, "ns", 1e3)):
        if abs(picoseconds) < limit:
            return f"{picoseconds / size:.4g} {unit}"
    return f"{picoseconds / 1e6:.4g} µs"
