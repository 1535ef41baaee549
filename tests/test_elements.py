"""Symbols and atomic numbers, against ASE's table."""

from __future__ import annotations

from typing import Any

import pytest
from ase.data import chemical_symbols

from kgdyn.elements import NUMBER_OF_SYMBOL, element_name, element_numbers


def test_the_table_is_that_of_ase() -> None:
    assert list(NUMBER_OF_SYMBOL) == chemical_symbols[1:]
    assert list(NUMBER_OF_SYMBOL.values()) == list(range(1, 119))
    assert [element_name(number) for number in range(1, 119)] == chemical_symbols[1:]


def test_beads_are_named_by_their_number() -> None:
    assert [element_name(number) for number in (0, -1, 119, 1000)] == [
        "type 0",
        "type -1",
        "type 119",
        "type 1000",
    ]


def test_symbols_and_numbers() -> None:
    assert element_numbers(["Li", " S ", 200, "Og", "7"]) == [3, 16, 200, 118, 7]
    assert element_numbers([]) == []


@pytest.mark.parametrize("element", ["LI", "li", "Xx", "", 0, -3, "0", 1.5, None])
def test_what_is_no_element(element: Any) -> None:
    message = "elements must be chemical symbols or positive numbers, received"
    with pytest.raises(ValueError, match=message):
        element_numbers(["Li", element])
