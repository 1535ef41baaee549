"""Atoms around one target of one frame, in every periodic image, and whole molecules of them."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import check_cell
from kgdyn.observables._target_frames import completed_cells
from kgdyn.trajectories import Trajectory

__all__ = ["Surroundings", "TargetFrame", "join_molecules", "target_frame"]

Float = NDArray[np.float64]
Int = NDArray[np.int64]


class Surroundings(NamedTuple):
    """Atoms, the image each stands in, and the way to it from the target's centre."""

    atoms: Int  # (n,)
    images: Int  # (n, 3): atoms stand at positions + images @ cell
    vectors: Float  # (n, 3) angstrom


class TargetFrame(NamedTuple):
    """One frame in fractions of its cell, as seen from the centre of one target."""

    fractions: Float  # (n_atoms, 3) relative to the centre
    cell: Float  # (3, 3), completed along free directions
    pbc: NDArray[np.bool_]
    own: Surroundings  # the target's own atoms, whole

    def within(self, radius: float) -> Surroundings:
        """All atoms nearer than ``radius`` angstrom, images apart; the target's own among them."""
        heights = 1.0 / np.linalg.norm(np.linalg.inv(self.cell), axis=0)
        home = np.where(self.pbc, -np.rint(self.fractions), 0.0)
        inside = self.fractions + home
        # Nearest images lie within half a cell; others within reach are so many cells further.
        spans = np.where(self.pbc, np.ceil(radius / heights - 0.5), 0.0).astype(int)
        found = []
        for image in product(*(range(-span, span + 1) for span in spans.tolist())):
            moved = inside + image
            near = np.flatnonzero((np.abs(moved) * heights < radius).all(axis=1))
            vectors = moved[near] @ self.cell
            kept = np.einsum("ac,ac->a", vectors, vectors) < radius * radius
            found.append((near[kept], home[near[kept]] + image, vectors[kept]))
        atoms, images, vectors = (np.concatenate(part) for part in zip(*found, strict=True))
        return Surroundings(atoms, images.astype(np.int64), vectors)

    def at(self, atoms: Int, images: Int) -> Surroundings:
        """Given atoms in given images."""
        return Surroundings(atoms, images, (self.fractions[atoms] + images) @ self.cell)


def target_frame(
    trajectory: Trajectory, frame: int, target: int, masses: Float | None = None
) -> TargetFrame:
    """A frame around the centre of a target, which is made whole.

    By the images of the trajectory where it has them, else by the image of each atom that is
    nearest to the target's first. The centre is that of mass where there are masses.

    Raises
    ------
    ValueError
        For positions that are not finite or a cell without volume, naming source and frame.
    """
    found = trajectory.frame(frame)
    check_cell(found.cell, found.pbc, found.where)
    cell = completed_cells(np.array(found.cell)[None], trajectory.pbc)[0]
    fractions = found.positions @ np.linalg.inv(cell)
    groups = trajectory.targets
    own = groups.atoms[groups.offsets[target] : groups.offsets[target + 1]]
    if trajectory.images is not None:
        given = np.asarray(trajectory.images[frame])[own].astype(np.int64)
        images = given - given[0]
    else:
        images = -np.rint(fractions[own] - fractions[own[0]]).astype(np.int64)
    images[:, ~trajectory.pbc] = 0
    shares = None if masses is None else masses[own]
    fractions = fractions - np.average(fractions[own] + images, axis=0, weights=shares)
    whole = Surroundings(own, images, (fractions[own] + images) @ cell)
    return TargetFrame(fractions, cell, trajectory.pbc, whole)


def join_molecules(
    frame: TargetFrame, inside: Surroundings, molecules: Int, images: Int | None, max_atoms: int
) -> tuple[Surroundings, tuple[int, ...]]:
    """The same atoms with the rest of their molecules, nearest molecules first.

    Parameters
    ----------
    frame : TargetFrame
    inside : Surroundings
    molecules : (n_atoms,) array of int
    images : (n_atoms, 3) array of int, optional
        Of the frame, which make molecules whole. Without, an atom stands by that of its molecule
        that it is nearest to, beginning at one of ``inside`` (Prim's tree), which follows bonds as
        long as they are shorter than contacts of a molecule with its own image.
    max_atoms : int
        A molecule that would lead beyond is left as it is inside.

    Returns
    -------
    Surroundings, and the molecules of which a part is missing.
    """
    order = np.argsort(np.linalg.norm(inside.vectors, axis=1), kind="stable")
    atoms, places = inside.atoms[order], inside.images[order]
    have = {(int(a), *p) for a, p in zip(atoms, places.tolist(), strict=True)}
    shapes: dict[int, tuple[Int, Int]] = {}
    seen: set[tuple[int, ...]] = set()
    more: list[tuple[int, ...]] = []
    cut: list[int] = []
    for atom, place in zip(atoms.tolist(), places, strict=True):
        name = int(molecules[atom])
        if name not in shapes:
            members = np.flatnonzero(molecules == name)
            relative = (
                _nearest_tree(frame, members)
                if images is None
                else (images[members] - images[members[0]]).astype(np.int64)
            )
            relative[:, ~frame.pbc] = 0
            shapes[name] = members, relative
        members, relative = shapes[name]
        shift = place - relative[np.searchsorted(members, atom)]
        if (name, *shift.tolist()) in seen:
            continue
        seen.add((name, *shift.tolist()))
        wanted = [
            (int(a), *p)
            for a, p in zip(members.tolist(), (relative + shift).tolist(), strict=True)
            if (int(a), *p) not in have
        ]
        if len(have) + len(wanted) > max_atoms and wanted:
            cut.append(name)
            continue
        have.update(wanted)
        more += wanted
    if more:
        added = np.array(more, dtype=np.int64)
        atoms = np.concatenate([atoms, added[:, 0]])
        places = np.concatenate([places, added[:, 1:]])
    return frame.at(atoms, places), tuple(dict.fromkeys(cut))


def _nearest_tree(frame: TargetFrame, members: Int) -> Int:
    """(n_members, 3) images that make a molecule whole, from its first atom outwards."""
    fractions = frame.fractions[members]
    images = np.zeros((len(members), 3), np.int64)
    best = np.full(len(members), np.inf)
    left = np.ones(len(members), dtype=np.bool_)
    newest = 0
    for _ in range(len(members) - 1):
        left[newest] = False
        way = fractions - fractions[newest]
        shift = np.where(frame.pbc, -np.rint(way), 0.0)
        vectors = (way + shift) @ frame.cell
        distances = np.where(left, np.einsum("ac,ac->a", vectors, vectors), np.inf)
        nearer = distances < best
        best = np.where(nearer, distances, best)
        images[nearer] = images[newest] + shift[nearer].astype(np.int64)
        best[newest] = np.inf
        newest = int(np.argmin(best))
    return images
