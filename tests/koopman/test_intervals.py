"""Jackknife errors against exact formulas, and intervals that hold the truth as often as said."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from kgdyn.koopman import (
    Covariances,
    Resampling,
    block_covariances,
    correlation_time,
    estimate_koopman_model,
    one_hot,
)
from kgdyn.koopman.correlation_times import integrated_time
from kgdyn.koopman.intervals import JackknifeErrors, jackknife
from kgdyn.toys import MarkovChain

Array = NDArray[np.float64]

CHAIN = MarkovChain(np.array([[0.95, 0.05], [0.1, 0.9]]))
BENCH = Path(__file__).parents[1] / "benchmarks" / "bench_interval_coverage.py"


def share(blocks: Covariances) -> dict[str, Array]:
    """Mean probability of the first state."""
    return {"share": blocks.sum_0[:, 0] / blocks.n_pairs}


# -- the jackknife ---------------------------------------------------------------------------------


def test_error_of_a_mean_is_that_of_the_blocks_means(rng: np.random.Generator) -> None:
    segment = rng.dirichlet([1, 1], size=(201, 3))
    found = jackknife(block_covariances([segment], 1, 10), share)["share"]
    means = segment[:200, :, 0].reshape(20, -1).mean(axis=1)
    np.testing.assert_allclose(found.estimate, means.mean(), rtol=1e-12)
    np.testing.assert_allclose(found.error, means.std(ddof=1) / 20**0.5, rtol=1e-9)
    bounds = found.interval()
    degrees = 2 * 20 / (stats.kurtosis(means, fisher=False) - 1)
    np.testing.assert_allclose(found.degrees, min(degrees, 19), rtol=1e-9)
    reach = stats.t.ppf(0.975, found.degrees) * found.error
    np.testing.assert_allclose(bounds.upper - found.estimate, reach, rtol=1e-9)
    np.testing.assert_allclose(found.estimate - bounds.lower, reach, rtol=1e-9)


def test_two_way_error_is_time_plus_targets_less_both() -> None:
    """Frames that all targets share, targets of their own levels, and noise: as in the formula."""
    rng = np.random.default_rng(1)
    levels, common = 0.1 * rng.normal(size=12), 0.1 * rng.normal(size=8)
    noise = 0.02 * rng.normal(size=(8, 12))
    values = 0.5 + levels + common[:, None] + noise  # (block, target)
    chi = np.repeat(values, 5, axis=0)[..., None]
    segment = np.concatenate([chi, 1 - chi], axis=-1)
    segment = np.concatenate([segment, segment[-1:]])
    blocks = Resampling(5, two_way=True).covariances
    with pytest.warns(RuntimeWarning, match="only 8 blocks"):
        found = jackknife(blocks([segment], 1), share)["share"]
    means = values - values.mean()
    over_time = (means.mean(axis=1) ** 2).sum() / (8 * 7)
    over_targets = (means.mean(axis=0) ** 2).sum() / (12 * 11)
    both = (means**2).sum() / (96 * 95)
    expected = (96 / 95) ** 2 * (over_time + over_targets - both)  # one of 96 is left out
    np.testing.assert_allclose(found.error**2, expected, rtol=1e-6)
    assert 7 < found.degrees < 18


def test_few_events_lower_the_degrees_of_freedom() -> None:
    """A state seen in 3 of 50 blocks: about twice 3 degrees, not 49."""
    labels = np.zeros((1001, 1), dtype=int)
    for block in (4, 20, 33):
        labels[20 * block + 5 : 20 * block + 10] = 1
    blocks = block_covariances([one_hot(labels, 2).astype(float)], 1, 20)
    found = jackknife(blocks, share)["share"]
    kurtosis = (1 - 3 * 0.06 * 0.94) / (0.06 * 0.94)  # of a variable that is 1 in 6% of cases
    np.testing.assert_allclose(found.degrees, 2 * 50 / (kurtosis - 1), rtol=1e-6)


def test_a_state_in_one_block_has_a_wide_interval_and_a_warning() -> None:
    """Without that block K is not defined; with a part of it, it is."""
    rng = np.random.default_rng(2)
    labels = CHAIN.sample(2000, rng=rng)
    labels[690:700] = 0
    labels[700:720] = 2
    with pytest.warns(RuntimeWarning, match=r"as little as 2\.\d independent blocks"):
        model = estimate_koopman_model(one_hot(labels, 3), lagtime=1, resampling=Resampling(100))
    assert model.independent_blocks is not None
    assert model.independent_blocks < 3
    interval = model.koopman_matrix_interval
    assert interval is not None
    assert np.isfinite(interval.lower).all()
    width = interval.upper - interval.lower
    assert width[0, 2] > 5 * model.koopman_matrix[0, 2]
    assert width[0, 1] < model.koopman_matrix[0, 1]


def errors(estimate: float, error: float, degrees: float = 1e6) -> JackknifeErrors:
    return JackknifeErrors(
        np.array([estimate]), np.array([error]), np.array([degrees]), np.zeros((2, 1))
    )


def test_logarithms_give_a_factor() -> None:
    found = errors(10.0, 1.0).interval("log")
    factor = np.exp(1.959964 * 0.1)
    np.testing.assert_allclose([found.lower[0], found.upper[0]], [10 / factor, 10 * factor], 1e-5)


def test_bounds_of_probabilities_are_probabilities() -> None:
    found = errors(0.01, 0.004).interval("probability")
    angle = np.arcsin(0.1) + np.array([-1, 1]) * 1.959964 * 0.004 / (2 * np.sqrt(0.01 * 0.99))
    np.testing.assert_allclose([found.lower[0], found.upper[0]], np.sin(angle) ** 2, rtol=1e-5)
    wide = errors(0.01, 0.1).interval("probability")
    assert wide.lower[0] == 0.0
    assert wide.upper[0] < 1.0
    assert errors(0.0, 0.0).interval("probability").upper[0] == 0.0
    # No probability: symmetric bounds.
    plain = errors(-0.01, 0.01).interval("probability")
    np.testing.assert_allclose(plain.upper[0] + plain.lower[0], -0.02, rtol=1e-9)


def test_eigenvalues_and_timescales_say_the_same(rng: np.random.Generator) -> None:
    chi = one_hot(CHAIN.sample(4000, rng=rng), 2)
    model = estimate_koopman_model(chi, lagtime=2, frame_interval=0.5, resampling=Resampling(100))
    times, values = model.timescales_interval, model.eigenvalues_interval
    assert times is not None
    assert values is not None
    np.testing.assert_allclose(values.lower, np.exp(-1.0 / times.lower), rtol=1e-12)
    np.testing.assert_allclose(values.upper, np.exp(-1.0 / times.upper), rtol=1e-12)


def test_a_negative_eigenvalue_has_an_interval_too(rng: np.random.Generator) -> None:
    chain = MarkovChain(np.array([[0.2, 0.8], [0.7, 0.3]]))
    model = estimate_koopman_model(
        one_hot(chain.sample(3000, rng=rng), 2), lagtime=1, resampling=Resampling(50)
    )
    assert model.eigenvalues_interval is not None
    assert model.eigenvalues_interval.contains(np.array([-0.5])).all()
    assert model.eigenvalues_interval.upper[0] < -0.4
    assert model.timescales_interval is not None
    assert np.isnan(model.timescales_interval.lower).all()


def test_what_blocks_share_over_their_borders_is_added(rng: np.random.Generator) -> None:
    """Of a chain with lambda = 0.85: blocks of 12 frames say less of its error than blocks of 400;
    told the correlation time, they say nearly as much."""
    blocks = block_covariances([one_hot(CHAIN.sample(40_001, rng=rng), 2).astype(float)], 1, 400)
    expected = jackknife(blocks, share)["share"].error
    segment = one_hot(CHAIN.sample(40_001, rng=rng), 2).astype(float)
    time = CHAIN.timescales[0]
    found = []
    for scheme in (Resampling(12), Resampling(12, correlation_time=time)):
        short = scheme.covariances([segment], 1)
        found.append(scheme.errors(short, share)["share"].error / expected)
    np.testing.assert_allclose(found, [0.75, 1.0], rtol=0.12)
    ratio = time / 12
    factor = (1 - ratio * (1 - np.exp(-1 / ratio))) ** -0.5
    np.testing.assert_allclose(found[1] / found[0], factor, rtol=1e-9)


# -- correlation times -----------------------------------------------------------------------------


def noise_with_memory(time: float, n_frames: int, rng: np.random.Generator) -> Array:
    """(n_frames, 20, 1): 20 targets."""
    keep = np.exp(-1.0 / time)
    values = np.empty((n_frames, 20, 1))
    values[0] = rng.normal(size=(20, 1))
    for frame in range(1, n_frames):
        kick = rng.normal(size=(20, 1)) * np.sqrt(1 - keep**2)
        values[frame] = keep * values[frame - 1] + kick
    return values


def test_integrated_time_of_exponential_memory(rng: np.random.Generator) -> None:
    parts = [noise_with_memory(12.0, n, rng) for n in (4000, 2000, 40)]
    np.testing.assert_allclose(integrated_time(parts), 12.0, rtol=0.1)
    white = [rng.normal(size=(5000, 3))]
    np.testing.assert_allclose(integrated_time(white), 0.5, atol=0.15)


def test_integrated_time_of_long_data_in_bins(rng: np.random.Generator) -> None:
    values = np.repeat(rng.normal(size=(2000, 10, 1)), 60, axis=0)  # joined, 120,000 frames
    np.testing.assert_allclose(integrated_time([values]), 30.0, rtol=0.1)


def test_nothing_varies() -> None:
    assert integrated_time([np.zeros((100, 2))]) == 0.5


def test_correlation_time_is_at_least_the_relaxation_time(rng: np.random.Generator) -> None:
    labels = CHAIN.sample(20_000, 8, rng=rng)
    chi = one_hot(labels, 2)
    found = correlation_time(chi, 1)
    assert found >= estimate_koopman_model(chi, lagtime=1).timescales()[0]
    np.testing.assert_allclose(found, CHAIN.timescales[0], rtol=0.4)


# -- coverage --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bench() -> Any:
    spec = importlib.util.spec_from_file_location("bench_interval_coverage", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_interval_coverage"] = module
    before = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = before
    yield module
    del sys.modules["bench_interval_coverage"]


def test_the_modulated_chain_has_the_matrix_that_is_said(bench: Any) -> None:
    labels = bench.modulated((4000, 40, 6), np.random.default_rng(3)).astype(int)
    model = estimate_koopman_model(one_hot(labels.reshape(4000, -1), 2), lagtime=1)
    np.testing.assert_allclose(model.koopman_matrix, bench.modulated_matrix(), rtol=0, atol=2e-3)


# Runs, and the fewest of them that may hold the truth: of intervals that hold it 93% of the time,
# fewer are found once in 1,000 times (and the seed is fixed). Those that are 1.5 times too narrow
# hold it in 81%, which is fewer than that in 19 of 20 times for each quantity.
RUNS = 200
FEWEST = stats.binom.ppf(1e-3, RUNS, 0.93)


@pytest.mark.slow
@pytest.mark.parametrize(
    "number", [0, 1, *(pytest.param(number, marks=pytest.mark.long) for number in (2, 3, 4))]
)
def test_intervals_hold_the_truth(bench: Any, number: int) -> None:
    found, blocks = bench.coverage(bench.PROMISED[number], RUNS, np.random.default_rng(11))
    assert np.median(blocks) >= 30
    for quantity in found:
        held = np.nansum(quantity.held, axis=0)
        assert np.isfinite(quantity.held).all()
        assert (held >= FEWEST).all(), (quantity.quantity, held)


def test_intervals_hold_the_truth_of_two_states(bench: Any) -> None:
    """As above, of shorter runs."""
    case = bench.PROMISED[0]._replace(n_frames=2200)
    found, blocks = bench.coverage(case, RUNS, np.random.default_rng(12))
    assert np.median(blocks) >= 30
    for quantity in found:
        assert (quantity.held.sum(axis=0) >= FEWEST).all(), (quantity.quantity, quantity.held)


def test_targets_that_move_together_need_blocks_of_time(bench: Any) -> None:
    """Over targets alone intervals are several times too narrow."""
    labels = bench.chains(bench.TWO, (3000, 1, 12), np.random.default_rng(5), together=0.6)
    chi = one_hot(labels[:, 0].astype(int), 2)
    width = {}
    for name, scheme in (
        ("time", Resampling(100)),
        ("targets", Resampling(100, by_target=True)),
        ("both", Resampling(100, two_way=True)),
    ):
        interval = estimate_koopman_model(chi, lagtime=1, resampling=scheme).populations_interval
        assert interval is not None
        width[name] = interval.upper[0] - interval.lower[0]
    assert width["targets"] < 0.6 * width["time"]
    np.testing.assert_allclose(width["both"], width["time"], rtol=0.25)
