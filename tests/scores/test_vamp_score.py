"""vamp_score against deeptime and by hand, and its refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from deeptime.decomposition import VAMP
from deeptime.decomposition import vamp_score as deeptime_vamp_score
from numpy.typing import NDArray

from kgdyn.scores import vamp2_score, vamp_score

Array = NDArray[np.float64]
MakePairs = Callable[..., tuple[Array, Array]]
METHODS = {"VAMP1": 1, "VAMP2": 2, "VAMPE": "E"}
N_PAIRS = 600

each_method = pytest.mark.parametrize("method", METHODS)
each_direction = pytest.mark.parametrize("reversible", [False, True])


def score(chi_t: Array, chi_lag: Array, *options: object) -> float:
    return float(vamp_score(chi_t, chi_lag, *options))


@pytest.fixture
def deeptime_score(deeptime_covariances: Callable[..., Any]) -> Callable[..., float]:
    """Function; deeptime adds the 1 of the constant where the mean is removed, as kgdyn does."""

    def score_of(chi_t: Array, chi_lag: Array, method: str, *options: Any) -> float:
        covariances = deeptime_covariances(chi_t, chi_lag, *options)
        model = VAMP(epsilon=1e-12).fit_from_covariances(covariances).fetch_model()
        return float(deeptime_vamp_score(model, r=METHODS[method], epsilon=1e-12))

    return score_of


def pseudo_inverse_score(chi_t: Array, chi_lag: Array, method: str, reversible: bool) -> float:
    """The definition with pseudo-inverses, where deeptime gives up on a covariance of rank 0."""
    if reversible:
        chi_t, chi_lag = np.concatenate([chi_t, chi_lag]), np.concatenate([chi_lag, chi_t])
    left, right = chi_t - chi_t.mean(axis=0), chi_lag - chi_lag.mean(axis=0)
    tolerance = {"rcond": 1e-10, "hermitian": True}
    roots = []
    for features in (left, right):
        values, vectors = np.linalg.eigh(np.linalg.pinv(features.T @ features, **tolerance))
        roots.append((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
    whitened = roots[0] @ (left.T @ right) @ roots[1]
    values = np.linalg.svd(whitened * (np.ptp(left) > 1e-12), compute_uv=False)
    return 1.0 + float(np.sum(values if method == "VAMP1" else values**2))


@each_method
@each_direction
@pytest.mark.parametrize("n_states", [2, 3, 5])
@pytest.mark.parametrize(
    "kind", ["regular", "rare", "uniform", "one_hot", "proportional", "degenerate"]
)
def test_equals_deeptime(
    kind: str,
    n_states: int,
    reversible: bool,
    method: str,
    make_pairs: MakePairs,
    deeptime_score: Callable[..., float],
) -> None:
    chi = make_pairs(kind, n_states)
    expected = deeptime_score(*chi, method, reversible)
    assert 1.1 < expected < n_states
    np.testing.assert_allclose(score(*chi, method, None, reversible), expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        pseudo_inverse_score(*chi, method, reversible), expected, rtol=0, atol=1e-9
    )


@each_method
@each_direction
@pytest.mark.parametrize("n_states", [2, 4])
@pytest.mark.parametrize("kind", ["one_pair", "collapsed"])
def test_equals_the_pseudo_inverse_where_deeptime_gives_up(
    kind: str, n_states: int, reversible: bool, method: str, make_pairs: MakePairs
) -> None:
    chi = make_pairs(kind, n_states)
    expected = pseudo_inverse_score(*chi, method, reversible)
    # One pair and its reverse are two points that swap: one process, remembered wholly.
    perfect = kind == "one_pair" and reversible
    np.testing.assert_allclose(expected, 2.0 if perfect else 1.0, rtol=0, atol=1e-9)
    np.testing.assert_allclose(score(*chi, method, None, reversible), expected, rtol=0, atol=1e-6)


@each_method
@pytest.mark.parametrize("kind", ["regular", "rare", "one_hot"])
def test_float32_probabilities_lose_nothing(
    kind: str, method: str, make_pairs: MakePairs, deeptime_score: Callable[..., float]
) -> None:
    chi_t, chi_lag = (x.astype(np.float32) for x in make_pairs(kind, 4))
    found = vamp_score(chi_t, chi_lag, method)
    assert found.dtype == tf.float64
    expected = deeptime_score(chi_t.astype(np.float64), chi_lag.astype(np.float64), method)
    np.testing.assert_allclose(float(found), expected, rtol=0, atol=1e-6)


@each_method
def test_nearly_uniform_float32_has_no_spurious_process(
    method: str, make_pairs: MakePairs, deeptime_score: Callable[..., float]
) -> None:
    chi_t, chi_lag = (1 / 3 + 0.01 * (x - 1 / 3) for x in make_pairs("uniform", 3))
    found = score(chi_t.astype(np.float32), chi_lag.astype(np.float32), method)
    expected = deeptime_score(chi_t, chi_lag, method)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3)


@each_method
def test_a_state_that_is_never_visited_counts_nothing(
    method: str, make_pairs: MakePairs, deeptime_score: Callable[..., float]
) -> None:
    chi = make_pairs("one_hot", 3)
    padded = [np.concatenate([x, np.zeros((N_PAIRS, 1))], axis=1) for x in chi]
    expected = deeptime_score(*chi, method)
    np.testing.assert_allclose(deeptime_score(*padded, method), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(score(*padded, method), expected, rtol=0, atol=1e-6)


@each_method
@each_direction
def test_perfect_memory_scores_n_states_and_none_scores_1(
    method: str, reversible: bool, make_pairs: MakePairs
) -> None:
    chi = make_pairs("regular", 4)[0]
    perfect = score(chi, chi, method, None, reversible)
    np.testing.assert_allclose(perfect, 4.0, rtol=0, atol=1e-6)
    labels = np.indices((3, 3)).reshape(2, -1)  # every pair of states once: independent
    none = score(*np.eye(3)[labels], method, None, reversible)
    np.testing.assert_allclose(none, 1.0, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("method", "power"), [("VAMP1", 1), ("VAMP2", 2), ("VAMPE", 2)])
def test_two_states_by_hand(method: str, power: int) -> None:
    # 8 pairs 0->0, 2 0->1, 1 1->0, 4 1->1: the one singular value is 0.8 - 0.2 by transition
    # probabilities, times sqrt(var_t / var_lag).
    now, later = np.repeat([[0, 0, 1, 1], [0, 1, 0, 1]], [8, 2, 1, 4], axis=1)
    value = 0.6 * np.sqrt((10 * 5) / (9 * 6))
    found = score(np.eye(2)[now], np.eye(2)[later], method)
    np.testing.assert_allclose(found, 1.0 + value**power, rtol=0, atol=1e-8)
    # Reversible: 16 + 3 + 3 + 8 jumps of 30, 19 from state 0 and 11 from state 1.
    value = 16 / 19 - 3 / 11
    found = score(np.eye(2)[now], np.eye(2)[later], method, None, True)
    np.testing.assert_allclose(found, 1.0 + value**power, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("method", "power"), [("VAMP1", 1), ("VAMP2", 2), ("VAMPE", 2)])
def test_states_that_alternate_have_memory(method: str, power: int) -> None:
    """A negative eigenvalue counts by its size."""
    now, later = np.repeat([[0, 0, 1, 1], [0, 1, 0, 1]], [1, 4, 4, 1], axis=1)
    found = score(np.eye(2)[now], np.eye(2)[later], method, None, True)
    np.testing.assert_allclose(found, 1.0 + 0.6**power, rtol=0, atol=1e-8)


@each_method
@each_direction
@pytest.mark.parametrize("kind", ["regular", "uniform"])
def test_linear_change_of_the_features_keeps_the_score(
    kind: str, method: str, reversible: bool, make_pairs: MakePairs
) -> None:
    chi_t, chi_lag = make_pairs(kind, 3)
    mixing = np.array([[0.8, 0.1, 0.1], [0.3, 0.5, 0.2], [0.1, 0.3, 0.6]])
    expected = score(chi_t, chi_lag, method, None, reversible)
    mixed = score(chi_t @ mixing, chi_lag @ mixing, method, None, reversible)
    # The mixed features of "uniform" vary by 1e-3 only: the floor of the variance shows.
    atol = 1e-8 if kind == "regular" else 1e-6
    np.testing.assert_allclose(mixed, expected, rtol=0, atol=atol)


@each_method
def test_time_forwards_and_backwards_are_one(method: str, make_pairs: MakePairs) -> None:
    chi_t, chi_lag = make_pairs("regular", 3)
    forwards = score(chi_t, chi_lag, method, None, True)
    np.testing.assert_allclose(score(chi_lag, chi_t, method, None, True), forwards, atol=1e-12)


@pytest.mark.parametrize(("method", "power"), [("VAMP1", 1), ("VAMP2", 2), ("VAMPE", 2)])
def test_a_drift_is_no_memory_one_way_but_is_both_ways(method: str, power: int) -> None:
    """Independent pairs, 0.8 in state 0 before and 0.2 after: the pooled mean tells them apart."""
    now, later = np.repeat([[0, 0, 1, 1], [0, 1, 0, 1]], [16, 64, 4, 16], axis=1)
    chi = np.eye(2)[now], np.eye(2)[later]
    np.testing.assert_allclose(score(*chi, method), 1.0, rtol=0, atol=1e-9)
    found = score(*chi, method, None, True)
    np.testing.assert_allclose(found, 1.0 + (0.68 - 0.32) ** power, rtol=0, atol=1e-8)


@each_method
@each_direction
def test_whole_weights_are_repetitions(
    method: str, reversible: bool, make_pairs: MakePairs, rng: np.random.Generator
) -> None:
    chi = make_pairs("regular", 3)
    counts = rng.integers(0, 4, N_PAIRS)
    repeated = (np.repeat(x, counts, axis=0) for x in chi)
    expected = score(*repeated, method, None, reversible)
    for weights in (counts, counts[:, None] * 0.125, counts.tolist()):
        found = score(*chi, method, weights, reversible)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    assert abs(expected - score(*chi, method, None, reversible)) > 1e-3


@each_method
def test_weights_as_deeptime(
    method: str,
    make_pairs: MakePairs,
    deeptime_score: Callable[..., float],
    rng: np.random.Generator,
) -> None:
    chi = make_pairs("regular", 4)
    weights = rng.random(N_PAIRS)
    expected = deeptime_score(*chi, method, False, weights)
    np.testing.assert_allclose(score(*chi, method, weights), expected, rtol=0, atol=1e-6)


@each_method
def test_without_weight_there_is_no_memory(method: str, make_pairs: MakePairs) -> None:
    chi = make_pairs("regular", 3)
    assert score(*chi, method, np.zeros(N_PAIRS)) == 1.0


@each_method
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["chi_t", "chi_lag", "sample_weight"])
def test_what_is_not_finite_gives_nan(
    method: str, bad: float, where: str, make_pairs: MakePairs
) -> None:
    chi_t, chi_lag = make_pairs("regular", 3)
    inputs = {"chi_t": chi_t, "chi_lag": chi_lag, "sample_weight": np.ones(N_PAIRS)}
    inputs[where][7] = bad
    assert np.isnan(float(vamp_score(**inputs, method=method)))


def test_vamp2_score_is_the_default(make_pairs: MakePairs, rng: np.random.Generator) -> None:
    chi, weights = make_pairs("regular", 3), rng.random(N_PAIRS)
    expected = score(*chi, "VAMP2", weights)
    assert float(vamp2_score(*chi, weights)) == expected
    assert float(vamp_score(*chi, sample_weight=weights)) == expected


@each_method
def test_in_a_graph_of_unknown_size(method: str, make_pairs: MakePairs) -> None:
    chi = make_pairs("regular", 3)
    spec = tf.TensorSpec((None, 3), tf.float64)
    compiled = tf.function(
        lambda x, y, w: vamp_score(x, y, method, w),
        input_signature=[spec, spec, tf.TensorSpec((None,), tf.float64)],
    )
    np.testing.assert_allclose(
        float(compiled(*chi, np.ones(N_PAIRS))), score(*chi, method), rtol=1e-12, atol=0
    )


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
        vamp_score(np.ones(shape_t), np.ones(shape_lag))


@pytest.mark.parametrize("shape", [(1,), (7,), (8, 2), ()])
def test_refuses_weights_that_are_not_one_a_pair(shape: tuple[int, ...]) -> None:
    match = r"sample_weight must have shape \(n_pairs,\) = \(8,\), received \("
    with pytest.raises(ValueError, match=match):
        vamp_score(np.ones((8, 3)), np.ones((8, 3)), "VAMP1", np.ones(shape))


@pytest.mark.parametrize("method", ["VAMP3", "vamp2", 2, None])
def test_refuses_unknown_methods(method: object) -> None:
    match = rf"method must be one of \('VAMP1', 'VAMP2', 'VAMPE'\), received {method!r}"
    with pytest.raises(ValueError, match=match):
        vamp_score(np.ones((8, 3)), np.ones((8, 3)), method)
