"""Where targets are in the cell, in the colours of their states (Fig. 2b of Xie et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.elements import element_numbers
from kgdyn.plots._style import axes_or_new, legend_above, state_color, state_marker

if TYPE_CHECKING:
    from kgdyn.trajectories import Trajectory

__all__ = ["plot_states_in_cell"]

Float = NDArray[np.float64]


def plot_states_in_cell(
    trajectory: Trajectory,
    state_probabilities: ArrayLike,
    ax: Any = None,
    *,
    axis: int | None = 2,
    background: Sequence[str] = (),
    most_points: int = 4000,
) -> Any:
    """Draw positions of targets by their most probable state, seen along an axis or in 3-D.

    Positions are wrapped into the cell. In a cell that changes, positions are drawn at the same
    fractions of the mean cell. A target of several atoms stands at their mean.

    Parameters
    ----------
    trajectory : Trajectory
    state_probabilities : (n_frames, n_targets, n_states) array
    ax : matplotlib Axes, optional
        For ``axis=None`` one with ``projection="3d"``.
    axis : {0, 1, 2} or None
        Cartesian axis to look along; None for a view in 3-D.
    background : sequence of str
        Elements that are drawn in grey, where they are in the first frame.
    most_points : int
        Frames are taken at equal distances, so that there are not more points than this.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        For an array that does not fit the trajectory, another axis, or axes that are not 3-D where
        they should be.
    """
    from matplotlib.ticker import MaxNLocator

    chi = np.asarray(state_probabilities)
    wanted = (trajectory.n_frames, trajectory.n_targets)
    if chi.ndim != 3 or chi.shape[:2] != wanted or chi.shape[2] == 0:
        raise ValueError(
            "state_probabilities must have shape (n_frames, n_targets, n_states) = "
            f"({wanted[0]}, {wanted[1]}, n_states), received {chi.shape}"
        )
    if axis not in (None, 0, 1, 2):
        raise ValueError(f"axis must be 0, 1, 2 or None, received {axis}")
    if most_points < 1:
        raise ValueError(f"most_points must be at least 1, received {most_points}")
    own = ax is None
    n_taken = min(trajectory.n_frames, max(1, most_points // trajectory.n_targets))
    frames = np.linspace(0, trajectory.n_frames - 1, n_taken).round().astype(np.int64)
    cell = _completed(
        np.mean([trajectory.cells[index] for index in frames], axis=0, dtype=np.float64),
        trajectory.pbc,
    )
    places = np.stack([_wrapped(trajectory, int(index), None, cell) for index in frames])
    shown = [0, 1, 2] if axis is None else [k for k in range(3) if k != axis]
    if own and axis is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(4.4, 4.2), layout="constrained")
        ax = figure.add_subplot(projection="3d")
    ax = axes_or_new(ax, _figsize(places[..., shown]))
    if (getattr(ax, "name", "") == "3d") != (axis is None):
        raise ValueError(
            'axis=None needs ax with projection="3d", and only that: '
            f"received axis={axis} and projection={getattr(ax, 'name', '')!r}"
        )
    known = np.isfinite(chi[frames]).all(axis=2)
    states = np.where(known, np.nan_to_num(chi[frames]).argmax(axis=2), -1)
    # Rare states on top.
    ranks = np.argsort(np.argsort(-np.bincount(states[states >= 0], minlength=chi.shape[2])))
    if background:
        numbers = element_numbers(background)
        others = np.flatnonzero(np.isin(trajectory.species, numbers))
        grey = _wrapped(trajectory, 0, others, cell)[:, shown]
        ax.scatter(*grey.T, s=28, color="0.85", edgecolors="0.6", linewidths=0.4, zorder=1)
    for state in range(chi.shape[2]):
        here = places[states == state][:, shown]
        ax.scatter(
            *here.T,
            s=11,
            marker=state_marker(state),
            color=state_color(state),
            linewidths=0,
            alpha=0.7,
            zorder=2.0 + 0.01 * ranks[state],
            rasterized=len(here) > 1000,
            label=f"state {state + 1}",
        )
    if trajectory.pbc.all():
        for start, end in _edges(cell):
            ax.plot(*np.stack([start, end])[:, shown].T, color="0.5", lw=0.7, zorder=1.5)
    names = ["x (Å)", "y (Å)", "z (Å)"]
    ax.set(xlabel=names[shown[0]], ylabel=names[shown[1]], aspect="equal")
    if axis is None:
        ax.set_zlabel(names[2])
        # Labels need the room that the view leaves, most of all below a tall cell.
        limits = (ax.get_xlim3d(), ax.get_ylim3d(), ax.get_zlim3d())
        sizes = [high - low for low, high in limits]
        ax.set_box_aspect(sizes, zoom=0.7 if sizes[2] > 1.5 * max(sizes[:2]) else 0.82)
        ax.view_init(elev=18, azim=-62)
        ax.grid(False)
        for side, size in zip((ax.xaxis, ax.yaxis, ax.zaxis), sizes, strict=True):
            side.set_major_locator(MaxNLocator(4 if size > 0.5 * max(sizes) else 2))
            side.pane.set_visible(False)
    legend_above(ax, own, 2.0)
    return ax


def _completed(cell: Float, pbc: NDArray[np.bool_]) -> Float:
    """Rows of free directions replaced by unit vectors at right angles to the periodic ones."""
    if pbc.all():
        return cell
    result = np.eye(3)
    if pbc.any():
        _, _, rows = np.linalg.svd(cell[pbc], full_matrices=True)
        result[pbc] = cell[pbc]
        result[~pbc] = rows[int(pbc.sum()) :]
    return result


def _wrapped(
    trajectory: Trajectory, index: int, atoms: NDArray[np.int64] | None, cell: Float
) -> Float:
    """(n, 3) positions of atoms, or of all targets, in one frame: wrapped, in the mean cell."""
    positions = np.asarray(trajectory.positions[index], dtype=np.float64)
    own = _completed(np.asarray(trajectory.cells[index], dtype=np.float64), trajectory.pbc)
    fractions = positions @ np.linalg.inv(own)
    if atoms is not None:
        fractions = fractions[atoms]
    else:
        groups = trajectory.targets
        members, starts = np.asarray(groups.atoms), np.asarray(groups.offsets[:-1])
        sizes = np.diff(groups.offsets)
        first = fractions[members[starts]]
        # Of each target the images that are nearest to its first atom.
        away = fractions[members] - np.repeat(first, sizes, axis=0)
        away -= np.round(away) * trajectory.pbc
        fractions = first + np.add.reduceat(away, starts, axis=0) / sizes[:, None]
    fractions = fractions - np.floor(fractions) * trajectory.pbc
    result: Float = fractions @ cell
    return result


def _figsize(places: Float) -> tuple[float, float]:
    """Width and height in inches of a figure for points of this extent."""
    width, height = (float(np.ptp(places[..., k])) or 1.0 for k in (0, 1))
    longest = max(width, height)
    return max(2.4, 3.6 * width / longest + 0.7), max(2.0, 3.6 * height / longest + 0.9)


def _edges(cell: Float) -> list[tuple[Float, Float]]:
    """The twelve edges of a cell."""
    corners = [np.array(corner) for corner in product((0, 1), repeat=3)]
    return [
        (one @ cell, (one + step) @ cell)
        for one in corners
        for step in np.eye(3, dtype=int)
        if (one + step).max() <= 1
    ]
