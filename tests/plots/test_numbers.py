"""Numbers in figures are rounded by their errors."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.plots._numbers import power_of_ten, rounded, typographic, with_power

NAN = float("nan")
MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "lower", "upper", "shown"),
    [
        (0.1312, 0.1192, 0.1432, ("0.131", "±0.012")),
        (0.1312, 0.0812, 0.1812, ("0.13", "±0.05")),
        (0.1312, 0.1012, 0.1812, ("0.13", f"+0.05 / {MINUS}0.03")),
        (-12.34, -16.34, -8.34, (f"{MINUS}12", "±4")),
        (1234.0, 1100.0, 1368.0, ("1234", "±134")),
        (5.0, 5.0, 5.0, ("5", "±0")),
        (-0.001, -0.301, 0.299, ("0.0", "±0.3")),
        (-0.0, np.nan, np.nan, ("0", "")),
        (0.1312, NAN, NAN, ("0.131", "")),
        (NAN, 0.0, 1.0, ("\N{EN DASH}", "")),
        # An estimate outside of its interval.
        (1.0, 1.1, 1.4, ("1.0", f"+0.4 / {MINUS}0.0")),
    ],
)
def test_rounded(value: float, lower: float, upper: float, shown: tuple[str, str]) -> None:
    assert rounded(value, lower, upper) == shown


@pytest.mark.parametrize(
    ("values", "exponent"),
    [
        ([3.2e-5, -1.0e-6, NAN], -5),
        ([-4.4e-2], -2),
        ([0.1, 0.9], 0),
        ([999.0], 0),
        ([1000.0], 3),
        ([0.0, NAN], 0),
        ([], 0),
    ],
)
def test_power_of_ten(values: list[float], exponent: int) -> None:
    assert power_of_ten(np.array(values)) == exponent


def test_units() -> None:
    assert with_power("Å²/ps", -3) == "(10⁻³ Å²/ps)"
    assert with_power("S/m", 0) == "(S/m)"
    assert with_power("", 12) == "(10¹²)"
    assert with_power("", 0) == ""
    assert typographic("1e-5") == f"1e{MINUS}5"
