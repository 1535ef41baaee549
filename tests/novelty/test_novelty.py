"""Distances from a training: what they are, what they find and what they say."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.graphs import PackedGraphs
from kgdyn.novelty import Novelty, novelty_of, surroundings_of

Packer = Callable[..., PackedGraphs]
Crystal = Callable[..., tuple[Any, Any, Any]]


@pytest.fixture(scope="module")
def li(crystal: Crystal, graphs_of: Packer) -> Novelty:
    train, held_out = (
        graphs_of(positions, cell, species, [0])
        for positions, cell, species in (crystal(2000, 1), crystal(1000, 2))
    )
    which = surroundings_of([train], [3, 16])
    return novelty_of(which, which(train), which(held_out))


def test_one_is_the_held_out_quantile(li: Novelty, crystal: Crystal, graphs_of: Packer) -> None:
    *rest, species = crystal(1000, 2)
    held_out = li.distances(graphs_of(*rest, species, [0]))
    assert held_out.shape == (1000,)
    assert held_out.dtype == np.float32
    assert np.quantile(held_out, 0.999) <= 1 / 1.1 + 1e-6
    distances = li.gaussians.nearest(li.features(graphs_of(*rest, species, [0])))
    np.testing.assert_allclose(held_out, distances / li.threshold, rtol=1e-6, atol=0.0)


def test_threshold_by_hand(li: Novelty, crystal: Crystal, graphs_of: Packer) -> None:
    train = li.features(graphs_of(*crystal(2000, 1), [0]))
    held_out = li.features(graphs_of(*crystal(1000, 2), [0]))
    inside, outside = (li.gaussians.nearest(rows) for rows in (train, held_out))
    start = np.quantile(outside, 0.98)
    by_tail = start + (outside[outside > start] - start).mean() * np.log(20.0)
    found = [np.quantile(inside, 0.999), np.quantile(outside, 0.999), by_tail]
    assert li.threshold == pytest.approx(1.1 * max(found), rel=1e-9)
    np.testing.assert_array_equal(li.lowest, train.min(axis=0))
    np.testing.assert_array_equal(li.highest, train.max(axis=0))


def test_fresh_data_are_known(li: Novelty, crystal: Crystal, graphs_of: Packer) -> None:
    fresh = li.distances(graphs_of(*crystal(4000, 3), [0]))
    assert (fresh > 1.0).mean() < 0.005
    assert 0.2 < np.median(fresh) < 0.8


def near_sulfur(positions: Any, cell: Any, species: Any) -> tuple[Any, Any, Any]:
    positions = positions.copy()
    positions[:, 0] = positions[:, 1] + [0.8, 0.0, 0.0]
    return positions, cell, species


def vacancy(positions: Any, cell: Any, species: Any) -> tuple[Any, Any, Any]:
    return np.delete(positions, 2, axis=1), cell, np.delete(species, 2)


def larger(positions: Any, cell: Any, species: Any) -> tuple[Any, Any, Any]:
    return 1.05 * positions, 1.05 * cell, species


def exchanged(positions: Any, cell: Any, species: Any) -> tuple[Any, Any, Any]:
    return positions, cell, np.array([3, 16, 3, 16, 16])


@pytest.mark.parametrize(
    ("change", "share", "words"),
    [
        (near_sulfur, 1.0, r"^S at 0\.80 angstrom: never nearer than \d\.\d\d in the training$"),
        (vacancy, 0.99, r"^\d\.\d\d S near \d\.\d angstrom: \d.\d\d to \d.\d\d in the"),
        (larger, 0.3, r"in the training$"),
        (exchanged, 1.0, "^Li at .* angstrom: never among the neighbours in the training$"),
    ],
)
def test_finds_and_says(
    change: Any, share: float, words: str, li: Novelty, crystal: Crystal, graphs_of: Packer
) -> None:
    graphs = graphs_of(*change(*crystal(200, 4)), [0])
    distances = li.distances(graphs)
    assert (distances > 1.0).mean() >= share
    row = int(np.argmax(distances))
    assert re.search(words, li.explain(graphs, row)), li.explain(graphs, row)


def test_other_targets_are_found(li: Novelty, crystal: Crystal, graphs_of: Packer) -> None:
    """An S as target, and a Li with an S as one target."""
    positions, cell, species = crystal(5, 4)
    graphs = graphs_of(positions, cell, species, [1])
    assert li.distances(graphs).min() > 2.0
    assert "S" in li.explain(graphs, 0)
    pair = TargetGroups(np.array([0, 1]), np.array([0, 2]))
    graphs = graphs_of(positions, cell, species, pair)
    assert li.distances(graphs).min() > 1.5
    assert li.explain(graphs, 4) == "a target with 1 S: 0 to 0 in the training"


def test_words_for_what_is_far_and_for_what_is_usual(
    li: Novelty, crystal: Crystal, graphs_of: Packer
) -> None:
    positions, cell, species = crystal(3, 4)
    alone = np.stack([positions[:, 0], positions[:, 0] + [20.0, 0.0, 0.0]], axis=1)
    graphs = graphs_of(alone, 100.0 * np.eye(3), [3, 16], [0], 1)
    assert li.explain(graphs, 0).startswith("nearest S farther than 6.")
    usual = graphs_of(positions, cell, species, [0])
    inside = int(li.distances(usual).argmin())
    words = li.explain(usual, inside)
    assert words.startswith("an unusual combination, most of all ")
    assert words.endswith(" is usual")
    with pytest.raises(IndexError, match="row must be in 0 to 2, received 3"):
        li.explain(usual, 3)


def test_molecules(graphs_of: Packer, rng: np.random.Generator) -> None:
    """A stretched bond of one of 20 molecules is found, and named with both its ends."""
    n, cell = 300, 12.0 * np.eye(3)
    sites = np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)[:20] * 4.0
    oxygen = sites + rng.normal(scale=0.2, size=(n, 20, 3))
    turn = rng.normal(size=(n, 20, 2, 3))
    hydrogen = turn / np.linalg.norm(turn, axis=-1, keepdims=True)
    hydrogen = oxygen[:, :, None] + hydrogen * rng.normal(0.96, 0.02, (n, 20, 2, 1))
    atoms = np.concatenate([oxygen[:, :, None], hydrogen], axis=2).reshape(n, 60, 3)
    species, targets = np.tile([8, 1, 1], 20), TargetGroups(np.arange(60), 3 * np.arange(21))
    graphs = graphs_of(atoms, cell, species, targets)
    which = surroundings_of([graphs], [1, 8])
    rows = which(graphs)
    known = novelty_of(which, rows[:4000], rows[4000:])
    atoms[-1, 22] = atoms[-1, 21] + 0.5 * (atoms[-1, 22] - atoms[-1, 21])
    found = graphs_of(atoms[-1:], cell, species, targets)
    distances = known.distances(found)
    assert distances.argmax() == 7
    assert distances[7] > 1.2
    assert np.median(distances) < 0.9
    words = known.explain(found, 7)
    assert "in the training" in words
    assert " of O" in words or " of H" in words


def test_arrays_and_back(li: Novelty, crystal: Crystal, graphs_of: Packer) -> None:
    graphs = graphs_of(*crystal(50, 5), [0])
    again = Novelty.from_arrays(li.to_arrays())
    np.testing.assert_array_equal(again.distances(graphs), li.distances(graphs))
    assert again.explain(graphs, 3) == li.explain(graphs, 3)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("format", np.array(2), "is of format 2, this kgdyn reads format 1"),
        ("means", None, "'means'"),
        ("lowest", np.zeros(3), r"lowest must have shape \(\d+,\), received \(3,\)"),
        ("whitening", np.zeros((8, 2, 2)), "whitening must have shape"),
        ("threshold", np.array(0.0), r"the threshold must be positive, received 0\.0"),
        ("threshold", np.array(np.nan), "the threshold must be positive, received nan"),
    ],
)
def test_damaged_arrays(name: str, value: Any, message: str, li: Novelty) -> None:
    arrays = {key: array for key, array in li.to_arrays().items() if key != name}
    if value is not None:
        arrays[name] = value
    with pytest.raises(ValueError, match=f"the training distribution cannot be read: {message}"):
        Novelty.from_arrays(arrays)


@pytest.mark.parametrize(
    ("train", "held_out", "message"),
    [
        (np.zeros((0, 22)), np.zeros((3, 22)), r"train must have .* received \(0, 22\)"),
        (np.zeros((5, 22)), np.zeros((3, 4)), r"held_out must have .* received \(3, 4\)"),
    ],
)
def test_rows_that_do_not_fit(train: Any, held_out: Any, message: str, li: Novelty) -> None:
    assert li.surroundings.n_features == 22
    with pytest.raises(ValueError, match=message):
        novelty_of(li.surroundings, train, held_out)
