"""The figure of a selection shows what the result holds."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from kgdyn.plots import plot_selection
from kgdyn.selection import Candidate, Selection, StatesScore


def made(taken: int | None = 1) -> Selection:
    candidates = tuple(
        Candidate(n, lag, 0.5 * lag, 1.0 + 0.1 * n, 0.02, times, 0.1 * times, 60 + lag, 80)
        for n, times in ((2, np.array([30.0])), (3, np.array([31.0, np.nan])))
        for lag in (10, 20)
    )
    scores = (
        StatesScore(2, 1.8, 0.02, (1.79, 1.81), ((1.79, 1.5), (1.81, 1.80))),
        StatesScore(3, 1.9, 0.03, (1.9, 1.9), ((1.9, 1.9), (1.9, 1.9)), 0.1, 0.2),
    )
    reasons = ("why",) * 4
    return Selection(candidates, reasons, taken, scores, {}, 10, 0.5, 2, 2, False)


def test_panels_hold_the_figures() -> None:
    result = made()
    scores, ck, times = plot_selection(result)
    points, _, bars = scores.containers[0]
    np.testing.assert_array_equal(points.get_xdata(), [2, 3])
    np.testing.assert_array_equal(points.get_ydata(), [1.8, 1.9])
    ends = np.array([segment[:, 1] for segment in bars[0].get_segments()])
    np.testing.assert_allclose(ends[0], [1.8 - 0.0392, 1.8 + 0.0392], rtol=1e-12)
    np.testing.assert_array_equal(scores.lines[0].get_ydata(), [1.79, 1.5, 1.81, 1.80])
    np.testing.assert_array_equal(ck.lines[0].get_xdata(), [5.0, 10.0])
    np.testing.assert_allclose(ck.lines[0].get_ydata(), [100 * 70 / 80, 100.0])
    np.testing.assert_array_equal(times.lines[0].get_ydata(), [30.0, 30.0])
    assert times.lines[0].get_alpha() == 1.0
    assert times.lines[1].get_alpha() == 0.35
    assert times.get_xlabel() == "lag time (ps)"
    # The recommendation: 20 frames of 0.5 ps.
    for ax in (ck, times):
        assert ax.lines[-1].get_xdata() == [10.0, 10.0]
    scores.figure.canvas.draw()


def test_without_a_recommendation_nothing_is_pale() -> None:
    axes = plot_selection(made(None))
    assert all(line.get_alpha() == 1.0 for line in axes[2].lines)
    assert len(axes[1].lines) == 2
    axes[0].figure.canvas.draw()


def test_draws_into_the_given_axes() -> None:
    _, axes = plt.subplots(1, 3)
    assert plot_selection(made(), axes) is axes
    _, two = plt.subplots(1, 2)
    with pytest.raises(ValueError, match=r"axes must have shape \(3,\), received \(2,\)"):
        plot_selection(made(), two)
