"""Lagged pairs against a double loop over frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgdyn.trajectories import (
    Trajectory,
    as_trajectories,
    lagged_pairs,
    trajectory_from_arrays,
)


def trajectory(lengths: list[int], source: str = "run.dcd") -> Trajectory:
    """Segments of these lengths, one after the other."""
    n_frames = sum(lengths)
    whole = trajectory_from_arrays(
        np.zeros((n_frames, 1, 3)), np.eye(3), [1], frame_interval=1.0, targets=[0], source=source
    )
    return Trajectory(
        whole.positions,
        whole.cells,
        whole.pbc,
        whole.species,
        whole.targets,
        1.0,
        segment_offsets=np.concatenate([[0], np.cumsum(lengths)]),
        source=source,
    )


def double_loop(layout: list[list[int]], lagtime: int) -> list[tuple[int, int]]:
    """(trajectory, first frame) of every two frames ``lagtime`` apart in one segment."""
    found = []
    for number, lengths in enumerate(layout):
        segment_of = [segment for segment, length in enumerate(lengths) for _ in range(length)]
        for first in range(len(segment_of)):
            for second in range(len(segment_of)):
                if second - first == lagtime and segment_of[first] == segment_of[second]:
                    found.append((number, first))
    return found


@pytest.mark.parametrize("seed", range(30))
def test_random_layouts_against_a_double_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    layout = [
        rng.integers(1, 12, size=rng.integers(1, 6)).tolist() for _ in range(rng.integers(1, 5))
    ]
    lagtime = int(rng.integers(1, 10))
    expected = double_loop(layout, lagtime)
    trajectories = [trajectory(lengths) for lengths in layout]
    if not expected:
        with pytest.raises(ValueError, match="lagtime must be shorter"):
            lagged_pairs(trajectories, lagtime)
        return
    pairs = lagged_pairs(trajectories, lagtime)
    assert list(zip(pairs.trajectory.tolist(), pairs.first.tolist(), strict=True)) == expected
    assert len(pairs) == len(expected)
    assert pairs.lagtime == lagtime


def test_one_trajectory_needs_no_list() -> None:
    pairs = lagged_pairs(trajectory([5]), np.int64(4))
    np.testing.assert_array_equal(pairs.first, [0])
    np.testing.assert_array_equal(pairs.trajectory, [0])
    for array in (pairs.first, pairs.trajectory):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 3


def test_windows_have_the_pairs_inside_of_them() -> None:
    window = trajectory([6, 9])[3:13]  # segments of 3 and 7 frames
    np.testing.assert_array_equal(lagged_pairs(window, 2).first, [0, 3, 4, 5, 6, 7])


def test_a_lag_time_longer_than_every_segment_names_the_longest() -> None:
    message = (
        r"^lagtime must be shorter than the longest segment without a gap, which has 7 frames "
        r"\(a.dcd, b.dcd\), received 7$"
    )
    with pytest.raises(ValueError, match=message):
        lagged_pairs([trajectory([3, 7], "b.dcd"), trajectory([5, 5], "a.dcd")], 7)


@pytest.mark.parametrize("lagtime", [0, -3])
def test_a_lag_time_is_at_least_a_frame(lagtime: int) -> None:
    with pytest.raises(ValueError, match=f"lagtime must be at least 1 frame, received {lagtime}"):
        lagged_pairs(trajectory([9]), lagtime)


@pytest.mark.parametrize("lagtime", [1.0, "2", True, None])
def test_a_lag_time_counts_frames(lagtime: Any) -> None:
    with pytest.raises(TypeError, match="lagtime must be an int, in frames, received"):
        lagged_pairs(trajectory([9]), lagtime)


def test_trajectories_must_be_trajectories() -> None:
    one = trajectory([4])
    assert as_trajectories(one) == (one,)
    assert as_trajectories(iter([one, one])) == (one, one)
    with pytest.raises(ValueError, match="at least one trajectory is needed, received none"):
        as_trajectories([])
    wrong: Any = [one, "run.dcd"]
    message = "trajectories must be kgdyn Trajectory objects, received 'run.dcd'"
    with pytest.raises(TypeError, match=message):
        as_trajectories(wrong)
