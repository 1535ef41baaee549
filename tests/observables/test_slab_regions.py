"""Which slab a target is in: by hand, in tilted cells, in cells that change, along free axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.observables import slab_regions
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

CELL = np.array([[9.0, 0.0, 0.0], [4.0, 8.0, 0.0], [-3.0, 3.5, 10.0]])


def run_of(positions: Any, cells: Any, **options: Any) -> Trajectory:
    positions = np.asarray(positions, dtype=float)
    n_atoms = positions.shape[1]
    return trajectory_from_arrays(
        positions, cells, [3] * n_atoms,
        **{"frame_interval": 1.0, "targets": range(n_atoms), **options},
    )  # fmt: skip


def test_by_hand() -> None:
    heights = np.array([0.0, 1.9, 2.0, 6.9, 7.0, 9.9, 12.5, -0.5])
    positions = np.zeros((1, 8, 3))
    positions[..., 2] = heights
    run = run_of(positions, 10.0 * np.eye(3))
    assert slab_regions(run, 2, [2.0, 7.0]).tolist() == [[1, 1, 0, 0, 1, 1, 0, 1]]
    assert slab_regions(run, 2, [0.2, 0.7], fractional=True).tolist() == [[1, 1, 0, 0, 1, 1, 0, 1]]
    assert slab_regions(run, 2, [0.0, 2.0, 7.0]).tolist() == [[0, 0, 1, 1, 2, 2, 1, 2]]
    assert slab_regions(run, 2, [5.0]).tolist() == [[0] * 8]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_tilted_cells_that_change(axis: int, rng: np.random.Generator) -> None:
    cells = CELL * rng.uniform(0.8, 1.2, (30, 1, 1))
    positions = (rng.random((30, 12, 3)) * 4.0 - 2.0) @ cells
    run = run_of(positions, cells)
    normal = np.cross(CELL[(axis + 1) % 3], CELL[(axis + 2) % 3])
    normal *= np.sign(normal @ CELL[axis]) / np.linalg.norm(normal)
    heights = cells[:, axis] @ normal
    along = (positions @ normal) % heights[:, None]
    expected = np.where(along < 1.5, 2, np.where(along < 3.0, 0, np.where(along < 4.0, 1, 2)))
    assert np.array_equal(slab_regions(run, axis, [1.5, 3.0, 4.0]), expected)
    shares = along / heights[:, None]
    moving = slab_regions(run, axis, [0.0, 0.25], fractional=True)
    assert np.array_equal(moving, (shares >= 0.25).astype(int))


def test_a_free_axis_ends() -> None:
    positions = np.zeros((1, 5, 3))
    positions[..., 2] = [-3.0, -1.0, 0.5, 4.9, 5.0]
    run = run_of(positions, np.diag([6.0, 6.0, 0.0]), pbc=[True, True, False])
    assert slab_regions(run, 2, [-2.0, 0.0, 5.0]).tolist() == [[-1, 0, 1, 1, -1]]
    with pytest.raises(ValueError, match="edges must rise, at least 2 of them for this axis"):
        slab_regions(run, 2, [0.0])
    with pytest.raises(ValueError, match="fractional edges need a periodic axis"):
        slab_regions(run, 2, [0.0, 0.5], fractional=True)


def test_molecules_count_by_their_centre() -> None:
    positions = np.zeros((1, 2, 3))
    positions[0, :, 2] = [9.5, 0.7]  # across the border: the mean is at 0.1
    run = run_of(positions, 10.0 * np.eye(3), targets=TargetGroups.from_groups([[0, 1]]))
    assert slab_regions(run, 2, [0.0, 5.0]).tolist() == [[0]]
    assert slab_regions(run, 2, [0.0, 5.0], masses=[5.0, 1.0]).tolist() == [[1]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axis": 3}, "axis must be 0, 1 or 2, received 3"),
        ({"edges": []}, "edges must rise, at least 1 of them for this axis"),
        ({"edges": [2.0, 1.0]}, "edges must rise"),
        ({"edges": [np.nan]}, "edges must rise"),
        ({"edges": [-0.5, 3.0]}, "frame 1: edges must be from 0 to below 8, received"),
        ({"edges": [3.0, 8.5]}, "frame 1: edges must be from 0 to below 8, received"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    cells = np.array([10.0, 8.0])[:, None, None] * np.eye(3)
    with pytest.raises(ValueError, match=message):
        slab_regions(run_of(np.zeros((2, 1, 3)), cells), **({"axis": 2, "edges": [1.0]} | changes))
