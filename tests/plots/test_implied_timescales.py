"""The figure of implied timescales shows what the result holds."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from kgdyn.koopman import ImpliedTimescales, Interval
from kgdyn.plots import plot_implied_timescales

LAGS = np.array([1, 2, 5, 10])


def made(n_processes: int, *, interval: bool = True, scale: float = 1.0) -> ImpliedTimescales:
    times = scale * np.array([40.0, 9.0, 4.0][:n_processes]) * np.ones((4, 1))
    times += np.arange(4.0)[:, None]
    bounds = Interval(0.8 * times, 1.3 * times) if interval else None
    return ImpliedTimescales(LAGS, times, bounds, frame_interval=0.5)


def bands(ax: plt.Axes) -> list[np.ndarray]:
    return [collection.get_paths()[0].vertices for collection in ax.collections]


@pytest.mark.parametrize("n_processes", [1, 3])
def test_lines_are_the_timescales(n_processes: int) -> None:
    result = made(n_processes)
    ax = plot_implied_timescales(result)
    assert len(ax.lines) == n_processes
    for process, line in enumerate(ax.lines):
        np.testing.assert_array_equal(line.get_xdata(), 0.5 * LAGS)
        np.testing.assert_array_equal(line.get_ydata(), result.timescales[:, process])
        assert line.get_label() == f"process {process + 1}"
        band = bands(ax)[process]
        assert result.interval is not None
        np.testing.assert_allclose(band[:, 1].min(), result.interval.lower[:, process].min())
        np.testing.assert_allclose(band[:, 1].max(), result.interval.upper[:, process].max())
    # Without colours, too, lines differ.
    assert len({line.get_marker() for line in ax.lines}) == n_processes
    assert len({line.get_color() for line in ax.lines}) == n_processes


def test_axes_have_units_and_logarithms() -> None:
    ax = plot_implied_timescales(made(2))
    assert ax.get_xlabel() == "lag time (ps)"
    assert ax.get_ylabel() == "implied timescale (ps)"
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert ax.get_legend() is not None


def test_draws_into_the_given_axes() -> None:
    _, ax = plt.subplots()
    assert plot_implied_timescales(made(1), ax) is ax
    assert plot_implied_timescales(made(1)) is not ax


def test_grey_is_below_the_lag_time_to_the_bottom_of_the_figure() -> None:
    lags = np.array([1, 10, 100, 5000])
    result = ImpliedTimescales(lags, np.full((4, 1), 30.0), None, 1.0)
    ax = plot_implied_timescales(result)
    (grey,) = bands(ax)
    left, right = ax.get_xlim()
    for x in (left, right):
        column = grey[np.isclose(grey[:, 0], x), 1]
        np.testing.assert_allclose(column.max(), x, rtol=1e-12)
        assert column.min() <= ax.get_ylim()[0]


def test_reference_is_dashed_and_inside() -> None:
    """Also where it lies far from the learned timescales."""
    reference = made(3, interval=False, scale=50.0)
    ax = plot_implied_timescales(made(2), reference=reference)
    dashed = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert len(dashed) == 2
    np.testing.assert_array_equal(dashed[1].get_ydata(), reference.timescales[:, 1])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["process 1", "process 2", "true states"]
    bottom, top = ax.get_ylim()
    assert bottom < dashed[0].get_ydata().min()
    assert dashed[0].get_ydata().max() < top


@pytest.mark.parametrize("every", [True, False])
def test_undefined_timescales(every: bool) -> None:
    result = made(2)
    assert result.interval is not None
    for values in (result.timescales, result.interval.lower, result.interval.upper):
        values[:, 1] = np.nan
        values[2, 0] = np.nan
        if every:
            values[:] = np.nan
    ax = plot_implied_timescales(result)
    ax.figure.canvas.draw()
    assert np.isfinite([*ax.get_xlim(), *ax.get_ylim()]).all()
    assert np.isnan(ax.lines[1].get_ydata()).all()


def test_one_lag_time() -> None:
    result = ImpliedTimescales(np.array([4]), np.array([[9.0]]), None, 0.5)
    ax = plot_implied_timescales(result)
    ax.figure.canvas.draw()
    assert ax.get_xlim()[0] < 2.0 < ax.get_xlim()[1]
