"""The rows of LAMMPS dump frames as arrays in the atoms' order; and, slowly, what is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.trajectories._dump_header import DumpError, Header, Layout
from kgdyn.trajectories._number_table import MalformedTableError, TokenTable

__all__ = ["AtomOrder", "fault", "first_rows", "rows_of_frames"]

# Ids spread over at most this many times their number are looked up in a table.
_DENSE = 16


@dataclass(frozen=True)
class AtomOrder:
    """The atoms of the first frame, by ascending id; every frame is brought into this order.

    ``types`` and ``elements`` hold each atom's text as one integer, None without the column.
    """

    ids: NDArray[np.int64] | None
    types: NDArray[np.uint64] | None
    elements: NDArray[np.uint64] | None

    def rows(self, ids: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Place of each id; None unless every atom is there once."""
        if self.ids is None:
            return None
        known, n_atoms = self.ids, len(self.ids)
        lowest, span = int(known[0]), int(known[-1] - known[0]) + 1
        if int(ids.min()) < lowest or int(ids.max()) - lowest >= span:
            return None
        if span == n_atoms:
            rows = ids - lowest
        elif span <= _DENSE * n_atoms:
            table = np.full(span, -1)
            table[known - lowest] = np.arange(n_atoms)
            rows = table[ids - lowest]
        else:
            rows = np.searchsorted(known, ids)
            rows[known[rows] != ids] = -1
        seen = np.zeros(n_atoms + 1, bool)  # an unknown id marks the last place
        seen[rows] = True
        return rows if seen[:n_atoms].all() else None


def first_rows(
    text: bytes, header: Header, layout: Layout
) -> tuple[AtomOrder, list[str] | None, list[str] | None]:
    """The order of the atoms, and their types and elements as text.

    Raises
    ------
    DumpError
        At the first row that breaks a rule.
    """
    try:
        table = TokenTable([text[header.size :]], header.n_atoms, len(header.columns))
        ids: NDArray[np.int64] | None = None
        order = np.arange(header.n_atoms)
        if layout.id is not None:
            ids = _integers(table.numbers([layout.id])[0])
            order = np.argsort(ids, kind="stable")
            ids = ids[order]
            if np.any(ids[1:] == ids[:-1]):
                raise MalformedTableError("an id twice")
    except MalformedTableError as error:
        raise fault(text, header, layout, None) from error
    words, labels = [], []
    for column in (layout.type, layout.element):
        words.append(None if column is None else table.words(column)[order])
        texts = None if column is None else table.strings(column)
        labels.append(None if texts is None else [texts[row] for row in order.tolist()])
    return AtomOrder(ids, words[0], words[1]), labels[0], labels[1]


def rows_of_frames(
    texts: Sequence[bytes], headers: Sequence[Header], layout: Layout, order: AtomOrder
) -> tuple[NDArray[np.float64], NDArray[np.int32] | None]:
    """Coordinates and image flags of frames with the same columns, in the atoms' order.

    Returns
    -------
    coordinates : (n_frames, n_atoms, 3) array of float64, as in the file.
    flags : (n_frames, n_atoms, 3) array of int32, or None without such columns.

    Raises
    ------
    MalformedTableError
        If any row of any frame breaks a rule; ``check_rows`` says which.
    """
    n_frames, n_atoms = len(texts), headers[0].n_atoms
    blocks = [text[header.size :] for text, header in zip(texts, headers, strict=True)]
    table = TokenTable(blocks, n_atoms, len(headers[0].columns))
    flags = [flag for flag in layout.flags or () if flag is not None]
    ids = [] if layout.id is None else [layout.id]
    numbers = table.numbers([*layout.coordinates, *flags, *ids])
    numbers = numbers.reshape(len(numbers), n_frames, n_atoms)
    target: NDArray[np.int64] | None = None
    if ids:
        target = np.empty((n_frames, n_atoms), np.int64)
        for frame, frame_ids in enumerate(_integers(numbers[-1])):
            rows = order.rows(frame_ids)
            if rows is None:
                raise MalformedTableError("other ids")
            target[frame] = rows
    for column, expected in ((layout.type, order.types), (layout.element, order.elements)):
        if column is not None and expected is not None:
            found = table.words(column).reshape(n_frames, n_atoms)
            if np.any(found != (expected if target is None else expected[target])):
                raise MalformedTableError("an atom of another type")
    coordinates = _ordered(numbers[:3], target, np.float64)
    if layout.flags is None:
        return coordinates, None
    images = np.zeros((3, n_frames, n_atoms))
    images[[flag is not None for flag in layout.flags]] = numbers[3 : 3 + len(flags)]
    return coordinates, _ordered(_integers(images), target, np.int32)


