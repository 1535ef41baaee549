"""One frame of a running LAMMPS, read in its callback: atoms in order of their ids, in angstrom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from kgdyn.integrations.lammps.lammps_memory import LammpsMemory
from kgdyn.integrations.lammps.ranks import Ranks
from kgdyn.integrations.lammps.units import UnitScale
from numpy.typing import NDArray

from kgdyn.live import LiveFrame

__all__ = ["FrameCapture"]

_NAMED_AT_MOST = 10
_DENSE = 8  # a table by id as long as this times the number of atoms is worth its memory


class FrameCapture:
    """Reads frames; holds what must not change while a simulation is followed.

    All methods are collective over the ranks. What they return is on rank 0 only.

    Parameters
    ----------
    lmp : lammps.lammps
        With a box and atoms.
    ranks : Ranks
    scale : UnitScale

    Attributes
    ----------
    ids : (n_atoms,) array of int64, ascending; empty but on rank 0.
    types : (n_atoms,) array of int32: the LAMMPS type of each.
    pbc : (3,) tuple of bool
    timestep : float, in LAMMPS' unit of time.

    Raises
    ------
    ValueError
        If atoms have no ids.
    """

    def __init__(self, lmp: Any, ranks: Ranks, scale: UnitScale) -> None:
        self.memory = LammpsMemory(lmp)
        self._ranks, self._scale = ranks, scale
        self.pbc = self.memory.periodic
        self.timestep = self.memory.timestep
        rows = ranks.gather(self._local_rows(lmp.extract_setting("nlocal")))
        empty = np.zeros((0, 3), np.int64)
        rows = empty if rows is None else rows
        tags = rows[:, 0]
        order = np.argsort(tags)
        self.ids: NDArray[np.int64] = tags[order]
        self.types: NDArray[np.int32] = rows[order, 2].astype(np.int32)
        if ranks.rank == 0 and (self.ids.min() < 1 or np.any(np.diff(self.ids) == 0)):
            raise ValueError("atoms must have ids of their own: not with atom_modify id no")
        self._row_of_id = self._table() if ranks.rank == 0 else np.zeros(0, np.int64)
        self._first_origin: NDArray[np.float64] | None = None
        self._last_tags: NDArray[Any] = np.zeros(0, np.int64)
        self._order: NDArray[np.intp] = np.zeros(0, np.intp)

    def take(self, step: int, n_local: int) -> LiveFrame | None:
        """The frame of this step; None but on rank 0.

        Raises
        ------
        ValueError
            On rank 0: if atoms were lost or created, changed type, or the box or the time step
            changed so that frames before and after do not belong together.
        """
        memory = self.memory
        if self._ranks.size == 1:
            tags, packed, types = (memory.per_atom(k, n_local) for k in ("id", "image", "type"))
            coordinates = memory.per_atom("x", n_local, 3)
        else:
            rows = self._ranks.gather(self._local_rows(n_local, coordinates=True))
            if rows is None:
                return None
            tags, packed, types = rows[:, 0], rows[:, 1], rows[:, 2]
            coordinates = rows[:, 3:].view(np.float64)
        if tags is None or packed is None or types is None or coordinates is None:
            raise ValueError(f"step {step}: LAMMPS gives out no positions, ids or image flags")
        order = self._order_of(tags, step)
        self._check_unchanged(types.take(order), step)
        cell, origin = memory.cell_and_origin()
        positions = coordinates.take(order, axis=0)
        positions -= self._counted_from(cell, origin)
        length, time = self._scale.length, self._scale.time
        if length != 1.0:
            positions *= length
            cell *= length
        return LiveFrame(
            positions,
            cell,
            step,
            None if time is None else memory.time_of(step) * time,
            memory.unpack_images(packed.take(order)),
        )

    def rows_of(self, tags: NDArray[Any]) -> NDArray[np.int64]:
        """The row of each id in ``ids``, -1 where there is none."""
        if len(self._row_of_id):
            inside = (tags >= 0) & (tags < len(self._row_of_id))
            return np.where(inside, self._row_of_id[np.where(inside, tags, 0)], -1)
        rows = np.minimum(np.searchsorted(self.ids, tags), len(self.ids) - 1)
        return np.where(self.ids[rows] == tags, rows, -1)

    def _table(self) -> NDArray[np.int64]:
        """Row of each id; empty where ids have such gaps that a search is better."""
        highest = int(self.ids[-1])
        if highest > _DENSE * len(self.ids):
            return np.zeros(0, np.int64)
        table = np.full(highest + 1, -1, np.int64)
        table[self.ids] = np.arange(len(self.ids))
        return table

    def _local_rows(self, n_local: int, coordinates: bool = False) -> NDArray[np.int64]:
        """This rank's ids, packed images, types and, bit by bit, coordinates, as one array."""
        columns = [self.memory.per_atom(name, n_local) for name in ("id", "image", "type")]
        rows = np.empty((n_local, 6 if coordinates else 3), np.int64)
        for column, values in enumerate(columns):
            rows[:, column] = values
        if coordinates:
            places = self.memory.per_atom("x", n_local, 3)
            rows[:, 3:] = places.view(np.int64) if places is not None else 0
        return rows

    def _order_of(self, tags: NDArray[Any], step: int) -> NDArray[np.intp]:
        """``tags[order]`` are the ids, ascending; kept from frame to frame until atoms move."""
        if np.array_equal(tags, self._last_tags):
            return self._order
        rows = self.rows_of(tags)
        if len(tags) != len(self.ids) or rows.min(initial=0) < 0:
            self._refuse_atoms(tags, step)
        order = np.empty(len(tags), np.intp)
        order[rows] = np.arange(len(tags))
        self._last_tags, self._order = tags.copy(), order
        return order

    def _refuse_atoms(self, tags: NDArray[Any], step: int) -> None:
        lost, created = np.setdiff1d(self.ids, tags), np.setdiff1d(tags, self.ids)
        said = [f"{what}: id {_listed(ids)}" for what, ids in _named(lost, created)]
        raise ValueError(
            f"step {step}: the atoms must stay the same while they are followed; "
            f"{', '.join(said)} ({len(self.ids)} atoms at the start, {len(tags)} now)"
        )

    def _check_unchanged(self, types: NDArray[Any], step: int) -> None:
        if not np.array_equal(types, self.types):
            row = int(np.argmax(types != self.types))
            raise ValueError(
                f"step {step}: types must stay the same while atoms are followed; id "
                f"{self.ids[row]} had type {self.types[row]}, has now {types[row]}"
            )
        if self.memory.periodic != self.pbc:
            raise ValueError(
                f"step {step}: periodicity must stay {list(self.pbc)}, is now "
                f"{list(self.memory.periodic)}"
            )
        if self.memory.timestep != self.timestep:
            raise ValueError(
                f"step {step}: the time step changed from {self.timestep:g} to "
                f"{self.memory.timestep:g}: frames would not be equally far apart in time; "
                "set it before you attach, or detach and attach a new monitor"
            )

    def _counted_from(
        self, cell: NDArray[np.float64], origin: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Where positions count from, as the dump reader has it.

        The cell's own origin along periodic directions; the first frame's along the others,
        where the bounds of a shrink-wrapped box follow the outermost atoms.
        """
        if self._first_origin is None:
            self._first_origin = origin
        if all(self.pbc):
            return origin
        along = np.linalg.solve(cell.T, origin - self._first_origin)
        counted: NDArray[np.float64] = origin - np.where(self.pbc, 0.0, along) @ cell
        return counted


def _named(lost: NDArray[Any], created: NDArray[Any]) -> Iterable[tuple[str, NDArray[Any]]]:
    return [(what, ids) for what, ids in (("lost", lost), ("created", created)) if len(ids)]


def _listed(ids: NDArray[Any]) -> str:
    more = f" and {len(ids) - _NAMED_AT_MOST} more" if len(ids) > _NAMED_AT_MOST else ""
    return ", ".join(str(number) for number in ids[:_NAMED_AT_MOST]) + more
