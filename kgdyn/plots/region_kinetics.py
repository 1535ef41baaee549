"""States and their kinetics in parts of a system, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman import Interval
from kgdyn.plots._style import (
    error_bars,
    legend_above,
    plain_log_ticks,
    state_bars,
    state_marker,
)

if TYPE_CHECKING:
    from kgdyn.observables import RegionKinetics

__all__ = ["plot_region_kinetics"]

Float = NDArray[np.float64]


def plot_region_kinetics(result: RegionKinetics, axes: Any = None) -> Any:
    """Draw populations, staying probabilities K_ii and timescales of each region, with 95% bars.

    Below the names of the regions are their shares of the targets. The dashed line among the
    timescales is the lag time.

    Parameters
    ----------
    result : kgdyn.observables.RegionKinetics
    axes : (3,) array of matplotlib Axes, optional

    Returns
    -------
    (3,) array of matplotlib Axes

    Raises
    ------
    ValueError
        If ``axes`` are not three.
    """
    own = axes is None
    if axes is None:
        import matplotlib.pyplot as plt

        width = max(2.6, 0.22 * result.n_states * result.n_regions + 1.0)
        _, axes = plt.subplots(
            1, 3, figsize=(2 * width + max(2.6, 0.7 * result.n_regions + 1.0), 3.0),
            width_ratios=(width, width, max(2.6, 0.7 * result.n_regions + 1.0)),
            layout="constrained",
        )  # fmt: skip
    axes = np.asarray(axes, dtype=object)
    if axes.shape != (3,):
        raise ValueError(f"axes must have shape (3,), received {axes.shape}")
    lag = result.lagtime * result.frame_interval
    stays, bounds = _diagonal(result.koopman_matrix), result.koopman_matrix_interval
    within = Interval(_diagonal(bounds.lower), _diagonal(bounds.upper))
    _draw_states(axes[0], result.populations, result.populations_interval)
    _draw_states(axes[1], stays, within)
    _draw_timescales(axes[2], result, lag)
    names = [
        f"{name}\n{100 * share:.0f}%" if np.isfinite(share) else name
        for name, share in zip(result.names, result.shares, strict=True)
    ]
    for ax in axes:
        ax.set(xticks=np.arange(result.n_regions), xticklabels=names)
        ax.set_xlim(-0.6, result.n_regions - 0.4)
        ax.tick_params(axis="x", length=0)
    axes[0].set(ylabel="population", ylim=(0.0, 1.0))
    axes[1].set(ylabel=f"K$_{{ii}}$ after {lag:g} ps", ylim=(min(0.0, *axes[1].get_ylim()), 1.0))
    legend_above(axes, own)
    return axes


def _diagonal(matrices: Float) -> Float:
    return np.asarray(np.diagonal(matrices, axis1=1, axis2=2))


def _draw_states(ax: Any, values: Float, interval: Interval) -> None:
    """A group of bars for each region, a bar for each state."""
    n_regions, n_states = values.shape
    width = 0.8 / n_states
    for state in range(n_states):
        bars = state_bars(
            ax,
            values[:, state],
            Interval(interval.lower[:, state], interval.upper[:, state]),
            places=np.arange(n_regions) + width * (state - 0.5 * (n_states - 1)),
            states=[state] * n_regions,
            width=width,
        )
        bars.set_label(f"state {state + 1}")


def _draw_timescales(ax: Any, result: RegionKinetics, lag: float) -> None:
    """Processes are no states: they are black, and differ by their markers."""
    n_processes = result.timescales.shape[1]
    for process in range(n_processes):
        values = result.timescales[:, process]
        bounds = result.timescales_interval
        ax.errorbar(
            np.arange(len(values)) + 0.12 * (process - 0.5 * (n_processes - 1)),
            values,
            error_bars(values, Interval(bounds.lower[:, process], bounds.upper[:, process])),
            fmt=state_marker(process),
            color=str(min(0.25 * process, 0.75)),
            markeredgecolor="black",
            markersize=5,
            capsize=3,
            elinewidth=1.0,
            label=f"process {process + 1}",
        )
    ax.axhline(lag, color="0.3", linestyle="--", linewidth=1.0)
    ax.set(yscale="log", ylabel="relaxation time (ps)")
    plain_log_ticks(ax.yaxis)
    if n_processes > 1:
        ax.legend(frameon=False, fontsize="x-small", loc="best")
