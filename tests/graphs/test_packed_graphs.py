"""Flat arrays of many graphs, against the same things written one frame at a time."""

from __future__ import annotations

import itertools
from dataclasses import fields
from itertools import chain
from typing import Any

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.graphs import PackedGraphs, concatenate_graphs, pack_graphs, take_graphs
from kgdyn.graphs._ties import symmetric_neighbors

M = 6


class Box:
    """Random frames of some atoms, with targets of different sizes."""

    def __init__(self, seed: int, n_frames: int, n_atoms: int, groups: list[list[int]]) -> None:
        rng = np.random.default_rng(seed)
        self.positions = rng.uniform(size=(n_frames, n_atoms, 3)) * 7.0
        self.cells = 7.0 * np.eye(3) + 0.1 * rng.normal(size=(n_frames, 3, 3))
        # No two alike: the species tells which atom it is, wherever it stands.
        self.species = (1 + rng.permutation(n_atoms)).astype(np.int32)
        self.targets = TargetGroups.from_groups(groups)

    def pack(self, n_hops: int | None = None, n_threads: int = 1) -> PackedGraphs:
        return pack_graphs(
            self.positions, self.cells, True, self.species, self.targets, M, n_hops, n_threads
        )


SMALL = Box(1, 4, 9, [[8], [0, 1, 2], [4, 3]])
LARGE = Box(2, 3, 31, [[5], [7]])
TINY = Box(3, 1, 2, [[1, 0]])


def graphs(packed: PackedGraphs) -> list[dict[str, Any]]:
    """Every frame as plain lists."""
    result = []
    for frame in range(packed.n_frames):
        atoms = slice(*packed.atom_splits[frame : frame + 2])
        rows = slice(*packed.row_splits[frame : frame + 2])
        first, last = packed.target_splits[frame : frame + 2]
        groups = []
        for target in range(first, last):
            members = slice(*packed.target_atom_splits[target : target + 2])
            groups.append(packed.target_atoms[members].tolist())
        result.append(
            {
                "species": packed.species[atoms].tolist(),
                "neighbors": packed.neighbors[rows].tolist(),
                "distances": packed.distances[rows].tolist(),
                "hops": packed.hops[atoms].tolist(),
                "targets": groups,
            }
        )
    return result


def one_by_one(box: Box) -> list[dict[str, Any]]:
    """The same from the neighbour search of single frames."""
    result = []
    offsets = box.targets.offsets
    for positions, cell in zip(box.positions, box.cells, strict=True):
        found = symmetric_neighbors(positions[None], cell[None], True, M, "frame")
        result.append(
            {
                "species": box.species.tolist(),
                "neighbors": found.indices[0].tolist(),
                "distances": found.distances[0].astype(np.float32).tolist(),
                "hops": [0] * len(box.species),
                "targets": [
                    box.targets.atoms[start:stop].tolist()
                    for start, stop in itertools.pairwise(offsets)
                ],
            }
        )
    return result


def check_layout(packed: PackedGraphs) -> None:
    """Types, and splits that cover the arrays they split."""
    dtypes = {field.name: getattr(packed, field.name).dtype for field in fields(packed)}
    assert dtypes == {
        "species": np.int32,
        "atom_splits": np.int64,
        "neighbors": np.int32,
        "distances": np.float32,
        "row_splits": np.int64,
        "hops": np.int32,
        "target_atoms": np.int32,
        "target_atom_splits": np.int64,
        "target_splits": np.int64,
    }
    assert packed.atom_splits[0] == packed.target_splits[0] == packed.target_atom_splits[0] == 0
    assert packed.atom_splits[-1] == len(packed.species) == len(packed.hops)
    assert packed.row_splits[0] == 0
    assert packed.row_splits[-1] == len(packed.neighbors)
    assert len(packed.row_splits) == packed.n_frames + 1
    assert packed.neighbors.shape == packed.distances.shape
    assert packed.target_splits[-1] == len(packed.target_atom_splits) - 1
    assert packed.target_atom_splits[-1] == len(packed.target_atoms)
    assert len(packed.target_splits) == len(packed.atom_splits) == packed.n_frames + 1


@pytest.mark.parametrize("box", [SMALL, LARGE, TINY], ids=["small", "large", "tiny"])
def test_packing_is_frame_after_frame(box: Box) -> None:
    packed = box.pack()
    check_layout(packed)
    assert packed.n_frames == len(box.positions)
    assert packed.n_neighbors == M
    assert graphs(packed) == one_by_one(box)


def test_joining_packs_of_different_make() -> None:
    joined = concatenate_graphs([SMALL.pack(), TINY.pack(), LARGE.pack()])
    check_layout(joined)
    assert graphs(joined) == one_by_one(SMALL) + one_by_one(TINY) + one_by_one(LARGE)


