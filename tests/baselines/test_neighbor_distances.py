"""Sorted distances by element: against all images, under symmetry, by both searches."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import kgdyn.baselines._element_search as element_search
import kgdyn.baselines.neighbor_distances as module
from kgdyn.baselines import neighbor_distance_features, neighbor_distances_for
from kgdyn.frames import TargetGroups
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

CELL = np.array([[7.0, 0.0, 0.0], [2.0, 6.5, 0.0], [-1.0, 1.5, 8.0]])
SPECIES = np.array([3, 3, 3, 16, 16, 16, 16, 16, 17, 17, 8, 1, 1])


def trajectory(
    rng: np.random.Generator,
    targets: Any = (0, 2, 8),
    pbc: Any = True,
    n_frames: int = 4,
    cell: Any = CELL,
) -> Trajectory:
    positions = rng.random((n_frames, len(SPECIES), 3)) @ CELL
    return trajectory_from_arrays(
        positions, cell, SPECIES, frame_interval=0.1, targets=targets, pbc=pbc
    )


def by_images(run: Trajectory, frame: int, target: int, element: int, k: int) -> NDArray[Any]:
    """The slow way: all images within three cells."""
    positions = np.asarray(run.positions[frame], float)
    own = run.targets.atoms[run.targets.offsets[target] : run.targets.offsets[target + 1]]
    first = positions[own[0]]
    ranges = [range(-3, 4) if periodic else (0,) for periodic in run.pbc]
    images = np.array(list(itertools.product(*ranges))) @ np.asarray(run.cells[frame])
    nearest = []
    for atom in own:
        candidates = positions[atom] + images
        nearest.append(candidates[np.argmin(np.linalg.norm(candidates - first, axis=1))])
    center = np.mean(nearest, axis=0)
    others = [a for a in np.flatnonzero(run.species == element) if a not in own]
    every = (positions[others][:, None] + images[None]).reshape(-1, 3)
    return np.sort(np.linalg.norm(every - center, axis=1))[:k]


def expected(run: Trajectory, elements: Any, counts: Any) -> NDArray[Any]:
    return np.array(
        [
            [
                np.concatenate(
                    [by_images(run, f, t, e, k) for e, k in zip(elements, counts, strict=True)]
                )
                for t in range(run.n_targets)
            ]
            for f in range(run.n_frames)
        ]
    )


@pytest.mark.parametrize("most", [160, 0], ids=["one search", "element by element"])
@pytest.mark.parametrize("pbc", [True, (True, True, False), False])
@pytest.mark.parametrize("molecule", [False, True])
def test_against_all_images(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, molecule: bool, pbc: Any, most: int
) -> None:
    monkeypatch.setattr(element_search, "_MOST_NEIGHBORS", most)
    targets: Any = (0, 2, 8)
    run = trajectory(rng, targets, pbc)
    if molecule:
        positions = np.array(run.positions)
        # Water across a border of the cell, and an ion.
        positions[:, 11] = positions[:, 10] + [0.9, 0.3, 0.1]
        positions[:, 12] = positions[:, 10] + [-0.5, 0.8, 0.0]
        if pbc is True:
            positions[:, 11] += CELL[0] - 2 * CELL[2]
        groups = TargetGroups.from_groups([[10, 11, 12], [0]])
        run = trajectory_from_arrays(
            positions, CELL, SPECIES, frame_interval=0.1, targets=groups, pbc=pbc
        )
    features = neighbor_distances_for(run, 5)
    every = {1: 5, 3: 5, 8: 5, 16: 5, 17: 5}
    if pbc is False:
        every = {1: 2, 3: 2, 8: 1, 16: 5, 17: 1}
    if molecule:  # hydrogen and oxygen are the molecule's own
        every = {3: 5, 16: 5, 17: 5} if pbc is not False else {3: 2, 16: 5, 17: 2}
    assert dict(zip(features.elements, features.counts, strict=True)) == every
    found = neighbor_distance_features(run, 5)
    assert found.shape == (4, run.n_targets, sum(every.values()))
    np.testing.assert_allclose(
        found, expected(run, features.elements, features.counts), rtol=0, atol=1e-9
    )


def test_nothing_changes_with_the_description(rng: np.random.Generator) -> None:
    run = trajectory(rng)
    found = neighbor_distance_features(run, 6)
    positions = np.array(run.positions)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    wrapped = positions + rng.integers(-2, 3, positions.shape) @ CELL
    order = np.array([0, 1, 2, 7, 6, 3, 4, 5, 8, 9, 10, 12, 11])
    for moved, cell in (
        (positions + np.array([1.0, -7.0, 3.0]), CELL),
        (positions @ turn, CELL @ turn),
        (wrapped, CELL),
        (positions[:, order], CELL),
    ):
        other = trajectory_from_arrays(
            moved, cell, SPECIES, frame_interval=0.1, targets=run.targets
        )
        np.testing.assert_allclose(neighbor_distance_features(other, 6), found, atol=1e-9)


@pytest.mark.parametrize(
    ("transform", "function"),
    [("inverse", lambda d: 1.0 / d), ("exponential", lambda d: np.exp(-d))],
)
def test_transforms(rng: np.random.Generator, transform: str, function: Any) -> None:
    run = trajectory(rng)
    found = neighbor_distance_features(run, 3, transform)
    np.testing.assert_allclose(found, function(neighbor_distance_features(run, 3)), rtol=1e-12)


def test_names_say_what_the_columns_are(rng: np.random.Generator) -> None:
    run = trajectory(rng, targets=[0])
    features = neighbor_distances_for(run, 2)
    assert features.names[2:5] == ("distance to Li 1", "distance to Li 2", "distance to O 1")
    column = features.names.index("distance to Cl 2")
    found = neighbor_distance_features(run, 2)[:, 0, column]
    np.testing.assert_allclose(found, [by_images(run, f, 0, 17, 2)[1] for f in range(4)])


def test_chunks_are_parts_of_the_whole(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trajectory(rng, n_frames=11)
    features = neighbor_distances_for(run, 4)
    whole = features(run)
    monkeypatch.setattr(module, "_NUMBERS_AT_ONCE", 3 * (100 * 3 + 10 * len(SPECIES)))
    parts = list(features.chunks(run, 2))
    assert [part[:2] for part in parts] == [(2, 5), (5, 8), (8, 11)]
    np.testing.assert_array_equal(np.concatenate([part[2] for part in parts]), whole[2:])


def test_several_trajectories_share_columns(rng: np.random.Generator) -> None:
    runs = [trajectory(rng, n_frames=n) for n in (3, 2)]
    found = neighbor_distance_features(runs, 4)
    assert [len(part) for part in found] == [3, 2]
    np.testing.assert_array_equal(found[1], neighbor_distance_features(runs[1], 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_neighbors_per_element": 0}, "n_neighbors_per_element must be at least 1, received 0"),
        ({"transform": "square"}, "received 'square'"),
    ],
)
def test_bad_arguments(rng: np.random.Generator, arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        neighbor_distance_features(trajectory(rng), **arguments)


def test_a_lonely_target_has_no_distance() -> None:
    run = trajectory_from_arrays(
        np.zeros((2, 1, 3)), np.eye(3), [3], frame_interval=1.0, targets=[0]
    )
    with pytest.raises(ValueError, match="no target has a neighbour"):
        neighbor_distance_features(run)
