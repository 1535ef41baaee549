"""vamp2_score against deeptime, its gradient, and its refusals."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from deeptime.covariance import CovarianceModel
from deeptime.decomposition import VAMP, vamp_score
from numpy.typing import NDArray

from kgdyn.scores import vamp2_score

Array = NDArray[np.float64]
N_PAIRS = 600


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def make_pairs(kind: str, n_states: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Pairs of state probabilities with memory: a label is kept with probability 0.7."""
    shares = np.full(n_states, 1.0 / n_states)
    if kind == "rare":
        shares = np.array([0.99, *[0.01 / (n_states - 1)] * (n_states - 1)])
    now = rng.choice(n_states, size=N_PAIRS, p=shares)
    now[: 2 * n_states] = np.repeat(np.arange(n_states), 2)
    later = np.where(rng.random(N_PAIRS) < 0.7, now, rng.choice(n_states, size=N_PAIRS, p=shares))
    crisp = np.eye(n_states)[now], np.eye(n_states)[later]
    if kind == "one_hot":
        return crisp
    noise = rng.normal(size=(2, N_PAIRS, n_states))
    if kind == "uniform":
        return tuple(_softmax(1e-2 * (x + 0.3 * e)) for x, e in zip(crisp, noise, strict=True))
    return tuple(_softmax(5.0 * x + e) for x, e in zip(crisp, noise, strict=True))


def deeptime_score(chi_t: Array, chi_lag: Array) -> float:
    """deeptime adds the 1 of the constant where the mean is removed, as kgdyn does."""
    model = VAMP(epsilon=1e-12).fit((chi_t, chi_lag)).fetch_model()
    assert model.cov.data_mean_removed
    return float(vamp_score(model, r=2, epsilon=1e-12))


@pytest.mark.parametrize("n_states", [2, 3, 5])
@pytest.mark.parametrize("kind", ["regular", "rare", "uniform", "one_hot"])
def test_equals_deeptime(kind: str, n_states: int, rng: np.random.Generator) -> None:
    chi_t, chi_lag = make_pairs(kind, n_states, rng)
    expected = deeptime_score(chi_t, chi_lag)
    assert 1.1 < expected < n_states
    np.testing.assert_allclose(float(vamp2_score(chi_t, chi_lag)), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["regular", "rare", "one_hot"])
def test_float32_probabilities_lose_nothing(kind: str, rng: np.random.Generator) -> None:
    chi_t, chi_lag = (x.astype(np.float32) for x in make_pairs(kind, 4, rng))
    score = vamp2_score(chi_t, chi_lag)
    assert score.dtype == tf.float64
    expected = deeptime_score(chi_t.astype(np.float64), chi_lag.astype(np.float64))
    np.testing.assert_allclose(float(score), expected, rtol=0, atol=1e-6)


def test_nearly_uniform_float32_has_no_spurious_process(rng: np.random.Generator) -> None:
    chi_t, chi_lag = (1 / 3 + 0.01 * (x - 1 / 3) for x in make_pairs("uniform", 3, rng))
    score = float(vamp2_score(chi_t.astype(np.float32), chi_lag.astype(np.float32)))
    np.testing.assert_allclose(score, deeptime_score(chi_t, chi_lag), rtol=0, atol=2e-3)


