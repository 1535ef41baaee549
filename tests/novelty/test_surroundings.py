"""Features of surroundings: by hand, against a slow loop, and what may not change them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.graphs import PackedGraphs, concatenate_graphs
from kgdyn.novelty import Surroundings, surroundings, surroundings_of

Packer = Callable[..., PackedGraphs]

SMALL = Surroundings((3, 16), (3,), np.array([1.0, 2.0, 3.0]))
RTOL, ATOL = 1e-5, 1e-5


def test_three_atoms_by_hand(graphs_of: Packer) -> None:
    """S at 2 and 3.5 angstrom of a Li; no other Li: as if one stood at the end, at 4."""
    positions = np.array([[[0, 0, 0], [2, 0, 0], [0, 3.5, 0]]], float)
    graphs = graphs_of(positions, np.zeros((3, 3)), [3, 16, 16], [0], 2, pbc=False)
    near, far = np.exp(-0.5), np.exp(-0.125)
    expected = [0, 0, 0, 4.0, near + np.exp(-0.5 * 2.5**2), 1 + np.exp(-0.5 * 1.5**2)]
    expected += [near + far, 2.0, 1, 0]
    np.testing.assert_allclose(SMALL(graphs), [expected], rtol=RTOL, atol=ATOL)
    assert SMALL.n_features == len(expected) == len(SMALL.quantities)
    names = [str(quantity) for quantity in SMALL.quantities]
    assert names[1] == "Li near 2.0 angstrom of Li"
    assert (names[7], names[8]) == ("nearest S of Li", "Li")


def slow_features(which: Surroundings, graphs: PackedGraphs) -> Any:
    """One target, atom and neighbour after the other."""
    width, result = which.width, []
    for frame in range(graphs.n_frames):
        atoms, rows = graphs.atom_splits[frame], graphs.row_splits[frame]
        for target in range(graphs.target_splits[frame], graphs.target_splits[frame + 1]):
            members = graphs.target_atoms[
                graphs.target_atom_splits[target] : graphs.target_atom_splits[target + 1]
            ]
            row = []
            for of in which.target_elements:
                for element in which.elements:
                    found = [
                        float(distance)
                        for atom in members
                        if graphs.species[atoms + atom] == of
                        for neighbor, distance in zip(
                            graphs.neighbors[rows + atom],
                            graphs.distances[rows + atom],
                            strict=True,
                        )
                        if graphs.species[atoms + neighbor] == element
                    ]
                    for center in which.centers:
                        terms = [np.exp(-((d - center) ** 2) / (2 * width**2)) for d in found]
                        row.append(sum(terms))
                    row.append(min([*found, which.farthest]) / width)
            kinds = [graphs.species[atoms + atom] for atom in members]
            row += [kinds.count(element) for element in which.elements]
            result.append(row)
    return np.array(result, float)


@pytest.fixture
def molecules(rng: np.random.Generator) -> tuple[Any, Any, Any, TargetGroups]:
    """Four frames of 20 atoms of three elements in a triclinic cell; targets of 1 to 4 atoms."""
    cell = np.array([[7.0, 0, 0], [1.0, 6.5, 0], [-0.5, 0.8, 6.0]])
    positions = rng.random((4, 20, 3)) @ cell
    species = rng.choice([1, 6, 8], 20)
    targets = TargetGroups(np.arange(10), np.array([0, 1, 4, 6, 10]), "molecules")
    return positions, cell, species, targets


@pytest.mark.parametrize("n_hops", [None, 1, 2])
def test_equals_a_slow_loop(n_hops: int | None, molecules: Any, graphs_of: Packer) -> None:
    whole = graphs_of(*molecules, 7)
    which = surroundings_of([whole], [1, 6, 8, 9], n_centers=5)
    found = which(graphs_of(*molecules, 7, n_hops=n_hops))
    assert found.shape == (16, which.n_features)
    np.testing.assert_allclose(found, slow_features(which, whole), rtol=RTOL, atol=ATOL)


def test_what_must_not_change_it(
    molecules: Any, graphs_of: Packer, rng: np.random.Generator
) -> None:
    positions, cell, species, targets = molecules
    which = surroundings_of([graphs_of(*molecules, 7)], [1, 6, 8])
    expected = which(graphs_of(*molecules, 7))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    moved = (positions + rng.integers(-2, 3, positions.shape) @ cell + rng.random(3)) @ turn
    order = rng.permutation(20)
    place = np.argsort(order)
    exchanged = TargetGroups(place[targets.atoms], targets.offsets)
    found = which(graphs_of(moved[:, order], cell @ turn, species[order], exchanged, 7))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_parts_and_pieces(
    molecules: Any, graphs_of: Packer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames together or one by one, and few atoms at once, give the same bits."""
    positions, *rest = molecules
    parts = [graphs_of(positions[k : k + 1], *rest, 7) for k in range(4)]
    which = surroundings_of(parts, [1, 6, 8])
    together = which(concatenate_graphs(parts))
    np.testing.assert_array_equal(together, np.concatenate([which(part) for part in parts]))
    monkeypatch.setattr(surroundings, "_ATOMS_AT_ONCE", 3)
    np.testing.assert_array_equal(together, which(concatenate_graphs(parts)))


def test_fits_the_graphs_and_knows_no_unit(molecules: Any, graphs_of: Packer) -> None:
    positions, cell, species, targets = molecules
    graphs = graphs_of(positions, cell, species, targets, 7)
    which = surroundings_of([graphs], [1, 6, 8])
    rows = graphs.distances.reshape(4, 20, 7)[:, :10]
    assert which.centers[0] == pytest.approx(rows.min() / 2, rel=1e-6)
    assert which.centers[-1] == pytest.approx(np.quantile(rows[..., -1], 0.99), rel=1e-6)
    assert which.target_elements == tuple(np.unique(species[:10]))
    twice = graphs_of(2.0 * positions, 2.0 * cell, species, targets, 7)
    other = surroundings_of([twice], [1, 6, 8])
    assert other.width == pytest.approx(2.0 * which.width, rel=1e-6)
    np.testing.assert_allclose(other(twice), which(graphs), rtol=1e-4, atol=1e-4)


def test_no_target(molecules: Any, graphs_of: Packer) -> None:
    with pytest.raises(ValueError, match="graphs: hold no target whose surroundings"):
        surroundings_of([], [1, 6, 8])