def test_one_pack_is_joined_as_it_is() -> None:
    packed = SMALL.pack()
    found = concatenate_graphs([packed])
    assert all(getattr(found, name) is array for name, array in vars(packed).items())


@pytest.mark.parametrize(
    "frames", [[0], [7], [3, 4, 5], [7, 0, 4, 4, 2], [1] * 5, list(range(8)), []], ids=str
)
def test_taking_frames_in_any_order(frames: list[int]) -> None:
    every = one_by_one(SMALL) + one_by_one(TINY) + one_by_one(LARGE)
    joined = concatenate_graphs([SMALL.pack(), TINY.pack(), LARGE.pack()])
    taken = take_graphs(joined, np.array(frames, dtype=np.int64))
    check_layout(taken)
    assert graphs(taken) == [every[frame] for frame in frames]


# --- cut down to what the targets see -----------------------------------------------------------


def slow_hops(graph: dict[str, Any]) -> list[float]:
    """Steps from the nearest target atom, by going round until nothing changes."""
    hops = [float("inf")] * len(graph["species"])
    for atom in set(chain.from_iterable(graph["targets"])):
        hops[atom] = 0.0
    for _ in hops:
        for atom, neighbors in enumerate(graph["neighbors"]):
            for neighbor in neighbors:
                hops[neighbor] = min(hops[neighbor], hops[atom] + 1)
    return hops


def by_name(graph: dict[str, Any]) -> dict[str, Any]:
    """The same graph with every atom called by its species: no place in an array counts."""
    names = graph["species"]
    rows = {
        names[atom]: [
            (names[neighbor], distance) for neighbor, distance in zip(*edges, strict=True)
        ]
        for atom, edges in enumerate(zip(graph["neighbors"], graph["distances"], strict=True))
    }
    targets = [[names[atom] for atom in group] for group in graph["targets"]]
    return {"rows": rows, "hops": dict(zip(names, graph["hops"], strict=True)), "targets": targets}


@pytest.mark.parametrize("n_hops", [0, 1, 2, 3, 30])
@pytest.mark.parametrize("box", [SMALL, LARGE, TINY], ids=["small", "large", "tiny"])
def test_graphs_cut_down_keep_what_targets_see(box: Box, n_hops: int) -> None:
    """All atoms within n_hops, with the neighbours of those nearer; nothing is changed in them."""
    packed = box.pack(n_hops)
    check_layout(packed)
    for whole, cut in zip(one_by_one(box), graphs(packed), strict=True):
        hops = slow_hops(whole)
        assert cut["hops"] == sorted(cut["hops"])
        found, every = by_name(cut), by_name(whole)
        near = {name: hop for name, hop in zip(whole["species"], hops, strict=True)}
        assert found["hops"] == {name: hop for name, hop in near.items() if hop <= n_hops}
        assert found["rows"] == {
            name: row for name, row in every["rows"].items() if near[name] < n_hops
        }
        assert found["targets"] == every["targets"]


def test_something_is_cut() -> None:
    packed = LARGE.pack(1)
    assert len(packed.species) < 3 * 31
    assert len(packed.neighbors) == 3 * 2


def test_graphs_cut_down_are_joined_and_taken_like_others() -> None:
    joined = concatenate_graphs([SMALL.pack(1), LARGE.pack(2)])
    check_layout(joined)
    every = graphs(SMALL.pack(1)) + graphs(LARGE.pack(2))
    assert graphs(joined) == every
    taken = take_graphs(joined, np.array([6, 0, 5, 5]))
    check_layout(taken)
    assert graphs(taken) == [every[6], every[0], every[5], every[5]]


def test_threads_change_nothing() -> None:
    assert graphs(LARGE.pack(n_threads=2)) == graphs(LARGE.pack())


def test_packs_with_other_numbers_of_neighbours_are_not_joined() -> None:
    other = pack_graphs(SMALL.positions, SMALL.cells, True, SMALL.species, SMALL.targets, M + 1)
    with pytest.raises(ValueError, match="must match"):
        concatenate_graphs([SMALL.pack(), other])


def test_refusals() -> None:
    targets = TargetGroups.from_indices([9])
    with pytest.raises(ValueError, match="index 9 is outside of a frame of 9 atoms"):
        pack_graphs(SMALL.positions, SMALL.cells, True, SMALL.species, targets, M)
    for n_neighbors in (0, -2):
        message = f"n_neighbors must be at least 1, received {n_neighbors}"
        with pytest.raises(ValueError, match=message):
            pack_graphs(
                SMALL.positions, SMALL.cells, True, SMALL.species, SMALL.targets, n_neighbors
            )
    with pytest.raises(ValueError, match=r"^run.dcd: n_neighbors=9 needs more than 9 atoms"):
        pack_graphs(
            SMALL.positions, SMALL.cells, False, SMALL.species, SMALL.targets, 9, where="run.dcd"
        )
