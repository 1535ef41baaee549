"""K and what follows from it, against plain loops, deeptime and chains with exact answers."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from deeptime.decomposition import VAMP
from deeptime.markov import TransitionCountEstimator
from deeptime.markov.msm import MaximumLikelihoodMSM
from deeptime.util.validation import implied_timescales
from numpy.typing import NDArray

from kgdyn.koopman import KoopmanModel, Resampling, estimate_koopman_model, one_hot
from kgdyn.toys import MarkovChain

Array = NDArray[np.float64]

SHAPES = [(90, 2), (5, 2), (70, 3)]  # frames and targets of three segments


def slow_segments(n_states: int, rng: np.random.Generator, dtype: str = "float64") -> list[Array]:
    """Soft state probabilities with memory, in several segments of several targets."""
    segments = []
    rates = np.linspace(0.98, 0.6, n_states)
    for n_frames, n_targets in SHAPES:
        values = np.empty((n_frames, n_targets, n_states))
        values[0] = rng.normal(size=(n_targets, n_states))
        for frame in range(1, n_frames):
            kick = rng.normal(size=(n_targets, n_states))
            values[frame] = rates * values[frame - 1] + np.sqrt(1 - rates**2) * kick
        powers = np.exp(2.0 * values)
        segments.append((powers / powers.sum(axis=-1, keepdims=True)).astype(dtype))
    return segments


def loop_matrix(segments: list[Array], lagtime: int) -> Array:
    """K = C00^-1 C0t, pair by pair."""
    n_states = segments[0].shape[-1]
    cov_00, cov_0t = np.zeros((n_states, n_states)), np.zeros((n_states, n_states))
    for segment in segments:
        for start in range(len(segment) - lagtime):
            for target in range(segment.shape[1]):
                now, later = segment[start, target], segment[start + lagtime, target]
                for i in range(n_states):
                    for j in range(n_states):
                        cov_00[i, j] += float(now[i]) * float(now[j])
                        cov_0t[i, j] += float(now[i]) * float(later[j])
    return np.linalg.inv(cov_00) @ cov_0t


def eig_answers(matrix: Array, lagtime: int) -> tuple[Array, Array]:
    """Stationary distribution and timescales in frames, by numpy's eig."""
    values, left = np.linalg.eig(matrix.T)
    order = np.argsort(-np.abs(values))
    values, left = values[order], left[:, order]
    assert abs(values[0] - 1.0) < 1e-9
    times = [
        -lagtime / np.log(value.real) if value.imag == 0 and value.real > 0 else np.nan
        for value in values[1:]
    ]
    return left[:, 0].real / left[:, 0].real.sum(), np.array(times)


def exact_pairs(counts: list[list[int]]) -> NDArray[np.float32]:
    """(2, n_targets, n_states): as many targets as counts, so that K = counts / row sums."""
    table = np.array(counts)
    origin, end = (np.repeat(index.ravel(), table.ravel()) for index in np.indices(table.shape))
    return one_hot(np.stack([origin, end]), len(table))


