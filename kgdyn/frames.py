"""The vocabulary: what one frame of a trajectory is, and which atoms are looked at.

Every other room speaks of these two classes, with these names, shapes and units:

=============  ====================  ==========================================================
``positions``  (n_atoms, 3)          cartesian coordinates in angstrom
``cell``       (3, 3)                rows are lattice vectors in angstrom; zero without one
``pbc``        (3,)                  which lattice vectors are periodic
``species``    (n_atoms,)            atomic numbers (or the bead types of a coarse-grained model)
``step``       int or None           the simulation's step counter
``time``       float or None         simulation time in ps
=============  ====================  ==========================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Frame", "TargetGroups", "cell_volume", "check_cell"]

# A cell flatter than this (volume over the product of edge lengths) has no usable inverse.
_SMALLEST_RELATIVE_VOLUME = 1e-6


def readonly(array: ArrayLike, dtype: Any = None) -> NDArray[Any]:
    """Return ``array`` as a read-only array, copied only if it must change type."""
    view = np.asarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view


def periodic_directions(pbc: ArrayLike, where: str) -> NDArray[np.bool_]:
    """(3,) read-only bool array from one bool for all directions, or three."""
    given = np.asarray(pbc, dtype=bool)
    if given.shape not in ((), (3,)):
        raise ValueError(f"{where}: pbc must be one bool or three, received shape {given.shape}")
    return readonly(np.broadcast_to(given, (3,)))


def cell_volume(cell: ArrayLike) -> float:
    """Volume of a cell whose rows are lattice vectors, in cubic angstrom."""
    return float(abs(np.linalg.det(np.asarray(cell, dtype=np.float64))))


def check_cell(cell: NDArray[np.float64], pbc: NDArray[np.bool_], where: str) -> None:
    """Raise ValueError if a periodic direction has no lattice vector or the cell no volume.

    Parameters
    ----------
    cell : (3, 3) array, rows are lattice vectors in angstrom.
    pbc : (3,) bool array.
    where : str
        How the message names the frame, for example ``"run.dcd, frame 12"``.
    """
    if not np.all(np.isfinite(cell)):
        raise ValueError(f"{where}: the cell must be finite, received {cell.tolist()}")
    if not pbc.any():
        return
    periodic = cell[pbc]
    lengths = np.linalg.norm(periodic, axis=1)
    gram = periodic @ periodic.T
    content = np.sqrt(max(float(np.linalg.det(gram)), 0.0))
    if np.any(lengths == 0.0) or content <= _SMALLEST_RELATIVE_VOLUME * float(np.prod(lengths)):
        raise ValueError(
            f"{where}: the cell has zero volume along its periodic directions "
            f"(pbc={pbc.tolist()}), received {cell.tolist()}"
        )


@dataclass(frozen=True, eq=False)
class Frame:
    """One instant of a simulation.

    Parameters
    ----------
    positions : (n_atoms, 3) array of float, angstrom.
    cell : (3, 3) array of float, angstrom
        Rows are lattice vectors. Rows of directions that are not periodic may be zero.
    pbc : (3,) array of bool, or one bool for all three directions.
    species : (n_atoms,) array of int
        Atomic numbers, or positive bead types.
    step : int, optional
    time : float, optional, ps.
    where : str, optional
        What error messages call this frame.

    Raises
    ------
    ValueError
        For wrong shapes, positions that are not finite, and a cell without volume.
    """

    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    species: NDArray[np.int32]
    step: int | None = None
    time: float | None = None
    where: str = "frame"

    def __post_init__(self) -> None:
        positions = readonly(self.positions, np.float64)
        cell = readonly(self.cell, np.float64)
        pbc = periodic_directions(self.pbc, self.where)
        species = readonly(self.species, np.int32)
        if positions.ndim != 2 or positions.shape[1] != 3:
            raise ValueError(
                f"{self.where}: positions must have shape (n_atoms, 3), received {positions.shape}"
            )
        if cell.shape != (3, 3):
            raise ValueError(f"{self.where}: cell must have shape (3, 3), received {cell.shape}")
        if species.shape != positions.shape[:1]:
            raise ValueError(
                f"{self.where}: species must have shape (n_atoms,) = {positions.shape[:1]}, "
                f"received {species.shape}"
            )
        bad = ~np.isfinite(positions).all(axis=1)
        if bad.any():
            atom = int(np.argmax(bad))
            raise ValueError(
                f"{self.where}: positions must be finite, received "
                f"{positions[atom].tolist()} for atom {atom} (counted from 0)"
            )
        check_cell(cell, pbc, self.where)
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "cell", cell)
        object.__setattr__(self, "pbc", pbc)
        object.__setattr__(self, "species", species)

    @property
    def n_atoms(self) -> int:
        return len(self.species)

    def __repr__(self) -> str:
        return (
            f"Frame(n_atoms={self.n_atoms}, pbc={self.pbc.tolist()}, "
            f"step={self.step}, time={self.time})"
        )


@dataclass(frozen=True, eq=False)
class TargetGroups:
    """Which atoms make up each target: one atom (an ion) or several (a molecule).

    Stored as a ragged index array: target ``i`` is ``atoms[offsets[i]:offsets[i + 1]]``.

    Parameters
    ----------
    atoms : (n_target_atoms,) array of int
        Rows of ``positions``, counted from 0.
    offsets : (n_targets + 1,) array of int
        Starts at 0, ends at ``len(atoms)``, strictly increasing.
    description : str
        In words or as a selection, kept in the model file.

    Raises
    ------
    ValueError
        For an empty target, an atom twice in one target or a negative index.
    """

    atoms: NDArray[np.int64]
    offsets: NDArray[np.int64]
    description: str = ""

    def __post_init__(self) -> None:
        atoms = readonly(self.atoms, np.int64)
        offsets = readonly(self.offsets, np.int64)
        if atoms.ndim != 1 or offsets.ndim != 1 or len(offsets) < 2:
            raise ValueError(
                "targets: at least one target is needed, received "
                f"atoms {atoms.shape} and offsets {offsets.shape}"
            )
        if offsets[0] != 0 or offsets[-1] != len(atoms) or np.any(np.diff(offsets) <= 0):
            raise ValueError(
                "targets: each target needs at least one atom, and offsets must rise from 0 to "
                f"{len(atoms)}, received {offsets.tolist()[:10]}"
            )
        if atoms.min() < 0:
            raise ValueError(f"targets: indices must not be negative, received {int(atoms.min())}")
        target_of_atom = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        pairs = np.unique(np.stack([target_of_atom, atoms]), axis=1)
        if pairs.shape[1] != len(atoms):
            raise ValueError("targets: an atom may stand only once in one target")
        object.__setattr__(self, "atoms", atoms)
        object.__setattr__(self, "offsets", offsets)

    @classmethod
    def from_indices(cls, indices: Iterable[int], description: str = "") -> TargetGroups:
        """One target for each atom index (counted from 0)."""
        atoms = np.asarray(list(indices), dtype=np.int64)
        return cls(atoms, np.arange(len(atoms) + 1), description or "atoms by index")

    @classmethod
    def from_groups(cls, groups: Sequence[Iterable[int]], description: str = "") -> TargetGroups:
        """One target for each group of atom indices, for example one for each molecule."""
        lists = [np.asarray(list(group), dtype=np.int64) for group in groups]
        offsets = np.concatenate([[0], np.cumsum([len(atoms) for atoms in lists], dtype=np.int64)])
        atoms = np.concatenate(lists) if lists else np.zeros(0, np.int64)
        return cls(atoms, offsets, description or "groups of atoms")

    @property
    def n_targets(self) -> int:
        return len(self.offsets) - 1

    def check_within(self, n_atoms: int) -> None:
        """Raise ValueError if a target names an atom that a frame of ``n_atoms`` lacks."""
        if int(self.atoms.max()) >= n_atoms:
            raise ValueError(
                f"targets: index {int(self.atoms.max())} is outside of a frame of {n_atoms} atoms "
                "(indices count from 0)"
            )

    def __repr__(self) -> str:
        return (
            f"TargetGroups(n_targets={self.n_targets}, n_atoms={len(self.atoms)}, "
            f"description={self.description!r})"
        )
