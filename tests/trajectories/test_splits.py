"""Splits: every frame in at most one part, every pair inside of one."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest

from kgdyn.trajectories import (
    Trajectory,
    lagged_pairs,
    split_by_time,
    split_by_trajectory,
    trajectory_from_arrays,
)


def trajectory(n_frames: int, source: str = "run.dcd") -> Trajectory:
    """The x coordinate of the only atom is the number of the frame."""
    positions = np.zeros((n_frames, 1, 3))
    positions[:, 0, 0] = np.arange(n_frames)
    return trajectory_from_arrays(
        positions, np.eye(3), [1], frame_interval=1.0, targets=[0], source=source
    )


def frames(part: list[Trajectory]) -> list[tuple[str, int]]:
    """(source, frame there) of all frames of a part, by what the positions say."""
    found = []
    for window in part:
        numbers = np.asarray(window.positions[:, 0, 0]).astype(int).tolist()
        assert numbers[0] == window.first_frame
        found += [(window.source, number) for number in numbers]
    return found


def pairs(part: list[Trajectory], lagtime: int) -> set[tuple[str, int, int]]:
    """(source, frame there, frame there) of all lagged pairs of a part."""
    found = lagged_pairs(part, lagtime)
    return {
        (part[which].source, *(part[which].first_frame + np.array([first, first + lagtime])))
        for which, first in zip(found.trajectory, found.first, strict=True)
    }


@pytest.mark.parametrize("n_blocks", [1, 3])
def test_no_pair_lies_in_two_parts(n_blocks: int) -> None:
    whole = [trajectory(100, "a"), trajectory(61, "b")]
    parts = split_by_time(whole, [0.5, 0.3, 0.2], n_blocks)
    numbers = [frames(part) for part in parts]
    together = sorted(chain.from_iterable(numbers))
    assert together == sorted(frames(whole))  # all frames, none twice
    owner = {frame: part for part, found in enumerate(numbers) for frame in found}
    for number, part in enumerate(parts):
        for source, first, second in pairs(part, 3):
            assert second - first == 3
            assert owner[source, first] == owner[source, second] == number


def test_parts_are_in_order_of_time_and_of_the_right_size() -> None:
    parts = split_by_time(trajectory(1000), [0.7, 0.2, 0.1])
    borders = [(frames(part)[0][1], frames(part)[-1][1]) for part in parts]
    assert borders == [(0, 699), (700, 899), (900, 999)]


def test_blocks_alternate() -> None:
    parts = split_by_time(trajectory(100), [0.6, 0.4], n_blocks=2)
    spans = [[(window.first_frame, window.n_frames) for window in part] for part in parts]
    assert spans == [[(0, 30), (50, 30)], [(30, 20), (80, 20)]]


def test_frames_beyond_the_sum_are_left_out() -> None:
    parts = split_by_time(trajectory(10), [0.3, 0.3])
    assert [len(frames(part)) for part in parts] == [3, 3]


def test_borders_of_segments_stay_where_they_are() -> None:
    whole = trajectory(20)
    cut = Trajectory(
        whole.positions, whole.cells, whole.pbc, whole.species, whole.targets, 1.0, [0, 4, 15, 20]
    )
    train, test = split_by_time(cut, [0.5, 0.5])
    np.testing.assert_array_equal(train[0].offsets, [0, 4, 10])
    np.testing.assert_array_equal(test[0].offsets, [0, 5, 10])


def test_a_part_without_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^short.dcd: no frame in \[3:3\] of 3$"):
        split_by_time([trajectory(100), trajectory(3, "short.dcd")], [0.9, 0.1])
    with pytest.raises(ValueError, match=r"no frame in"):
        split_by_time(trajectory(3), [0.5, 0.5], n_blocks=4)


@pytest.mark.parametrize("split", [split_by_time, split_by_trajectory])
@pytest.mark.parametrize(
    "fractions",
    [[], [0.5, 0.6], [1.0, 0.0], [1.2, -0.2], [np.nan, 0.5], [0.5, np.inf], [[0.5, 0.5]]],
    ids=str,
)
def test_fractions_that_are_refused(split: Any, fractions: list[float]) -> None:
    whole = [trajectory(50) for _ in range(3)]
    message = r"^fractions must be positive and sum to at most 1, received \["
    with pytest.raises(ValueError, match=message):
        split(whole, fractions)


def test_thirds_are_a_whole() -> None:
    parts = split_by_time(trajectory(30), [1 / 3] * 3)
    assert [len(frames(part)) for part in parts] == [10, 10, 10]
    parts = split_by_trajectory([trajectory(30) for _ in range(3)], [1 / 3] * 3)
    assert [len(part) for part in parts] == [1, 1, 1]


@pytest.mark.parametrize("n_blocks", [0, -1])
def test_blocks_are_at_least_one(n_blocks: int) -> None:
    with pytest.raises(ValueError, match=f"n_blocks must be at least 1, received {n_blocks}"):
        split_by_time(trajectory(30), [0.5, 0.5], n_blocks)


# --- by trajectory ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "fractions", "expected"),
    [
        ([10] * 10, [0.7, 0.2, 0.1], [7, 2, 1]),
        ([10] * 4, [0.5, 0.5], [2, 2]),
        ([4, 4, 2, 2], [0.6, 0.4], [2, 2]),  # a trajectory goes where its middle lies,
        ([3, 4, 3], [0.45, 0.55], [1, 2]),  # not where it begins or ends
        ([1000, 1, 1], [0.8, 0.1, 0.1], [1, 1, 1]),
        ([1, 1, 1000], [0.8, 0.1, 0.1], [1, 1, 1]),
        ([1, 1000, 1], [0.1, 0.8, 0.1], [1, 1, 1]),
        ([1, 1, 1, 1, 1000], [0.5, 0.5], [4, 1]),
        ([1000, 1, 1, 1, 1], [0.5, 0.5], [1, 4]),
        ([500, 1, 500, 1], [0.5, 0.5], [2, 2]),
        ([5, 5], [0.99, 0.01], [1, 1]),
        ([5], [1.0], [1]),
    ],
)
def test_whole_trajectories_are_dealt_out_in_order(
    lengths: list[int], fractions: list[float], expected: list[int]
) -> None:
    whole = [trajectory(length, f"run{number}") for number, length in enumerate(lengths)]
    parts = split_by_trajectory(whole, fractions)
    assert [len(part) for part in parts] == expected
    assert list(chain.from_iterable(parts)) == whole  # the very same objects, in their order


@pytest.mark.parametrize("seed", range(20))
def test_no_part_is_empty_however_uneven(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_parts = int(rng.integers(1, 6))
    lengths = (10.0 ** rng.uniform(0.0, 3.0, size=n_parts + rng.integers(0, 4))).astype(int)
    fractions = rng.dirichlet(np.ones(n_parts) * 0.5) + 1e-3
    whole = [trajectory(int(length)) for length in lengths]
    parts = split_by_trajectory(whole, (fractions / fractions.sum()).tolist())
    assert all(parts)
    assert list(chain.from_iterable(parts)) == whole


def test_what_cannot_be_dealt_out() -> None:
    whole = [trajectory(10), trajectory(20)]
    with pytest.raises(ValueError, match=r"^fractions must sum to 1, received \[0.5, 0.3\]"):
        split_by_trajectory(whole, [0.5, 0.3])
    message = r"^trajectories: at least one for each of 3 fractions is needed, received 2$"
    with pytest.raises(ValueError, match=message):
        split_by_trajectory(whole, [0.5, 0.3, 0.2])
