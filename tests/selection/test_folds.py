"""What is trained on, validated on and held out never touch."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.selection import make_folds
from kgdyn.trajectories import Trajectory, trajectory_from_arrays


def made(n_frames: int, number: int = 0) -> Trajectory:
    """Positions tell the frame."""
    positions = np.zeros((n_frames, 2, 3))
    positions[:, 0, 0] = np.arange(n_frames)
    return trajectory_from_arrays(
        positions, 10.0 * np.eye(3), [3, 16], frame_interval=1.0, targets=[0], source=str(number)
    )


def frames(parts: list[Trajectory]) -> set[tuple[str, int]]:
    found = [(part.source, int(x)) for part in parts for x in part.positions[:, 0, 0]]
    assert len(found) == len(set(found))
    return set(found)


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_blocks_of_time_with_a_gap(n_folds: int) -> None:
    folds = make_folds(made(1000), n_folds, lagtimes=[5, 20], train_lagtime=5)
    held_out = [frames(fold.held_out) for fold in folds]
    assert sum(map(len, held_out)) == 1000
    assert len(set.union(*held_out)) == 1000
    for fold, out in zip(folds, held_out, strict=True):
        assert not fold.by_trajectory
        train, validation = frames(fold.train), frames(fold.validation)
        assert not train & validation
        numbers = np.array([number for _, number in out])
        used = np.array([number for _, number in train | validation])
        distance = np.abs(used[:, None] - numbers).min(axis=1)
        assert distance.min() == 21  # 20 frames between lie in neither
        borders = int(numbers.min() > 0) + int(numbers.max() < 999)
        assert len(used) == 1000 - len(numbers) - 20 * borders
        assert len(validation) / len(used) == pytest.approx(0.15, abs=0.01)


def test_whole_trajectories_where_there_are_enough() -> None:
    parts = [made(400 + 10 * i, i) for i in range(5)]
    folds = make_folds(parts, 3, lagtimes=[5], train_lagtime=5)
    assert all(fold.by_trajectory for fold in folds)
    held_out = [{part.source for part in fold.held_out} for fold in folds]
    assert held_out == [{"0", "3"}, {"1", "4"}, {"2"}]
    for fold, names in zip(folds, held_out, strict=True):
        used = frames(fold.train) | frames(fold.validation)
        assert {name for name, _ in used} == {"0", "1", "2", "3", "4"} - names
        assert len(used) == sum(400 + 10 * int(name) for name in {name for name, _ in used})


def test_few_trajectories_are_cut_in_time() -> None:
    folds = make_folds([made(500, 0), made(800, 1)], 3, lagtimes=[10], train_lagtime=10)
    for fold in folds:
        assert {part.source for part in fold.held_out} == {"0", "1"}
        assert not frames(fold.held_out) & (frames(fold.train) | frames(fold.validation))


def test_refusals() -> None:
    run = made(1000)
    with pytest.raises(ValueError, match=r"folds must be at least 2 .*, received 1"):
        make_folds(run, 1, lagtimes=[5], train_lagtime=5)
    with pytest.raises(ValueError, match=r"shorter than 1/4 of .* 500 frames with 2 folds"):
        make_folds(run, 2, lagtimes=[5, 125], train_lagtime=5)
    make_folds(run, 2, lagtimes=[5, 124], train_lagtime=5)
    with pytest.raises(ValueError, match="train_lagtime is too long for what a fold leaves"):
        make_folds(run, 2, lagtimes=[100], train_lagtime=100)
    with pytest.raises(ValueError, match="validation_share must be between 0 and 1, received 1"):
        make_folds(run, 2, lagtimes=[5], train_lagtime=5, validation_share=1.0)
