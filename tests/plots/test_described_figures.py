"""Figures of what states are: drawings, bond order, regions, labels, attention, masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Circle, Rectangle

from kgdyn.explain import Mask, MaskingImportance, NeighborAttention
from kgdyn.koopman import Interval, Resampling
from kgdyn.observables import (
    Cluster,
    LabelAgreement,
    RegionKinetics,
    Representative,
    RepresentativeFrames,
    StateBondOrder,
)
from kgdyn.plots import (
    plot_attention,
    plot_bond_order,
    plot_label_agreement,
    plot_masking_importance,
    plot_region_kinetics,
    plot_representatives,
)
from kgdyn.plots._spheres import best_view, element_colors, element_radii
from kgdyn.plots._style import state_color, state_marker

BLOCKS = Resampling(10)
MINUS = "\N{MINUS SIGN}"


def around(values: Any) -> Interval:
    found = np.asarray(values, dtype=np.float64)
    return Interval(found - 0.02, found + 0.05)


def shares(n_states: int) -> np.ndarray:
    return np.full(n_states, 1.0 / n_states)


def made_frames(n_states: int = 2, species: tuple[int, ...] = (3, 8, 8, 16)) -> Any:
    """Li with two O near it, and an S farther away; in the last state nothing was found."""
    positions = np.array([[0.0, 0, 0], [2.0, 0, 0], [0.0, 2.1, 0], [-3.5, -1.0, 0.5]])
    own = np.array([True, False, False, False])
    cluster = Cluster(positions, np.array(species, np.int32), np.arange(4), own, None, ())
    found = [
        Representative(state, kind, 0, 5, 0, 0.99, cluster)  # type: ignore[arg-type]
        for state in range(n_states - 1)
        for kind in ("highest probability", "medoid")
    ]
    return RepresentativeFrames(
        tuple(found), shares(n_states), np.ones(n_states), np.full(n_states, 9), 4.0, 12, 9, 500,
        0, "distances",
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["medoid", "highest probability"])
@pytest.mark.parametrize("n_states", [2, 8])
def test_drawings(n_states: int, kind: Any, render: Callable[[Any], None]) -> None:
    panels = plot_representatives(made_frames(n_states), kind=kind)
    assert len(panels) == n_states
    for state, ax in enumerate(panels):
        edges = {matplotlib.colors.to_hex(s.get_edgecolor()).upper() for s in ax.spines.values()}
        assert edges == {state_color(state)}
        spheres = [patch for patch in ax.patches if isinstance(patch, Circle)]
        # Each sphere with its spot of light.
        assert len(spheres) == (8 if state < n_states - 1 else 0)
        assert ax.get_title() == f"state {state + 1} ({100 / n_states:.1f}%)"
    first = panels[0]
    assert sorted(text.get_text() for text in first.texts) == ["Li", "O", "O"]
    assert len(first.lines) == 2
    assert first.get_xlim() == first.get_ylim() == (-4.6, 4.6)
    assert [text.get_text() for text in panels[-1].texts] == ["none"]
    (legend,) = first.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["Li", "O", "S"]
    render(first)


@pytest.mark.parametrize("spheres", [False, True])
def test_the_view_is_a_rotation_that_turns_with_the_atoms(spheres: bool) -> None:
    positions = np.random.default_rng(0).normal(size=(7, 3)) * [3.0, 2.0, 0.2]
    sizes = np.full(7, 0.4) if spheres else None
    view = best_view(positions, sizes)
    np.testing.assert_allclose(view @ view.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(view) == pytest.approx(1.0)
    seen = positions @ view.T
    if not spheres:
        assert np.ptp(seen[:, 2]) < np.ptp(seen[:, 1]) < np.ptp(seen[:, 0])
    angle = 0.7
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    turned = positions @ turn.T
    np.testing.assert_allclose(turned @ best_view(turned, sizes).T, seen, atol=1e-9)
    alone = best_view(np.zeros((1, 3)))
    np.testing.assert_allclose(alone @ alone.T, np.eye(3), atol=1e-12)


def test_the_view_shows_what_is_named() -> None:
    """An atom between the eye and the target, seen from the flattest side, is looked past."""
    flat = np.array([[0.0, 0, 0], [3, 0, 0], [-3, 1, 0], [0, 3, 0], [0, -2, 0]])
    covers = np.array([[0.0, 0.0, 1.5]])
    positions = np.vstack([flat, covers])
    seen = positions @ best_view(positions, np.full(6, 0.5), np.arange(5)).T
    before = seen[:, 2] > seen[0, 2]
    away = np.linalg.norm(seen[:, :2] - seen[0, :2], axis=1)
    assert (away[1:][before[1:]] > 1.0).all()


def test_lines_reach_as_far_as_asked() -> None:
    (ax, _) = plot_representatives(made_frames(), reach=4.0)
    assert len(ax.lines) == 3
    (ax, _) = plot_representatives(made_frames(), reach=2.05)
    assert len(ax.lines) == 1
    with pytest.raises(ValueError, match="reach must be a positive distance in angstrom, received"):
        plot_representatives(made_frames(), reach=0.0)
    with pytest.raises(ValueError, match=r"kind must be .*received 'mean'"):
        plot_representatives(made_frames(), kind="mean")  # type: ignore[arg-type]


def test_bound_atoms_are_joined() -> None:
    """C and O at 1.2 angstrom; not across molecules."""
    positions = np.array([[0.0, 0, 0], [3.0, 0, 0], [4.2, 0, 0]])
    own = np.array([True, False, False])
    for molecules, n_lines in ((None, 2), (np.array([0, 1, 1]), 2), (np.array([0, 1, 2]), 1)):
        cluster = Cluster(positions, np.array([3, 6, 8]), np.arange(3), own, molecules, ())
        frames = made_frames()
        item = Representative(0, "medoid", 0, 0, 0, 1.0, cluster)
        object.__setattr__(frames, "representatives", (item,))
        (ax, _) = plot_representatives(frames, reach=3.5)
        assert len(ax.lines) == n_lines


def test_elements_beyond_the_table_are_beads(render: Callable[[Any], None]) -> None:
    assert element_colors(np.array([8]))[0] == pytest.approx([1.0, 0.051, 0.051])
    assert element_colors(np.array([500, 501])).shape == (2, 3)
    assert element_radii(np.array([3, 500])).tolist() == [1.28, 1.0]
    render(plot_representatives(made_frames(species=(500, 501, 501, 502)))[0])


def made_order(n_states: int = 2) -> StateBondOrder:
    magnitudes, correlations = np.linspace(0, 1, 21), np.linspace(-1, 1, 21)
    density = np.random.default_rng(3).random((n_states, 2, 20))
    means = density.mean(axis=2)
    return StateBondOrder(
        means, around(means), means, around(means), magnitudes, density, around(density),
        correlations, density, around(density), (3, 6), 4, None, "all", shares(n_states), 10, 5,
        BLOCKS,
    )  # fmt: skip


@pytest.mark.parametrize("quantity", ["magnitude", "correlation"])
@pytest.mark.parametrize("n_states", [1, 8])
def test_bond_order(n_states: int, quantity: Any) -> None:
    result = made_order(n_states)
    panels = plot_bond_order(result, quantity=quantity)
    for number, ax in enumerate(panels):
        for state in range(n_states):
            values, edges, _ = ax.patches[state].get_data()
            np.testing.assert_array_equal(values, result.magnitude_density[state, number])
            np.testing.assert_array_equal(edges, getattr(result, f"{quantity}_edges"))
            color = matplotlib.colors.to_hex(ax.patches[state].get_edgecolor()).upper()
            assert color == state_color(state)
            mean = result.magnitude[state, number]
            np.testing.assert_allclose(ax.lines[2 * state].get_xdata(), [mean - 0.02, mean + 0.05])
            assert ax.lines[2 * state + 1].get_xdata() == [mean]
        assert len(ax.collections) == n_states
    (ax,) = plot_bond_order(result, degrees=[6])
    assert ax.get_xlabel() == "q$_{6}$ with neighbours"


def test_bond_order_refuses_what_is_not_there(render: Callable[[Any], None]) -> None:
    result = made_order()
    with pytest.raises(ValueError, match=r"quantity must be .*received 'size'"):
        plot_bond_order(result, quantity="size")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"degrees must be of \[3, 6\], received 4"):
        plot_bond_order(result, degrees=[4])
    result.correlation_density[1] = np.nan
    render(plot_bond_order(result)[0])


def made_regions(n_states: int = 2) -> RegionKinetics:
    populations = np.tile(shares(n_states), (2, 1))
    matrices = np.stack([np.eye(n_states) * s + (1 - s) / n_states for s in (0.9, 0.5)])
    times = 10.0 * np.arange(1.0, 2 * n_states - 1).reshape(2, -1)
    part = np.array([0.3, 0.7])
    return RegionKinetics(
        ("bulk", "edge"), populations, around(populations), matrices, around(matrices), times,
        Interval(0.5 * times, 2.0 * times), part, around(part), part, around(part),
        np.array([10, 20]), 4, 0.5, False, BLOCKS,
    )  # fmt: skip


@pytest.mark.parametrize("n_states", [2, 8])
def test_regions(n_states: int, render: Callable[[Any], None]) -> None:
    result = made_regions(n_states)
    populations, stays, times = plot_region_kinetics(result)
    heights = np.array([bar.get_height() for bar in populations.patches]).reshape(n_states, 2)
    np.testing.assert_array_equal(heights.T, result.populations)
    heights = np.array([bar.get_height() for bar in stays.patches]).reshape(n_states, 2)
    expected = np.diagonal(result.koopman_matrix, axis1=1, axis2=2)
    np.testing.assert_array_equal(heights.T, expected)
    ends = np.array([segment[:, 1] for segment in stays.collections[0].get_segments()])
    np.testing.assert_allclose(ends, expected[:, :1] + [-0.02, 0.05])
    for process in range(n_states - 1):
        points, _, bars = times.containers[process]
        np.testing.assert_array_equal(points.get_ydata(), result.timescales[:, process])
        ends = np.array([segment[:, 1] for segment in bars[0].get_segments()])
        np.testing.assert_allclose(ends, result.timescales[:, process, None] * [0.5, 2.0])
    names = [tick.get_text() for tick in populations.get_xticklabels()]
    assert names == ["bulk\n30%", "edge\n70%"]
    assert stays.get_ylabel() == "K$_{ii}$ after 2 ps"
    render(times)


def test_regions_without_a_target(render: Callable[[Any], None]) -> None:
    result = made_regions()
    for values in (result.populations, result.koopman_matrix, result.timescales, result.shares):
        values[1] = np.nan
    render(plot_region_kinetics(result)[0])
    _, axes = plt.subplots(1, 2)
    with pytest.raises(ValueError, match=r"axes must have shape \(3,\), received \(2,\)"):
        plot_region_kinetics(result, axes)


@pytest.mark.parametrize("n_states", [2, 8])
def test_labels(n_states: int, render: Callable[[Any], None]) -> None:
    table = np.arange(1.0, 3 * n_states + 1).reshape(n_states, 3)
    table /= table.sum()
    assignment = np.array(([2, 0, 1] + [-1] * 5)[:n_states])
    scalar = Interval(np.array(0.2), np.array(0.5))
    result = LabelAgreement(
        table, around(table), 0.3, scalar, 0.2, scalar, 0.6, scalar, 0.5, assignment,
        ("none", "one", "more"), shares(n_states), 10, 50, BLOCKS,
    )  # fmt: skip
    ax = plot_label_agreement(result)
    (mesh,) = (part for part in ax.collections if type(part).__name__ == "QuadMesh")
    np.testing.assert_allclose(np.asarray(mesh.get_array()), 100.0 * table)
    boxes = [patch.get_xy() for patch in ax.patches if isinstance(patch, Rectangle)]
    expected = [(k - 0.47, state - 0.47) for state, k in enumerate(assignment) if k >= 0]
    np.testing.assert_allclose(boxes, expected)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["none", "one", "more"]
    assert ax.get_title() == f"adjusted Rand index 0.30 +0.20 {MINUS}0.10"
    assert [line.get_color() for line in ax.lines] == [state_color(i) for i in range(n_states)]
    render(ax)


def made_attention(n_states: int = 2) -> NeighborAttention:
    edges = np.linspace(0.0, 6.0, 31)
    share = np.random.default_rng(4).random((2, n_states, 2, 30)) / 60
    neighbors = np.random.default_rng(5).random((n_states, 2, 30))
    beyond = np.zeros((2, n_states, 2))
    return NeighborAttention(
        0.5 * (edges[1:] + edges[:-1]), edges, share, around(share), beyond, share, around(share),
        neighbors, beyond[0], ("O", "S"), shares(n_states), 10, 5, 12, 1, BLOCKS,
    )  # fmt: skip


@pytest.mark.parametrize("n_states", [1, 8])
def test_attention(n_states: int) -> None:
    result = made_attention(n_states)
    axes = plot_attention(result)
    assert axes.shape == (2, 2)
    for (i, j), ax in np.ndenumerate(axes):
        for state in range(n_states):
            line, even = ax.lines[2 * state : 2 * state + 2]
            np.testing.assert_array_equal(line.get_ydata(), result.share[i, state, j])
            np.testing.assert_array_equal(even.get_ydata(), result.neighbors[state, j] / 12)
            assert line.get_color() == even.get_color() == state_color(state)
        assert len(ax.collections) == n_states
    ((ax,),) = plot_attention(result, elements=["S"], convolutions=[1])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), result.share[1, 0, 1])
    assert ax.get_ylabel() == "attention,\nconvolution 2"


def test_attention_is_all_inside_of_its_panel() -> None:
    result = made_attention()
    share = result.share.copy()
    share[:, :, 0] = 0.0  # nothing in the first column, whose limits the others share
    axes = plot_attention(replace(result, share=share))
    for (i, _), ax in np.ndenumerate(axes):
        low, high = ax.get_ylim()
        assert low == 0.0
        assert high > share[i].max()


def test_attention_refuses_what_is_not_there() -> None:
    result = made_attention()
    with pytest.raises(ValueError, match=r"elements must be of \['O', 'S'\], received 'N'"):
        plot_attention(result, elements=["N"])
    with pytest.raises(ValueError, match=r"convolutions must be from 0 to 1, received \[2\]"):
        plot_attention(result, convolutions=[2])
    _, axes = plt.subplots(2, 1)
    with pytest.raises(ValueError, match=r"n_elements\) = \(2, 2\), received \(2,\)"):
        plot_attention(result, axes)


@pytest.mark.parametrize("n_states", [2, 8])
def test_masks(n_states: int, render: Callable[[Any], None]) -> None:
    masks = (Mask("S"), Mask(None, 0.0, 2.5), Mask("Li"))
    drop = np.array([0.5, 0.1, 0.0])
    changed = np.random.default_rng(6).random((3, n_states))
    changed[2, -1] = np.nan
    scalar = Interval(np.array(1.5), np.array(1.9))
    result = MaskingImportance(
        masks, 1.7, scalar, 1.7 - drop, around(1.7 - drop), drop, around(drop), changed,
        around(changed), changed[:, 0], around(changed[:, 0]), changed, around(changed),
        np.array([8.0, 2.0, 0.0]), shares(n_states), 2, "targets", "edges", 10, 5, 12, 1, BLOCKS,
    )  # fmt: skip
    scores, states = plot_masking_importance(result)
    np.testing.assert_array_equal([bar.get_width() for bar in scores.patches], drop)
    ends = np.array([segment[:, 0] for segment in scores.collections[0].get_segments()])
    np.testing.assert_allclose(ends, drop[:, None] + [-0.02, 0.05])
    # Nothing was hidden there.
    assert scores.patches[2].get_facecolor()[:3] == (0.9, 0.9, 0.9)
    names = [tick.get_text() for tick in scores.get_yticklabels()]
    assert names == ["S", "below 2.50 Å", "Li"]
    for state in range(n_states):
        points, _, bars = states.containers[state]
        np.testing.assert_allclose(points.get_xdata(), 100.0 * changed[:, state])
        assert points.get_color() == state_color(state)
        assert points.get_marker() == state_marker(state)
        first = bars[0].get_segments()[0][:, 0]
        np.testing.assert_allclose(first, 100.0 * (changed[0, state] + np.array([-0.02, 0.05])))
    render(states)
    _, axes = plt.subplots(1, 3)
    with pytest.raises(ValueError, match=r"axes must have shape \(2,\), received \(3,\)"):
        plot_masking_importance(result, axes)
