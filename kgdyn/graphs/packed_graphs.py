"""Many frames' graphs in flat arrays: what the model's ragged tensors are made from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import TargetGroups
from kgdyn.graphs._ties import symmetric_neighbors
from kgdyn.graphs.receptive_field import hop_distances

__all__ = ["PackedGraphs", "concatenate_graphs", "pack_graphs"]


@dataclass(frozen=True)
class PackedGraphs:
    """The graphs of ``n_frames`` frames, one after the other.

    Attributes
    ----------
    species : (n_atoms_total,) int32
    atom_splits : (n_frames + 1,) int64
        Frame ``b`` owns atoms ``atom_splits[b]:atom_splits[b + 1]``.
    neighbors : (n_rows_total, M) int32
        Atoms of the same frame, counted from 0 in each frame.
    distances : (n_rows_total, M) float32, angstrom.
    row_splits : (n_frames + 1,) int64
        Which rows of ``neighbors`` each frame owns: those of its first atoms. All atoms have a
        row, unless the graphs were cut down to the targets' receptive field.
    hops : (n_atoms_total,) int32
        Steps from the nearest target atom, ascending in each frame; all 0 in graphs that were
        not cut down.
    target_atoms : (n_target_atoms_total,) int32
        Rows inside their own frame.
    target_atom_splits : (n_targets_total + 1,) int64
        Which of ``target_atoms`` make up each target.
    target_splits : (n_frames + 1,) int64
        Which targets each frame owns.
    """

    species: NDArray[np.int32]
    atom_splits: NDArray[np.int64]
    neighbors: NDArray[np.int32]
    distances: NDArray[np.float32]
    row_splits: NDArray[np.int64]
    hops: NDArray[np.int32]
    target_atoms: NDArray[np.int32]
    target_atom_splits: NDArray[np.int64]
    target_splits: NDArray[np.int64]

    @property
    def n_frames(self) -> int:
        return len(self.atom_splits) - 1

    @property
    def n_bytes(self) -> int:
        return sum(int(array.nbytes) for array in vars(self).values())

    @property
    def n_neighbors(self) -> int:
        return int(self.neighbors.shape[1])


def pack_graphs(
    positions: ArrayLike,
    cells: ArrayLike,
    pbc: ArrayLike,
    species: NDArray[np.int32],
    targets: TargetGroups,
    n_neighbors: int,
    n_hops: int | None = None,
    n_threads: int = 1,
    where: str = "frames",
) -> PackedGraphs:
    """Build the M-nearest-neighbour graphs of several frames of the same atoms.

    Where the M-th distance falls inside a shell of equal distances, as in a perfect crystal, the
    neighbours kept are those whose own neighbours are nearest; their index decides only between
    surroundings that are alike.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3) array, angstrom, checked.
    cells : (n_frames, 3, 3) array, rows are lattice vectors in angstrom.
    pbc : (3,) array of bool.
    species : (n_atoms,) array of int.
    targets : TargetGroups
    n_neighbors : int
        M, at least 1.
    n_hops : int, optional
        Cut the graphs down to what as many convolutions can carry to a target: atoms are ordered
        by their hops from the targets, those farther than ``n_hops`` are dropped, and those at
        ``n_hops`` have no neighbours. What a target gets out of the convolutions stays the same.
    n_threads : int
        Threads of the neighbour search.
    where : str
        What error messages call the frames.

    Raises
    ------
    ValueError
        As :func:`kgdyn.graphs.batch_nearest_neighbors`.
    """
    found = symmetric_neighbors(
        positions, cells, pbc, n_neighbors, where, n_threads, with_images=False
    )
    n_frames, n_atoms = found.indices.shape[:2]
    targets.check_within(n_atoms)
    frames = np.arange(n_frames + 1, dtype=np.int64)
    group_sizes = np.diff(targets.offsets)
    species = np.asarray(species, np.int32)
    whole = PackedGraphs(
        species=np.tile(species, n_frames),
        atom_splits=frames * n_atoms,
        neighbors=found.indices.reshape(-1, n_neighbors).astype(np.int32),
        distances=found.distances.reshape(-1, n_neighbors).astype(np.float32),
        row_splits=frames * n_atoms,
        hops=np.zeros(n_frames * n_atoms, np.int32),
        target_atoms=np.tile(targets.atoms.astype(np.int32), n_frames),
        target_atom_splits=_splits(np.tile(group_sizes, n_frames)),
        target_splits=frames * targets.n_targets,
    )
    if n_hops is None:
        return whole
    return _cut_down(whole, hop_distances(found.indices, targets.atoms, n_hops), n_hops)


def _cut_down(whole: PackedGraphs, hops: NDArray[np.int32], n_hops: int) -> PackedGraphs:
    """Order the atoms of each frame by hop, drop what no target sees, renumber."""
    n_frames, n_atoms = hops.shape
    order = np.argsort(hops, axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(n_atoms)[None, :], axis=1)
    kept, rows = (hops <= n_hops).sum(axis=1), (hops < n_hops).sum(axis=1)
    rank = np.arange(n_atoms)
    frame, slot = np.nonzero(rank < kept[:, None])
    atoms = frame * n_atoms + order[frame, slot]
    row_frame, row_slot = np.nonzero(rank < rows[:, None])
    row_atoms = row_frame * n_atoms + order[row_frame, row_slot]
    members = np.repeat(np.arange(n_frames), len(whole.target_atoms) // n_frames)
    return PackedGraphs(
        species=whole.species[atoms],
        atom_splits=_splits(kept),
        neighbors=place[row_frame[:, None], whole.neighbors[row_atoms]].astype(np.int32),
        distances=whole.distances[row_atoms],
        row_splits=_splits(rows),
        hops=hops.reshape(-1)[atoms],
        target_atoms=place[members, whole.target_atoms].astype(np.int32),
        target_atom_splits=whole.target_atom_splits,
        target_splits=whole.target_splits,
    )


def concatenate_graphs(parts: Iterable[PackedGraphs]) -> PackedGraphs:
    """The frames of several packs, in order; all with the same number of neighbours."""
    # Array by array, each given up when it is copied: of many packs there are never two sets.
    arrays = [dict(vars(part)) for part in parts]
    if len(arrays) == 1:
        return PackedGraphs(**arrays[0])

    def together(name: str) -> NDArray[Any]:
        own = [part.pop(name) for part in arrays]
        if name.endswith("splits"):
            return _splits(np.concatenate([np.diff(splits) for splits in own]))
        return np.concatenate(own)

    return PackedGraphs(**{name: together(name) for name in list(arrays[0])})


def take_graphs(packed: PackedGraphs, frames: NDArray[np.int64]) -> PackedGraphs:
    """The graphs of ``frames`` (n,), in that order; a frame may be taken more than once."""
    atoms, atom_counts = _rows_of(packed.atom_splits, frames)
    rows, row_counts = _rows_of(packed.row_splits, frames)
    targets, target_counts = _rows_of(packed.target_splits, frames)
    members, member_counts = _rows_of(packed.target_atom_splits, targets)
    return PackedGraphs(
        species=packed.species[atoms],
        atom_splits=_splits(atom_counts),
        neighbors=packed.neighbors[rows],
        distances=packed.distances[rows],
        row_splits=_splits(row_counts),
        hops=packed.hops[atoms],
        target_atoms=packed.target_atoms[members],
        target_atom_splits=_splits(member_counts),
        target_splits=_splits(target_counts),
    )


def _splits(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])


def _rows_of(
    splits: NDArray[np.int64], groups: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers owned by ``groups``, in order, and how many each owns."""
    starts = splits[groups]
    counts = splits[groups + 1] - starts
    ends = np.cumsum(counts)
    rows = np.arange(int(ends[-1]) if len(ends) else 0) + np.repeat(
        starts - (ends - counts), counts
    )
    return rows, counts
