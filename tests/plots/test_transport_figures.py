"""Figures of kinetics and transport show what the results hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
import pytest

from kgdyn.koopman import Interval, KoopmanModel, Resampling
from kgdyn.observables import TransitionConductivity, TransitionDiffusion, TransitionMSD
from kgdyn.plots import (
    plot_koopman_matrix,
    plot_residence_times,
    plot_state_msd,
    plot_transition_conductivity,
    plot_transition_diffusion,
    plot_transition_msd,
)
from kgdyn.plots._style import state_color

MINUS = "\N{MINUS SIGN}"
LAGS = np.array([1, 3, 10, 40])


def around(values: Any, below: float = 0.8, above: float = 1.2) -> Interval:
    ends = np.sort([below * np.asarray(values), above * np.asarray(values)], axis=0)
    return Interval(ends[0], ends[1])


def made_msd(n_states: int = 2) -> TransitionMSD:
    factors = 1.0 + np.arange(n_states * n_states).reshape(n_states, n_states)
    msd = LAGS[:, None, None] * factors
    state, total = msd.mean(axis=2), msd.mean(axis=(1, 2))
    return TransitionMSD(
        LAGS, 0.5, msd, state, total, np.ones_like(msd), around(msd), around(state), around(total),
        "xyz", "auto", False, Resampling(10), cast(Any, None),
    )  # fmt: skip


def made_diffusion(n_states: int = 2, scale: float = 1e-3) -> TransitionDiffusion:
    values = scale * (1.0 + np.arange(n_states * n_states, dtype=float)).reshape(n_states, -1)
    state, times = values.mean(axis=1), 5.0 + np.arange(n_states)
    matrix = np.full((n_states, n_states), 1.0 / n_states)
    shares = np.full(n_states, 1.0 / n_states)
    return TransitionDiffusion(
        lagtime=4, half_window=1, frame_interval=0.5, diffusion=values, state_diffusion=state,
        total_diffusion=float(state.mean()), msd=values, shares=matrix, koopman_matrix=matrix,
        populations=shares, residence_times=times, diffusion_interval=around(values),
        state_diffusion_interval=around(state),
        total_diffusion_interval=around(np.array(state.mean())), msd_interval=around(values),
        shares_interval=around(matrix), koopman_matrix_interval=around(matrix),
        populations_interval=around(shares), residence_times_interval=around(times),
        number_density=None, axes="xyz", unwrap="auto", remove_drift=False, estimate="slope",
        resampling=Resampling(10), sums=cast(Any, None),
    )  # fmt: skip


def made_conductivity(n_states: int = 2, other: float | None = None) -> TransitionConductivity:
    values = 1e-3 * (np.arange(n_states * n_states, dtype=float) - 1.0).reshape(n_states, -1)
    total = 0.004
    percentages, transference = 100.0 * values / total, values / (total + (other or 0.0))
    known = other is not None
    scalar = Interval(np.array(0.003), np.array(0.005))
    return TransitionConductivity(
        values, percentages, total, transference if known else None, 0.4 if known else None, 0.006,
        np.ones(n_states), np.ones_like(values), np.ones_like(values), around(values),
        around(percentages), scalar, scalar, around(transference) if known else None,
        Interval(np.array(0.3), np.array(0.6)) if known else None, None, 340.0, 0.01, 1.0, other,
        "koopman", Resampling(10),
    )  # fmt: skip


def made_model(n_states: int = 2, *, interval: bool = True) -> KoopmanModel:
    matrix = 0.8 * np.eye(n_states) + 0.2 / n_states
    shares = np.full(n_states, 1.0 / n_states)
    times = 1.0 / (1.0 - np.diag(matrix))
    return KoopmanModel(
        matrix, 2, 0.5, 100, shares, 1.5,
        koopman_matrix_interval=around(matrix) if interval else None,
        residence_times_interval=around(times) if interval else None,
    )  # fmt: skip


def heat_map(ax: plt.Axes) -> np.ma.MaskedArray:
    (mesh,) = (part for part in ax.collections if type(part).__name__ == "QuadMesh")
    return np.ma.asarray(mesh.get_array())


@pytest.mark.parametrize("n_states", [1, 2, pytest.param(8, marks=pytest.mark.slow)])
def test_msd_of_transitions(n_states: int) -> None:
    result = made_msd(n_states)
    axes = plot_transition_msd(result)
    assert axes.shape == (n_states, n_states)
    for i, j in np.ndindex(n_states, n_states):
        ax = axes[i, j]
        np.testing.assert_array_equal(ax.lines[0].get_xdata(), 0.5 * LAGS)
        np.testing.assert_array_equal(ax.lines[0].get_ydata(), result.msd[:, i, j])
        np.testing.assert_array_equal(ax.lines[1].get_ydata(), result.total_msd)
        assert ax.lines[0].get_color() == state_color(i)
        band = ax.collections[0].get_paths()[0].vertices[:, 1]
        np.testing.assert_allclose(band.min(), 0.8 * result.msd[0, i, j])
        np.testing.assert_allclose(band.max(), 1.2 * result.msd[-1, i, j])
        assert ax.get_title() == f"{i + 1} → {j + 1}"
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    assert all(ax.get_xlabel() == "t (ps)" for ax in axes[-1])
    assert all(ax.get_ylabel() == "MSD (Å²)" for ax in axes[:, 0])


def test_transitions_never_seen_say_so(render: Callable[[Any], None]) -> None:
    result = made_msd()
    for values in (result.msd, result.msd_interval.lower, result.msd_interval.upper):
        values[:, 0, 1] = np.nan
        values[1, 1, 1] = np.nan
    axes = plot_transition_msd(result, scale="linear")
    texts = [[text.get_text() for text in ax.texts] for ax in axes.ravel()]
    assert texts == [[], ["never seen"], [], []]
    render(axes[0, 0])
    assert axes[0, 0].get_xscale() == "linear"


def test_msd_refuses_other_axes_and_scales() -> None:
    _, axes = plt.subplots(2, 2)
    drawn = plot_transition_msd(made_msd(), axes)
    assert all(a is b for a, b in zip(axes.ravel(), drawn.ravel(), strict=True))
    with pytest.raises(ValueError, match=r"n_states\) = \(3, 3\), received \(2, 2\)"):
        plot_transition_msd(made_msd(3), axes)
    for draw in (plot_transition_msd, plot_state_msd):
        with pytest.raises(ValueError, match=r"scale must be .*received 'sqrt'"):
            draw(made_msd(), scale="sqrt")  # type: ignore[operator]


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_msd_of_states(scale: Any) -> None:
    result = made_msd()
    ax = plot_state_msd(result, scale=scale)
    for state in range(2):
        np.testing.assert_array_equal(ax.lines[state].get_ydata(), result.state_msd[:, state])
    np.testing.assert_array_equal(ax.lines[2].get_ydata(), result.total_msd)
    assert len(ax.collections) == 3
    labels = [line.get_label() for line in ax.lines]
    assert ("∝ t" in labels) == (scale == "log")
    if scale == "log":
        slope = ax.lines[3].get_ydata() / result.times
        np.testing.assert_allclose(slope, slope[0])
        assert (ax.lines[3].get_ydata() < result.state_msd.min(axis=1)).all()


@pytest.mark.parametrize("n_states", [1, 2, 8])
def test_diffusion(n_states: int, render: Callable[[Any], None]) -> None:
    result = made_diffusion(n_states)
    heat, bars = plot_transition_diffusion(result)
    power = 10.0 ** (-3 if n_states < 4 else -2)
    np.testing.assert_allclose(power * heat_map(heat).data, result.diffusion)
    heights = [bar.get_height() for bar in bars.patches]
    np.testing.assert_allclose(
        power * np.array(heights), [*result.state_diffusion, result.total_diffusion]
    )
    ends = [part.get_segments() for part in bars.collections]
    np.testing.assert_allclose(
        power * np.array([segment[:, 1] for segment in ends[0]]),
        result.state_diffusion[:, None] * [0.8, 1.2],
    )
    np.testing.assert_allclose(
        power * ends[1][0][:, 1], result.total_diffusion * np.array([0.8, 1.2])
    )
    assert bars.get_xticklabels()[-1].get_text() == "all"
    if n_states == 2:
        assert [text.get_text() for text in heat.texts[:4]] == ["1.00", "±0.20", "2.0", "±0.4"]
        assert bars.get_ylabel() == "D (10⁻³ Å²/ps)"
    render(heat)


def test_numbers_stay_inside_their_cells() -> None:
    """Also where errors are long; and dark on light, light on dark."""
    result = made_diffusion(8)
    result.diffusion_interval.upper[:] = 1.7 * result.diffusion
    heat, _ = plot_transition_diffusion(result)
    heat.figure.canvas.draw()
    width = heat.get_window_extent().width / 8
    assert max(text.get_window_extent().width for text in heat.texts) < width
    assert heat.texts[0].get_color() == "black"
    assert heat.texts[-1].get_color() == "white"


def test_diffusion_that_is_not_known(render: Callable[[Any], None]) -> None:
    result = made_diffusion()
    for values in (result.diffusion, result.diffusion_interval.lower):
        values[0, 1] = np.nan
    heat, _ = plot_transition_diffusion(result)
    np.testing.assert_array_equal(np.ma.getmaskarray(heat_map(heat)), [[0, 1], [0, 0]])
    assert [text.get_text() for text in heat.texts][2] == "\N{EN DASH}"
    result.diffusion[:] = np.nan
    render(plot_transition_diffusion(result)[0])
    _, axes = plt.subplots(1, 3)
    with pytest.raises(ValueError, match=r"axes must have shape \(2,\), received \(3,\)"):
        plot_transition_diffusion(result, axes)


def test_rows_and_columns_have_the_marks_of_their_states() -> None:
    ax = plot_koopman_matrix(made_model(4))
    colors = [line.get_color() for line in ax.lines]
    assert colors == [state_color(state) for state in range(4) for _ in range(2)]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("to state", "from state")
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["1", "2", "3", "4"]
    assert ax.get_ylim() == (3.5, -0.5)


@pytest.mark.parametrize("quantity", ["percentages", "conductivity", "transference"])
def test_conductivity(quantity: Any) -> None:
    result = made_conductivity(other=0.006)
    ax = plot_transition_conductivity(result, quantity=quantity)
    power = 1e-3 if quantity == "conductivity" else 1.0
    np.testing.assert_allclose(power * heat_map(ax).data, getattr(result, quantity))
    (mesh,) = (part for part in ax.collections if type(part).__name__ == "QuadMesh")
    assert mesh.norm.vmin == -mesh.norm.vmax
    # Against the field: blue, hatched, with a minus.
    red, _, blue, _ = mesh.cmap(mesh.norm(heat_map(ax)[0, 0]))
    assert blue > red
    (hatched,) = (patch for patch in ax.patches if patch.get_hatch())
    assert hatched.get_xy() == (-0.5, -0.5)
    assert ax.texts[0].get_text().startswith(MINUS)
    title = ax.get_title()
    if quantity == "transference":
        assert title == f"transference number 0.40 +0.20 {MINUS}0.10"
    else:
        assert title == "total: (4.0 ±1.0) × 10⁻³ S/m"  # noqa: RUF001


def test_conductivity_refuses_what_is_not_there(render: Callable[[Any], None]) -> None:
    result = made_conductivity()
    with pytest.raises(ValueError, match="needs a result with other_conductivity"):
        plot_transition_conductivity(result, quantity="transference")
    with pytest.raises(ValueError, match=r"quantity must be .*received 'sigma'"):
        plot_transition_conductivity(result, quantity="sigma")  # type: ignore[arg-type]
    for values in (result.percentages, result.percentages_interval.lower):
        values[1, 1] = np.nan
    render(plot_transition_conductivity(result))


@pytest.mark.parametrize(("n_states", "interval"), [(2, True), (8, False)])
def test_koopman_matrix(n_states: int, interval: bool) -> None:
    model = made_model(n_states, interval=interval)
    ax = plot_koopman_matrix(model)
    np.testing.assert_array_equal(heat_map(ax).data, model.koopman_matrix)
    assert len(ax.texts) == n_states**2 * (1 + interval)
    assert ax.figure.axes[1].get_ylabel() == "probability after 1 ps"
    _, given = plt.subplots()
    assert plot_koopman_matrix(model, given) is given


@pytest.mark.parametrize("n_states", [8])
def test_residence_times(n_states: int) -> None:
    model, diffusion = made_model(n_states), made_diffusion(n_states)
    times = 1.0 / (1.0 - np.diag(model.koopman_matrix))
    for result, expected, lag in ((model, times, 1.0), (diffusion, diffusion.residence_times, 2.0)):
        ax = plot_residence_times(result)
        np.testing.assert_allclose([bar.get_height() for bar in ax.patches], expected)
        ends = np.array([segment[:, 1] for segment in ax.collections[0].get_segments()])
        np.testing.assert_allclose(ends, expected[:, None] * [0.8, 1.2])
        assert ax.lines[-1].get_ydata() == [lag, lag]
        for state, bar in enumerate(ax.patches):
            assert matplotlib.colors.to_hex(bar.get_facecolor()).upper() == state_color(state)
        ax.figure.canvas.draw()
        (text,) = ax.texts
        assert text.get_window_extent().x1 <= ax.figure.bbox.x1


def test_residence_times_that_are_not_known(render: Callable[[Any], None]) -> None:
    matrix = np.array([[1.0, 0.0], [0.5, 0.5]])
    ax = plot_residence_times(KoopmanModel(matrix, 2, 0.5, 100, np.array([0.5, 0.5]), 1.5))
    assert np.isnan(ax.patches[0].get_height())
    assert ax.patches[1].get_height() == 2.0
    render(ax)
