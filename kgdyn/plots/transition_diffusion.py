"""Diffusion coefficients by transition, by state and in all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from kgdyn.koopman import Interval
from kgdyn.plots._heat_map import draw_matrix, matrix_size
from kgdyn.plots._numbers import power_of_ten, with_power
from kgdyn.plots._style import error_bars, state_bars

if TYPE_CHECKING:
    from kgdyn.observables import TransitionDiffusion

__all__ = ["plot_transition_diffusion"]


def plot_transition_diffusion(result: TransitionDiffusion, axes: Any = None) -> Any:
    """Draw D_ij as a heat map with 95% errors, and beside it those of states and of all targets.

    Both in square angstrom per ps (1 square angstrom per ps is 1e-4 square cm per s), times the
    power of ten that labels name.

    Parameters
    ----------
    result : kgdyn.observables.TransitionDiffusion
    axes : (2,) array of matplotlib Axes, optional

    Returns
    -------
    (2,) array of matplotlib Axes

    Raises
    ------
    ValueError
        If ``axes`` are not two.
    """
    n_states = result.n_states
    if axes is None:
        import matplotlib.pyplot as plt

        width, height = matrix_size(n_states)
        beside = max(2.2, 0.4 * n_states + 1.0)
        figure, axes = plt.subplots(
            1, 2, figsize=(width + beside, height), width_ratios=(width, beside),
            layout="constrained",
        )  # fmt: skip
        layout: Any = figure.get_layout_engine()
        layout.set(wspace=0.06)
    axes = np.asarray(axes, dtype=object)
    if axes.shape != (2,):
        raise ValueError(f"axes must have shape (2,), received {axes.shape}")
    exponent = power_of_ten([*np.ravel(result.diffusion), *result.state_diffusion])
    factor = 10.0**-exponent
    unit = with_power("Å²/ps", exponent)
    draw_matrix(
        axes[0],
        factor * result.diffusion,
        _scaled(result.diffusion_interval, factor),
        label=f"D$_{{ij}}$ {unit}",
    )
    states = list(range(n_states))
    bars = axes[1]
    state_bars(
        bars,
        factor * result.state_diffusion,
        _scaled(result.state_diffusion_interval, factor),
        places=states,
        states=states,
    )
    total = [factor * result.total_diffusion]
    bars.bar(
        [n_states],
        total,
        yerr=error_bars(total, _scaled(result.total_diffusion_interval, factor, (1,))),
        capsize=3,
        color="white",
        edgecolor="black",
        linewidth=1.0,
        error_kw={"elinewidth": 1.0, "ecolor": "black"},
    )
    bars.axhline(0.0, color="black", lw=0.8)
    bars.set(
        ylabel=f"D {unit}",
        xlabel="from state",
        xticks=[*states, n_states],
        xticklabels=[*(str(state + 1) for state in states), "all"],
    )
    return axes


def _scaled(interval: Interval, factor: float, shape: tuple[int, ...] | None = None) -> Interval:
    lower, upper = factor * np.asarray(interval.lower), factor * np.asarray(interval.upper)
    if shape is None:
        return Interval(lower, upper)
    return Interval(lower.reshape(shape), upper.reshape(shape))
