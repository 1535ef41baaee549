"""Frames that stand for states: choices by hand, cut-outs against all images, whole molecules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kgdyn.frames import TargetGroups
from kgdyn.koopman import one_hot
from kgdyn.observables import Representative, representative_frames
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

CELL = np.array([[7.0, 0.0, 0.0], [3.0, 6.0, 0.0], [-2.0, 2.5, 6.5]])


def random_run(rng: np.random.Generator, n_frames: int = 12, **options: Any) -> Trajectory:
    return trajectory_from_arrays(
        (4.0 * rng.random((n_frames, 14, 3)) - 2.0) @ CELL,
        CELL,
        [3] * 4 + [8] * 10,
        frame_interval=1.0,
        **{"targets": range(4), **options},
    )


def test_cut_out_against_all_images(rng: np.random.Generator) -> None:
    """A cell smaller than the radius: some atoms stand there several times."""
    run = random_run(rng)
    states = rng.dirichlet(np.ones(2), (12, 4))
    found = representative_frames(run, states, radius=6.5, n_sample=5)
    assert len(found.representatives) == 8
    images = np.array(list(product(range(-7, 8), repeat=3))) @ CELL
    for item in found.representatives:
        assert item.probability == states[item.frame, item.target, item.state]
        positions = run.positions[item.frame]
        ways = positions[:, None] + images - positions[item.target]
        atoms, places = np.nonzero(np.linalg.norm(ways, axis=2) < 6.5)
        expected = np.column_stack([atoms, ways[atoms, places]])
        cluster = item.cluster
        rows = np.column_stack([cluster.atoms, cluster.positions])
        assert len(rows) == len(expected) > len(np.unique(atoms))
        key = [np.lexsort(np.round(part, 6).T) for part in (rows, expected)]
        np.testing.assert_allclose(rows[key[0]], expected[key[1]], atol=1e-9)
        assert np.flatnonzero(cluster.is_target).tolist() == [0]
        assert cluster.atoms[0] == item.target
        np.testing.assert_allclose(cluster.positions[0], 0.0, atol=1e-12)
        assert np.array_equal(cluster.species, run.species[cluster.atoms])
        assert cluster.molecules is None


def test_the_most_probable_frames_lie_apart() -> None:
    """Frames of target 0 are the best ones, and others nearly as good are of other targets."""
    run = trajectory_from_arrays(
        np.zeros((100, 3, 3)), 9.0 * np.eye(3), [3] * 3, frame_interval=1.0, targets=range(3)
    )
    chance = np.full((100, 3), 0.1)
    chance[20:30, 0] = 0.99
    chance[24, 0] = 0.999  # the best one
    chance[60, 0] = 0.98  # another visit of the same target
    chance[70, 1] = 0.97
    chance[5, 2] = 0.9  # less than 0.95 of the best
    states = np.stack([chance, 1.0 - chance], axis=-1)

    def chosen(count: int) -> list[tuple[int, int]]:
        found = representative_frames(run, states, n_per_state=count, n_sample=0)
        return [(item.frame, item.target) for item in found.of(0, "highest probability")]

    assert chosen(1) == [(24, 0)]
    assert chosen(2) == [(24, 0), (70, 1)]
    assert chosen(3) == [(24, 0), (60, 0), (70, 1)]
    assert chosen(4) == [(24, 0), (25, 0), (60, 0), (70, 1)]  # the same visit at last
    assert representative_frames(run, states, n_per_state=0, n_sample=0).representatives == ()


def around(distances: Any, rng: np.random.Generator) -> Trajectory:
    """One Li with one O at a distance of its own in every frame, turned, moved and wrapped."""
    positions = np.zeros((len(distances), 2, 3))
    for frame, distance in enumerate(distances):
        way = rng.normal(size=3)
        positions[frame, 1] = distance * way / np.linalg.norm(way)
    positions += 100.0 * rng.random((len(distances), 1, 3))
    return trajectory_from_arrays(
        positions % 20.0, 20.0 * np.eye(3), [3, 8], frame_interval=1.0, targets=[0]
    )


def test_medoid_is_what_is_usual(rng: np.random.Generator) -> None:
    """Most are near 2; the mean, 2.9, is like none of them; those most probable are at 5."""
    distances = np.array([1.9, 1.95, 2.0, 2.06, 2.1, 5.0, 5.0])
    run = around(distances, rng)
    chance = np.where(distances > 3.0, 1.0, 0.9)[:, None]
    states = np.stack([chance, 1.0 - chance], axis=-1)
    found = representative_frames(run, states, n_per_state=1, radius=6.0, n_nearest=1)
    assert found.of(0)[0].frame in (5, 6)
    medoid = found.medoid(0)
    assert medoid is not None
    assert medoid.kind == "medoid"
    apart = np.abs(distances[:, None] - distances).sum(axis=1)
    assert medoid.frame == int(np.argmin(apart)) == 3
    # Of two numbers, Li and O; there is no other Li, so one of them is the radius in all frames.
    assert found.spread[0] == pytest.approx(apart.min() / 6 / np.sqrt(2), rel=1e-9)
    # The second state is nowhere the more probable one: all frames that have any of it.
    assert found.sample_sizes.tolist() == [7, 5]
    assert found.descriptor == (
        "sorted distances of the 1 nearest atoms of each element, up to 6 angstrom"
    )


def test_medoid_depends_on_no_frame_of_reference(rng: np.random.Generator) -> None:
    run = random_run(rng, n_frames=30)
    states = rng.dirichlet(np.ones(2), (30, 4))
    expected = representative_frames(run, states, n_sample=40)
    turn = Rotation.from_rotvec([0.3, 1.0, -0.6]).as_matrix()
    order = np.concatenate([np.arange(4), 4 + rng.permutation(10)])
    moved = replace(
        run, positions=((run.positions + 55.0) @ turn)[:, order], cells=run.cells @ turn
    )
    found = representative_frames(moved, states, n_sample=40)
    for state in range(2):
        first, second = expected.medoid(state), found.medoid(state)
        assert isinstance(first, Representative)
        assert isinstance(second, Representative)
        assert (first.frame, first.target) == (second.frame, second.target)
    np.testing.assert_allclose(found.spread, expected.spread, rtol=1e-9)
    again = representative_frames(run, states, n_sample=40, seed=1)
    assert again.seed == 1
    assert not np.array_equal(again.spread, expected.spread)


def chain_run(*, with_images: bool) -> tuple[Trajectory, np.ndarray]:
    """A Li beside the middle of a chain of 9 beads that is longer than the cell of 8 angstrom."""
    chain = np.zeros((9, 3))
    chain[:, 0] = np.arange(9) * 1.4
    chain[:, 1] = 0.3 * (np.arange(9) % 2)
    positions = np.concatenate([[[5.6, 2.0, 0.0]], chain])[None].repeat(4, axis=0) + 3.0
    # A box that is long enough across, so that the chain meets itself nowhere.
    cell = np.diag([8.0, 9.0, 9.0]) + np.array([[0, 3.0, 0], [0, 0, 0], [0, 0, 0]])
    fractions = positions @ np.linalg.inv(cell)
    images = np.floor(fractions).astype(int)
    run = trajectory_from_arrays(
        (fractions - images) @ cell, cell, [3] + [6] * 9, frame_interval=1.0, targets=[0]
    )
    return (replace(run, images=images) if with_images else run), positions[0] - positions[0, 0]


@pytest.mark.parametrize("with_images", [True, False])
def test_whole_molecules(with_images: bool) -> None:
    run, expected = chain_run(with_images=with_images)
    states = one_hot(np.array([0, 0, 1, 1]), 2)
    molecules = np.array([1] + [7] * 9)
    item = representative_frames(run, states, radius=2.3, molecules=molecules).of(0)[0]
    cluster = item.cluster
    order = np.argsort(cluster.atoms)
    assert cluster.atoms[order].tolist() == list(range(10))
    np.testing.assert_allclose(cluster.positions[order], expected, atol=1e-9)
    assert cluster.molecules is not None
    assert np.array_equal(cluster.molecules, molecules[cluster.atoms])
    assert cluster.cut_molecules == ()
    short = representative_frames(run, states, radius=2.3, molecules=molecules, max_atoms=9)
    assert short.of(0)[0].cluster.cut_molecules == (7,)
    assert sorted(short.of(0)[0].cluster.atoms) == [0, 4, 5, 6]
    assert repr(short.of(0)[0].cluster) == "Cluster(n_atoms=4, cut_molecules=[7])"


@pytest.mark.parametrize("with_images", [True, False])
def test_a_target_of_several_atoms_across_the_border(with_images: bool) -> None:
    """Centre of mass at 0: O at -0.1, two H of a third of its mass each at +0.15."""
    positions = np.array([[-0.1, 0, 0], [0.15, 0.5, 0], [0.15, -0.5, 0], [0, 2.0, 0]]) + 10.0
    images = np.floor(positions / 10.0).astype(int)
    run = trajectory_from_arrays(
        (positions % 10.0)[None].repeat(2, axis=0), 10.0 * np.eye(3), [8, 1, 1, 3],
        frame_interval=1.0, targets=TargetGroups.from_groups([[0, 1, 2]]),
    )  # fmt: skip
    if with_images:
        run = replace(run, images=images[None].repeat(2, axis=0))
    found = representative_frames(
        run, one_hot(np.array([0, 1]), 2), masses={"O": 3.0, "H": 1.0, "Li": 7.0}, radius=0.3
    )
    cluster = found.of(1)[0].cluster
    assert cluster.is_target.all()  # its own atoms, beyond the radius too
    np.testing.assert_allclose(cluster.positions, (positions - 10.0)[:3], atol=1e-12)


def test_several_runs_and_states_that_are_never_seen(rng: np.random.Generator) -> None:
    first, second = random_run(rng, 6), random_run(rng, 9)
    labels = [np.zeros((6, 4), int), np.zeros((9, 4), int)]
    labels[1][8, 2] = 1
    states = [one_hot(own, 3) for own in labels]
    found = representative_frames([first, second], states, n_sample=10)
    np.testing.assert_allclose(found.populations, [59 / 60, 1 / 60, 0.0])
    assert [(i.trajectory, i.frame, i.target, i.kind) for i in found.of(1)] == [
        (1, 8, 2, "highest probability"),
        (1, 8, 2, "medoid"),
    ]
    assert found.of(2) == ()
    assert found.medoid(2) is None
    assert found.sample_sizes.tolist() == [10, 1, 0]
    assert np.isnan(found.spread[2])
    assert {item.trajectory for item in found.of(0, "highest probability")} == {0, 1}
    assert repr(found) == (
        "RepresentativeFrames(n_states=3, frames of each state=[4, 2, 0], radius=6 angstrom, "
        "n_sample=10, seed=0)"
    )
    with pytest.raises(ValueError, match="read-only"):
        found.of(0)[0].cluster.positions[...] = 0.0
    with pytest.raises(ValueError, match="state must be from 0 to 2, received 3"):
        found.of(3)


def test_polymer_chains_with_and_without_images(shared_data: Callable[[str], Path]) -> None:
    """Beads beside the nearest bead of their chain stand where the images say, in real frames."""
    held = np.load(shared_data("peo_litfsi/PEO_LiTFSI_CG.npz"))
    frames = slice(0, 2000, 400)
    wrapped, unwrapped = held["traj_coords"][frames], held["unwrapped"][frames]
    cells = held["lattices"][frames]
    run = trajectory_from_arrays(
        wrapped, cells, held["atom_types"], frame_interval=4.0, targets=held["target_index"]
    )
    ways = (unwrapped - wrapped).astype(float) @ np.linalg.inv(cells.astype(float))
    states, molecules = one_hot(held["state3"][frames], 3), held["mol"]
    options: dict[str, Any] = {"molecules": molecules, "n_sample": 0, "n_per_state": 2}
    expected = representative_frames(
        replace(run, images=np.rint(ways).astype(int)), states, **options
    )
    found = representative_frames(run, states, **options)
    assert len(found.representatives) == 6
    for one, other in zip(found.representatives, expected.representatives, strict=True):
        rows = [
            np.column_stack([item.cluster.atoms, item.cluster.positions]) for item in (one, other)
        ]
        rows = [part[np.lexsort(np.round(part, 2).T[::-1])] for part in rows]
        np.testing.assert_allclose(rows[0], rows[1], atol=1e-4)
        assert one.cluster.n_atoms > 50


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_per_state": -1}, "n_per_state must be at least 0, received -1"),
        ({"n_sample": -1}, "n_sample must be at least 0"),
        ({"n_nearest": 0}, "n_nearest must be at least 1"),
        ({"max_atoms": 0}, "max_atoms must be at least 1"),
        ({"radius": 0.0}, r"radius must be a positive distance in angstrom, received 0\.0"),
        ({"molecules": np.zeros(3, int)}, r"molecules must be integers of shape \(n_atoms,\)"),
        ({"molecules": np.zeros(14)}, "molecules must be integers .* received float64"),
        ({"molecules": [np.zeros(14, int)] * 2}, "molecules must be one array for each traj"),
        ({"masses": {"Li": 6.9}}, r"masses must have a value for every element .* \['O'\]"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match=message):
        representative_frames(random_run(rng), np.full((12, 4, 2), 0.5), **changes)
