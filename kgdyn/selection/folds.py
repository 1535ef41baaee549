"""Which frames a model is trained on and which are held out, for cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kgdyn.trajectories import Trajectory, split_by_time
from kgdyn.trajectories.lagged_pairs import as_trajectories

__all__ = ["Fold", "make_folds"]

# The Chapman-Kolmogorov test needs two steps, and as many frames again to count them in.
_LAG_TIMES_HELD_OUT = 4
_VALIDATION_BLOCKS = 10


@dataclass(frozen=True)
class Fold:
    """One way to divide the data.

    Attributes
    ----------
    train, validation : list of Trajectory
        Weights are fitted to the first; the second decides which epoch and which restart is kept.
    held_out : list of Trajectory
        Seen by neither.
    by_trajectory : bool
        Whole trajectories are held out; else blocks of time of each.
    """

    train: list[Trajectory]
    validation: list[Trajectory]
    held_out: list[Trajectory]
    by_trajectory: bool


def make_folds(
    trajectories: Trajectory | Sequence[Trajectory],
    n_folds: int,
    *,
    lagtimes: Sequence[int],
    train_lagtime: int,
    validation_share: float = 0.15,
) -> list[Fold]:
    """Hold every part of the data out once.

    With at least ``n_folds`` trajectories, whole ones are held out, dealt out in turn. Else each
    is cut in ``n_folds`` blocks of time, and frames nearer to the held-out block than the longest
    lag time are not trained on.

    Parameters
    ----------
    trajectories : Trajectory or sequence of Trajectory
    n_folds : int, at least 2.
    lagtimes : sequence of int, frames
        That the held-out part will be tested at.
    train_lagtime : int, frames.
    validation_share : float
        Of the frames that are not held out, in blocks that alternate with those trained on.

    Raises
    ------
    ValueError
        For fewer than two folds, a share outside of (0, 1), or a lag time that is too long for
        what is held out or for what is left to train on.
    """
    if n_folds < 2:
        raise ValueError(
            f"folds must be at least 2 (each is held out once while the rest trains), received "
            f"{n_folds}"
        )
    if not 0.0 < validation_share < 1.0:
        raise ValueError(f"validation_share must be between 0 and 1, received {validation_share}")
    parts = list(as_trajectories(trajectories))
    by_trajectory = len(parts) >= n_folds
    folds = []
    for number in range(n_folds):
        if by_trajectory:
            held_out = [part for i, part in enumerate(parts) if i % n_folds == number]
            rest = [part for i, part in enumerate(parts) if i % n_folds != number]
        else:
            held_out, rest = _without_block(parts, number, n_folds, gap=max(lagtimes))
        _check_held_out(held_out, max(lagtimes), n_folds)
        train, validation = _train_and_validation(rest, validation_share, train_lagtime)
        folds.append(Fold(train, validation, held_out, by_trajectory))
    return folds


def _without_block(
    parts: Sequence[Trajectory], number: int, n_folds: int, gap: int
) -> tuple[list[Trajectory], list[Trajectory]]:
    """Block ``number`` of each trajectory, and what is at least ``gap`` frames away from it."""
    held_out, rest = [], []
    for part in parts:
        borders = np.round(np.linspace(0, part.n_frames, n_folds + 1)).astype(int)
        start, stop = int(borders[number]), int(borders[number + 1])
        if stop > start:
            held_out.append(part[start:stop])
        if start - gap > 0:
            rest.append(part[: start - gap])
        if stop + gap < part.n_frames:
            rest.append(part[stop + gap :])
    return held_out, rest


def _check_held_out(held_out: Sequence[Trajectory], lagtime: int, n_folds: int) -> None:
    longest = max((_longest_segment(part) for part in held_out), default=0)
    if longest <= _LAG_TIMES_HELD_OUT * lagtime:
        raise ValueError(
            f"lagtimes must be shorter than 1/{_LAG_TIMES_HELD_OUT} of the longest segment that "
            f"is held out, {longest} frames with {n_folds} folds, received {lagtime}: use shorter "
            "lag times, fewer folds or more data"
        )


def _train_and_validation(
    parts: Sequence[Trajectory], share: float, lagtime: int
) -> tuple[list[Trajectory], list[Trajectory]]:
    """Each piece cut in up to ten blocks, each block in a part to train and one to validate."""
    train: list[Trajectory] = []
    validation: list[Trajectory] = []
    for part in parts:
        n_frames = part.n_frames
        if n_frames * min(share, 1.0 - share) <= 2 * lagtime:
            continue  # too short to hold pairs of both kinds
        n_blocks = max(1, min(_VALIDATION_BLOCKS, int(n_frames * share / (10 * lagtime))))
        both = split_by_time(part, (1.0 - share, share), n_blocks=n_blocks)
        train += both[0]
        validation += both[1]
    usable = [max(map(_longest_segment, side), default=0) > lagtime for side in (train, validation)]
    if not all(usable):
        longest = max((part.n_frames for part in parts), default=0)
        raise ValueError(
            f"train_lagtime is too long for what a fold leaves to train and validate on, at most "
            f"{longest} frames in one piece, received {lagtime}: use a shorter one, or more folds"
        )
    return train, validation


def _longest_segment(trajectory: Trajectory) -> int:
    return int(np.diff(trajectory.offsets).max())
