"""The recipe of the water film: what the script says, and what is refused."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from kgdyn.toys import WaterSlab


def words(script: str, first: str) -> list[list[str]]:
    """Words of the commands of this name, without it."""
    return [line.split()[1:] for line in script.splitlines() if line.split()[0] == first]


def test_defaults() -> None:
    """Water of 1 g/cm^3: 18.015 g/mol in 29.9 cubic angstrom."""
    system = WaterSlab()
    assert system.n_molecules == 216
    density = 216 * 18.0154 / 0.602214 / np.prod(system.lengths)
    assert density == pytest.approx(1.0, abs=0.005)
    assert (system.steps_per_frame, system.n_frames) == (250, 600)
    assert system.production().n_steps == 150_000


def test_start() -> None:
    system = WaterSlab(molecules=(6, 7, 5), height=60.0, seed=3)
    start = system.start()
    assert start.shape == (210, 3, 3)
    first, second = start[:, 1] - start[:, 0], start[:, 2] - start[:, 0]
    for bond in (first, second):
        np.testing.assert_allclose(np.linalg.norm(bond, axis=1), 1.0, rtol=1e-12)
    angles = np.degrees(np.arccos((first * second).sum(axis=1)))
    np.testing.assert_allclose(angles, 109.47, rtol=1e-12)
    # Turned at random, and the film in the middle.
    assert np.abs(first.mean(axis=0)).max() < 0.15
    assert start[:, 0, 2].mean() == pytest.approx(30.0)
    # No molecule is cut by the border of the cell.
    assert start.min() > 0.0
    assert (start < [system.lengths[0], system.lengths[1], 60.0]).all()
    np.testing.assert_array_equal(start, replace(system, duration=1.0).start())
    assert not np.array_equal(start, replace(system, seed=4).start())


def test_input_script_says_what_start_says() -> None:
    system = WaterSlab(seed=5)
    script = system.input_script()
    atoms = words(script, "create_atoms")
    assert [atom[0] for atom in atoms] == ["1", "2", "2"] * 216
    placed = np.array([[float(x) for x in atom[2:5]] for atom in atoms])
    np.testing.assert_allclose(placed, system.start().reshape(-1, 3), rtol=0, atol=6e-5)
    molecules = [s for s in words(script, "set") if s[2] == "mol"]
    assert molecules[0] == ["atom", "1*3", "mol", "1"]
    assert molecules[-1] == ["atom", "646*648", "mol", "216"]
    bonds = words(script, "create_bonds")
    assert bonds[:3] == [
        ["single/bond", "1", "1", "2", "special", "no"],
        ["single/bond", "1", "1", "3", "special", "no"],
        ["single/angle", "1", "2", "1", "3", "special", "no"],
    ]
    assert [bond[-1] for bond in bonds] == ["no"] * 647 + ["yes"]
    assert [bond[2:4] for bond in bonds[-2:]] == [["646", "648"], ["647", "646"]]
    charges = {s[1]: float(s[3]) for s in words(script, "set") if s[2] == "charge"}
    assert charges == {"1": -0.8476, "2": 0.4238}
    assert words(script, "pair_coeff")[-1] == ["1", "1", "0.1553", "3.166"]


def test_every_number_reaches_the_commands() -> None:
    """Another value of any parameter makes other commands."""
    system = WaterSlab()
    seen = {commands(system)}
    for field in fields(system):
        value = getattr(system, field.name)
        other = (7, 7, 7) if isinstance(value, tuple) else 2 * value
        changed = commands(replace(system, **{field.name: other}))
        assert changed not in seen, field.name
        seen.add(changed)


def commands(system: WaterSlab) -> str:
    """All that LAMMPS is told."""
    stages = (*system.preparation(), system.production())
    told = "".join(f"{s.commands}run {s.n_steps}\n" for s in stages)
    return f"{system.input_script()}{told}frames each {system.steps_per_frame}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"molecules": (6, 6)}, r"molecules must be three integers from 1, received \(6, 6\)"),
        ({"molecules": (6, 6, 0)}, "molecules must be three integers from 1"),
        ({"molecules": (6, 6, 2.0)}, "molecules must be three integers from 1"),
        ({"molecules": (5, 6, 6)}, "a film at least 18 angstrom wide, two cut-offs: 6 by 6 do"),
        ({"height": 20.0}, "a cut-off of room beside the film, at least 27.624 angstrom, received"),
        ({"height": np.nan}, "height must be above 0 angstrom, received nan"),
        ({"temperature": 0.0}, "temperature must be above 0 K, received 0.0"),
        ({"thermostat_damping": 0.0}, "thermostat_damping must be above 0 ps, received 0.0"),
        ({"settling_time": -1.0}, "settling_time must be at least 0 ps, received -1.0"),
        ({"duration": 0.0001}, r"at least one frame of 0.5 ps, received 0.0001 ns"),
        ({"frame_interval": 0.003}, "a multiple of the time step, 0.002 ps, received 0.003"),
        ({"seed": 0}, "seed must be between 1 and 900,000,000, received 0"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(WaterSlab(), **options)
