"""What is cut out around a target, and what it is compared with others by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import readonly
from kgdyn.observables._surroundings import TargetFrame, join_molecules
from kgdyn.trajectories import Trajectory

__all__ = ["Cluster", "cut_out_cluster", "descriptor"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class Cluster:
    """Atoms around a target, as a picture needs them: no cell, nothing wrapped.

    Attributes
    ----------
    positions : (n, 3) array, angstrom
        Relative to the target's centre; molecules are whole.
    species : (n,) array of int
        Atomic numbers, or bead types.
    atoms : (n,) array of int
        Rows of the trajectory, from 0. One atom stands here several times if several of its
        periodic images are near.
    is_target : (n,) array of bool
        The target's own atoms come first; their images are not among them.
    molecules : (n,) array of int, or None
        As they were given.
    cut_molecules : tuple of int
        Molecules that would have made the cluster larger than ``max_atoms``: only their atoms
        within the radius are here.
    """

    positions: Float
    species: NDArray[np.int32]
    atoms: Int
    is_target: NDArray[np.bool_]
    molecules: Int | None
    cut_molecules: tuple[int, ...]

    @property
    def n_atoms(self) -> int:
        return len(self.atoms)

    def __repr__(self) -> str:
        cut = f", cut_molecules={list(self.cut_molecules)}" if self.cut_molecules else ""
        return f"Cluster(n_atoms={self.n_atoms}{cut})"


def descriptor(
    frame: TargetFrame, species: NDArray[np.int32], elements: list[int], radius: float, n: int
) -> Float:
    """(n_elements * n,) sorted distances, ``radius`` where there is no further atom."""
    near = frame.within(radius)
    distances = np.linalg.norm(near.vectors, axis=1)
    own = (near.atoms[:, None] == frame.own.atoms) & (
        near.images[:, None, :] == frame.own.images
    ).all(axis=2)
    numbers = species[near.atoms]
    result = np.full((len(elements), n), radius)
    for row, number in zip(result, elements, strict=True):
        some = np.sort(distances[(numbers == number) & ~own.any(axis=1)])[:n]
        row[: len(some)] = some
    return result.reshape(-1)


def cut_out_cluster(
    run: Trajectory,
    number: int,
    frame: TargetFrame,
    radius: float,
    molecules: Int | None,
    max_atoms: int,
) -> Cluster:
    inside = frame.within(radius)
    own = {
        (a, *p) for a, p in zip(frame.own.atoms.tolist(), frame.own.images.tolist(), strict=True)
    }
    others = np.array(
        [
            (a, *p) not in own
            for a, p in zip(inside.atoms.tolist(), inside.images.tolist(), strict=True)
        ],
        dtype=np.bool_,
    )
    atoms = np.concatenate([frame.own.atoms, inside.atoms[others]])
    whole = frame.at(atoms, np.concatenate([frame.own.images, inside.images[others]]))
    cut: tuple[int, ...] = ()
    if molecules is not None:
        images = None if run.images is None else np.asarray(run.images[number])
        whole, cut = join_molecules(frame, whole, molecules, images, max_atoms)
    keys = zip(whole.atoms.tolist(), whole.images.tolist(), strict=True)
    is_target = np.array([(a, *p) in own for a, p in keys], dtype=np.bool_)
    order = np.argsort(~is_target, kind="stable")
    atoms = whole.atoms[order]
    return Cluster(
        positions=readonly(whole.vectors[order]),
        species=readonly(run.species[atoms]),
        atoms=readonly(atoms),
        is_target=readonly(is_target[order]),
        molecules=None if molecules is None else readonly(molecules[atoms]),
        cut_molecules=cut,
    )