def test_a_state_that_is_never_visited_counts_nothing(rng: np.random.Generator) -> None:
    chi_t, chi_lag = make_pairs("one_hot", 3, rng)
    padded = [np.concatenate([x, np.zeros((N_PAIRS, 1))], axis=1) for x in (chi_t, chi_lag)]
    expected = deeptime_score(chi_t, chi_lag)
    np.testing.assert_allclose(deeptime_score(*padded), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(float(vamp2_score(*padded)), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("row", [[0.25, 0.25, 0.5], [1 / 3, 1 / 3, 1 / 3], [1.0, 0.0, 0.0]])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_collapsed_outputs_score_1_with_zero_gradient(row: list[float], dtype: str) -> None:
    chi = tf.Variable(np.tile(row, (N_PAIRS, 1)).astype(dtype))
    with tf.GradientTape() as tape:
        score = vamp2_score(chi, chi)
    gradient = tape.gradient(score, chi).numpy()
    np.testing.assert_allclose(float(score), 1.0, rtol=0, atol=1e-6)
    np.testing.assert_allclose(gradient, 0.0, rtol=0, atol=1e-6)


def test_perfect_memory_scores_n_states_and_none_scores_1(rng: np.random.Generator) -> None:
    chi = make_pairs("regular", 4, rng)[0]
    np.testing.assert_allclose(float(vamp2_score(chi, chi)), 4.0, rtol=0, atol=1e-6)
    labels = np.indices((3, 3)).reshape(2, -1)  # every pair of states once: independent
    pairs = np.eye(3)[labels]
    np.testing.assert_allclose(float(vamp2_score(pairs[0], pairs[1])), 1.0, rtol=0, atol=1e-9)


def test_two_states_by_hand() -> None:
    # 4 pairs 0->0, 1 0->1, 1 1->0, 4 1->1: the one singular value is 0.8 - 0.2.
    now = np.repeat([0, 0, 1, 1], [4, 1, 1, 4])
    later = np.repeat([0, 1, 0, 1], [4, 1, 1, 4])
    score = float(vamp2_score(np.eye(2)[now], np.eye(2)[later]))
    np.testing.assert_allclose(score, 1.0 + 0.6**2, rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", ["regular", "uniform"])
def test_linear_change_of_the_features_keeps_the_score(kind: str, rng: np.random.Generator) -> None:
    chi_t, chi_lag = make_pairs(kind, 3, rng)
    mixing = np.array([[0.8, 0.1, 0.1], [0.3, 0.5, 0.2], [0.1, 0.3, 0.6]])
    expected = float(vamp2_score(chi_t, chi_lag))
    mixed = float(vamp2_score(chi_t @ mixing, chi_lag @ mixing))
    # The mixed features of "uniform" vary by 1e-3 only: the floor of the variance shows.
    atol = 1e-8 if kind == "regular" else 1e-6
    np.testing.assert_allclose(mixed, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("kind", ["regular", "rare", "uniform", "one_hot"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_is_finite(kind: str, dtype: str, rng: np.random.Generator) -> None:
    chi_t, chi_lag = (tf.Variable(x.astype(dtype)) for x in make_pairs(kind, 3, rng))
    with tf.GradientTape() as tape:
        score = vamp2_score(chi_t, chi_lag)
    for gradient in tape.gradient(score, [chi_t, chi_lag]):
        assert np.isfinite(gradient.numpy()).all()
        assert np.abs(gradient.numpy()).max() > 0.0


def test_gradient_is_that_of_finite_differences(rng: np.random.Generator) -> None:
    chi_t, chi_lag = make_pairs("regular", 3, rng)
    variables = [tf.Variable(chi_t), tf.Variable(chi_lag)]
    with tf.GradientTape() as tape:
        score = vamp2_score(*variables)
    gradients = [g.numpy() for g in tape.gradient(score, variables)]
    step = 1e-4
    for _ in range(3):
        directions = rng.normal(size=(2, N_PAIRS, 3))
        directions -= directions.mean(axis=2, keepdims=True)  # rows keep their sum
        slope = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True))
        up, down = (
            float(vamp2_score(chi_t + sign * directions[0], chi_lag + sign * directions[1]))
            for sign in (step, -step)
        )
        np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-3, atol=1e-6)


def test_gradient_of_an_unvisited_state_is_finite(rng: np.random.Generator) -> None:
    chi_t, chi_lag = make_pairs("one_hot", 2, rng)
    padded = [
        tf.Variable(np.concatenate([x, np.zeros((N_PAIRS, 1))], axis=1)) for x in (chi_t, chi_lag)
    ]
    with tf.GradientTape() as tape:
        score = vamp2_score(*padded)
    assert all(np.isfinite(g.numpy()).all() for g in tape.gradient(score, padded))


def test_whole_weights_are_repetitions(rng: np.random.Generator) -> None:
    chi_t, chi_lag = make_pairs("regular", 3, rng)
    counts = rng.integers(0, 4, N_PAIRS)
    expected = float(vamp2_score(np.repeat(chi_t, counts, axis=0), np.repeat(chi_lag, counts, 0)))
    for weights in (counts, counts[:, None] * 0.125):
        score = float(vamp2_score(chi_t, chi_lag, weights))
        np.testing.assert_allclose(score, expected, rtol=0, atol=1e-9)
    assert abs(expected - float(vamp2_score(chi_t, chi_lag))) > 1e-3


def test_weights_as_deeptime(rng: np.random.Generator) -> None:
    chi_t, chi_lag = make_pairs("regular", 4, rng)
    weights = rng.random(N_PAIRS)
    joint = np.cov(chi_t, chi_lag, rowvar=False, aweights=weights, ddof=0)
    covariances = CovarianceModel(
        cov_00=joint[:4, :4], cov_0t=joint[:4, 4:], cov_tt=joint[4:, 4:], data_mean_removed=True
    )
    model = VAMP(epsilon=1e-12).fit_from_covariances(covariances).fetch_model()
    expected = float(vamp_score(model, r=2, epsilon=1e-12))
    score = float(vamp2_score(chi_t, chi_lag, weights))
    np.testing.assert_allclose(score, expected, rtol=0, atol=1e-6)


def test_in_a_graph_of_unknown_size(rng: np.random.Generator) -> None:
    chi_t, chi_lag = make_pairs("regular", 3, rng)
    spec = tf.TensorSpec((None, 3), tf.float64)
    compiled = tf.function(vamp2_score, input_signature=[spec, spec])
    expected = float(vamp2_score(chi_t, chi_lag))
    np.testing.assert_allclose(float(compiled(chi_t, chi_lag)), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("shape_t", "shape_lag", "match"),
    [
        ((8,), (8,), r"same shape \(n_pairs, n_states\), received \(8,\) and \(8,\)"),
        ((8, 3), (8, 2), r"received \(8, 3\) and \(8, 2\)"),
        ((8, 3), (7, 3), r"received \(8, 3\) and \(7, 3\)"),
        ((8, 2, 3), (8, 2, 3), "same shape"),
        ((8, 1), (8, 1), r"n_states must be at least 2, received shape \(8, 1\)"),
    ],
)
def test_refuses_bad_shapes(shape_t: tuple[int], shape_lag: tuple[int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        vamp2_score(np.ones(shape_t), np.ones(shape_lag))
