"""The figure of states over time shows the most probable ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
import pytest

from kgdyn.koopman import one_hot
from kgdyn.plots import plot_state_sequence
from kgdyn.plots._style import state_color


def image(ax: plt.Axes) -> np.ma.MaskedArray:
    return np.ma.asarray(ax.images[0].get_array())


@pytest.mark.parametrize("n_states", [1, 8])
def test_rows_are_targets(
    n_states: int, rng: np.random.Generator, render: Callable[[Any], None]
) -> None:
    states = rng.integers(0, n_states, (50, 4))
    ax = plot_state_sequence(one_hot(states, n_states), 0.5)
    np.testing.assert_array_equal(image(ax), states.T)
    assert tuple(ax.images[0].get_extent()) == (0.0, 25.0, 4.5, 0.5)
    colors = ax.images[0].cmap(ax.images[0].norm(np.arange(n_states)))
    for state in range(n_states):
        assert matplotlib.colors.to_hex(colors[state]).upper() == state_color(state)
    (legend,) = ax.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        f"state {state + 1}" for state in range(n_states)
    ]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (ps)", "target")
    render(ax)


def test_long_runs_are_means() -> None:
    """Of three frames each: the state of two of them, and the sum of chi, not the number."""
    chi = np.zeros((6, 1, 2))
    chi[..., 0] = np.array([0.6, 0.6, 0.0, 0.2, 0.2, 0.9])[:, None]
    chi[..., 1] = 1.0 - chi[..., 0]
    ax = plot_state_sequence(chi, 1.0, most_columns=2)
    np.testing.assert_array_equal(image(ax), [[1, 1]])
    chi[2] = [[0.4, 0.6]]
    np.testing.assert_array_equal(image(plot_state_sequence(chi, 1.0, most_columns=2)), [[0, 1]])


def test_some_targets_in_their_order() -> None:
    states = np.array([[0, 1, 2], [0, 1, 1]])
    _, given = plt.subplots()
    ax = plot_state_sequence(one_hot(states, 3), 1.0, given, targets=[2, 0])
    assert ax is given
    np.testing.assert_array_equal(image(ax), [[2, 1], [0, 0]])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["3", "1"]
    assert ax.get_legend() is not None


def test_frames_without_a_state_are_left_out() -> None:
    chi = one_hot(np.array([[0], [1], [1]]), 2)
    chi[1] = np.nan
    found = image(plot_state_sequence(chi, 1.0))
    np.testing.assert_array_equal(np.ma.getmaskarray(found), [[0, 1, 0]])


def test_refuses_bad_arguments() -> None:
    chi = one_hot(np.zeros((3, 2), int), 2)
    with pytest.raises(ValueError, match=r"n_targets, n_states\), received \(3, 2\)"):
        plot_state_sequence(chi[:, 0], 1.0)
    with pytest.raises(ValueError, match="frame_interval must be a positive time in ps, received"):
        plot_state_sequence(chi, 0.0)
    with pytest.raises(ValueError, match=r"targets must be numbers from 0 to 1, received \[2\]"):
        plot_state_sequence(chi, 1.0, targets=[2])
    with pytest.raises(ValueError, match="most_columns must be at least 1, received 0"):
        plot_state_sequence(chi, 1.0, most_columns=0)
