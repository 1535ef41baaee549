"""The figure of the Chapman-Kolmogorov test shows what the result holds."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from kgdyn.koopman import ChapmanKolmogorovTest, Interval
from kgdyn.plots import plot_ck_test


def made(n_states: int, *, interval: bool = True) -> ChapmanKolmogorovTest:
    step = (
        0.8 * np.eye(n_states)
        + 0.2 * np.arange(1.0, n_states + 1) / np.arange(1.0, n_states + 1).sum()
    )
    predictions = np.stack([np.linalg.matrix_power(step, n) for n in (1, 2, 3)])
    estimates = predictions + 0.01 * np.arange(3)[:, None, None]
    bounds = Interval(estimates - 0.02, estimates + 0.05) if interval else None
    return ChapmanKolmogorovTest(
        np.array([1, 2, 3]), predictions, estimates, bounds, bounds, lagtime=4, frame_interval=0.5
    )


@pytest.mark.parametrize("interval", [True, False])
@pytest.mark.parametrize("n_states", [2, 4])
def test_panels_are_the_elements(n_states: int, interval: bool) -> None:
    result = made(n_states, interval=interval)
    axes = plot_ck_test(result)
    assert axes.shape == (n_states, n_states)
    for i in range(n_states):
        for j in range(n_states):
            ax = axes[i, j]
            predicted, estimated = ax.lines[0], ax.containers[0]
            np.testing.assert_array_equal(predicted.get_xdata(), [2.0, 4.0, 6.0])
            np.testing.assert_array_equal(predicted.get_ydata(), result.predictions[:, i, j])
            points, _, bars = estimated
            np.testing.assert_array_equal(points.get_xdata(), [2.0, 4.0, 6.0])
            np.testing.assert_array_equal(points.get_ydata(), result.estimates[:, i, j])
            assert len(bars) == int(interval)
            if interval:
                ends = np.array([segment[:, 1] for segment in bars[0].get_segments()])
                expected = result.estimates[:, i, j, None] + np.array([-0.02, 0.05])
                np.testing.assert_allclose(ends, expected, rtol=1e-12)
            assert ax.get_title() == f"{i + 1} → {j + 1}"
            low, high = ax.get_ylim()
            assert low < 0.0
            assert high > 1.0


def test_labels_on_the_outside() -> None:
    axes = plot_ck_test(made(3))
    assert all(ax.get_xlabel() == "time (ps)" for ax in axes[-1])
    assert all(ax.get_ylabel() == "probability" for ax in axes[:, 0])
    assert not any(ax.get_xlabel() for ax in axes[:-1].ravel())


def test_one_legend_above_the_panels_or_where_there_is_place() -> None:
    def legends(axes: Any) -> tuple[int, int]:
        in_panels = [ax.get_legend() for ax in axes.ravel() if ax.get_legend() is not None]
        return len(axes[0, 0].figure.legends), len(in_panels)

    axes = plot_ck_test(made(3))
    assert legends(axes) == (1, 0)
    axes[0, 0].figure.canvas.draw()
    (legend,) = axes[0, 0].figure.legends
    assert legend.get_window_extent().y0 > axes[0, 0].title.get_window_extent().y1
    widths = {round(ax.get_position().width, 3) for ax in axes.ravel()}
    assert len(widths) == 1
    _, more = plt.subplots(2, 3, layout="constrained")  # others have legends of their own
    assert legends(plot_ck_test(made(2), more[:, :2])) == (0, 1)
    for layout in (None, "tight"):  # nothing makes place above
        _, more = plt.subplots(2, 2, layout=layout)
        assert legends(plot_ck_test(made(2), more)) == (0, 1)


def test_estimates_outside_their_interval_do_not_crash() -> None:
    result = made(2)
    assert result.estimate_interval is not None
    result.estimate_interval.lower[:] += 0.04
    axes = plot_ck_test(result)
    axes[0, 0].figure.canvas.draw()


def test_undefined_values_do_not_crash() -> None:
    result = made(2)
    result.estimates[2] = np.nan
    assert result.estimate_interval is not None
    result.estimate_interval.lower[2] = np.nan
    axes = plot_ck_test(result)
    axes[0, 0].figure.canvas.draw()


def test_draws_into_the_given_axes() -> None:
    _, axes = plt.subplots(2, 2)
    drawn = plot_ck_test(made(2), axes)
    assert all(a is b for a, b in zip(axes.ravel(), drawn.ravel(), strict=True))


def test_refuses_a_wrong_grid_of_axes() -> None:
    _, axes = plt.subplots(2, 2)
    with pytest.raises(ValueError, match=r"n_states\) = \(3, 3\), received \(2, 2\)"):
        plot_ck_test(made(3), axes)
    with pytest.raises(ValueError, match=r"received \(\)"):
        plot_ck_test(made(2), axes[0, 0])
