"""State probabilities as a tidy table: one row for each state of each target in each frame."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from kgdyn.exports._atom_states import AtomStates, FrameNumbers, Progress, state_rows
from kgdyn.exports._text_file import text_file
from kgdyn.trajectories import Trajectory

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["states_dataframe", "write_states_csv"]

_ROWS_AT_ONCE = 100_000


def states_dataframe(
    trajectory: Trajectory,
    state_probabilities: ArrayLike,
    *,
    frames: FrameNumbers = None,
) -> pd.DataFrame:
    """State probabilities with frame, time, target and state as columns.

    Parameters
    ----------
    trajectory : Trajectory
    state_probabilities : (n_frames, n_targets, n_states) array
        Of all frames of the trajectory; rows sum to 1.
    frames : iterable of int or slice, optional
        Which to take, from 0; all if not given.

    Returns
    -------
    pandas.DataFrame
        ``frame`` (its number in the trajectory's source), ``time_ps`` (as of
        :meth:`kgdyn.Trajectory.frame`), ``target`` (from 0), ``state`` (from 1), ``probability``.

    Raises
    ------
    ValueError
        For shapes that do not fit, rows that do not sum to 1, or frames that are not there.
    """
    return _table(AtomStates.of(trajectory, state_probabilities, frames))


def write_states_csv(
    path: str | PathLike[str],
    trajectory: Trajectory,
    state_probabilities: ArrayLike,
    *,
    frames: FrameNumbers = None,
    progress: Progress | None = None,
) -> None:
    """Write :func:`states_dataframe` as CSV, some frames at a time.

    Parameters
    ----------
    path : path
        Compressed if it ends in ``.gz``.
    trajectory, state_probabilities, frames
        As for :func:`states_dataframe`.
    progress : callable, optional
        Called with the frames done and the frames in all.

    Raises
    ------
    ValueError
        As :func:`states_dataframe`.
    """
    states = AtomStates.of(trajectory, state_probabilities, frames)
    n_rows = states.state_probabilities.shape[1] * states.n_states
    size = max(1, _ROWS_AT_ONCE // n_rows)
    n_frames = len(states.frames)
    with text_file(path) as file:
        _table(states.part(slice(0))).to_csv(file, index=False)
        for start in range(0, n_frames, size):
            part = states.part(slice(start, start + size))
            _table(part).to_csv(file, index=False, header=False)
            if progress is not None:
                progress(min(start + size, n_frames), n_frames)


def _table(states: AtomStates) -> pd.DataFrame:
    import pandas as pd

    trajectory = states.trajectory
    n_targets, n_states = states.state_probabilities.shape[1:]
    values = np.empty((len(states.frames), n_targets, n_states))
    for row, frame in enumerate(states.frames.tolist()):
        values[row] = state_rows(trajectory, states.state_probabilities, frame)
    row, target, state = (index.ravel() for index in np.indices(values.shape))
    number = trajectory.first_frame + states.frames[row]
    return pd.DataFrame(
        {
            "frame": number,
            "time_ps": number * trajectory.frame_interval,
            "target": target,
            "state": state + 1,
            "probability": values.ravel(),
        }
    )
