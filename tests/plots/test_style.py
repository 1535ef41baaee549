"""Colours and markers that all figures share."""

from __future__ import annotations

import itertools

import matplotlib.colors
import pytest

from kgdyn.plots._style import MARKERS, STATE_COLORS, axes_or_new, state_color, state_marker


def luminance(color: str) -> float:
    red, green, blue = matplotlib.colors.to_rgb(color)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_neighbouring_states_differ_in_grey() -> None:
    for one, other in itertools.pairwise(STATE_COLORS):
        assert abs(luminance(one) - luminance(other)) > 0.1, (one, other)


def test_colours_and_markers_begin_again() -> None:
    assert len(set(STATE_COLORS)) == len(set(MARKERS)) == 8
    for state in range(8):
        assert state_color(state) == state_color(state + 8) == STATE_COLORS[state]
        assert state_marker(state) == state_marker(state + 8) == MARKERS[state]


@pytest.mark.parametrize("figsize", [(4.2, 3.2), (6.0, 2.0)])
def test_new_axes_have_a_figure_of_their_own(figsize: tuple[float, float]) -> None:
    one, other = axes_or_new(None, figsize), axes_or_new(None, figsize)
    assert one.figure is not other.figure
    assert tuple(one.figure.get_size_inches()) == figsize
    assert axes_or_new(one) is one
