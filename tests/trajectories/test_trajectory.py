"""A trajectory: shapes, windows of it, and which frame of the file a message names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

CELL = np.array([[10.0, 0.0, 0.0], [2.0, 9.0, 0.0], [1.0, -1.5, 8.0]])
TARGETS = TargetGroups.from_indices([0, 2])


def arguments(n_frames: int = 20, **changes: Any) -> dict[str, Any]:
    """Atom a of frame f stands at (f, a, 0)."""
    positions = np.zeros((n_frames, 3, 3), np.float32)
    positions[..., 0] = np.arange(n_frames)[:, None]
    positions[..., 1] = np.arange(3)
    return {
        "positions": positions,
        "cells": CELL * (1.0 + 0.01 * np.arange(n_frames))[:, None, None],
        "pbc": True,
        "species": [3, 16, 3],
        "targets": TARGETS,
        "frame_interval": 0.5,
        "source": "run.dcd",
    } | changes


def test_what_a_trajectory_says_of_itself() -> None:
    trajectory = Trajectory(**arguments(segment_offsets=[0, 5, 6, 20]))
    assert (trajectory.n_frames, trajectory.n_atoms, trajectory.n_targets) == (20, 3, 2)
    assert len(trajectory) == 20
    assert trajectory.n_segments == 3
    assert trajectory.elements == [3, 16]
    assert trajectory.frame_interval == 0.5
    np.testing.assert_array_equal(trajectory.pbc, [True] * 3)
    np.testing.assert_array_equal(trajectory.offsets, [0, 5, 6, 20])
    assert repr(trajectory) == (
        "Trajectory(n_frames=20, n_atoms=3, n_targets=2, n_segments=3, frame_interval=0.5 ps, "
        "source='run.dcd')"
    )
    np.testing.assert_array_equal(Trajectory(**arguments()).offsets, [0, 20])
    for array in (trajectory.species, trajectory.pbc, trajectory.offsets):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_frames_of_a_trajectory() -> None:
    trajectory = Trajectory(**arguments(pbc=[True, True, False]))
    frame = trajectory.frame(7)
    np.testing.assert_array_equal(frame.positions[:, 0], 7.0)
    np.testing.assert_allclose(frame.cell, 1.07 * CELL, rtol=1e-14)
    np.testing.assert_array_equal(frame.pbc, [True, True, False])
    np.testing.assert_array_equal(frame.species, [3, 16, 3])
    assert frame.time == 3.5
    assert trajectory.frame(-1).positions[0, 0] == 19.0
    assert [frame.positions[0, 0] for frame in trajectory] == list(range(20))
    for index in (20, -21):
        with pytest.raises(IndexError, match=f"run.dcd: frame {index} of 20"):
            trajectory.frame(index)


@pytest.mark.parametrize("seed", range(8))
def test_windows_keep_their_borders(seed: int) -> None:
    """Two frames of a window are in one segment if they were before."""
    rng = np.random.default_rng(seed)
    borders = np.sort(rng.choice(np.arange(1, 20), size=rng.integers(0, 6), replace=False))
    whole = Trajectory(**arguments(segment_offsets=[0, *borders, 20]))
    start, stop = np.sort(rng.choice(21, size=2, replace=False))
    window = whole[start:stop]
    segment_of = np.repeat(np.arange(whole.n_segments), np.diff(whole.offsets))[start:stop]
    expected = [0, *(np.flatnonzero(np.diff(segment_of)) + 1), stop - start]
    np.testing.assert_array_equal(window.offsets, expected)
    np.testing.assert_array_equal(window.positions, whole.positions[start:stop])
    np.testing.assert_array_equal(window.cells, whole.cells[start:stop])
    assert window.first_frame == start
    assert window.frame(0).time == 0.5 * start
    assert np.shares_memory(window.positions, whole.positions)


@pytest.mark.parametrize(
    ("window", "first", "last"),
    [(slice(None), 0, 19), (slice(-4, None), 16, 19), (slice(3, 99), 3, 19), (slice(0, 1), 0, 0)],
)
def test_windows_count_as_lists_do(window: slice, first: int, last: int) -> None:
    found = Trajectory(**arguments())[window]
    assert found.positions[[0, -1], 0, 0].tolist() == [first, last]


def test_images_follow_the_window() -> None:
    images = np.arange(180).reshape(20, 3, 3)
    window = Trajectory(**arguments(images=images))[4:9][1:]
    np.testing.assert_array_equal(window.images, images[5:9])
    assert Trajectory(**arguments())[4:9].images is None


def test_messages_of_a_window_of_a_window_name_the_frame_of_the_file() -> None:
    changes = arguments()
    changes["positions"][13, 1, 2] = np.nan
    whole = Trajectory(**changes)
    window = whole[5:][3:12]
    assert window.where(5) == "run.dcd, frame 13"
    message = r"^run.dcd, frame 13: positions must be finite, .* for atom 1 \(counted from 0\)$"
    for read in (window.check, lambda: window.frame(5), lambda: list(window)):
        with pytest.raises(ValueError, match=message):
            read()
    whole[:13].check()


@pytest.mark.parametrize(
    ("window", "error", "message"),
    [
        (5, TypeError, r"trajectory\[...\] takes a slice, received 5; see .frame\(i\)"),
        (slice(0, 10, 2), ValueError, "takes contiguous frames, received step 2"),
        (slice(None, None, -1), ValueError, "takes contiguous frames, received step -1"),
        (slice(4, 4), ValueError, r"run.dcd: no frame in \[4:4\] of 20"),
        (slice(30, 40), ValueError, r"no frame in \[20:20\] of 20"),
    ],
)
def test_windows_that_are_refused(window: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Trajectory(**arguments())[window]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"positions": np.zeros((20, 3))},
            r"^run.dcd: positions must have shape \(n_frames, n_atoms, 3\), received \(20, 3\)$",
        ),
        ({"positions": np.zeros((20, 3, 2))}, r"positions must have shape"),
        ({"positions": np.zeros((0, 3, 3))}, r"^run.dcd: holds 0 frames of 3 atoms$"),
        ({"positions": np.zeros((20, 0, 3))}, r"^run.dcd: holds 20 frames of 0 atoms$"),
        (
            {"cells": np.zeros((19, 3, 3))},
            r"cells must have shape \(n_frames, 3, 3\) = \(20, 3, 3\), received \(19, 3, 3\)",
        ),
        (
            {"images": np.zeros((20, 2, 3))},
            r"images must have the shape of positions, \(20, 3, 3\), received \(20, 2, 3\)",
        ),
        ({"species": [3, 16]}, r"species must have shape \(n_atoms,\) = \(3,\), received \(2,\)"),
        ({"species": [3, 0, 3]}, "species must be positive, received 0"),
        ({"pbc": [True, True]}, r"^run.dcd: pbc must be one bool or three, received shape \(2,\)"),
        ({"frame_interval": 0.0}, "frame_interval must be a positive time in ps, received 0.0"),
        ({"frame_interval": np.nan}, "frame_interval must be a positive time in ps, received nan"),
        ({"frame_interval": np.inf}, "frame_interval must be a positive time in ps, received inf"),
        (
            {"segment_offsets": [0, 5, 5, 20]},
            r"segment_offsets must rise from 0 to 20, received \[0, 5, 5, 20\]",
        ),
        ({"segment_offsets": [1, 20]}, "segment_offsets must rise from 0 to 20"),
        ({"segment_offsets": [0, 19]}, "segment_offsets must rise from 0 to 20"),
        ({"segment_offsets": []}, r"segment_offsets must rise from 0 to 20, received \[\]"),
        ({"targets": TargetGroups.from_indices([3])}, "index 3 is outside of a frame of 3 atoms"),
    ],
)
def test_trajectories_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Trajectory(**arguments(**changes))


def test_other_targets_for_the_same_frames() -> None:
    whole = Trajectory(**arguments(segment_offsets=[0, 4, 20]))
    other = whole.with_targets(TargetGroups.from_groups([[0, 1, 2]]))
    assert (whole.n_targets, other.n_targets) == (2, 1)
    assert other.positions is whole.positions
    np.testing.assert_array_equal(other.offsets, [0, 4, 20])
    with pytest.raises(ValueError, match="index 3 is outside"):
        whole.with_targets(TargetGroups.from_indices([3]))


def test_check_sees_a_cell_that_goes_flat() -> None:
    changes = arguments()
    changes["cells"][8, 2] = changes["cells"][8, 1]
    trajectory = Trajectory(**changes)
    with pytest.raises(ValueError, match=r"^run.dcd, frame 8: the cell has zero volume along"):
        trajectory.check()
    with pytest.raises(ValueError, match=r"^run.dcd, frame 8: the cell has zero volume along"):
        trajectory[3:].check()
    assert trajectory[9:].check().n_frames == 11


def test_trajectories_are_compared_as_objects() -> None:
    trajectory = Trajectory(**arguments())
    assert trajectory == trajectory
    assert trajectory != Trajectory(**arguments())


# --- from arrays --------------------------------------------------------------------------------


def test_from_arrays() -> None:
    positions = arguments()["positions"]
    trajectory = trajectory_from_arrays(
        positions, CELL, [3, 16, 3], frame_interval=2, targets=[1], pbc=[True, False, True]
    )
    assert trajectory.positions is positions
    assert trajectory.cells.shape == (20, 3, 3)
    np.testing.assert_array_equal(trajectory.cells[19], CELL)
    np.testing.assert_array_equal(trajectory.pbc, [True, False, True])
    np.testing.assert_array_equal(trajectory.targets.atoms, [1])
    assert (trajectory.frame_interval, trajectory.source) == (2.0, "arrays")


def test_from_lists_of_integers() -> None:
    trajectory = trajectory_from_arrays(
        [[[0, 0, 0], [1, 2, 3]]] * 4,
        np.eye(3) * 9,
        [1, 8],
        frame_interval=1.0,
        targets=TargetGroups.from_groups([[0, 1]]),
    )
    assert trajectory.positions.dtype == np.float64
    assert trajectory.n_targets == 1


@pytest.mark.parametrize(
    ("positions", "cells", "message"),
    [
        (np.full((2, 3, 3), np.nan), CELL, r"^x, frame 0: positions must be finite"),
        (np.zeros((2, 3, 3)), np.zeros((3, 3)), r"^x, frame 0: the cell has zero volume"),
        (np.zeros((2, 3, 3)), [CELL, np.zeros((3, 3))], r"^x, frame 1: the cell has zero volume"),
        (np.zeros((3, 3)), CELL, r"^x: positions must have shape"),
        (np.zeros((2, 3, 3)), np.zeros((3, 3, 3)), r"^x: cells must have shape"),
    ],
)
def test_arrays_that_are_refused(positions: Any, cells: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        trajectory_from_arrays(
            positions, cells, [3, 16, 3], frame_interval=1.0, targets=[0], source="x"
        )


def test_a_bad_frame_behind_the_first_block_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kgdyn.trajectories.trajectory._FRAMES_PER_CHECK", 4)
    positions = arguments()["positions"]
    positions[17, 2, 0] = np.inf
    with pytest.raises(ValueError, match=r"^arrays, frame 17: .* for atom 2"):
        trajectory_from_arrays(positions, CELL, [3, 16, 3], frame_interval=1.0, targets=[0])
