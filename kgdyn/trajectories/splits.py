"""Parts to train, validate and test on, so that no lagged pair lies in two of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from kgdyn.trajectories.lagged_pairs import as_trajectories
from kgdyn.trajectories.trajectory import Trajectory

__all__ = ["split_by_time", "split_by_trajectory"]


def split_by_time(
    trajectories: Trajectory | Sequence[Trajectory], fractions: Sequence[float], n_blocks: int = 1
) -> list[list[Trajectory]]:
    """Cut each trajectory, in time order, into parts of these fractions of its frames.

    Pairs are made inside each part, so none crosses a cut.

    Parameters
    ----------
    trajectories : Trajectory or sequence of Trajectory
    fractions : sequence of float
        Positive, summing to at most 1; frames beyond the sum are left out.
    n_blocks : int
        Cut each trajectory into as many equal blocks first, and each block by the fractions:
        parts then alternate, and each sees the rare events of all times.

    Returns
    -------
    One list of trajectories for each fraction.

    Raises
    ------
    ValueError
        For fractions that are not positive or sum to more than 1, ``n_blocks`` below 1, or a
        part without a frame.
    """
    _check_fractions(fractions)
    if n_blocks < 1:
        raise ValueError(f"n_blocks must be at least 1, received {n_blocks}")
    cuts = np.concatenate([[0.0], np.cumsum(fractions)])
    parts: list[list[Trajectory]] = [[] for _ in fractions]
    blocks = [
        block
        for trajectory in as_trajectories(trajectories)
        for block in _equal_blocks(trajectory, n_blocks)
    ]
    for trajectory in blocks:
        borders = np.round(cuts * trajectory.n_frames).astype(int)
        for part, start, stop in zip(parts, borders[:-1], borders[1:], strict=True):
            part.append(trajectory[start:stop])
    return parts


def split_by_trajectory(
    trajectories: Sequence[Trajectory], fractions: Sequence[float]
) -> list[list[Trajectory]]:
    """Deal out whole trajectories, in their order, by their share of all frames.

    Parameters
    ----------
    trajectories : sequence of Trajectory, at least one for each fraction.
    fractions : sequence of float
        Positive, summing to 1.

    Returns
    -------
    One list of trajectories for each fraction, none empty.

    Raises
    ------
    ValueError
        For fractions that do not sum to 1, or fewer trajectories than fractions.
    """
    _check_fractions(fractions)
    trajectories = as_trajectories(trajectories)
    if not np.isclose(sum(fractions), 1.0):
        raise ValueError(f"fractions must sum to 1, received {list(fractions)}")
    if len(trajectories) < len(fractions):
        raise ValueError(
            f"trajectories: at least one for each of {len(fractions)} fractions is needed, "
            f"received {len(trajectories)}"
        )
    frames = np.array([trajectory.n_frames for trajectory in trajectories], dtype=float)
    middle = (np.cumsum(frames) - frames / 2) / frames.sum()
    wanted = np.searchsorted(np.cumsum(fractions)[:-1], middle, side="right")
    # Every part keeps at least one trajectory: push borders apart where one would be empty.
    borders = [0, *np.searchsorted(wanted, np.arange(1, len(fractions))), len(trajectories)]
    for part in range(1, len(fractions)):
        borders[part] = max(borders[part], borders[part - 1] + 1)
    for part in range(len(fractions) - 1, 0, -1):
        borders[part] = min(borders[part], borders[part + 1] - 1)
    return [list(trajectories[start:stop]) for start, stop in itertools.pairwise(borders)]


def _equal_blocks(trajectory: Trajectory, n_blocks: int) -> list[Trajectory]:
    borders = np.round(np.linspace(0, trajectory.n_frames, n_blocks + 1)).astype(int)
    return [trajectory[start:stop] for start, stop in itertools.pairwise(borders)]


def _check_fractions(fractions: Sequence[float]) -> None:
    values = np.asarray(fractions, dtype=float)
    usable = values.ndim == 1 and len(values) > 0 and bool(np.all(values > 0))  # NaN is not
    if not usable or values.sum() > 1 + 1e-9:
        raise ValueError(
            f"fractions must be positive and sum to at most 1, received {list(fractions)}"
        )
