"""Colours, markers and panels that all figures share."""

from __future__ import annotations

import itertools

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
import pytest

from kgdyn.koopman import Interval
from kgdyn.plots._style import (
    HATCHES,
    LINE_STYLES,
    MARKERS,
    STATE_COLORS,
    axes_or_new,
    draw_curve,
    error_bars,
    legend_above,
    panels_or_new,
    plain_log_ticks,
    state_bars,
    state_color,
    state_hatch,
    state_marker,
)


def luminance(color: str) -> float:
    red, green, blue = matplotlib.colors.to_rgb(color)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def test_neighbouring_states_differ_in_grey() -> None:
    for one, other in itertools.pairwise(STATE_COLORS):
        assert abs(luminance(one) - luminance(other)) > 0.1, (one, other)


def test_colours_and_markers_begin_again() -> None:
    assert len(set(STATE_COLORS)) == len(set(MARKERS)) == len(LINE_STYLES) == len(HATCHES) == 8
    for state in range(8):
        assert state_color(state) == state_color(state + 8) == STATE_COLORS[state]
        assert state_marker(state) == state_marker(state + 8) == MARKERS[state]
        assert state_hatch(state) == state_hatch(state + 8) == HATCHES[state]


@pytest.mark.parametrize("figsize", [(4.2, 3.2), (6.0, 2.0)])
def test_new_axes_have_a_figure_of_their_own(figsize: tuple[float, float]) -> None:
    one, other = axes_or_new(None, figsize), axes_or_new(None, figsize)
    assert one.figure is not other.figure
    assert tuple(one.figure.get_size_inches()) == figsize
    assert axes_or_new(one) is one


def test_one_axes_is_no_array() -> None:
    _, axes = plt.subplots(1, 2)
    with pytest.raises(ValueError, match=r"ax must be one matplotlib Axes, received shape \(2,\)"):
        axes_or_new(axes)


@pytest.mark.parametrize(("n_panels", "n_columns"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_panels(n_panels: int, n_columns: int) -> None:
    panels = panels_or_new(None, n_panels)
    assert panels.shape == (n_panels,)
    figure = panels[0].figure
    assert figure.axes == panels.tolist()
    assert panels[0].get_subplotspec().get_gridspec().ncols == n_columns
    assert panels_or_new(panels, n_panels) is panels
    if n_panels == 1:
        assert panels_or_new(panels[0], 1)[0] is panels[0]


def test_panels_are_as_many_as_needed() -> None:
    _, axes = plt.subplots(1, 2)
    with pytest.raises(ValueError, match=r"axes must have shape \(3,\), received \(2,\)"):
        panels_or_new(axes, 3)
    with pytest.raises(ValueError, match="nothing to draw"):
        panels_or_new(None, 0)


def test_error_bars_are_never_negative() -> None:
    bars = error_bars([1.0, 2.0, np.nan], Interval(np.array([0.5, 2.5, 0]), np.array([1.5, 3, 1])))
    np.testing.assert_array_equal(bars, [[0.5, 0.0, np.nan], [0.5, 1.0, np.nan]])
    assert error_bars([1.0], None) is None


@pytest.mark.parametrize("n_points", [5, 200])
def test_curves_have_a_band_and_marks_that_keep_apart(n_points: int) -> None:
    _, ax = plt.subplots()
    x = np.linspace(0.0, 1.0, n_points)
    for state in range(3):
        draw_curve(ax, x, x + state, x + state - 0.1, x + state + 0.2, state, 3)
    marked = []
    for state, line in enumerate(ax.lines):
        assert line.get_color() == state_color(state)
        assert line.get_marker() == state_marker(state)
        assert line.get_label() == f"state {state + 1}"
        band = ax.collections[state].get_paths()[0].vertices
        np.testing.assert_allclose(band[:, 1].min(), state - 0.1)
        np.testing.assert_allclose(band[:, 1].max(), state + 1.2)
        every = line.get_markevery()
        if n_points > 25:
            marked.append(set(range(every[0], n_points, every[1])))
        else:
            assert every == 1
    for one, other in itertools.combinations(marked, 2):
        assert not one & other


def test_bars_have_the_colours_of_their_states() -> None:
    _, ax = plt.subplots()
    state_bars(ax, [3.0, 1.0], None, states=[4, 1])
    for bar, state in zip(ax.patches, (4, 1), strict=True):
        assert matplotlib.colors.to_hex(bar.get_facecolor()).upper() == state_color(state)
        assert bar.get_hatch() == state_hatch(state)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["5", "2"]


def test_legends_lie_outside_of_our_own_axes() -> None:
    for own in (True, False):
        _, ax = plt.subplots(layout="constrained")
        legend_above(ax, own)
        assert not ax.figure.legends
        ax.plot([0.0, 1.0], [0.0, 1.0], label="state 1")
        legend_above(ax, own)
        assert len(ax.figure.legends) == own
        assert (ax.get_legend() is None) == own
        ax.figure.canvas.draw()
        if own:
            box = ax.figure.legends[0].get_window_extent()
            assert not box.overlaps(ax.get_window_extent())
            assert box.y1 <= ax.figure.bbox.y1


@pytest.mark.parametrize(("high", "plain"), [(50.0, True), (5e4, False)])
def test_ticks_of_short_logarithmic_axes(high: float, plain: bool) -> None:
    _, ax = plt.subplots()
    ax.set(xscale="log", xlim=(20.0, high))
    plain_log_ticks(ax.xaxis)
    ax.figure.canvas.draw()
    shown = [tick.get_text() for tick in ax.get_xticklabels() if tick.get_text()]
    assert ("50" in shown) == plain
