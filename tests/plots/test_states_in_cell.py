"""The figure of targets in the cell shows where they are, wrapped, in the colours of states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.koopman import one_hot
from kgdyn.plots import plot_states_in_cell
from kgdyn.plots._style import state_color
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

CELL = np.array([[10.0, 0.0, 0.0], [3.0, 8.0, 0.0], [0.0, 1.0, 12.0]])


def made(rng: np.random.Generator, **options: object) -> tuple[Trajectory, np.ndarray]:
    """Two Li and a frozen S in a triclinic cell, far from its origin."""
    inside = rng.random((30, 3, 3)) @ CELL
    inside[:, 2] = [5.0, 4.0, 3.0]
    moved = inside + np.array([-20.0, 16.0, 25.0])
    settings: dict[str, object] = {"pbc": True, "targets": [0, 1], **options}
    run = trajectory_from_arrays(moved, CELL, [3, 3, 16], frame_interval=1.0, **settings)  # type: ignore[arg-type]
    return run, one_hot(rng.integers(0, 2, (30, 2)), 2)


def points(ax: plt.Axes, label: str) -> np.ndarray:
    (found,) = (part for part in ax.collections if part.get_label() == label)
    return np.asarray(found.get_offsets())


@pytest.mark.parametrize(("axis", "kept"), [(0, (1, 2)), (1, (0, 2)), (2, (0, 1))])
def test_points_are_the_wrapped_positions(
    axis: int, kept: tuple[int, int], rng: np.random.Generator, render: Callable[[Any], None]
) -> None:
    run, chi = made(rng)
    ax = plot_states_in_cell(run, chi, axis=axis, background=["S"])
    for state in range(2):
        frames, targets = np.nonzero(chi.argmax(axis=2) == state)
        expected = run.positions[frames, targets]
        fractions = expected @ np.linalg.inv(CELL)
        expected = (fractions - np.floor(fractions)) @ CELL
        np.testing.assert_allclose(points(ax, f"state {state + 1}"), expected[:, kept], atol=1e-9)
        (drawn,) = (part for part in ax.collections if part.get_label() == f"state {state + 1}")
        assert matplotlib.colors.to_hex(drawn.get_facecolor()[0]).upper() == state_color(state)
    names = ("x (Å)", "y (Å)", "z (Å)")
    assert (ax.get_xlabel(), ax.get_ylabel()) == (names[kept[0]], names[kept[1]])
    assert len(ax.lines) == 12
    grey = np.asarray(ax.collections[0].get_offsets())
    fractions = run.positions[0, 2] @ np.linalg.inv(CELL)
    expected = (fractions - np.floor(fractions)) @ CELL
    np.testing.assert_allclose(grey, expected[None, kept], atol=1e-9)
    render(ax)


def test_molecules_stand_at_their_middle() -> None:
    """Over the border of the cell, too."""
    positions = np.array([[[9.5, 1.0, 1.0], [0.5, 1.0, 1.0], [5.0, 5.0, 5.0]]])
    run = trajectory_from_arrays(
        positions, 10.0 * np.eye(3), [8, 1, 3], frame_interval=1.0,
        targets=TargetGroups.from_groups([[0, 1], [2]]),
    )  # fmt: skip
    ax = plot_states_in_cell(run, one_hot(np.zeros((1, 2), int), 1))
    found = points(ax, "state 1")
    np.testing.assert_allclose(found[1], [5.0, 5.0])
    np.testing.assert_allclose(np.mod(found[0] + 5.0, 10.0), [5.0, 6.0], atol=1e-9)


@pytest.mark.parametrize("pbc", [False, (True, True, False)])
def test_free_directions_are_not_wrapped(pbc: object, rng: np.random.Generator) -> None:
    run, chi = made(rng, pbc=pbc)
    ax = plot_states_in_cell(run, chi, axis=0 if pbc is False else 1)
    frames, targets = np.nonzero(chi.argmax(axis=2) == 0)
    expected = run.positions[frames, targets]
    if pbc is False:
        np.testing.assert_allclose(points(ax, "state 1"), expected[:, 1:], atol=1e-9)
    else:
        np.testing.assert_allclose(points(ax, "state 1")[:, 1], expected[:, 2], atol=1e-9)
    assert not ax.lines


def test_three_dimensions_and_few_points(
    rng: np.random.Generator, render: Callable[[Any], None]
) -> None:
    run, chi = made(rng)
    chi[0] = np.nan
    ax = plot_states_in_cell(run, chi, axis=None, most_points=7)
    assert ax.name == "3d"
    # Three frames of two targets; of the first one no state is known.
    drawn = [part._offsets3d for part in ax.collections if part.get_label().startswith("state")]
    assert sum(len(part[0]) for part in drawn) == 4
    assert ax.get_zlabel() == "z (Å)"
    render(ax)


def test_a_cell_that_changes_is_drawn_as_its_mean(rng: np.random.Generator) -> None:
    cells = np.array([10.0, 12.0])[:, None, None] * np.eye(3)
    positions = np.full((2, 1, 3), 0.25) * np.array([10.0, 12.0])[:, None, None]
    run = trajectory_from_arrays(positions, cells, [3], frame_interval=1.0, targets=[0])
    ax = plot_states_in_cell(run, one_hot(np.zeros((2, 1), int), 1))
    np.testing.assert_allclose(points(ax, "state 1"), [[2.75, 2.75]] * 2)


def test_refuses_what_does_not_fit(rng: np.random.Generator) -> None:
    run, chi = made(rng)
    with pytest.raises(ValueError, match=r"\(30, 2, n_states\), received \(29, 2, 2\)"):
        plot_states_in_cell(run, chi[1:])
    with pytest.raises(ValueError, match="axis must be 0, 1, 2 or None, received 3"):
        plot_states_in_cell(run, chi, axis=3)
    with pytest.raises(ValueError, match="most_points must be at least 1, received 0"):
        plot_states_in_cell(run, chi, most_points=0)
    _, flat = plt.subplots()
    with pytest.raises(ValueError, match=r'needs ax with projection="3d".*rectilinear'):
        plot_states_in_cell(run, chi, flat, axis=None)
    deep = plt.figure().add_subplot(projection="3d")
    with pytest.raises(ValueError, match=r'needs ax with projection="3d".*axis=2'):
        plot_states_in_cell(run, chi, deep)
    assert plot_states_in_cell(run, chi, flat) is flat
