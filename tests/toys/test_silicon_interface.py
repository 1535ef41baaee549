"""The recipe of the silicon interface: what the script says, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kgdyn.toys import SiliconInterface


def words(script: str, first: str) -> list[list[str]]:
    """Words of the commands of this name, without it."""
    return [line.split()[1:] for line in script.splitlines() if line.split()[0] == first]


def test_defaults() -> None:
    """576 atoms: 8 in a cubic cell of 5.4655 angstrom, twice that in one of our cells."""
    system = SiliconInterface()
    assert system.n_atoms == 576
    np.testing.assert_allclose(system.box_lengths, [16.3965, 15.458769, 46.376306], rtol=1e-7)
    volume = np.prod(system.box_lengths)
    np.testing.assert_allclose(system.n_atoms / volume, 8 / 5.4655**3, rtol=1e-12)
    assert (system.steps_per_frame, system.n_frames) == (2000, 5000)
    assert system.production().n_steps == 10_000_000


def test_input_script() -> None:
    system = SiliconInterface(cells=(2, 1, 4), lattice_constant=5.4, melted=(0.3, 0.6))
    script = system.input_script()
    assert words(script, "units") == [["metal"]]
    (lattice,) = words(script, "lattice")
    assert " ".join(lattice) == "diamond 5.4 orient x 0 0 1 orient y 1 -1 0 orient z 1 1 0"
    cell, middle = words(script, "region")
    assert " ".join(cell[1:]) == "block 0 2 0 1 0 4"
    length = 4 * 5.4 * np.sqrt(2)
    np.testing.assert_allclose([float(x) for x in middle[6:8]], [0.3 * length, 0.6 * length])
    # Without these words LAMMPS would count in lattice constants.
    assert middle[8:] == ["units", "box"]
    assert words(script, "pair_coeff") == [["*", "*", "Si.sw", "Si"]]
    assert words(script, "timestep") == [["0.0025"]]


def test_stages() -> None:
    system = SiliconInterface(temperature=1600.0, melting_time=5.0, settling_time=0.0, duration=1.0)
    melting, cooling, settling = system.preparation()
    assert [stage.n_steps for stage in (melting, cooling, settling)] == [2000, 4000, 0]
    (bath,) = words(melting.commands, "fix")
    assert " ".join(bath[1:]) == "melt nvt temp 4000.0 4000.0 0.1"
    (bath,) = words(cooling.commands, "fix")
    assert " ".join(bath[1:]) == "melt nvt temp 4000.0 1800.0 0.1"
    (bath,) = words(settling.commands, "fix")
    assert " ".join(bath[1:]) == "all npt temp 1600.0 1600.0 0.1 z 0 0 1.0"
    production = system.production()
    # Nothing holds the temperature: coexistence does.
    (move,) = words(production.commands, "fix")
    assert " ".join(move[1:]) == "all nph z 0 0 1.0"
    assert production.n_steps == 400_000


def test_a_seed_decides_all_random_numbers() -> None:
    first = SiliconInterface(seed=3).preparation()
    assert first == SiliconInterface(seed=3).preparation()
    assert first != SiliconInterface(seed=4).preparation()
    assert SiliconInterface(seed=3).production() == SiliconInterface(seed=4).production()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cells": (3, 2)}, r"cells must be three integers from 1, received \(3, 2\)"),
        ({"cells": (3, 0, 6)}, r"cells must be three integers from 1, received \(3, 0, 6\)"),
        ({"cells": (3, 2.0, 6)}, "cells must be three integers from 1"),
        ({"lattice_constant": 0.0}, "lattice_constant must be above 0 angstrom, received 0.0"),
        ({"temperature": -5.0}, "temperature must be above 0 K, received -5.0"),
        ({"melting_temperature": np.nan}, "melting_temperature must be above 0 K, received nan"),
        ({"undercooling_temperature": np.inf}, "undercooling_temperature must be above 0 K"),
        ({"cooling_time": -1.0}, "cooling_time must be at least 0 ps, received -1.0"),
        ({"melted": (0.7, 0.2)}, "melted must be two ascending fractions from 0 to 1, received"),
        ({"melted": (0.2, 1.2)}, "melted must be two ascending fractions"),
        ({"duration": 0.001}, r"at least one frame of 5.0 ps, received 0.001 ns"),
        ({"duration": np.inf}, r"at least one frame of 5.0 ps, received inf ns"),
        ({"frame_interval": 0.004}, "a multiple of the time step, 0.0025 ps, received 0.004"),
        ({"seed": 0}, "seed must be between 1 and 900,000,000, received 0"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SiliconInterface(), **options)
