"""Coordinates as a plain VAMPnet takes them: wrapped, of whole targets, in pairs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.training import coordinates_dataset, target_coordinates
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

CELL = np.array([[8.0, 0.0, 0.0], [3.0, 9.0, 0.0], [-2.5, 2.0, 10.0]])


def run_of(
    positions: Any, targets: Any = (0,), cell: Any = CELL, pbc: Any = True, **options: Any
) -> Trajectory:
    groups = targets if isinstance(targets, TargetGroups) else TargetGroups.from_indices(targets)
    species = [3] * np.shape(positions)[1]
    return trajectory_from_arrays(
        np.asarray(positions, float), cell, species, frame_interval=0.5, targets=groups, pbc=pbc,
        **options,
    )  # fmt: skip


def test_positions_are_wrapped_frame_by_frame_and_atom_by_atom(rng: np.random.Generator) -> None:
    fractions = rng.random((20, 4, 3))
    images = rng.integers(-3, 4, (20, 4, 3))
    run = run_of((fractions + images) @ CELL, targets=[2, 0])
    inside = (fractions @ CELL).astype(np.float32)
    found = target_coordinates(run, others=[3])
    assert found.shape == (20, 2, 6)
    assert found.dtype == np.float32
    for number, atom in enumerate([2, 0]):
        np.testing.assert_allclose(found[:, number, :3], inside[:, atom], rtol=0.0, atol=1e-5)
        np.testing.assert_allclose(found[:, number, 3:], inside[:, 3], rtol=0.0, atol=1e-5)
    found = target_coordinates(run, coordinates="fractional")
    np.testing.assert_allclose(found, fractions[:, [2, 0]], rtol=0.0, atol=1e-6)
    found = target_coordinates(run, coordinates="circular")
    angles = 2.0 * np.pi * fractions[:, [2, 0]]
    expected = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-5)


def test_a_border_is_a_jump_but_for_circular() -> None:
    run = run_of([[[-1e-3, 5.0, 5.0]], [[1e-3, 5.0, 5.0]]], cell=np.eye(3) * 10.0)
    assert np.abs(np.diff(target_coordinates(run)[:, 0, 0]))[0] == pytest.approx(9.998, abs=1e-5)
    circular = target_coordinates(run, coordinates="circular")
    assert np.abs(np.diff(circular, axis=0)).max() < 2e-3


def test_molecules_stay_whole() -> None:
    """An O at the border and its H beyond it: the H is outside the cell, near its O."""
    groups = TargetGroups.from_groups([[0, 1]])
    run = run_of([[[9.8, 1.0, 1.0], [0.3, 1.0, 1.0]]], groups, cell=np.eye(3) * 10.0)
    np.testing.assert_allclose(target_coordinates(run)[0, 0], [9.8, 1, 1, 10.3, 1, 1], rtol=1e-6)


def test_cells_of_their_own_and_free_directions() -> None:
    cells = np.stack([np.eye(3) * 10.0, np.eye(3) * 4.0])
    positions = np.array([[[11.0, 12.0, -13.0]], [[5.0, 6.0, 7.0]]])
    found = target_coordinates(run_of(positions, cell=cells))[:, 0]
    np.testing.assert_allclose(found, [[1.0, 2.0, 7.0], [1.0, 2.0, 3.0]], rtol=1e-6)
    found = target_coordinates(run_of(positions, cell=cells, pbc=[True, True, False]))[:, 0]
    np.testing.assert_allclose(found, [[1.0, 2.0, -13.0], [1.0, 2.0, 7.0]], rtol=1e-6)
    found = target_coordinates(run_of(positions, cell=np.zeros((3, 3)), pbc=False))[:, 0]
    np.testing.assert_allclose(found, positions[:, 0], rtol=1e-6)


def counted(n_frames: int, n_targets: int, first: int) -> Trajectory:
    """A trajectory that says in x which frame, and in y which target, a row is."""
    positions = np.zeros((n_frames, n_targets, 3))
    positions[..., 0] = first + np.arange(n_frames)[:, None]
    positions[..., 1] = np.arange(n_targets)
    return run_of(positions, range(n_targets), cell=np.zeros((3, 3)), pbc=False)


def pairs_in(dataset: Any) -> list[tuple[float, ...]]:
    return [
        (*one[:2].tolist(), *two[:2].tolist())
        for (inputs,) in dataset
        for one, two in zip(np.asarray(inputs["t"]), np.asarray(inputs["lag"]), strict=True)
    ]


def test_pairs_are_of_one_target_and_never_cross_a_border() -> None:
    """Two trajectories with other numbers of targets, one of them in two segments."""
    broken = counted(9, 3, 100)
    broken = Trajectory(
        broken.positions, broken.cells, broken.pbc, broken.species, broken.targets, 0.5,
        segment_offsets=np.array([0, 4, 9]),
    )  # fmt: skip
    parts = [counted(5, 2, 0), broken]
    expected = [(k, t, k + 3, t) for k in range(2) for t in range(2)]
    expected += [(k, t, k + 3, t) for k in (100, 104, 105) for t in range(3)]
    plain = coordinates_dataset(parts, lagtime=3, batch_size=4, shuffle=False)
    assert pairs_in(plain) == expected
    assert len(plain) == 4
    shuffled = coordinates_dataset(parts, lagtime=3, batch_size=4, seed=1)
    one, two = pairs_in(shuffled), pairs_in(shuffled)
    assert one != two
    assert sorted(one) == sorted(two) == sorted(expected)
    again = coordinates_dataset(parts, lagtime=3, batch_size=4, seed=1)
    assert [pairs_in(again), pairs_in(again)] == [one, two]
    strided = coordinates_dataset(parts, lagtime=3, stride=2, shuffle=False)
    frames = [(k, t, k + 3, t) for k, n in ((0, 2), (100, 3), (105, 3)) for t in range(n)]
    assert pairs_in(strided) == frames


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lagtime": 9}, "lagtime must be shorter than the longest segment"),
        ({"batch_size": 0}, "batch_size must be at least 1, received 0"),
        ({"stride": 0}, "stride must be at least 1, received 0"),
        ({"seed": -1}, "seed must not be negative, received -1"),
        ({"coordinates": "polar"}, "coordinates must be one of .*'circular'.*received 'polar'"),
        ({"coordinates": "circular"}, "coordinates='circular' needs a cell that is periodic"),
        ({"others": [3]}, "others must be indices of the 3 atoms, received 3"),
        ({"others": [-1]}, "others must be indices of the 3 atoms, received -1"),
    ],
)
def test_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        coordinates_dataset(counted(5, 3, 0), **{"lagtime": 1, **options})


def test_refuses_targets_of_other_sizes() -> None:
    mixed = run_of(np.zeros((3, 3, 3)), TargetGroups.from_groups([[0], [1, 2]]))
    with pytest.raises(ValueError, match=r"targets must have the same number of atoms .*\[1, 2\]"):
        target_coordinates(mixed)
    parts = [counted(3, 1, 0), run_of(np.zeros((3, 2, 3)), TargetGroups.from_groups([[0, 1]]))]
    with pytest.raises(ValueError, match=r"targets of one number of atoms .* \[3, 6\]"):
        coordinates_dataset(parts, lagtime=1)


def test_names_the_bad_frame() -> None:
    positions = np.zeros((5000, 2, 3))
    positions[4500, 0, 1] = np.nan
    with pytest.raises(ValueError, match="frame 4500"):
        target_coordinates(run_of(positions))
