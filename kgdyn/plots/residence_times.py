"""How long targets stay in each state."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from kgdyn.koopman import KoopmanModel, residence_times
from kgdyn.plots._style import axes_or_new, state_bars

if TYPE_CHECKING:
    from kgdyn.observables import TransitionDiffusion

__all__ = ["plot_residence_times"]


def plot_residence_times(model: KoopmanModel | TransitionDiffusion, ax: Any = None) -> Any:
    """Draw mean residence times with 95% intervals; the dashed line is the lag time.

    States are looked at once each lag time: no residence is seen that is shorter.

    Parameters
    ----------
    model : KoopmanModel or kgdyn.observables.TransitionDiffusion
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = axes_or_new(ax, (max(3.2, 0.5 * model.n_states + 1.2), 3.0))
    if isinstance(model, KoopmanModel):
        with warnings.catch_warnings():
            # A bar that is missing says so.
            warnings.simplefilter("ignore", RuntimeWarning)
            times = residence_times(model)
    else:
        times = model.residence_times
    state_bars(ax, times, model.residence_times_interval)
    lag = model.lagtime * model.frame_interval
    ax.axhline(lag, color="0.3", linestyle="--", linewidth=1.0)
    ax.annotate(
        f"lag time {lag:g} ps",
        (1.0, lag),
        xytext=(3, 0),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        va="center",
        fontsize="x-small",
        color="0.3",
        annotation_clip=False,
    )
    ax.set_ylabel("residence time (ps)")
    return ax
