"""The VAMP-2 score over the epochs of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kgdyn.plots._style import axes_or_new, state_color

__all__ = ["plot_training_curve"]


def plot_training_curve(
    history: Mapping[str, Sequence[float]],
    ax: Any = None,
    n_states: int | None = None,
    score: str = "vamp2",
) -> Any:
    """Draw training and validation scores.

    Parameters
    ----------
    history : mapping
        ``keras.callbacks.History.history``: lists with a value each epoch; ``vamp2`` and, where
        there was validation data, ``val_vamp2``. A list that is shorter, of a training that
        was interrupted, is drawn as far as it goes.
    ax : matplotlib Axes, optional
    n_states : int, optional
        Draws the largest possible score.
    score : str
        Name of the metric.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If ``history`` has no such entry.
    """
    if score not in history:
        raise ValueError(
            f"history must have the entry {score!r}: compile with metrics=[VAMP2Score(n_states)]; "
            f"received {sorted(history)}"
        )
    from matplotlib.ticker import MaxNLocator

    ax = axes_or_new(ax)
    validation = f"val_{score}"
    lines = [history[name] for name in ("loss", score, validation) if name in history]
    epochs = np.arange(1, max(map(len, lines)) + 1)
    # Over an epoch of training the metric mixes the models of all its steps; the loss does not.
    training = -np.asarray(history["loss"]) if "loss" in history else history[score]
    label = "training, mean of batches" if "loss" in history else "training"
    ax.plot(epochs[: len(training)], training, "o-", ms=3, color=state_color(0), label=label)
    if validation in history:
        values = history[validation]
        ax.plot(epochs[: len(values)], values, "s-", ms=3, color=state_color(4), label="validation")
    if n_states is not None:
        ax.axhline(n_states, ls=":", color="0.5", lw=1)
        ax.annotate(
            "maximum",
            (1.0, n_states),
            xytext=(-3, -2),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize="small",
            color="0.4",
        )
        bottom = ax.get_ylim()[0]
        ax.set_ylim(top=n_states + 0.05 * (n_states - bottom))
    ax.set(xlabel="epoch", ylabel=f"{_title(score)} score", xlim=(0.5, len(epochs) + 0.5))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.legend(frameon=False, fontsize="small", loc="best")
    return ax


def _title(score: str) -> str:
    """ "VAMP-2" of "vamp2"; other names as they are."""
    name = score.upper()
    return f"VAMP-{name[4]}" if name[:4] == "VAMP" and name[4:5] else score
