"""Colours and axes shared by all figures."""

from __future__ import annotations

from typing import Any

__all__ = ["STATE_COLORS", "axes_or_new", "state_color", "state_marker"]

# Okabe and Ito (2008): told apart by all kinds of colour vision; ordered to differ in grey too.
STATE_COLORS = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#56B4E9",
    "#F0E442",
    "#000000",
)
# Lines of one picture are told apart by these too, in print without colours.
MARKERS = "os^Dv<>p"


def state_color(state: int) -> str:
    """The colour of a state, the same in every figure."""
    return STATE_COLORS[state % len(STATE_COLORS)]


def state_marker(state: int) -> str:
    """The marker of a state or process."""
    return MARKERS[state % len(MARKERS)]


def axes_or_new(ax: Any, figsize: tuple[float, float] = (4.2, 3.2)) -> Any:
    """``ax``, or a new one in a figure of its own."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=figsize, layout="constrained")
    return ax
