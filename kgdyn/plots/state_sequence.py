"""Which state each target is in over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kgdyn.plots._style import axes_or_new, state_color

__all__ = ["plot_state_sequence"]

# Rows that are high enough for a line.
_WITH_LINES = 12


def plot_state_sequence(
    state_probabilities: ArrayLike,
    frame_interval: float,
    ax: Any = None,
    *,
    targets: Sequence[int] | None = None,
    most_columns: int = 2000,
) -> Any:
    """Draw the most probable state of each target, a row for each, in the colours of states.

    In up to 12 rows a thin line rises from state 1 at their bottom to the last state at their top,
    which is seen in grey, too.

    Parameters
    ----------
    state_probabilities : (n_frames, n_targets, n_states) array
        Of one gap-free segment. Rows of NaN stay grey.
    frame_interval : float, ps
    ax : matplotlib Axes, optional
    targets : sequence of int, optional
        Which of them, from 0, in the order of the rows; all if not given.
    most_columns : int
        More frames than this are drawn as means over equal stretches of time.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        For an array of another shape, an interval that is not positive, targets that are not
        there, or no column.
    """
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch
    from matplotlib.ticker import MaxNLocator

    chi = np.asarray(state_probabilities)
    if chi.ndim != 3 or 0 in chi.shape:
        raise ValueError(
            "state_probabilities must have shape (n_frames, n_targets, n_states), "
            f"received {chi.shape}"
        )
    if not (np.isfinite(frame_interval) and frame_interval > 0.0):
        raise ValueError(f"frame_interval must be a positive time in ps, received {frame_interval}")
    if most_columns < 1:
        raise ValueError(f"most_columns must be at least 1, received {most_columns}")
    n_frames, n_targets, n_states = chi.shape
    rows = np.arange(n_targets) if targets is None else np.asarray(targets, dtype=np.int64)
    if rows.ndim != 1 or not rows.size or rows.min() < 0 or rows.max() >= n_targets:
        raise ValueError(
            f"targets must be numbers from 0 to {n_targets - 1}, received {np.ravel(rows).tolist()}"
        )
    starts = np.linspace(0, n_frames, min(n_frames, most_columns), endpoint=False).astype(np.int64)
    lengths = np.diff([*starts, n_frames])
    means = np.add.reduceat(chi[:, rows].astype(np.float64), starts, axis=0)
    means /= lengths[:, None, None]
    known = np.asarray(np.isfinite(means).all(axis=2))
    states = np.where(known, np.nan_to_num(means).argmax(axis=2), -1)

    own = ax is None
    ax = axes_or_new(ax, (6.0, _height(len(rows))))
    colors = ListedColormap([state_color(state) for state in range(n_states)]).with_extremes(
        bad="0.85"
    )
    ax.imshow(
        np.ma.masked_less(states.T, 0),
        cmap=colors,
        norm=BoundaryNorm(np.arange(n_states + 1) - 0.5, n_states),
        interpolation="nearest",
        aspect="auto",
        extent=(0.0, n_frames * frame_interval, len(rows) + 0.5, 0.5),
    )
    if len(rows) <= _WITH_LINES and n_states > 1:
        times = np.append(starts, n_frames) * frame_interval
        for row in range(len(rows)):
            height = np.where(known[:, row], states[:, row] / (n_states - 1) - 0.5, np.nan)
            ax.stairs(row + 1.0 - 0.6 * height, times, baseline=None, color="black", lw=0.6)
    ax.set(xlabel="time (ps)", ylabel="target")
    if targets is None:
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    else:
        every = max(1, len(rows) // 12)
        ax.set_yticks(np.arange(1, len(rows) + 1, every), [str(row + 1) for row in rows[::every]])
    handles = [
        Patch(facecolor=state_color(state), edgecolor="black", lw=0.4, label=f"state {state + 1}")
        for state in range(n_states)
    ]
    options = {"handles": handles, "frameon": False, "fontsize": "small", "handlelength": 1.0}
    if own:
        ax.figure.legend(loc="outside upper center", ncols=min(n_states, 6), **options)
    else:
        ax.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=min(n_states, 6), **options)
    return ax


def _height(n_rows: int) -> float:
    """Of a figure, inches."""
    row = 0.3 if n_rows <= _WITH_LINES else 0.16
    return min(6.0, max(1.6, row * n_rows + 0.9))
