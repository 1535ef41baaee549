"""What a LAMMPS text dump's frames have in common, and each of them from text to arrays.

The first frame settles it: atoms and their order, columns, units, periodicity. Every other frame
is held against it, whether the file is complete or still being written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import check_cell, readonly
from kgdyn.trajectories._dump_frames import FrameText
from kgdyn.trajectories._dump_geometry import positions_and_images
from kgdyn.trajectories._dump_header import DumpError, Header, Layout, find_layout, parse_header
from kgdyn.trajectories._dump_rows import fault, first_rows, rows_of_frames
from kgdyn.trajectories._dump_species import species_of_atoms
from kgdyn.trajectories._dump_units import LENGTH_UNITS, TIME_UNITS
from kgdyn.trajectories._number_table import MalformedTableError
from kgdyn.trajectories.source import FrameChunk

__all__ = ["DumpReader", "check_dump_options", "refuse"]

_LARGE = 1e4  # angstrom; beyond, the six digits of LAMMPS' %g leave 0.05 angstrom


def check_dump_options(
    frame_interval: float | None, timestep: float | None, units: str | None
) -> None:
    """Raise ValueError for times that are not positive or both given, and unknown units."""
    for name, value in (("frame_interval", frame_interval), ("timestep", timestep)):
        if value is not None and not (np.isfinite(value) and value > 0.0):
            raise ValueError(f"{name} must be a positive time in ps, received {value}")
    if frame_interval is not None and timestep is not None:
        raise ValueError(
            "frame_interval and timestep: pass one of them, "
            f"received {frame_interval} and {timestep}"
        )
    if units is not None and units not in LENGTH_UNITS:
        raise ValueError(f"units must be one of {sorted(LENGTH_UNITS)}, received {units!r}")


def refuse(source: str, text: FrameText, error: DumpError, row: int) -> NoReturn:
    """Raise the ValueError that names file, frame and row."""
    raise ValueError(f"{source}, frame {text.number}, row {row}: {error.rule}") from error


class DumpReader:
    """Frames of one dump, from text to arrays.

    Parameters
    ----------
    source : str
        What messages call the dump.
    first : FrameText
        The first frame, complete.
    refuse : callable
        Given a frame and what is wrong with it, raises ValueError with the row of the file.
    warn : callable
        Given a message, shows it once.
    elements, types, units, timestep, pbc : as in LAMMPSDump.

    Attributes
    ----------
    n_atoms, pbc, atom_ids, type_labels, species : as in LAMMPSDump.
    source : str
        May be changed where a dump goes on in another file.

    Raises
    ------
    ValueError
        As LAMMPSDump.
    """

    def __init__(
        self,
        source: str,
        first: FrameText,
        *,
        refuse: Callable[[FrameText, DumpError], NoReturn],
        warn: Callable[[str], None],
        elements: Sequence[str | int] | Mapping[str, str | int] | None = None,
        types: ArrayLike | None = None,
        units: str | None = None,
        timestep: float | None = None,
        pbc: ArrayLike | None = None,
    ) -> None:
        self.source = source
        self._refuse, self._warn = refuse, warn
        self._timestep = timestep
        self._few_digits = False
        self._role: tuple[str, bool, bool, bool, bool] | None = None
        header = self.parse(first)
        self._units = units
        self._units = self._checked_units(first, header) or units
        self.pbc: NDArray[np.bool_] = readonly(self._first_pbc(header, pbc))
        self.n_atoms = header.n_atoms
        self._layout = self._checked_layout(first, header)
        self._role = self._layout.role
        try:
            self._order, type_texts, symbols = first_rows(first.data, header, self._layout)
        except DumpError as error:
            self._refuse(first, error)
        self._length = LENGTH_UNITS[self._units or "metal"]
        self._first_origin = self._length * np.array(header.box.origin)
        labels = type_texts if types is None else [str(kind) for kind in np.asarray(types).tolist()]
        self.type_labels = None if labels is None else tuple(labels)
        ids = self._order.ids
        self.atom_ids: NDArray[np.int64] = readonly(
            np.arange(1, self.n_atoms + 1) if ids is None else ids
        )
        self.species: NDArray[np.int32] = readonly(
            species_of_atoms(source, self.n_atoms, elements, types, type_texts, symbols)
        )

    def parse(self, text: FrameText) -> Header:
        """A frame's header, or the ValueError that says what is wrong with it."""
        try:
            return parse_header(text.data)
        except DumpError as error:
            self._refuse(text, error)

    def read(self, batch: list[tuple[FrameText, Header]]) -> FrameChunk:
        """Frames with the same columns.

        Raises
        ------
        ValueError
            At the first frame that breaks a rule, naming file, frame and row.
        """
        for text, header in batch:
            self._check_header(text, header)
        texts, headers = [text.data for text, _ in batch], [header for _, header in batch]
        layout = self._checked_layout(batch[0][0], headers[0])
        try:
            coordinates, flags = rows_of_frames(texts, headers, layout, self._order)
        except MalformedTableError:
            self._find_fault(batch, layout)
        cells = self._length * np.array([header.box.cell for header in headers])
        origins = self._length * np.array([header.box.origin for header in headers])
        needed = self.pbc if layout.kind == "x" and not self.pbc.any() else np.ones(3, bool)
        for (text, _), cell in zip(batch, cells, strict=True):
            check_cell(cell, needed, f"{self.source}, frame {text.number}")
        if layout.unwrapped:
            self._warn_of_few_digits(coordinates, 1.0 if layout.scaled else self._length, cells)
        if not layout.scaled and self._length != 1.0:
            coordinates *= self._length
        positions, images = positions_and_images(
            coordinates, flags, cells, origins, self._first_origin, self.pbc, layout
        )
        steps = np.array([header.step for header in headers], np.int64)
        return FrameChunk(positions, cells, steps, self._times(headers, steps), images)

    def _times(self, headers: list[Header], steps: NDArray[np.int64]) -> NDArray[np.float64] | None:
        times = np.empty(len(steps))
        if self._timestep is not None:
            times[:] = steps * float(self._timestep)
        elif self.time_unit is None or any(header.time is None for header in headers):
            return None
        else:
            times[:] = [header.time for header in headers]
            times *= self.time_unit
        return times

    @property
    def time_unit(self) -> float | None:
        """Picoseconds in the file's unit of time; None where it is not known."""
        return None if self._units is None else TIME_UNITS.get(self._units)

    def _checked_units(self, text: FrameText, header: Header) -> str | None:
        units = header.units
        if units is not None and units not in LENGTH_UNITS:
            rule = f"units must be one of {sorted(LENGTH_UNITS)}, received {units!r}"
            self._refuse(text, DumpError(0, rule))
        if units is not None and self._units not in (None, units):
            rule = f"the file says units {units!r}, but {self._units!r} came before"
            self._refuse(text, DumpError(0, rule))
        return units

    def _first_pbc(self, header: Header, pbc: ArrayLike | None) -> NDArray[np.bool_]:
        given = None if pbc is None else np.broadcast_to(np.asarray(pbc, dtype=bool), (3,))
        if header.box.pbc is None:
            if given is None:
                raise ValueError(
                    f"{self.source}: the file does not say which directions are periodic; pass pbc="
                )
            return given.copy()
        known = np.array(header.box.pbc)
        if given is not None and not np.array_equal(known, given):
            raise ValueError(
                f"{self.source}: the file says pbc={known.tolist()}, received {given.tolist()}"
            )
        return known

    def _checked_layout(self, text: FrameText, header: Header) -> Layout:
        layout = find_layout(header.columns, tuple(self.pbc.tolist()))
        if layout is None:
            rule = (
                "a dump needs coordinates: columns x y z, xu yu zu, xs ys zs or xsu ysu zsu, "
                f"received {' '.join(header.columns)!r}"
            )
            self._refuse(text, DumpError(header.size - 1, rule))
        if self._role is not None and layout.role != self._role:
            rule = (
                "coordinates, image flags, id, type and element must be given as in the first "
                f"frame, received {' '.join(header.columns)!r}"
            )
            self._refuse(text, DumpError(header.size - 1, rule))
        return layout

    def _check_header(self, text: FrameText, header: Header) -> None:
        if header.n_atoms != self.n_atoms:
            rule = (
                f"the number of atoms must stay {self.n_atoms}, as in the first frame, "
                f"received {header.n_atoms}"
            )
            self._refuse(text, DumpError(text.data.index(b"ITEM: NUMBER"), rule))
        if header.box.pbc is not None and header.box.pbc != tuple(self.pbc.tolist()):
            rule = (
                f"periodicity must stay {self.pbc.tolist()}, as in the first frame, "
                f"received {list(header.box.pbc)}"
            )
            self._refuse(text, DumpError(text.data.index(b"ITEM: BOX"), rule))
        self._checked_units(text, header)

    def _find_fault(self, batch: list[tuple[FrameText, Header]], layout: Layout) -> NoReturn:
        """Parse a batch that was refused frame by frame, and say where it is wrong."""
        for text, header in batch:
            try:
                rows_of_frames([text.data], [header], layout, self._order)
            except MalformedTableError:
                self._refuse(text, fault(text.data, header, layout, self._order))
        raise ValueError(f"{self.source}, frame {batch[0][0].number}: the rows cannot be read")

    def _warn_of_few_digits(
        self, coordinates: NDArray[np.float64], length: float, cells: NDArray[np.float64]
    ) -> None:
        if self._layout.scaled:
            length = float(np.linalg.norm(cells, axis=2).max())
        if self._few_digits or np.abs(coordinates).max() * length <= _LARGE:
            return
        large = coordinates[np.abs(coordinates) * length > _LARGE][:100]
        # Where the text has more than six digits, nothing is lost.
        if all(float(f"{value:g}") == value for value in large.tolist()):
            self._few_digits = True
            self._warn(
                f"{self.source}: unwrapped coordinates beyond {_LARGE:g} angstrom with six digits "
                "(LAMMPS' default %g) are only good to 0.05 angstrom; write x y z with ix iy iz, "
                "or use dump_modify format float %.10g"
            )
