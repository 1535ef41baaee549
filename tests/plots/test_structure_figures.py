"""Figures of structure by state show what the results hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
import pytest

from kgdyn.koopman import Interval, Resampling
from kgdyn.observables import (
    AngularDistribution,
    ChargeIntegral,
    CoordinationNumbers,
    StateProfile,
    StateRDF,
)
from kgdyn.plots import (
    plot_angular_distribution,
    plot_charge_integral,
    plot_coordination_distribution,
    plot_coordination_numbers,
    plot_running_coordination,
    plot_state_profile,
    plot_state_rdf,
)
from kgdyn.plots._style import state_color, state_hatch

COMMON: dict[str, Any] = {
    "n_frames": 100,
    "n_targets": 5,
    "centre": "atom",
    "resampling": Resampling(10),
}
N_BINS = 40


def around(values: np.ndarray) -> Interval:
    return Interval(values - 0.02, values + 0.05)


def shares(n_states: int) -> np.ndarray:
    return np.arange(n_states, 0.0, -1.0) / np.arange(1.0, n_states + 1).sum()


def made_rdf(n_states: int = 2, names: tuple[str, ...] = ("O", "N")) -> StateRDF:
    edges = np.linspace(0.0, 8.0, N_BINS + 1)
    values = np.random.default_rng(0).random((n_states, len(names), N_BINS))
    counts = values.cumsum(axis=2)
    densities = np.full((n_states, len(names)), 0.01)
    return StateRDF(
        0.5 * (edges[1:] + edges[:-1]), edges, values, around(values), counts, around(counts),
        densities, shares(n_states), names, **COMMON,
    )  # fmt: skip


def made_counts(n_states: int = 2) -> CoordinationNumbers:
    mean = np.arange(1.0, 2 * n_states + 1).reshape(n_states, 2)
    distribution = np.zeros((n_states, 2, 9))
    distribution[:, 0, 3:6] = [0.2, 0.5, 0.3]
    distribution[:, 1, 2] = 1.0
    return CoordinationNumbers(
        mean, around(mean), distribution, around(distribution), ("O", "N"), {"O": 3.0, "N": 4.5},
        shares(n_states), **COMMON,
    )  # fmt: skip


def made_charge(n_states: int = 2) -> ChargeIntegral:
    radii = np.linspace(0.0, 8.0, N_BINS + 1)
    charge = np.arange(n_states)[:, None] - 0.1 * radii
    return ChargeIntegral(
        radii, charge, around(charge), np.ones(n_states), shares(n_states), True, **COMMON
    )


def made_angles(n_states: int = 2) -> AngularDistribution:
    edges = np.linspace(0.0, 180.0, N_BINS + 1)
    density = np.random.default_rng(1).random((n_states, 3, N_BINS))
    per_target = np.ones((n_states, 3))
    return AngularDistribution(
        0.5 * (edges[1:] + edges[:-1]), edges, density, around(density), np.ones(N_BINS),
        per_target, around(per_target), (("O", "O"), ("O", "N"), ("N", "N")), {"O": 3.0, "N": 4.5},
        shares(n_states), **COMMON,
    )  # fmt: skip


def made_profile(n_states: int = 2) -> StateProfile:
    edges = np.linspace(0.0, 40.0, 11)
    share = np.random.default_rng(2).random((n_states, 10))
    share /= share.sum(axis=0)
    return StateProfile(
        0.5 * (edges[1:] + edges[:-1]), edges, 0.01 * share, around(0.01 * share), share,
        around(share), 2, **COMMON,
    )  # fmt: skip


def check_curve(ax: plt.Axes, state: int, x: np.ndarray, values: np.ndarray) -> None:
    """Line, colour and the band from 0.02 below to 0.05 above."""
    line, band = ax.lines[state], ax.collections[state]
    np.testing.assert_array_equal(line.get_xdata(), x)
    np.testing.assert_array_equal(line.get_ydata(), values)
    assert line.get_color() == state_color(state)
    points = band.get_paths()[0].vertices
    for at, value in zip(x[:: len(x) // 4], values[:: len(x) // 4], strict=True):
        column = points[np.isclose(points[:, 0], at), 1]
        np.testing.assert_allclose([column.min(), column.max()], [value - 0.02, value + 0.05])


@pytest.mark.parametrize("n_states", [1, 8])
def test_rdf(n_states: int) -> None:
    result = made_rdf(n_states)
    panels = plot_state_rdf(result)
    assert [ax.get_title() for ax in panels] == ["O", "N"]
    for number, ax in enumerate(panels):
        for state in range(n_states):
            check_curve(ax, state, result.radii, result.rdf[state, number])
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("r (Å)", "g(r)")
        assert ax.get_xlim() == (0.0, 8.0)
        assert ax.get_ylim()[0] == 0.0
    (legend,) = panels[0].figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts[0] == f"state 1 ({100 * result.populations[0]:.1f}%)"
    assert len(texts) == n_states
    panels[0].figure.canvas.draw()
    assert legend.get_window_extent().x0 >= 0.0
    assert legend.get_window_extent().x1 <= panels[0].figure.bbox.x1


def test_rdf_of_some_selections_in_given_axes() -> None:
    result = made_rdf()
    _, ax = plt.subplots()
    (drawn,) = plot_state_rdf(result, ax, ["N"])
    assert drawn is ax
    check_curve(ax, 1, result.radii, result.rdf[1, 1])
    assert ax.get_legend() is not None
    with pytest.raises(ValueError, match=r"selections must be of \['O', 'N'\], received 'S'"):
        plot_state_rdf(result, selections=["S"])
    with pytest.raises(ValueError, match=r"axes must have shape \(2,\), received \(\)"):
        plot_state_rdf(result, ax)


def test_running_coordination() -> None:
    result = made_rdf()
    panels = plot_running_coordination(result)
    for number, ax in enumerate(panels):
        for state in range(2):
            check_curve(ax, state, result.edges[1:], result.coordination[state, number])
    (ax,) = plot_running_coordination(result, selections="N", r_max=4.0)
    assert ax.lines[0].get_xdata()[-1] == pytest.approx(4.0)
    assert ax.get_xlim() == (0.0, 4.0)
    with pytest.raises(ValueError, match=r"r_max must be at least 0.2 angstrom, received 0.1"):
        plot_running_coordination(result, r_max=0.1)


@pytest.mark.parametrize("n_states", [1, 8])
def test_coordination_numbers(n_states: int) -> None:
    result = made_counts(n_states)
    ax = plot_coordination_numbers(result)
    assert len(ax.patches) == 2 * n_states
    for state in range(n_states):
        for selection in range(2):
            bar = ax.patches[2 * state + selection]
            assert bar.get_height() == result.mean[state, selection]
            assert matplotlib.colors.to_hex(bar.get_facecolor()).upper() == state_color(state)
            assert bar.get_hatch() == state_hatch(state)
            # Bars of a group neither overlap nor leave it.
            assert selection - 0.41 < bar.get_x()
            assert bar.get_x() + bar.get_width() < selection + 0.41
        ends = np.array([segment[:, 1] for segment in ax.collections[state].get_segments()])
        np.testing.assert_allclose(ends, result.mean[state][:, None] + [-0.02, 0.05])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["O\n3 Å", "N\n4.5 Å"]


def test_distribution_of_coordination() -> None:
    result = made_counts()
    oxygen, nitrogen = plot_coordination_distribution(result)
    assert [bar.get_height() for bar in oxygen.patches] == [0.2, 0.5, 0.3] * 2
    ends = np.array([segment[:, 1] for segment in oxygen.collections[0].get_segments()])
    np.testing.assert_allclose(ends[1], [0.48, 0.55])
    assert oxygen.get_xlim() == (2.4, 5.6)
    assert [bar.get_height() for bar in nitrogen.patches] == [1.0, 1.0]
    assert nitrogen.get_xlabel() == "neighbours within 4.5 Å"
    (ax,) = plot_coordination_distribution(result, selections=["N"])
    assert ax.get_title() == "N"


def test_charge_integral() -> None:
    result = made_charge()
    ax = plot_charge_integral(result)
    for state in range(2):
        check_curve(ax, state, result.radii, result.charge[state])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("r (Å)", "charge within r (e)")
    ax = plot_charge_integral(result, radius=5.0)
    texts = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert texts[1] == "state 2: 0.50 +0.05 \N{MINUS SIGN}0.02 e"
    assert ax.lines[-1].get_xdata() == [5.0, 5.0]
    with pytest.raises(ValueError, match="radius must be from 0 to 8 angstrom, received 9"):
        plot_charge_integral(result, radius=9.0)


def test_angular_distribution() -> None:
    result = made_angles()
    panels = plot_angular_distribution(result)
    assert len(panels) == 3
    for number, ax in enumerate(panels):
        for state in range(2):
            check_curve(ax, state, result.angles, result.density[state, number])
        np.testing.assert_array_equal(ax.lines[2].get_ydata(), result.isotropic)
    (ax,) = plot_angular_distribution(result, pairs=[("N", "N")])
    check_curve(ax, 0, result.angles, result.density[0, 2])
    with pytest.raises(ValueError, match=r"pairs must be of .*received \('N', 'O'\)"):
        plot_angular_distribution(result, pairs=[("N", "O")])


@pytest.mark.parametrize("kind", ["lines", "density"])
def test_profile(kind: Any) -> None:
    result = made_profile()
    ax = plot_state_profile(result, kind=kind)
    values = result.share if kind == "lines" else result.density
    for state in range(2):
        check_curve(ax, state, result.positions, values[state])
    assert ax.get_xlabel() == "position along c (Å)"
    assert ax.get_xlim() == (0.0, 40.0)


@pytest.mark.parametrize("n_states", [1, 8])
def test_stacked_profile(n_states: int, render: Callable[[Any], None]) -> None:
    result = made_profile(n_states)
    result.share[:, 4] = np.nan
    ax = plot_state_profile(result, kind="stacked")
    tops = result.share.cumsum(axis=0)
    areas = [part for part in ax.collections if part.get_hatch() is not None]
    assert len(areas) == n_states
    for state, area in enumerate(areas):
        color = matplotlib.colors.to_hex(area.get_facecolor()[0]).upper()
        assert color == state_color(state)
        assert area.get_hatch() == state_hatch(state)
        points = np.concatenate([path.vertices for path in area.get_paths()])
        inside = (points[:, 0] > 0.0) & (points[:, 0] < 4.0 + 1e-9)
        np.testing.assert_allclose(points[inside, 1].max(), max(tops[state, :2]), rtol=1e-12)
    assert len(ax.containers) == n_states - 1
    if n_states > 1:
        ends = ax.containers[0][2][0].get_segments()[0][:, 1]
        np.testing.assert_allclose(ends, tops[0, 0] + np.array([-0.02, 0.05]))
    render(ax)


def test_profile_refuses_other_kinds() -> None:
    with pytest.raises(ValueError, match=r"kind must be .*received 'pie'"):
        plot_state_profile(made_profile(), kind="pie")  # type: ignore[arg-type]


def test_states_never_visited_do_not_crash(render: Callable[[Any], None]) -> None:
    rdf, counts, charge, angles = made_rdf(), made_counts(), made_charge(), made_angles()
    for values in (rdf.rdf, rdf.coordination, counts.mean, counts.distribution, charge.charge):
        values[1] = np.nan
    angles.density[1] = np.nan
    angles.density[:, 2] = np.nan
    for drawn in (
        plot_state_rdf(rdf),
        plot_running_coordination(rdf),
        plot_coordination_numbers(counts),
        plot_coordination_distribution(counts),
        plot_charge_integral(charge, radius=4.0),
        plot_angular_distribution(angles),
    ):
        render(np.ravel(drawn)[0])
