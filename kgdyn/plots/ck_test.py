"""Chapman-Kolmogorov test, element by element, as in Fig. 2d of Xie et al. 2019."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgdyn.koopman.ck_test import ChapmanKolmogorovTest
from kgdyn.plots._style import state_color

__all__ = ["plot_ck_test"]


def plot_ck_test(result: ChapmanKolmogorovTest, axes: Any = None) -> Any:
    """Draw K(lagtime)^n as a line and K(n lagtime) as points with 95% intervals.

    Parameters
    ----------
    result : ChapmanKolmogorovTest
    axes : (n_states, n_states) array of matplotlib Axes, optional

    Returns
    -------
    (n_states, n_states) array of matplotlib Axes
    """
    n_states = result.predictions.shape[-1]
    if axes is None:
        import matplotlib.pyplot as plt

        size = max(1.9 * n_states, 3.6)
        _, axes = plt.subplots(
            n_states,
            n_states,
            figsize=(size * 1.15, size),
            sharex=True,
            sharey=True,
            layout="constrained",
            squeeze=False,
        )
    axes = np.asarray(axes)
    if axes.shape != (n_states, n_states):
        raise ValueError(
            f"axes must have shape (n_states, n_states) = {(n_states, n_states)}, "
            f"received {axes.shape}"
        )
    lag = result.steps * result.lagtime * result.frame_interval
    for i in range(n_states):
        for j in range(n_states):
            ax = axes[i, j]
            predicted, estimated = result.predictions[:, i, j], result.estimates[:, i, j]
            ax.plot(lag, predicted, "-", color=state_color(i), label="K(τ)$^n$, predicted")
            errors = None
            if result.estimate_interval is not None:
                errors = np.stack(
                    [
                        np.maximum(estimated - result.estimate_interval.lower[:, i, j], 0),
                        np.maximum(result.estimate_interval.upper[:, i, j] - estimated, 0),
                    ]
                )
            ax.errorbar(
                lag,
                estimated,
                errors,
                fmt="o",
                ms=3.5,
                color="black",
                capsize=2,
                lw=1,
                label="K(nτ), estimated",
            )
            ax.set_title(f"{i + 1} → {j + 1}", fontsize="small")
            ax.set_ylim(-0.05, 1.05)
            if i == n_states - 1:
                ax.set_xlabel("time (ps)")
            if j == 0:
                ax.set_ylabel("probability")
    _legend(axes)
    return axes


def _legend(axes: Any) -> None:
    """Above all panels where the figure has no others: small panels have no place for it."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure, last = axes[0, -1].figure, axes[0, -1]
    makes_place = isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine)
    if makes_place and set(figure.axes) == set(axes.flat):
        handles, labels = last.get_legend_handles_labels()
        figure.legend(
            handles, labels, frameon=False, fontsize="x-small", loc="outside upper right", ncols=2
        )
    else:
        last.legend(frameon=False, fontsize="x-small", loc="best")
