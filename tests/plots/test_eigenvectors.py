"""The figure of eigenvectors shows those of the model."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

from kgdyn.koopman import Interval, KoopmanModel
from kgdyn.plots import plot_eigenvectors


def made(matrix: list[list[float]] | np.ndarray, times: Interval | None = None) -> KoopmanModel:
    values = np.array(matrix, dtype=np.float64)
    shares = np.full(len(values), 1.0 / len(values))
    return KoopmanModel(values, 2, 0.5, 100, shares, 1.5, timescales_interval=times)


def chain(n_states: int) -> np.ndarray:
    rates = 0.1 * (np.eye(n_states, k=1) + np.eye(n_states, k=-1))
    return rates + np.diag(1.0 - rates.sum(axis=1))


CYCLE = [[0.8, 0.15, 0.05], [0.05, 0.8, 0.15], [0.15, 0.05, 0.8]]


@pytest.mark.parametrize(("n_states", "side"), [(8, "right"), (2, "right"), (3, "left")])
def test_bars_are_the_eigenvectors(n_states: int, side: str) -> None:
    model = made(chain(n_states))
    panels = plot_eigenvectors(model, side=side)  # type: ignore[arg-type]
    vectors = model.right_eigenvectors if side == "right" else model.left_eigenvectors
    assert len(panels) == n_states - 1
    for process, ax in enumerate(panels):
        heights = [bar.get_height() for bar in ax.patches]
        np.testing.assert_allclose(heights, vectors[:, process], rtol=1e-12)
        time = model.timescales_ps()[process]
        assert ax.get_title() == f"process {process + 1}: {time:.3g} ps"
    assert panels[0].get_ylabel() == ("eigenfunction" if side == "right" else "flow of probability")
    if n_states == 2:
        panels[0].figure.canvas.draw()


def test_titles_have_intervals() -> None:
    model = made(chain(2), Interval(np.array([4.2]), np.array([5.0])))
    (ax,) = plot_eigenvectors(model, n_processes=1)
    # -1 / ln(0.8) = 4.481
    assert ax.get_title() == "process 1: 4.5 +0.5 \N{MINUS SIGN}0.3 ps"


def test_complex_eigenvectors_have_two_parts() -> None:
    model = made(CYCLE)
    panels = plot_eigenvectors(model)
    vector = model.right_eigenvectors[:, 0]
    heights = [bar.get_height() for bar in panels[0].patches]
    np.testing.assert_allclose(heights, [*vector.real, *vector.imag], atol=1e-12)
    assert panels[0].get_title() == "process 1: no relaxation time"


def test_refuses_what_is_not_there() -> None:
    model = made(chain(3))
    with pytest.raises(ValueError, match=r"side must be .*received 'up'"):
        plot_eigenvectors(model, side="up")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"from 1 to n_states - 1 = 2, received 3"):
        plot_eigenvectors(model, n_processes=3)
    with pytest.raises(ValueError, match=r"from 1 to n_states - 1 = 0, received None"):
        plot_eigenvectors(made([[1.0]]))
    _, axes = plt.subplots(1, 3)
    with pytest.raises(ValueError, match=r"axes must have shape \(2,\), received \(3,\)"):
        plot_eigenvectors(model, axes)
    drawn = plot_eigenvectors(model, axes[:2])
    assert drawn[1] is axes[1]
