"""The recipe of the polymer electrolyte: beads, bonds, the script, and what is refused."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from kgdyn.toys import CoarsePolymerElectrolyte, LennardJones


def words(script: str, first: str) -> list[list[str]]:
    """Words of the commands of this name, without it."""
    return [line.split()[1:] for line in script.splitlines() if line.split()[0] == first]


def test_beads_of_the_default() -> None:
    system = CoarsePolymerElectrolyte()
    assert system.n_beads == 550
    names, counts = np.unique(system.bead_names, return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {
        "EO": 500,
        "Li": 25,
        "TFSI": 25,
    }
    assert system.charges.sum() == 0.0
    assert set(system.charges[system.bead_names == "TFSI"].tolist()) == {-1.0}
    np.testing.assert_array_equal(
        system.molecules[[0, 49, 50, 499, 500, 549]], [1, 1, 2, 10, 11, 60]
    )
    np.testing.assert_array_equal(system.bead_types[[0, 499, 500, 525]], [1, 1, 2, 3])
    assert (system.steps_per_frame, system.n_frames) == (5000, 4000)
    assert system.production().n_steps == 20_000_000


def test_bonds_join_neighbours_of_one_chain() -> None:
    system = CoarsePolymerElectrolyte(n_chains=3, chain_length=4, n_salt=2)
    expected = [(0, 1), (1, 2), (2, 3), (4, 5), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11)]
    assert [tuple(bond) for bond in system.bonds.tolist()] == expected
    np.testing.assert_array_equal(system.molecules, [1] * 4 + [2] * 4 + [3] * 4 + [4, 5, 6, 7])


def test_start() -> None:
    system = CoarsePolymerElectrolyte(bond_length=3.2, seed=5)
    start = system.start()
    a, b = system.bonds.T
    np.testing.assert_allclose(np.linalg.norm(start[b] - start[a], axis=1), 3.2, rtol=1e-12)
    np.testing.assert_array_equal(start, replace(system, duration=1.0).start())
    assert not np.array_equal(start, replace(system, seed=6).start())


def test_input_script_places_what_start_says() -> None:
    system = CoarsePolymerElectrolyte(n_chains=3, chain_length=40, n_salt=2, seed=8)
    script = system.input_script()
    atoms = words(script, "create_atoms")
    assert [int(atom[0]) for atom in atoms] == system.bead_types.tolist()
    inside = np.array([[float(x) for x in atom[2:5]] for atom in atoms])
    assert inside.min() >= 0.0
    assert inside.max() < system.box_length
    images = np.zeros((system.n_beads, 3))
    set_commands = words(script, "set")
    for bead, image in [(s[1], s[3:]) for s in set_commands if s[2] == "image"]:
        images[int(bead) - 1] = [int(number) for number in image]
    assert images.any()
    unwrapped = inside + system.box_length * images
    np.testing.assert_allclose(unwrapped, system.start(), rtol=0, atol=6e-4)
    molecules = np.zeros(system.n_beads, dtype=int)
    for beads, number in [(s[1], s[3]) for s in set_commands if s[2] == "mol"]:
        low, high = (int(text) for text in beads.split("*"))
        molecules[low - 1 : high] = int(number)
    np.testing.assert_array_equal(molecules, system.molecules)
    charges = {int(s[1]): float(s[3]) for s in set_commands if s[2] == "charge"}
    assert [charges[kind] for kind in system.bead_types] == system.charges.tolist()
    bonds = words(script, "create_bonds")
    assert [(int(b[2]) - 1, int(b[3]) - 1) for b in bonds] == [tuple(b) for b in system.bonds]
    assert [b[5] for b in bonds] == ["no"] * (len(bonds) - 1) + ["yes"]


def test_every_number_reaches_the_commands() -> None:
    """Another value of any parameter makes other commands."""
    system = CoarsePolymerElectrolyte()
    seen = {commands(system)}
    for field in fields(system):
        value = getattr(system, field.name)
        if isinstance(value, LennardJones):
            others = [replace(value, depth=0.77), replace(value, size=2.9)]
            others += [replace(value, cutoff=8.5)]
        elif isinstance(value, tuple):
            others = [(*value[:2], 99.0)]
        else:
            others = [2 * value]
        for other in others:
            changed = commands(replace(system, **{field.name: other}))
            assert changed not in seen, field.name
            seen.add(changed)


def commands(system: CoarsePolymerElectrolyte) -> str:
    """All that LAMMPS is told."""
    stages = (*system.preparation(), system.production())
    return (
        system.input_script()
        + "".join(f"{s.commands}run {s.n_steps}\n" for s in stages)
        + (f"frames each {system.steps_per_frame}")
    )


def test_potential() -> None:
    system = CoarsePolymerElectrolyte(dielectric=4.0, li_eo=LennardJones(8.0, 2.35, 6.0))
    _, full, annealing, cooling, equilibration = system.preparation()
    pairs = words(full.commands, "pair_coeff")
    wells = {(p[0], p[1]): [float(x) for x in p[3:]] for p in pairs if p[2] == "lj/cut"}
    assert wells["1", "2"] == [8.0, 2.35, 6.0]
    # Repulsive alone: cut at the minimum.
    np.testing.assert_allclose(wells["3", "3"], [0.45, 5.5, 5.5 * 2 ** (1 / 6)], rtol=1e-12)
    assert len(wells) == 6
    assert [p[:2] for p in pairs if p[2] == "coul/dsf"] == [["2", "2"], ["2", "3"], ["3", "3"]]
    assert words(full.commands, "dielectric") == [["4.0"]]
    assert words(full.commands, "pair_modify") == [["shift", "yes"]]
    # Nothing limits the steps from the annealing on.
    assert words(annealing.commands, "fix")[0] == ["move", "all", "nve"]
    (bath,) = words(cooling.commands, "fix")
    assert bath[2:6] == ["langevin", "700.0", "340.0", "100"]
    (bath,) = words(equilibration.commands, "fix")
    assert bath[2:6] == ["langevin", "340.0", "340.0", "100"]


def test_long_lived_changes_wells_and_times_alone() -> None:
    system = CoarsePolymerElectrolyte.long_lived(seed=4, equilibration_time=8.0)
    default = CoarsePolymerElectrolyte(seed=4)
    changed = {
        field.name
        for field in fields(system)
        if getattr(system, field.name) != getattr(default, field.name)
    }
    times = {"annealing_time", "cooling_time", "equilibration_time"}
    assert changed == {"li_eo", "li_tfsi", "dielectric", *times}
    assert (system.seed, system.equilibration_time) == (4, 8.0)
    # The attraction of Li and TFSI is cut where it is weak, not at its minimum.
    np.testing.assert_allclose(system.li_tfsi.minimum, 3.367, rtol=1e-3)
    assert system.li_tfsi.range == 6.5


def test_a_seed_decides_all_random_numbers() -> None:
    system = CoarsePolymerElectrolyte(seed=3)
    assert commands(system) == commands(CoarsePolymerElectrolyte(seed=3))
    numbers = re.findall(r"(?:create|langevin \S+ \S+|create \S+) \S+ (\d+)\n", commands(system))
    assert len(numbers) == len(set(numbers)) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_chains": 0}, "n_chains must be an integer from 1, received 0"),
        ({"chain_length": 2.5}, "chain_length must be an integer from 1, received 2.5"),
        ({"n_salt": -1}, "n_salt must be an integer from 1, received -1"),
        ({"temperature": 0.0}, "temperature must be above 0 K, received 0.0"),
        ({"dielectric": np.nan}, "dielectric must be above 0, received nan"),
        ({"damping": 0.0}, "damping must be above 0 ps, received 0.0"),
        ({"bond_strength": -1.0}, r"bond_strength must be above 0 kcal/mol/angstrom\^2, received"),
        ({"push_off_time": -1.0}, "push_off_time must be at least 0 ps, received -1.0"),
        ({"masses": (1.0, 2.0)}, r"masses must be three positive numbers, received \(1.0, 2.0\)"),
        ({"masses": (1.0, 2.0, 0.0)}, "masses must be three positive numbers"),
        ({"box_length": 20.0}, "at least twice the longest cut-off, 24 angstrom, received 20.0"),
        ({"duration": 0.01}, r"at least one frame of 20.0 ps, received 0.01 ns"),
        ({"frame_interval": 0.006}, "a multiple of the time step, 0.004 ps, received 0.006"),
        ({"seed": 900_000_001}, "seed must be between 1 and 900,000,000, received 900000001"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CoarsePolymerElectrolyte(), **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-0.1, 3.0), "depth must be at least 0 kcal/mol, received -0.1"),
        ((0.1, 0.0), "size must be above 0 angstrom, received 0.0"),
        ((0.1, 3.0, 0.0), "cutoff must be above 0 angstrom, received 0.0"),
    ],
)
def test_refuses_a_pair(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LennardJones(*arguments)
