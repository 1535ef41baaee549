"""The figure of populations shows what the model holds."""

from __future__ import annotations

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pytest

from kgdyn.koopman import Interval, KoopmanModel
from kgdyn.plots import plot_populations


def made(n_states: int, *, interval: bool = True) -> KoopmanModel:
    shares = 0.5 ** np.arange(1.0, n_states + 1)
    shares[-1] = 1.0 - shares[:-1].sum()
    target = np.full(n_states, 1.0 / n_states)
    return KoopmanModel(
        koopman_matrix=0.8 * np.eye(n_states) + 0.2 * target,
        lagtime=2,
        frame_interval=0.5,
        n_pairs=100,
        populations=shares,
        vamp2_score=1.5,
        populations_interval=Interval(shares - 0.02, shares + 0.04) if interval else None,
    )


@pytest.mark.parametrize("interval", [True, False])
@pytest.mark.parametrize("n_states", [2, 4])
def test_bars_are_the_populations(n_states: int, interval: bool) -> None:
    model = made(n_states, interval=interval)
    ax = plot_populations(model)
    np.testing.assert_allclose(
        [bar.get_height() for bar in ax.patches], model.populations, rtol=1e-12
    )
    diamonds = next(line for line in ax.lines if line.get_marker() == "D")
    np.testing.assert_allclose(diamonds.get_ydata(), 1.0 / n_states, rtol=1e-12)
    assert [text.get_text() for text in ax.texts] == [
        f"{100 * share:.1f}%" for share in model.populations
    ]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == [
        str(state + 1) for state in range(n_states)
    ]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("state", "population")
    assert len({bar.get_facecolor() for bar in ax.patches}) == n_states
    if interval:
        ends = np.array([segment[:, 1] for segment in ax.collections[0].get_segments()])
        expected = model.populations[:, None] + np.array([-0.02, 0.04])
        np.testing.assert_allclose(ends, expected, rtol=1e-12)


def test_draws_into_the_given_axes() -> None:
    _, ax = plt.subplots()
    assert plot_populations(made(2), ax) is ax
    assert plot_populations(made(2)) is not ax


@pytest.mark.parametrize("n_states", [2, 8])
def test_nothing_overlaps(n_states: int) -> None:
    """Legend, percentages and axes keep apart, with a population of nearly 1 too."""
    model = made(n_states)
    model.populations[:] = 0.01
    model.populations[0] = 1.0 - 0.01 * (n_states - 1)
    ax = plot_populations(model)
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))
    legend = ax.get_legend().get_window_extent()
    assert not any(legend.overlaps(bar.get_window_extent()) for bar in ax.patches)
    assert not any(legend.overlaps(box) for box in boxes)
    figure = ax.figure.bbox
    assert legend.x0 >= figure.x0
    assert legend.y1 <= figure.y1
