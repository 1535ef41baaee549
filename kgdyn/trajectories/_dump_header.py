"""The header of one frame of a LAMMPS text dump: step, box and names of the columns."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Box", "DumpError", "Header", "Layout", "find_layout", "parse_header"]

Vector = tuple[float, float, float]

# In order of preference: those that know which periodic image an atom is in come first.
_COORDINATES = (("xu", "yu", "zu"), ("xsu", "ysu", "zsu"), ("x", "y", "z"), ("xs", "ys", "zs"))
_FLAGS = ("ix", "iy", "iz")


class DumpError(Exception):
    """A broken rule, at a byte of the frame's text; the reader adds file, frame and row.

    ``ended`` says that the text ended where more was expected.
    """

    def __init__(self, position: int, rule: str, *, ended: bool = False) -> None:
        super().__init__(rule)
        self.position = position
        self.rule = rule
        self.ended = ended


@dataclass(frozen=True)
class Box:
    """Lattice vectors (rows) and origin in the file's unit of length, and periodicity."""

    cell: tuple[Vector, Vector, Vector]
    origin: Vector
    pbc: tuple[bool, bool, bool] | None


@dataclass(frozen=True)
class Header:
    """What stands in front of the rows, which start at byte ``size`` of the frame's text."""

    step: int
    time: float | None
    units: str | None
    n_atoms: int
    box: Box
    columns: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Layout:
    """Where the columns that matter stand in a row, counted from 0."""

    kind: str
    coordinates: tuple[int, ...]
    flags: tuple[int | None, ...] | None
    id: int | None
    type: int | None
    element: int | None

    @property
    def scaled(self) -> bool:
        return self.kind in ("xs", "xsu")

    @property
    def unwrapped(self) -> bool:
        return self.kind in ("xu", "xsu")

    @property
    def role(self) -> tuple[str, bool, bool, bool, bool]:
        """What must stay the same in a file, while the order of columns may change."""
        known = [column is not None for column in (self.id, self.type, self.element)]
        return (self.kind, self.flags is not None, known[0], known[1], known[2])


def find_layout(columns: tuple[str, ...], pbc: tuple[bool, ...]) -> Layout | None:
    """Choose columns; None if no kind of coordinates is complete."""
    place = {name: index for index, name in reversed(list(enumerate(columns)))}
    for names in _COORDINATES:
        if all(name in place for name in names):
            break
    else:
        return None
    needed = [flag for flag, periodic in zip(_FLAGS, pbc, strict=True) if periodic]
    known = bool(needed) and all(flag in place for flag in needed)
    return Layout(
        kind=names[0],
        coordinates=tuple(place[name] for name in names),
        flags=tuple(place.get(flag) for flag in _FLAGS) if known else None,
        id=place.get("id"),
        type=place.get("type"),
        element=place.get("element"),
    )


def _lines(text: bytes) -> Iterator[tuple[int, str]]:
    """Start and content of each line that is not blank; refuses to end."""
    start = 0
    while (end := text.find(b"\n", start)) >= 0:
        line = text[start:end].strip()
        if line:
            yield start, line.decode("latin-1")
        start = end + 1
    raise DumpError(start, "the frame ends within its header", ended=True)


def parse_header(text: bytes) -> Header:
    """Read everything in front of a frame's rows.

    Raises
    ------
    DumpError
        If an item is unknown, missing or not what it should be.
    """
    units: str | None = None
    step: int | None = None
    time: float | None = None
    n_atoms: int | None = None
    box: Box | None = None
    lines = _lines(text)
    for start, line in lines:
        if line == "ITEM: TIMESTEP":
            step = _integer(*next(lines), "the step")
        elif line == "ITEM: NUMBER OF ATOMS":
            at, count = next(lines)
            n_atoms = _integer(at, count, "the number of atoms")
            if n_atoms < 1:
                raise DumpError(at, f"a frame needs at least one atom, received {n_atoms}")
        elif line.startswith("ITEM: BOX BOUNDS"):
            box = _parse_box(line.split()[3:], [next(lines) for _ in range(3)])
        elif line.startswith("ITEM: ATOMS"):
            columns = tuple(line.split()[2:])
            size = text.index(b"\n", start) + 1
            break
        elif line == "ITEM: TIME":
            (time,) = _reals(*next(lines), 1, "the time")
        elif line == "ITEM: UNITS":
            units = next(lines)[1]
        else:
            raise DumpError(
                start,
                "a frame must start with ITEM: TIMESTEP, NUMBER OF ATOMS, BOX BOUNDS and ATOMS "
                f"(a LAMMPS text dump of style atom or custom), received {line[:60]!r}",
            )
    missing = [
        name
        for name, value in (("TIMESTEP", step), ("NUMBER OF ATOMS", n_atoms), ("BOX BOUNDS", box))
        if value is None
    ]
    if step is None or n_atoms is None or box is None:
        raise DumpError(start, f"ITEM: {missing[0]} is missing in front of ITEM: ATOMS")
    return Header(step, time, units, n_atoms, box, columns, size)


def _integer(start: int, line: str, what: str) -> int:
    if not line.lstrip("-").isdecimal():
        raise DumpError(start, f"{what} must be an integer, received {line[:60]!r}")
    return int(line)


def _reals(start: int, line: str, n_numbers: int, what: str) -> list[float]:
    tokens = line.split()
    try:
        numbers = [float(token) for token in tokens]
    except ValueError:
        numbers = []
    if len(numbers) != n_numbers or not all(math.isfinite(number) for number in numbers):
        raise DumpError(
            start, f"{what} must be {n_numbers} finite number(s), received {line[:80]!r}"
        )
    return numbers


def _parse_box(words: list[str], lines: list[tuple[int, str]]) -> Box:
    flags = words[-3:] if len(words) >= 3 and all(len(word) == 2 for word in words[-3:]) else []
    # "xy xz yz" are two letters each as well: with them alone there are no flags.
    if words == ["xy", "xz", "yz"]:
        flags = []
    style = words[: len(words) - len(flags)]
    pbc = None if not flags else (flags[0] == "pp", flags[1] == "pp", flags[2] == "pp")
    if style == ["abc", "origin"]:
        rows = [_reals(start, line, 4, "a lattice vector and its origin") for start, line in lines]
        vectors = [(row[0], row[1], row[2]) for row in rows]
        return Box((vectors[0], vectors[1], vectors[2]), (rows[0][3], rows[1][3], rows[2][3]), pbc)
    if style not in ([], ["xy", "xz", "yz"]):
        raise DumpError(lines[0][0], f"unknown form of ITEM: BOX BOUNDS, received {words}")
    numbers = 3 if style else 2
    rows = [_reals(start, line, numbers, "bounds of the box") for start, line in lines]
    xy, xz, yz = (row[2] for row in rows) if style else (0.0, 0.0, 0.0)
    # The bounds of a tilted box are those of the upright box around it.
    low = (rows[0][0] - min(0.0, xy, xz, xy + xz), rows[1][0] - min(0.0, yz), rows[2][0])
    high = (rows[0][1] - max(0.0, xy, xz, xy + xz), rows[1][1] - max(0.0, yz), rows[2][1])
    for axis, (start, line) in enumerate(lines):
        if high[axis] < low[axis]:
            raise DumpError(start, f"the box must not have a negative length, received {line!r}")
    lx, ly, lz = (high[axis] - low[axis] for axis in range(3))
    return Box(((lx, 0.0, 0.0), (xy, ly, 0.0), (xz, yz, lz)), low, pbc)
