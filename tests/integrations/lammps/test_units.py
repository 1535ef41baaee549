"""Unit styles, against the dump reader's own table and against LAMMPS' documentation."""

from __future__ import annotations

import pytest
from kgdyn.integrations.lammps.units import unit_scale

from kgdyn.trajectories._dump_units import LENGTH_UNITS, TIME_UNITS


@pytest.mark.parametrize("style", sorted(set(LENGTH_UNITS) - {"lj"}))
def test_live_frames_have_the_units_of_the_dump(style: str) -> None:
    scale = unit_scale(style)
    assert scale.length == LENGTH_UNITS[style]
    assert scale.time == TIME_UNITS[style]


@pytest.mark.parametrize(
    ("style", "carbon"),
    [
        ("real", 12.011),
        ("metal", 12.011),
        ("electron", 12.011),
        ("si", 1.99447e-26),
        ("cgs", 1.99447e-23),
        ("micro", 1.99447e-11),
        ("nano", 1.99447e-5),
    ],
)
def test_the_mass_of_carbon_in_every_style(style: str, carbon: float) -> None:
    mass = unit_scale(style).mass
    assert mass is not None
    assert carbon * mass == pytest.approx(12.011, rel=1e-4)


def test_lj_has_the_scale_that_is_given() -> None:
    assert unit_scale("lj", 3.4, 2.15) == unit_scale("lj", length_unit=3.4, time_unit=2.15)
    assert unit_scale("lj", 3.4, 2.15).length == 3.4
    assert unit_scale("lj", 3.4, 2.15).time == 2.15
    assert (unit_scale("lj").length, unit_scale("lj").time) == (1.0, None)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="length_unit is for units lj only: units metal"):
        unit_scale("metal", 3.4)
    with pytest.raises(ValueError, match="time_unit must be positive, received -1"):
        unit_scale("lj", 3.4, -1.0)
    with pytest.raises(ValueError, match=r"units must be one of .* received 'furlong'"):
        unit_scale("furlong")
