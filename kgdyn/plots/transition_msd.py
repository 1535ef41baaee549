"""Mean square displacements by transition and by state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from kgdyn.plots._style import (
    axes_or_new,
    draw_curve,
    legend_above,
    plain_log_ticks,
    state_color,
    state_marker,
)

if TYPE_CHECKING:
    from kgdyn.observables import TransitionMSD

__all__ = ["plot_state_msd", "plot_transition_msd"]

Scale = Literal["log", "linear"]


def plot_transition_msd(result: TransitionMSD, axes: Any = None, *, scale: Scale = "log") -> Any:
    """Draw E[d^2(t) | i -> j] with 95% bands, a panel for each transition: rows from, columns to.

    The dotted line in each panel is that of all targets.

    Parameters
    ----------
    result : kgdyn.observables.TransitionMSD
    axes : (n_states, n_states) array of matplotlib Axes, optional
    scale : {"log", "linear"}
        Of both axes.

    Returns
    -------
    (n_states, n_states) array of matplotlib Axes

    Raises
    ------
    ValueError
        For another shape of axes, or another scale.
    """
    _check(scale)
    n_states = result.n_states
    own = axes is None
    if axes is None:
        import matplotlib.pyplot as plt

        size = max(3.6, (1.8 if n_states <= 4 else 1.35) * n_states)
        _, axes = plt.subplots(
            n_states,
            n_states,
            figsize=(size * 1.1, size),
            sharex=True,
            sharey=True,
            layout="constrained",
            squeeze=False,
        )
    axes = np.asarray(axes, dtype=object)
    if axes.shape != (n_states, n_states):
        raise ValueError(
            f"axes must have shape (n_states, n_states) = {(n_states, n_states)}, "
            f"received {axes.shape}"
        )
    interval = result.msd_interval
    for i, j in np.ndindex(n_states, n_states):
        ax = axes[i, j]
        # With shared axes each line would scale all of them again.
        ax.set_autoscale_on(False)
        ax.plot(
            result.times,
            result.msd[:, i, j],
            color=state_color(i),
            marker=state_marker(i),
            markersize=3.5,
            linewidth=1.2,
            label="this transition" if n_states > 1 else "state 1",
        )
        ax.fill_between(
            result.times,
            interval.lower[:, i, j],
            interval.upper[:, i, j],
            color=state_color(i),
            alpha=0.25,
            linewidth=0,
        )
        ax.plot(result.times, result.total_msd, ":", color="0.3", lw=1.0, label="all targets")
        if not np.isfinite(result.msd[:, i, j]).any():
            ax.text(
                0.5, 0.5, "never seen", ha="center", va="center", transform=ax.transAxes,
                fontsize="small", color="0.4",
            )  # fmt: skip
        ax.set_title(f"{i + 1} → {j + 1}", fontsize="small")
        if i == n_states - 1:
            ax.set_xlabel("t (ps)")
        if j == 0:
            ax.set_ylabel("MSD (Å²)")
    drawn = [result.msd, result.total_msd, interval.lower, interval.upper]
    limits = _limits(np.concatenate([np.ravel(part) for part in drawn]), scale)
    reach = _limits(result.times, scale)
    # Our own axes share scales, limits and ticks.
    for ax in np.ravel(axes)[: 1 if own else None]:
        ax.set(xscale=scale, yscale=scale, xlim=reach, ylim=limits)
        if scale == "log":
            plain_log_ticks(ax.xaxis)
            plain_log_ticks(ax.yaxis)
    legend_above(axes, own)
    return axes


def plot_state_msd(result: TransitionMSD, ax: Any = None, *, scale: Scale = "log") -> Any:
    """Draw the mean square displacement of targets that begin in each state, and of all.

    With 95% bands. On logarithmic axes the thin line rises as t does: where curves are parallel to
    it, targets diffuse, and a diffusion coefficient has a meaning.

    Parameters
    ----------
    result : kgdyn.observables.TransitionMSD
    ax : matplotlib Axes, optional
    scale : {"log", "linear"}
        Of both axes.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        For another scale.
    """
    _check(scale)
    own = ax is None
    ax = axes_or_new(ax)
    times, n_states = result.times, result.n_states
    for state in range(n_states):
        draw_curve(
            ax,
            times,
            result.state_msd[:, state],
            result.state_msd_interval.lower[:, state],
            result.state_msd_interval.upper[:, state],
            state,
            n_states,
        )
    ax.plot(times, result.total_msd, color="0.3", lw=1.4, label="all targets")
    ax.fill_between(
        times,
        result.total_msd_interval.lower,
        result.total_msd_interval.upper,
        color="0.3",
        alpha=0.2,
        linewidth=0,
    )
    if scale == "log":
        # Below the curves, through the lower right.
        lowest = np.nanmin(np.column_stack([result.state_msd, result.total_msd]) / times[:, None])
        if np.isfinite(lowest):
            ax.plot(times, 0.5 * lowest * times, color="0.6", lw=0.8, label="∝ t")
    ax.set(xscale=scale, yscale=scale, xlabel="t (ps)", ylabel="mean square displacement (Å²)")
    if scale == "log":
        plain_log_ticks(ax.xaxis)
        plain_log_ticks(ax.yaxis)
    legend_above(ax, own)
    return ax


def _limits(values: NDArray[np.float64], scale: str) -> tuple[float, float]:
    """Of an axis on which these values have some room; from 0 where it is linear."""
    found = values[np.isfinite(values) & (values > 0.0)]
    if not found.size:
        return (0.1, 1.0) if scale == "log" else (0.0, 1.0)
    low, high = float(found.min()), float(found.max())
    if scale == "linear":
        return 0.0, 1.05 * high
    room = max((high / low) ** 0.05, 1.2)
    return low / room, high * room


def _check(scale: str) -> None:
    if scale not in ("log", "linear"):
        raise ValueError(f'scale must be "log" or "linear", received {scale!r}')
