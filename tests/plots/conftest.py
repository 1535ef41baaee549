"""Figures are closed after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


@pytest.fixture
def render() -> Callable[[Any], None]:
    """Function: draw the figure of some axes, without laying it out, which takes longest."""

    def draw(ax: Any) -> None:
        ax.figure.set_layout_engine("none")
        ax.figure.draw_without_rendering()

    return draw
