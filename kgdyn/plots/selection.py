"""Why a number of states and a lag time were chosen, in three panels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kgdyn.plots._style import plain_log_ticks, state_color, state_marker

if TYPE_CHECKING:
    from kgdyn.selection import Selection

__all__ = ["plot_selection"]

_NORMAL_95 = 1.96


def plot_selection(result: Selection, axes: Any = None) -> Any:
    """Draw held-out score over states, Chapman-Kolmogorov test and timescales over lag times.

    The recommended number of states is drawn full, others pale; a vertical line stands at the
    recommended lag time. Bars and bands are 95%.

    Parameters
    ----------
    result : kgdyn.selection.Selection
    axes : (3,) array of matplotlib Axes, optional

    Returns
    -------
    (3,) array of matplotlib Axes

    Raises
    ------
    ValueError
        If ``axes`` are not three.
    """
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(1, 3, figsize=(11.0, 3.3), layout="constrained")
    if np.shape(axes) != (3,):
        raise ValueError(f"axes must have shape (3,), received {np.shape(axes)}")
    _draw_scores(result, axes[0])
    _draw_ck(result, axes[1])
    _draw_timescales(result, axes[2])
    if result.recommended is not None:
        for ax in axes[1:]:
            ax.axvline(result.recommended.lagtime_ps, color="0.4", lw=1, ls=":", zorder=0)
    return axes


def _draw_scores(result: Selection, ax: Any) -> None:
    states = [item.n_states for item in result.scores]
    for item in result.scores:
        values = np.ravel(item.restart_scores)
        ax.plot([item.n_states] * len(values), values, "x", color="0.6", ms=4, zorder=1)
    ax.errorbar(
        states,
        [item.score for item in result.scores],
        yerr=[_NORMAL_95 * item.score_error for item in result.scores],
        fmt="o-",
        ms=4,
        capsize=3,
        color=state_color(0),
    )
    if result.n_states is not None:
        ax.axvline(result.n_states, color="0.4", lw=1, ls=":", zorder=0)
    lag = result.train_lagtime * result.frame_interval
    ax.set(xlabel="states", ylabel="held-out VAMP-2", title=f"at a lag time of {lag:g} ps")
    ax.set_xticks(states)


def _draw_ck(result: Selection, ax: Any) -> None:
    for number, item in enumerate(result.scores):
        rows = [row for row in result.candidates if row.n_states == item.n_states]
        ax.plot(
            [row.lagtime_ps for row in rows],
            [100.0 * row.ck_inside / max(row.ck_elements, 1) for row in rows],
            state_marker(number) + "-",
            ms=4,
            color=state_color(number),
            alpha=_strength(result, item.n_states),
            label=f"{item.n_states} states",
        )
    ax.axhspan(95.0, 105.0, color="0.92", lw=0, zorder=0)
    ax.set(
        xscale="log",
        xlabel="lag time (ps)",
        ylabel="predictions within error (%)",
        ylim=(-3.0, 105.0),
        title="Chapman-Kolmogorov test",
    )
    plain_log_ticks(ax.xaxis)
    ax.legend(frameon=False, fontsize="small", loc="lower right")


def _draw_timescales(result: Selection, ax: Any) -> None:
    lags = np.unique([row.lagtime_ps for row in result.candidates])
    drawn = [lags]
    for number, item in enumerate(result.scores):
        rows = [row for row in result.candidates if row.n_states == item.n_states]
        times = np.stack([row.timescales for row in rows])
        bounds = np.stack([row.timescales_bounds for row in rows])
        strength = _strength(result, item.n_states)
        for process in range(times.shape[1]):
            ax.plot(
                lags,
                times[:, process],
                state_marker(number) + "-",
                ms=4,
                color=state_color(number),
                alpha=strength,
                label=f"{item.n_states} states" if process == 0 else None,
            )
            if strength == 1.0:
                low, high = bounds[:, 0, process], bounds[:, 1, process]
                ax.fill_between(lags, low, high, color=state_color(number), alpha=0.2, lw=0)
        drawn.append(times[np.isfinite(times) & (times > 0.0)])
    values = np.concatenate(drawn)
    edge = np.array([lags.min() * 0.8, lags.max() * 1.25])
    bottom, top = values.min() * 0.7, values.max() * 1.5
    ax.fill_between(edge, min(bottom, edge[0]), edge, color="0.9", lw=0, zorder=0)
    ax.set(
        xscale="log",
        yscale="log",
        xlim=edge,
        ylim=(bottom, top),
        xlabel="lag time (ps)",
        ylabel="implied timescale (ps)",
        title="relaxation, held-out data",
    )
    plain_log_ticks(ax.xaxis)
    plain_log_ticks(ax.yaxis)


def _strength(result: Selection, n_states: int) -> float:
    return 1.0 if result.n_states in (None, n_states) else 0.35
