"""Local bond order of atoms: Steinhardt's magnitudes, and the correlation with neighbours.

With the mean q_lm(i) of the spherical harmonics Y_lm of the directions from atom i to its
neighbours:

- magnitude: q_l(i) = sqrt(4 pi / (2 l + 1) sum over m of |q_lm(i)|^2), from 0 to 1 (Steinhardt,
  Nelson, Ronchetti, Phys. Rev. B 28, 784 (1983), with the neighbours of one atom);
- correlation: the mean over the neighbours j of the real part of q_l(i) . q_l(j)*, each vector
  scaled to length 1, from -1 to 1 (ten Wolde, Ruiz-Montero, Frenkel, J. Chem. Phys. 104, 9932
  (1996)). With l = 3 and four neighbours it tells the phases of silicon apart: -1 in diamond, where
  neighbours are inverted copies of each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn._threads import share, usable_cores
from kgdyn.elements import element_name, element_numbers
from kgdyn.frames import readonly
from kgdyn.observables._inputs import checked_trajectories
from kgdyn.observables._target_frames import Chunk, TargetFrames, target_frames
from kgdyn.trajectories import Trajectory

__all__ = ["BondOrder", "BondRule", "bond_order", "bond_rule", "order_chunks"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

_MOST_DEGREE = 20


@dataclass(frozen=True, eq=False, repr=False)
class BondOrder:
    """Bond order of atoms in every frame.

    Attributes
    ----------
    magnitude : tuple of (n_frames, n_rows, n_degrees) arrays, one a trajectory
        Steinhardt's q_l, 0 to 1; NaN for an atom without neighbours.
    correlation : tuple of (n_frames, n_rows, n_degrees) arrays
        Mean normalised dot product with the neighbours' q_l, -1 to 1; NaN where there is none.
    rows : tuple of (n_rows,) arrays of int
        Atoms, from 0, of each trajectory.
    degrees : tuple of int
    n_neighbors : int or None
        Neighbours are the nearest so many,
    cutoff : float or None, angstrom
        or all nearer than this.
    selection : str
        Which atoms count as neighbours.
    """

    magnitude: tuple[Float, ...]
    correlation: tuple[Float, ...]
    rows: tuple[Int, ...]
    degrees: tuple[int, ...]
    n_neighbors: int | None
    cutoff: float | None
    selection: str

    def of(
        self,
        degree: int,
        kind: Literal["magnitude", "correlation"] = "magnitude",
        trajectory: int = 0,
    ) -> Float:
        """(n_frames, n_rows) of one degree and trajectory."""
        if degree not in self.degrees:
            raise ValueError(f"degree must be one of {list(self.degrees)}, received {degree}")
        if kind not in ("magnitude", "correlation"):
            raise ValueError(f'kind must be "magnitude" or "correlation", received {kind!r}')
        values = self.magnitude if kind == "magnitude" else self.correlation
        result: Float = values[trajectory][..., self.degrees.index(degree)]
        return result

    def __repr__(self) -> str:
        near = (
            f"n_neighbors={self.n_neighbors}"
            if self.cutoff is None
            else f"cutoff={self.cutoff:g} angstrom"
        )
        frames = sum(len(values) for values in self.magnitude)
        return (
            f"BondOrder(degrees={list(self.degrees)}, {near}, selection={self.selection!r}, "
            f"n_frames={frames}, n_rows={len(self.rows[0])})"
        )


def bond_order(
    trajectories: Trajectory | Sequence[Trajectory],
    degrees: Sequence[int] = (3, 4, 6),
    *,
    n_neighbors: int | None = None,
    cutoff: float | None = None,
    atoms: Literal["targets", "all"] | ArrayLike = "targets",
    selection: Sequence[str | int] | ArrayLike | None = None,
    n_threads: int | None = None,
) -> BondOrder:
    """Steinhardt's bond order and its correlation between neighbours, atom by atom.

    All periodic images count, so cells may be smaller than the neighbourhood.

    Parameters
    ----------
    trajectories : Trajectory, or a sequence of them
    degrees : sequence of int
        l, from 1 to 20.
    n_neighbors : int, optional
        The nearest so many atoms are neighbours.
    cutoff : float, optional, angstrom
        All atoms nearer than this are. Exactly one of the two must be given.
    atoms : "targets", "all", or (n_rows,) array of int
        Whose bond order; targets must be of one atom each.
    selection : elements such as ``["Si"]``, or (n,) array of int, optional
        Which atoms count as neighbours; all if not given.
    n_threads : int, optional
        All cores that this process may use, if not given. The result does not depend on it.

    Raises
    ------
    TypeError, ValueError
        For arguments that break these rules, fewer atoms than neighbours where no direction is
        periodic, or a bad frame (naming source and frame).
    """
    runs = checked_trajectories(trajectories)
    frames = target_frames(runs, None)
    rule = bond_rule(runs, degrees, n_neighbors, cutoff, selection)
    magnitude, correlation, rows = [], [], []
    for number, run in enumerate(runs):
        own = _rows(run, atoms)
        parts = list(order_chunks(frames, (number, 0, run.n_frames), own, rule, n_threads))
        magnitude.append(readonly(np.concatenate([part[1] for part in parts])))
        correlation.append(readonly(np.concatenate([part[2] for part in parts])))
        rows.append(readonly(own))
    return BondOrder(
        tuple(magnitude),
        tuple(correlation),
        tuple(rows),
        rule.degrees,
        n_neighbors,
        None if cutoff is None else float(cutoff),
        rule.selection,
    )


@dataclass(frozen=True, eq=False)
class BondRule:
    """Which degrees are asked for, and which atoms are neighbours: checked arguments."""

    degrees: tuple[int, ...]
    n_neighbors: int  # 0: by cut-off
    cutoff: float  # 0: by number
    atoms: tuple[Int, ...]  # that count as neighbours, of each trajectory
    selection: str


def bond_rule(
    runs: Sequence[Trajectory],
    degrees: Sequence[int],
    n_neighbors: int | None,
    cutoff: float | None,
    selection: Sequence[str | int] | ArrayLike | None,
) -> BondRule:
    """Check what :func:`bond_order` is given."""
    wanted = tuple(int(degree) for degree in degrees)
    if not wanted or len(set(wanted)) != len(wanted) or not set(wanted) <= {*range(1, 21)}:
        raise ValueError(
            f"degrees must be from 1 to {_MOST_DEGREE}, at least one, each once, received "
            f"{list(degrees)}"
        )
    if (n_neighbors is None) == (cutoff is None):
        raise ValueError(
            "exactly one of n_neighbors and cutoff must be given, received "
            f"n_neighbors={n_neighbors} and cutoff={cutoff}"
        )
    if n_neighbors is not None and n_neighbors < 1:
        raise ValueError(f"n_neighbors must be at least 1, received {n_neighbors}")
    if cutoff is not None and not (np.isfinite(cutoff) and cutoff > 0.0):
        raise ValueError(f"cutoff must be a positive distance in angstrom, received {cutoff}")
    lists, name = _neighbor_lists(runs, selection)
    for run, atoms in zip(runs, lists, strict=True):
        if n_neighbors is not None and not run.pbc.any() and len(atoms) <= n_neighbors:
            raise ValueError(
                f"{run.source}: n_neighbors={n_neighbors} needs more than {n_neighbors} atoms that "
                f"count where no direction is periodic, received {len(atoms)}"
            )
    return BondRule(wanted, n_neighbors or 0, cutoff or 0.0, lists, name)


def order_chunks(
    frames: TargetFrames,
    span: tuple[int, int, int],
    rows: Int,
    rule: BondRule,
    n_threads: int | None,
) -> Iterator[tuple[Chunk, Float, Float]]:
    """Magnitudes and correlations, (n_frames, n_rows, n_degrees) each, of the frames of a span."""
    from kgdyn.observables._compiled_bonds import bond_orders

    n_threads = usable_cores() if n_threads is None else n_threads
    if n_threads < 1:
        raise ValueError(f"n_threads must be at least 1, received {n_threads}")
    pbc, near = np.array(frames.trajectories[span[0]].pbc), rule.atoms[span[0]]
    centres = np.union1d(rows, near).astype(np.int64)
    degrees = np.array(rule.degrees, dtype=np.int64)
    for chunk in frames.chunks(*span):
        n_frames = len(chunk.positions)
        reach = rule.cutoff
        if rule.n_neighbors:
            # A sphere that holds half as many again at the mean density; the kernel looks further.
            volume = _room(chunk, pbc) / len(near)
            reach = float(np.cbrt(1.5 * (rule.n_neighbors + 1) * volume * 0.75 / np.pi))
        system = (chunk.positions, chunk.cells, chunk.inverses, pbc, near)
        result = np.empty((2, n_frames, len(rows), len(degrees)))
        edges = [n_frames * part // n_threads for part in range(n_threads + 1)]
        share(
            n_threads,
            [
                (
                    bond_orders,
                    (some, system, rows, centres, degrees, rule.n_neighbors, reach, *result),
                )
                for some in pairwise(edges)
                if some[0] < some[1]
            ],
        )
        yield chunk, result[0], result[1]


def _room(chunk: Chunk, pbc: NDArray[np.bool_]) -> float:
    """Volume that the atoms fill, roughly; along free directions as far as they reach."""
    if pbc.all():
        return float(chunk.volumes[0])
    extent = np.ptp(chunk.positions[0] @ chunk.inverses[0], axis=0)
    sizes = np.where(pbc, 1.0, np.maximum(extent, 1.0))
    return float(np.prod(sizes) * abs(np.linalg.det(chunk.cells[0])))


def _rows(run: Trajectory, atoms: object) -> Int:
    if isinstance(atoms, str):
        if atoms == "all":
            return np.arange(run.n_atoms)
        if atoms == "targets":
            if len(run.targets.atoms) != run.n_targets:
                raise ValueError(
                    f"{run.source}: targets must be of one atom each for bond order, received "
                    f"{run.n_targets} targets of {len(run.targets.atoms)} atoms"
                )
            return np.array(run.targets.atoms)
        raise ValueError(f'atoms must be "targets", "all" or indices, received {atoms!r}')
    return _indices(run, atoms, "atoms")


def _indices(run: Trajectory, given: object, name: str) -> Int:
    array = np.asarray(given)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must be a list of atom indices, at least one, received {array.dtype} of "
            f"shape {array.shape}"
        )
    if array.min() < 0 or array.max() >= run.n_atoms or len(np.unique(array)) != len(array):
        raise ValueError(
            f"{name} must be from 0 to {run.n_atoms - 1}, each once, received {array.tolist()[:10]}"
        )
    return array.astype(np.int64)


def _neighbor_lists(runs: Sequence[Trajectory], selection: object) -> tuple[tuple[Int, ...], str]:
    if selection is None:
        return tuple(np.arange(run.n_atoms) for run in runs), "all atoms"
    given = [selection] if isinstance(selection, str) else list(selection)  # type: ignore[call-overload]
    if given and all(isinstance(item, str) for item in given):
        numbers = element_numbers(given)
        lists = tuple(np.flatnonzero(np.isin(run.species, numbers)) for run in runs)
        for run, atoms in zip(runs, lists, strict=True):
            if len(atoms) == 0:
                raise ValueError(f"{run.source}: selection {given} holds no atom")
        return lists, ", ".join(element_name(number) for number in numbers)
    found = tuple(_indices(run, np.asarray(given), "selection") for run in runs)
    return found, f"{len(found[0])} atoms by index"
