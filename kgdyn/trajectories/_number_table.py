"""Rows of decimal numbers in text, parsed with array operations: fast, exact and strict.

Eight characters are one 64-bit word, so that a few integer operations turn all the numbers of
several frames into mantissas. ``mantissa / 10**q`` is correctly rounded with both below 2**53,
which makes the result equal to ``float(text)``: 16 characters with a dot have 15 digits at most,
and without one there is nothing to divide. Exponents and longer numbers take numpy's own
(slower) conversion.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["MalformedTableError", "TokenTable"]

Words = NDArray[np.uint64]

_PAD = 16  # bytes before the first token, so that the 16 bytes before any token's end exist
_TOKENS_AT_ONCE = 16_384  # temporaries stay in the processor's cache
_MINUS, _NEWLINE, _SPACE = 45, 10, 32


def _every_byte(value: int) -> np.uint64:
    return np.uint64(int.from_bytes(bytes([value]) * 8, "little"))


_ZEROS, _ONES, _HIGH = (_every_byte(value) for value in (0x30, 0x01, 0x80))
_DOT_CODE = 0x2E ^ 0x30  # what a dot becomes once '0' is taken off every byte
_ABOVE_NINE = _every_byte(0x80 - 10)
# Byte k of the factor is k + 1: a dot in front of k digits gives k + 1 in the highest byte.
_DIGITS_AFTER_DOT = np.uint64(int.from_bytes(bytes(range(1, 9)), "little"))
# The last n characters of a word are its n highest bytes.
_KEEP_LAST = np.array(
    [int.from_bytes(b"\0" * (8 - n) + b"\xff" * n, "little") for n in range(9)], np.uint64
)
# By the place of the dot: 0 without one, else the number of digits behind it plus one.
_DIVISORS = 10.0 ** np.maximum(np.arange(18) - 1, 0)
_NUMBER_BYTES = np.zeros(256, bool)
_NUMBER_BYTES[list(b"0123456789+-.eE\0")] = True


class MalformedTableError(Exception):
    """The text is not the table it should be; a slower look has to say where and why."""


class TokenTable:
    """Text of ``n_blocks`` blocks of ``n_rows`` rows with ``n_columns`` tokens each.

    Blank lines, trailing spaces and CRLF are no fault.

    Raises
    ------
    MalformedTableError
        If a row has another number of tokens or a block another number of rows.
    """

    def __init__(self, blocks: Sequence[bytes], n_rows: int, n_columns: int) -> None:
        text = np.frombuffer(b" " * _PAD + b"".join(blocks) + b"\n", np.uint8)
        if text.min() < 9:
            raise MalformedTableError("control characters")
        blank = text <= _SPACE
        edges = np.flatnonzero(blank[1:] != blank[:-1]) + 1  # starts and ends in turn
        n_tokens = len(blocks) * n_rows * n_columns
        if len(edges) != 2 * n_tokens:
            raise MalformedTableError("another number of tokens")
        pairs = edges.reshape(len(blocks) * n_rows, n_columns, 2)
        self._text = text
        self._has_minus = any(b"-" in block for block in blocks)
        # The eight bytes from each byte on, as a word.
        self._windows: Words = np.ndarray((len(text) - 7,), "<u8", text, strides=(1,))
        self._starts, self._ends = pairs[..., 0], pairs[..., 1]
        self._check_rows()
        borders = _PAD + np.cumsum([len(block) for block in blocks])
        if np.any(self._ends[n_rows - 1 :: n_rows, -1] > borders) or np.any(
            self._starts[n_rows::n_rows, 0] < borders[:-1]
        ):
            raise MalformedTableError("another number of rows in a block")

    def _check_rows(self) -> None:
        """Each row's tokens stand on one line, and no two rows on the same one."""
        newline = self._text == _NEWLINE
        row_ends = self._ends[:, -1]
        next_byte = np.minimum(row_ends + 1, len(newline) - 1)
        regular = newline[row_ends] | newline[next_byte]
        # One newline more than rows: the one put behind the last block.
        if regular.all() and np.count_nonzero(newline) == len(row_ends) + 1:
            return
        n_rows, n_columns = self._starts.shape
        before = np.searchsorted(self._starts.ravel(), np.flatnonzero(newline))
        if not np.array_equal(np.unique(before[before > 0]), n_columns * np.arange(1, n_rows + 1)):
            raise MalformedTableError("a row with another number of tokens")

    def numbers(self, columns: Sequence[int]) -> NDArray[np.float64]:
        """(n_columns, n_blocks * n_rows) values of some columns, all finite.

        Raises
        ------
        MalformedTableError
            If a token is not a finite decimal number.
        """
        starts = self._starts.T[list(columns)]
        ends = self._ends.T[list(columns)]
        values = np.empty(starts.shape)
        flat, flat_starts, flat_ends = values.ravel(), starts.ravel(), ends.ravel()
        for first in range(0, len(flat), _TOKENS_AT_ONCE):
            part = slice(first, first + _TOKENS_AT_ONCE)
            flat[part] = self._parse(flat_starts[part], flat_ends[part])
        return values

    def words(self, column: int) -> Words:
        """The last eight characters of each token as one integer, equal for equal tokens."""
        starts, ends = self._starts[:, column], self._ends[:, column]
        words: Words = self._windows[ends - 8] & _KEEP_LAST[np.minimum(ends - starts, 8)]
        return words

    def strings(self, column: int) -> list[str]:
        text = self._text.tobytes()
        pairs = zip(self._starts[:, column].tolist(), self._ends[:, column].tolist(), strict=True)
        return [text[start:end].decode("latin-1") for start, end in pairs]

    def _parse(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.float64]:
        lengths = ends - starts
        if self._has_minus:
            negative = self._text[starts] == _MINUS
            lengths -= negative
        kept = np.minimum(lengths, 8)
        mantissas, dot_place, faults = _digits(self._windows[ends - 8], kept)
        longer = np.flatnonzero(lengths > 8)
        if len(longer):
            front = lengths[longer] - 8
            first, first_place, first_faults = _digits(
                self._windows[ends[longer] - 16], np.minimum(front, 8)
            )
            last_place = dot_place[longer]
            # A dot in the last word leaves seven digits there.
            first *= np.where(last_place > 0, np.uint64(10**7), np.uint64(10**8))
            mantissas[longer] += first
            dot_place[longer] = np.where(first_place > 0, first_place + 8, last_place)
            first_faults |= (front > 8) | ((last_place > 0) & (first_place > 0))
            faults[longer] |= first_faults
        values = mantissas.astype(np.float64)
        values /= _DIVISORS[dot_place]
        if self._has_minus:
            np.negative(values, out=values, where=negative)
        if int(lengths.min()) < 2:  # no digit at all
            faults |= lengths <= (dot_place > 0)
        if faults.any():
            faulty = faults != 0
            values[faulty] = self._parse_slowly(starts[faulty], ends[faulty])
        return values

    def _parse_slowly(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        width = int((ends - starts).max())
        if width > 64:
            raise MalformedTableError("a token of more than 64 characters")
        offsets = np.arange(width)
        places = np.minimum(starts[:, None] + offsets, len(self._text) - 1)
        letters = np.where(offsets < (ends - starts)[:, None], self._text[places], 0)
        letters = letters.astype(np.uint8)
        # float() would take "1_0", "nan" and "inf".
        if not _NUMBER_BYTES[letters].all():
            raise MalformedTableError("a token that is not a number")
        try:
            values: NDArray[np.float64] = letters.view(f"S{width}").ravel().astype(np.float64)
        except ValueError as error:
            raise MalformedTableError(str(error)) from error
        if not np.isfinite(values).all():
            raise MalformedTableError("a number too large for float64")
        return values


def _digits(words: Words, lengths: NDArray[np.int64]) -> tuple[Words, NDArray[np.int64], Words]:
    """Read the last ``lengths`` characters of each word as digits with at most one dot.

    Returns
    -------
    The digits as an integer; the place of the dot (the number of digits behind it plus one, or
    0 without a dot); and something other than zero where anything else stood there.
    """
    digits = words ^ _ZEROS
    digits &= _KEEP_LAST[lengths]
    # Of dots (0x1e now) and digits (0 to 9) only dots have this bit.
    dots = digits >> np.uint64(4)
    dots &= _ONES
    digits ^= dots * np.uint64(_DOT_CODE)
    # All bytes must be 0 to 9 now, what was taken for a dot must be 0, and one dot must be all.
    below_dot = dots - (dots > 0)  # the bytes in front of the dot
    faults = digits + _ABOVE_NINE
    faults |= digits
    faults &= _HIGH
    faults |= dots & below_dot
    faults |= digits & (dots * np.uint64(0xFF))
    dot_place = dots * _DIGITS_AFTER_DOT
    dot_place >>= np.uint64(56)
    # Close the gap that the dot left.
    front = digits & below_dot
    digits ^= front
    front <<= np.uint64(8)
    digits |= front
    # Neighbouring digits, pairs and quadruples are joined (first character: lowest byte).
    digits *= np.uint64(10 * 2**8 + 1)
    digits >>= np.uint64(8)
    digits &= np.uint64(0x00FF00FF00FF00FF)
    digits *= np.uint64(100 * 2**16 + 1)
    digits >>= np.uint64(16)
    digits &= np.uint64(0x0000FFFF0000FFFF)
    digits *= np.uint64(10000 * 2**32 + 1)
    digits >>= np.uint64(32)
    return digits, dot_place.view(np.int64), faults
