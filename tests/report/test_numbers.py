"""Numbers with the digits that their intervals bear."""

from __future__ import annotations

import math

import pytest

from kgdyn.report.numbers import bracketed, duration, percent, rounded


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((52.123, 50.31, 54.04), "52.1 [50.3, 54.0]"),
        ((0.0123456, 0.0119, 0.0127), "0.01235 [0.01190, 0.01270]"),
        ((1234.5, 1000.0, 1500.0), "1234 [1000, 1500]"),
        ((-0.637, -0.70, -0.55), "-0.637 [-0.700, -0.550]"),
        ((3.0, 3.0, 3.0), "3 [±0]"),
        ((2.5e-9, 2.4e-9, 2.6e-9), "2.50e-09 [2.40e-09, 2.60e-09]"),
        ((4.0e7, 3.0e7, 5.0e7), "4.0e+07 [3.0e+07, 5.0e+07]"),
        ((math.nan, 0.0, 1.0), "\N{EN DASH}"),
        ((0.5, math.nan, math.nan), "0.5 [not known]"),
        ((0.0, math.nan, 0.0123), "0 [not known, at most 0.0123]"),
    ],
)
def test_two_digits_of_the_half_width(values: tuple[float, float, float], text: str) -> None:
    assert bracketed(*values) == text


def test_percent() -> None:
    assert percent(0.0702, 0.061, 0.079) == "7.02% [6.10, 7.90]"
    assert percent(math.nan, 0.0, 1.0) == "\N{EN DASH}"


def test_rounded() -> None:
    assert [rounded(x) for x in (0.0, 12345.678, 0.00012, 3e-7, 2.5e8)] == [
        "0", "12350", "0.00012", "3.000e-07", "2.500e+08",
    ]  # fmt: skip


def test_duration() -> None:
    found = [duration(x) for x in (0.002, 0.1, 10.0, 30_000.0, 2.5e6, math.inf)]
    assert found == ["2 fs", "100 fs", "10 ps", "30 ns", "2.5 µs", "\N{EN DASH}"]
