"""Which states each slow process moves between, as in Figs. 3e and 4e of Xie et al. 2019."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np

from kgdyn.koopman import KoopmanModel
from kgdyn.plots._numbers import rounded
from kgdyn.plots._style import panels_or_new, state_bars, state_color, state_hatch

__all__ = ["plot_eigenvectors"]

Side = Literal["right", "left"]


def plot_eigenvectors(
    model: KoopmanModel, axes: Any = None, *, side: Side = "right", n_processes: int | None = None
) -> Any:
    """Draw the eigenvectors of K projected on the states, a panel for each process.

    A process moves probability between the states above and below zero. Titles have the relaxation
    times, with 95% intervals where the model has them; eigenvectors themselves have none. Of
    complex ones the imaginary part is drawn beside the real part, pale.

    Parameters
    ----------
    model : KoopmanModel
    axes : (n_processes,) array of matplotlib Axes, or one, optional
    side : {"right", "left"}
        Functions on states, or flows of probability: see :func:`kgdyn.koopman.eigenvectors`.
    n_processes : int, optional
        The slowest ones; all if not given.

    Returns
    -------
    (n_processes,) array of matplotlib Axes

    Raises
    ------
    ValueError
        For another side, another number of axes, or more processes than there are.
    """
    if side not in ("right", "left"):
        raise ValueError(f'side must be "right" or "left", received {side!r}')
    most = model.n_states - 1
    wanted = most if n_processes is None else n_processes
    if not 1 <= wanted <= most:
        raise ValueError(
            f"n_processes must be from 1 to n_states - 1 = {most}, received {n_processes}"
        )
    panels = panels_or_new(axes, wanted, (max(2.1, 0.22 * model.n_states + 0.8), 2.2), 4)
    vectors = model.right_eigenvectors if side == "right" else model.left_eigenvectors
    with warnings.catch_warnings():
        # Titles say so.
        warnings.simplefilter("ignore", RuntimeWarning)
        times = model.timescales_ps(wanted)
    for process, ax in enumerate(panels):
        vector = vectors[:, process]
        if np.iscomplexobj(vector) and np.abs(vector.imag).max() > 0.0:
            _draw_complex(ax, vector)
        else:
            state_bars(ax, vector.real, None)
        ax.axhline(0.0, color="black", lw=0.8)
        ax.set_title(f"process {process + 1}: {_time(model, times, process)}", fontsize="small")
        ax.margins(y=0.12)
    name = "eigenfunction" if side == "right" else "flow of probability"
    for ax in panels:
        if ax is panels[0] or ax.get_subplotspec() is None or ax.get_subplotspec().is_first_col():
            ax.set_ylabel(name)
    return panels


def _draw_complex(ax: Any, vector: Any) -> None:
    states = np.arange(len(vector))
    state_bars(ax, vector.real, None, places=states - 0.2, states=states.tolist(), width=0.4)
    bars = ax.bar(states + 0.2, vector.imag, 0.4, edgecolor="black", linewidth=0.6)
    for state, bar in enumerate(bars):
        bar.set(facecolor=state_color(state), alpha=0.4, hatch=state_hatch(state))
    ax.set(xlabel="state", xticks=states, xticklabels=[str(state + 1) for state in states])


def _time(model: KoopmanModel, times: Any, process: int) -> str:
    if not np.isfinite(times[process]):
        return "no relaxation time"
    bounds = model.timescales_interval
    low, high = (np.nan, np.nan) if bounds is None else (
        float(bounds.lower[process]), float(bounds.upper[process])
    )  # fmt: skip
    value, error = rounded(float(times[process]), low, high)
    return f"{value} {error.replace(' / ', ' ')} ps" if error else f"{value} ps"