@pytest.mark.parametrize("lagtime", [1, 3])
@pytest.mark.parametrize("n_states", [2, 3, 4, 5])
def test_equals_the_loop(n_states: int, lagtime: int, rng: np.random.Generator) -> None:
    segments = slow_segments(n_states, rng)
    expected = loop_matrix(segments, lagtime)
    stationary, times = eig_answers(expected, lagtime)
    model = estimate_koopman_model(segments, lagtime=lagtime, frame_interval=0.25)
    np.testing.assert_allclose(model.koopman_matrix, expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(model.koopman_matrix.sum(axis=1), 1.0, rtol=0, atol=1e-9)
    np.testing.assert_allclose(model.stationary_distribution, stationary, rtol=0, atol=1e-8)
    assert np.isfinite(times[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # fast ones may have none
        np.testing.assert_allclose(model.timescales(), times, rtol=1e-8, atol=0)
        np.testing.assert_allclose(model.timescales_ps(), 0.25 * times, rtol=1e-8, atol=0)
    assert model.n_pairs == sum(max(f - lagtime, 0) * t for f, t in SHAPES)
    assert (model.n_states, model.lagtime, model.frame_interval) == (n_states, lagtime, 0.25)


def test_populations_are_means_over_all_frames(rng: np.random.Generator) -> None:
    segments = slow_segments(3, rng)
    rows = np.concatenate([segment.reshape(-1, 3) for segment in segments])
    model = estimate_koopman_model(segments, lagtime=8)  # the second segment has no pair
    np.testing.assert_allclose(model.populations, rows.mean(axis=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_array_is_one_segment(dtype: str, rng: np.random.Generator) -> None:
    segment = slow_segments(3, rng, dtype)[0]
    alone = estimate_koopman_model(segment, lagtime=2)
    in_list = estimate_koopman_model([segment], lagtime=2)
    expected = loop_matrix([segment.astype(np.float64)], 2)
    for model in (alone, in_list):
        np.testing.assert_allclose(model.koopman_matrix, expected, rtol=0, atol=1e-8)
    joined = estimate_koopman_model(segment[:, 0], lagtime=2)  # (n_frames, n_states)
    np.testing.assert_allclose(
        joined.koopman_matrix, loop_matrix([segment[:, :1]], 2), rtol=0, atol=1e-8
    )


def test_no_pair_crosses_a_border(rng: np.random.Generator) -> None:
    """Two frozen segments in different states: joined, one would see a jump."""
    frozen = [np.tile(row, (20, 1, 1)) for row in ([0.9, 0.1], [0.2, 0.8])]
    apart = estimate_koopman_model(frozen, lagtime=5).koopman_matrix
    np.testing.assert_allclose(apart, np.eye(2), rtol=0, atol=1e-10)
    joined = estimate_koopman_model(np.concatenate(frozen), lagtime=5).koopman_matrix
    assert abs(joined[0, 1]) > 0.05


def test_linear_change_only_transforms_k(rng: np.random.Generator) -> None:
    segments = slow_segments(3, rng)
    mixing = np.array([[0.8, 0.1, 0.1], [0.3, 0.5, 0.2], [0.1, 0.3, 0.6]])
    model = estimate_koopman_model(segments, lagtime=2)
    mixed = estimate_koopman_model([segment @ mixing for segment in segments], lagtime=2)
    similar = np.linalg.inv(mixing) @ model.koopman_matrix @ mixing
    np.testing.assert_allclose(mixed.koopman_matrix, similar, rtol=0, atol=1e-8)
    np.testing.assert_allclose(mixed.timescales(), model.timescales(), rtol=1e-8, atol=0)
    np.testing.assert_allclose(mixed.vamp2_score, model.vamp2_score, rtol=0, atol=1e-9)


# -- exact chains ----------------------------------------------------------------------------------


def test_irreversible_chain_shows_the_eigenvalue_time() -> None:
    """Its singular values, that deeptime's VAMP takes, would give 16.0 for an exact 9.8."""
    counts = np.array([[293, 16, 0], [4, 102, 12], [12, 0, 298]])  # sums of rows = of columns
    pairs = exact_pairs(counts.tolist())
    share = counts.sum(axis=1) / counts.sum()
    exact = counts / counts.sum(axis=1, keepdims=True)
    model = estimate_koopman_model(pairs, lagtime=1)
    np.testing.assert_allclose(model.koopman_matrix, exact, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.stationary_distribution, share, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.populations, share, rtol=0, atol=1e-10)
    values = np.sort(np.linalg.eigvals(exact))[-2::-1]
    np.testing.assert_allclose(model.eigenvalues, values, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.timescales(), -1 / np.log(values), rtol=1e-8, atol=0)
    np.testing.assert_allclose(model.timescales(1), [9.8078], rtol=0, atol=1e-4)
    singular = VAMP().fit((pairs[0], pairs[1])).fetch_model().timescales(lagtime=1)
    np.testing.assert_allclose(singular[0], 15.979, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("counts", "eigenvalues"),
    [
        ([[2, 8], [7, 3]], [-0.5]),
        ([[9, 1, 0], [0, 9, 1], [1, 0, 9]], [0.85 + 0.75**0.5 / 10j, 0.85 - 0.75**0.5 / 10j]),
        ([[6, 0], [0, 4]], [1.0]),
    ],
    ids=["negative", "complex", "disconnected"],
)
def test_no_relaxation_time_is_nan_with_a_warning(
    counts: list[list[int]], eigenvalues: list[complex]
) -> None:
    model = estimate_koopman_model(exact_pairs(counts), lagtime=1)
    found = np.sort_complex(model.eigenvalues)
    np.testing.assert_allclose(found, np.sort_complex(eigenvalues), rtol=0, atol=1e-12)
    with pytest.warns(RuntimeWarning, match="eigenvalues without a relaxation time"):
        assert np.isnan(model.timescales()).all()
    with pytest.warns(RuntimeWarning, match="eigenvalues without a relaxation time"):
        assert np.isnan(model.timescales_ps()).all()


@pytest.mark.parametrize("seed", range(30))
def test_disconnected_states_never_show_a_timescale_of_rounding(seed: int) -> None:
    (a, b), (c, d) = np.random.default_rng(seed).integers(1, 50, (2, 2))
    model = estimate_koopman_model(exact_pairs([[37, 0, 0], [0, a, b], [0, c, d]]), lagtime=1)
    with pytest.warns(RuntimeWarning, match="or at least 1"):
        times = model.timescales()
    assert np.isnan(times[0])
    assert not (times > 1e6).any()


def test_only_the_wanted_timescales_warn() -> None:
    matrix = np.array([[0.9, 0.1, 0.0], [0.1, 0.85, 0.05], [0.5, 0.5, 0.0]])
    model = KoopmanModel(matrix, 10, 0.5, 100, np.full(3, 1 / 3), 2.0)
    assert model.eigenvalues[1].real < 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (slowest,) = model.timescales(1)
    np.testing.assert_allclose(slowest, -10 / np.log(model.eigenvalues[0].real), rtol=1e-12)
    with pytest.warns(RuntimeWarning, match="their timescales are NaN"):
        assert np.isnan(model.timescales(2)[1])


# -- deeptime --------------------------------------------------------------------------------------


def test_deeptime_takes_a_list_of_models(rng: np.random.Generator) -> None:
    segments = slow_segments(3, rng)
    models = [estimate_koopman_model(segments, lagtime=lagtime) for lagtime in (1, 2, 4)]
    data = implied_timescales(models)
    np.testing.assert_array_equal(data.lagtimes, [1, 2, 4])
    for process in range(2):
        np.testing.assert_allclose(
            data.timescales_for_process(process),
            [model.timescales()[process] for model in models],
            rtol=1e-12,
            atol=0,
        )


@pytest.mark.parametrize("n_states", [2, 3, 5])
def test_hard_labels_give_deeptimes_transition_matrix(
    n_states: int, rng: np.random.Generator
) -> None:
    matrix = 0.85 * np.eye(n_states) + 0.15 * rng.dirichlet(np.ones(n_states), size=n_states)
    labels = [MarkovChain(matrix).sample(n, k, rng=rng) for n, k in ((400, 3), (300, 2), (5, 2))]
    model = estimate_koopman_model([one_hot(part, n_states) for part in labels], lagtime=5)
    counts = TransitionCountEstimator(5, "sliding").fit_fetch(
        [np.ascontiguousarray(column) for part in labels for column in part.T if len(column) > 5]
    )
    msm = MaximumLikelihoodMSM(reversible=False).fit_fetch(counts)
    np.testing.assert_allclose(model.koopman_matrix, msm.transition_matrix, rtol=0, atol=1e-10)
    np.testing.assert_allclose(
        model.stationary_distribution, msm.stationary_distribution, rtol=0, atol=1e-8
    )


@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("n_states", [2, 4])
def test_vamp2_score_equals_deeptimes(
    n_states: int, scale: float, rng: np.random.Generator
) -> None:
    """Also where the probabilities hardly vary: no spurious process from the null direction."""
    (segment,) = as_faint([slow_segments(n_states, rng)[2]], scale)
    rows = segment[:-2].reshape(-1, n_states), segment[2:].reshape(-1, n_states)
    expected = VAMP(epsilon=1e-13).fit(rows).fetch_model().score(2, epsilon=1e-13)
    model = estimate_koopman_model(segment, lagtime=2)
    assert expected < n_states
    np.testing.assert_allclose(model.vamp2_score, expected, rtol=0, atol=1e-6)


def as_faint(segments: list[Array], scale: float) -> list[Array]:
    """Nearly uniform probabilities with the same dynamics."""
    uniform = 1.0 / segments[0].shape[-1]
    return [uniform + scale * (segment - uniform) for segment in segments]


def test_nearly_uniform_float32_probabilities(rng: np.random.Generator) -> None:
    segments = slow_segments(3, rng)
    faint = [segment.astype(np.float32) for segment in as_faint(segments, 1e-4)]
    expected = estimate_koopman_model(segments, lagtime=2)
    model = estimate_koopman_model(faint, lagtime=2)
    np.testing.assert_allclose(model.vamp2_score, expected.vamp2_score, rtol=0, atol=1e-3)
    np.testing.assert_allclose(model.timescales(), expected.timescales(), rtol=1e-2, atol=0)


# -- results ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:some intervals rest on as little as")
def test_intervals_hold_the_estimate_and_their_shapes(rng: np.random.Generator) -> None:
    segments = [part for part in slow_segments(3, rng) if len(part) > 20]
    model = estimate_koopman_model(
        segments, lagtime=2, frame_interval=0.5, resampling=Resampling(8, n_samples=200)
    )
    assert model.koopman_matrix_interval is not None
    assert model.timescales_interval is not None
    assert model.populations_interval is not None
    assert model.stationary_distribution_interval is not None
    for interval, value in [
        (model.koopman_matrix_interval, model.koopman_matrix),
        (model.timescales_interval, model.timescales_ps()),
        (model.populations_interval, model.populations),
        (model.stationary_distribution_interval, model.stationary_distribution),
    ]:
        assert interval.lower.shape == interval.upper.shape == value.shape
        assert interval.contains(value).all()
        assert (interval.upper > interval.lower).all()


def test_intervals_are_percentiles_of_models_of_drawn_blocks(rng: np.random.Generator) -> None:
    """The bootstrap written out: draw blocks, put them together, estimate again."""
    segment = slow_segments(2, rng)[0][:83]  # 80 pairs of frames: 10 blocks of 8
    blocks = [segment[start : start + 8 + 3] for start in range(0, 80, 8)]
    resampling = Resampling(8, n_samples=60, seed=4, method="percentile")
    model = estimate_koopman_model(segment, lagtime=3, frame_interval=0.5, resampling=resampling)
    draws = np.random.default_rng(4).multinomial(10, np.full(10, 0.1), size=60)
    samples: dict[str, list[Array]] = {"matrix": [], "times": [], "shares": [], "means": []}
    for draw in draws:
        drawn = [block for block, count in zip(blocks, draw, strict=True) for _ in range(count)]
        matrix = loop_matrix(drawn, 3)
        stationary, times = eig_answers(matrix, 3)
        samples["matrix"].append(matrix)
        samples["shares"].append(stationary)
        samples["times"].append(0.5 * times)
        samples["means"].append(np.mean([block[:8].mean(axis=(0, 1)) for block in drawn], axis=0))
    for interval, name in [
        (model.koopman_matrix_interval, "matrix"),
        (model.timescales_interval, "times"),
        (model.stationary_distribution_interval, "shares"),
        (model.populations_interval, "means"),
    ]:
        assert interval is not None
        lower, upper = np.percentile(samples[name], [2.5, 97.5], axis=0)
        np.testing.assert_allclose(interval.lower, lower, rtol=1e-7, atol=0, err_msg=name)
        np.testing.assert_allclose(interval.upper, upper, rtol=1e-7, atol=0, err_msg=name)


def test_without_resampling_there_are_no_intervals(rng: np.random.Generator) -> None:
    model = estimate_koopman_model(slow_segments(2, rng), lagtime=1)
    assert model.resampling is None
    assert model.koopman_matrix_interval is None
    assert model.timescales_interval is None


def test_repr_is_short_and_has_units(rng: np.random.Generator) -> None:
    model = estimate_koopman_model(slow_segments(3, rng), lagtime=4, frame_interval=0.25)
    assert repr(model).startswith("KoopmanModel(n_states=3, lagtime=4 frames = 1 ps, timescales=[")
    assert repr(model).endswith("] ps)")


def test_matrix_is_read_only(rng: np.random.Generator) -> None:
    model = estimate_koopman_model(slow_segments(2, rng), lagtime=1)
    with pytest.raises(ValueError, match="read-only"):
        model.koopman_matrix[0, 0] = 0.0


@pytest.mark.parametrize(
    "chi",
    [
        np.tile([0.3, 0.7], (30, 1)),
        np.concatenate([np.eye(2)[np.arange(30) % 2], np.zeros((30, 1))], axis=1),
    ],
    ids=["collapsed", "never visited"],
)
def test_refuses_dependent_states(chi: Array) -> None:
    with pytest.raises(ValueError, match="the covariance of the states is singular"):
        estimate_koopman_model(chi, lagtime=1)


def test_refuses_a_lagtime_beyond_the_data() -> None:
    with pytest.raises(ValueError, match="lagtime must be shorter than the longest segment"):
        estimate_koopman_model(np.full((30, 2), 0.5), lagtime=30)
