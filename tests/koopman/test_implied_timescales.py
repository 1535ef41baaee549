"""Implied timescales over lag times, against plain loops and an exact chain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from kgdyn.koopman import Resampling, estimate_koopman_model, implied_timescales, one_hot
from kgdyn.toys import MarkovChain

CHAIN = np.array([[0.95, 0.04, 0.01], [0.03, 0.92, 0.05], [0.0, 0.1, 0.9]])


def soft_segments(rng: np.random.Generator, n_frames: int = 120) -> list[NDArray[np.float64]]:
    noise = 0.8 * np.eye(3) + 0.2 / 3
    labels = [MarkovChain(CHAIN).sample(n, k, rng=rng) for n, k in ((n_frames, 3), (9, 1), (80, 2))]
    soft = [one_hot(part, 3) @ noise + 0.05 * rng.random((*part.shape, 3)) for part in labels]
    return [part / part.sum(axis=-1, keepdims=True) for part in soft]


def loop_times(segments: list[NDArray[np.float64]], lagtime: int) -> NDArray[np.float64]:
    """-lagtime / ln(lambda), NaN where there is none, by falling |lambda|."""
    cov_00, cov_0t = np.zeros((3, 3)), np.zeros((3, 3))
    for segment in segments:
        for start in range(len(segment) - lagtime):
            for target in range(segment.shape[1]):
                cov_00 += np.outer(segment[start, target], segment[start, target])
                cov_0t += np.outer(segment[start, target], segment[start + lagtime, target])
    values = np.linalg.eig(np.linalg.inv(cov_00) @ cov_0t)[0]
    values = values[np.argsort(-np.abs(values))][1:]
    return np.array(
        [-lagtime / np.log(v.real) if v.imag == 0 and v.real > 0 else np.nan for v in values]
    )


def test_equals_the_loop(rng: np.random.Generator) -> None:
    segments = soft_segments(rng)
    lagtimes = [1, 2, 5, 10, 20]
    found = implied_timescales(segments, lagtimes=lagtimes, frame_interval=0.5)
    expected = 0.5 * np.stack([loop_times(segments, lagtime) for lagtime in lagtimes])
    assert found.timescales.shape == (5, 2)
    assert np.isfinite(expected[:3]).all()
    np.testing.assert_allclose(found.timescales, expected, rtol=1e-8, atol=0)
    np.testing.assert_array_equal(found.lagtimes, lagtimes)
    np.testing.assert_allclose(found.lagtimes_ps, 0.5 * np.array(lagtimes), rtol=1e-12)
    assert found.interval is None


def test_flat_at_the_exact_time_of_a_chain(rng: np.random.Generator) -> None:
    labels = MarkovChain(CHAIN).sample(4000, 40, rng=rng)
    found = implied_timescales(one_hot(labels, 3), lagtimes=[1, 3, 6, 12], frame_interval=2.0)
    exact = np.tile(2.0 * MarkovChain(CHAIN).timescales, (4, 1))
    np.testing.assert_allclose(found.timescales, exact, rtol=0.05, atol=0)


def test_agrees_with_the_model_of_each_lag_time(rng: np.random.Generator) -> None:
    segments = soft_segments(rng)
    resampling = Resampling(8, n_samples=50)
    arguments = {"frame_interval": 0.5, "resampling": resampling}
    found = implied_timescales(segments, lagtimes=[1, 4], **arguments)
    assert found.interval is not None
    for row, lagtime in enumerate([1, 4]):
        model = estimate_koopman_model(segments, lagtime=lagtime, **arguments)
        assert model.timescales_interval is not None
        for name in ("lower", "upper"):
            np.testing.assert_allclose(
                getattr(found.interval, name)[row],
                getattr(model.timescales_interval, name),
                rtol=1e-12,
                atol=0,
            )
        np.testing.assert_allclose(found.timescales[row], model.timescales_ps(), rtol=1e-12)


def test_undefined_times_are_nan(rng: np.random.Generator) -> None:
    """Two states that alternate: the eigenvalue is -1 at odd lag times and 1 at even ones."""
    labels = np.arange(60) % 2
    labels[30:] = labels[29:-1]  # one hesitation, so that even lag times are not exactly 1
    found = implied_timescales(one_hot(labels, 2), lagtimes=[1, 2, 3])
    assert np.isnan(found.timescales[[0, 2], 0]).all()
    assert found.timescales[1, 0] > 0


def test_refuses_no_lag_time() -> None:
    with pytest.raises(ValueError, match="at least one lag time is needed, received none"):
        implied_timescales(np.full((5, 2), 0.5), lagtimes=[])


def test_refuses_a_lag_time_beyond_the_data() -> None:
    with pytest.raises(ValueError, match="longest segment, which has 5 frames, received 7"):
        implied_timescales(np.full((5, 2), 0.5), lagtimes=[1, 7])


@pytest.mark.filterwarnings("ignore:some intervals rest on as little as")
@pytest.mark.parametrize("estimator", ["reversible", "stationary"])
def test_other_estimators(estimator: str, rng: np.random.Generator) -> None:
    segments = soft_segments(rng)
    arguments: dict[str, Any] = {"resampling": Resampling(10), "estimator": estimator}
    found = implied_timescales(segments, lagtimes=[1, 3], **arguments)
    assert found.estimator == estimator
    assert found.interval is not None
    for row, lagtime in enumerate([1, 3]):
        model = estimate_koopman_model(segments, lagtime=lagtime, **arguments)
        assert model.timescales_interval is not None
        np.testing.assert_allclose(found.timescales[row], model.timescales(), rtol=1e-9)
        np.testing.assert_allclose(
            found.interval.upper[row], model.timescales_interval.upper, rtol=1e-9
        )


def test_an_unknown_estimator_is_refused() -> None:
    with pytest.raises(ValueError, match=r"estimator must be one of .* received 'fast'"):
        implied_timescales(np.full((9, 2), 0.5), lagtimes=[1], estimator="fast")  # type: ignore[arg-type]
