"""Elements of LAMMPS' types, and what their masses say."""

from __future__ import annotations

from typing import Any

import pytest
from ase.data import atomic_masses
from kgdyn.integrations.lammps.atom_types import (
    ATOMIC_MASSES,
    check_masses_of_types,
    numbers_of_types,
)


def test_masses_are_those_of_another_table() -> None:
    assert len(ATOMIC_MASSES) == 118
    assert pytest.approx(atomic_masses[1:119].tolist(), rel=1e-5) == ATOMIC_MASSES


@pytest.mark.parametrize(
    ("elements", "numbers"),
    [
        (["Li", "S"], [3, 16]),
        ({2: "S", 1: "Li"}, [3, 16]),
        ({"1": "Li", "2": "S"}, [3, 16]),
        ([200, 1], [200, 1]),
    ],
)
def test_elements_in_the_order_of_types(elements: Any, numbers: list[int]) -> None:
    assert numbers_of_types(elements, 2).tolist() == numbers


def test_elements_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"every LAMMPS type, 1 to 3, received \['Li', 'S'\]"):
        numbers_of_types(["Li", "S"], 3)
    with pytest.raises(ValueError, match="every LAMMPS type, 1 to 2"):
        numbers_of_types({1: "Li", 3: "S"}, 2)
    with pytest.raises(ValueError, match="chemical symbols or positive numbers, received 'Xx'"):
        numbers_of_types(["Li", "Xx"], 2)
    with pytest.raises(TypeError, match="a sequence with one symbol for each LAMMPS type"):
        numbers_of_types("LiS", 2)


def test_types_without_atoms_may_be_left_out() -> None:
    assert numbers_of_types({1: "Li", 3: "S"}, 4, used=[1, 3]).tolist() == [3, 0, 16, 0]
    with pytest.raises(ValueError, match=r"1 to 4, received .*; missing: 2$"):
        numbers_of_types({1: "Li", 3: "S"}, 4, used=[1, 2, 3])


def test_elements_of_masses() -> None:
    masses = {1: 6.94, 2: 1.0, 3: 12.0112}
    assert numbers_of_types("masses", 3, [1, 3], masses).tolist() == [3, 0, 6]
    assert numbers_of_types("masses", 3, None, masses).tolist() == [3, 1, 6]
    with pytest.raises(ValueError, match=r"within 0\.02 g/mol, received 72 for LAMMPS type 2"):
        numbers_of_types("masses", 2, None, {1: 6.94, 2: 72.0})
    with pytest.raises(ValueError, match="type 2 has none"):
        numbers_of_types("masses", 2, None, {1: 6.94})


def test_masses_tell_a_wrong_order() -> None:
    check_masses_of_types(["Li", "S"], {1: 6.94, 2: 32.0})
    check_masses_of_types({"2": "S", "1": "Li"}, {1: 7.0, 2: 32.06})
    check_masses_of_types([1, 2], {1: 72.0, 2: 45.0})  # beads
    with pytest.raises(ValueError, match=r"type 1 has mass 6.94 g/mol, but S has 32.06 .*Li"):
        check_masses_of_types(["S", "Li"], {1: 6.94, 2: 32.06})
    with pytest.raises(ValueError, match=r"type 2 has mass 14.007 .* C has 12.011 .*nearest: N"):
        check_masses_of_types(["H", "C"], {1: 1.008, 2: 14.007})
