"""The number parser of dumps, against float()."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import kgdyn.trajectories._number_table as number_table
from kgdyn.trajectories._number_table import MalformedTableError, TokenTable

SPECIAL = """
-0 0 .5 -.5 5. -5. +3 1e5 1E-3 123456789012345 1234567890123456 9999999999999999
12345678.12345678 00000000000000012.5 -12345678 12345678 1234567. -1234567. 12345678. 1.2345678
1.23456789012345 0.1 9007199254740993 9007199254740992 900719925474099.3
"""


def test_numbers_are_those_of_float(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    formats = ["%g", "%.3f", "%.8f", "%d", "%.15g", "%.17g", "%e", "%.0f", "%.12g", "%.6f"]
    tokens = [
        rng.choice(formats) % (rng.normal() * 10.0 ** rng.integers(-6, 9)) for _ in range(5000)
    ]
    tokens += SPECIAL.split()
    expected = np.array([float(token) for token in tokens])
    text = ("\n".join(tokens) + "\n").encode()
    for size in (16_384, 7):
        monkeypatch.setattr(number_table, "_TOKENS_AT_ONCE", size)
        found = TokenTable([text], len(tokens), 1).numbers([0])[0]
        assert_array_equal(found, expected)
        assert_array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize("byte", sorted(set(range(33, 256)) - set(b"0123456789")))
def test_no_other_byte_passes_for_a_digit(byte: int) -> None:
    for template in (b"1%c2", b"%c", b"1.%c", b"123456789.%c1", b"1%c23456789.5", b"12.5%c"):
        token = template.replace(b"%c", bytes([byte]))
        try:
            expected = float(token) if b"_" not in token else None
        except ValueError:
            expected = None
        table = TokenTable([token + b"\n"], 1, 1)
        if expected is None:
            with pytest.raises(MalformedTableError):
                table.numbers([0])
        else:
            assert table.numbers([0])[0, 0] == expected