def _integers(values: NDArray[np.float64]) -> NDArray[np.int64]:
    integers = values.astype(np.int64)
    if np.any(integers != values):
        raise MalformedTableError("not an integer")
    return integers


def _ordered(values: NDArray[Any], target: NDArray[np.int64] | None, dtype: Any) -> NDArray[Any]:
    """From (3, n_frames, n_rows) to (n_frames, n_atoms, 3)."""
    result = np.empty((*values.shape[1:], 3), dtype)
    if target is None:
        result[...] = np.moveaxis(values, 0, -1)
        return result
    frames = np.arange(values.shape[1])[:, None]
    for axis in range(3):
        result[frames, target, axis] = values[axis]
    return result


def check_rows(text: bytes, header: Header, layout: Layout, order: AtomOrder | None) -> None:
    """Look at a frame row by row, and raise at the first that breaks a rule.

    Raises
    ------
    DumpError
        Where, what the rule is and what was received.
    """
    columns = header.columns
    integers = [layout.id, *(layout.flags or ())]
    numbers = [column for column in (*layout.coordinates, *integers) if column is not None]
    first_seen: dict[int, int] = {}
    row = 0
    start = header.size
    for start, line in _rows(text, header.size):
        if row == header.n_atoms:
            raise DumpError(
                start, f"a row more than the frame's {row} atoms, received {line[:60]!r}"
            )
        tokens = line.split()
        if len(tokens) != len(columns):
            rule = f"a row needs {len(columns)} columns ({' '.join(columns)})"
            if line.startswith("ITEM:"):
                rule = f"the frame ends after {row} of {header.n_atoms} atoms"
            raise DumpError(start, f"{rule}, received {line[:60]!r}")
        for column in numbers:
            _check_number(start, columns[column], tokens[column], column in integers)
        atom = row
        if layout.id is not None:
            number = int(float(tokens[layout.id]))
            if number in first_seen:
                raise DumpError(
                    start,
                    f"atom id {number} stands twice in the frame, as its atoms "
                    f"{first_seen[number] + 1} and {row + 1}",
                )
            first_seen[number] = row
            if order is not None and order.ids is not None:
                atom = int(np.searchsorted(order.ids, number))
                if atom == len(order.ids) or order.ids[atom] != number:
                    raise DumpError(start, f"atom id {number} does not occur in the first frame")
        if order is not None:
            _check_kind(start, tokens, layout, order, atom)
        row += 1
    if row < header.n_atoms:
        raise DumpError(
            len(text), f"the frame ends after {row} of {header.n_atoms} atoms, and another follows"
        )


def fault(text: bytes, header: Header, layout: Layout, order: AtomOrder | None) -> DumpError:
    try:
        check_rows(text, header, layout, order)
    except DumpError as error:
        return error
    return DumpError(header.size, "the rows of the frame cannot be read")


def _rows(text: bytes, start: int) -> Iterator[tuple[int, str]]:
    while start < len(text):
        end = text.find(b"\n", start)
        end = len(text) if end < 0 else end
        line = text[start:end].strip()
        if line:
            yield start, line.decode("latin-1")
        start = end + 1


def _check_number(start: int, name: str, token: str, integer: bool) -> None:
    try:
        value = float(token)
    except ValueError:
        value = math.nan
        if token.lower().lstrip("+-") not in ("nan", "inf", "infinity"):
            raise DumpError(start, f"column {name} must be a number, received {token!r}") from None
    if "_" in token:
        raise DumpError(start, f"column {name} must be a number, received {token!r}")
    if not math.isfinite(value):
        raise DumpError(start, f"column {name} must be finite, received {token!r}")
    if integer and value != int(value):
        raise DumpError(start, f"column {name} must be an integer, received {token!r}")


def _check_kind(
    start: int, tokens: Sequence[str], layout: Layout, order: AtomOrder, atom: int
) -> None:
    """Refuse an atom of another type or element than in the first frame."""
    for name, column, expected in (
        ("type", layout.type, order.types),
        ("element", layout.element, order.elements),
    ):
        if column is None or expected is None:
            continue
        first = int(expected[atom]).to_bytes(8, "little").strip(b"\0").decode("latin-1")
        if tokens[column][-8:] != first:
            which = f"row {atom + 1}" if layout.id is None else f"id {tokens[layout.id]}"
            raise DumpError(
                start,
                f"atom {which} must keep its {name} {first!r} of the first frame, "
                f"received {tokens[column]!r}",
            )
