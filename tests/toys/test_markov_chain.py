"""The Markov chain: its exact answers, and that samples follow them."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.toys import MarkovChain

IRREVERSIBLE = np.array([[0.90, 0.09, 0.01], [0.02, 0.90, 0.08], [0.05, 0.01, 0.94]])


def test_two_states_by_hand() -> None:
    chain = MarkovChain([[0.9, 0.1], [0.3, 0.7]])
    np.testing.assert_allclose(chain.stationary_distribution, [0.75, 0.25], rtol=1e-12)
    np.testing.assert_allclose(chain.timescales, [-1 / np.log(0.6)], rtol=1e-12)
    assert chain.n_states == 2


def test_equilibrium_stays() -> None:
    share = MarkovChain(IRREVERSIBLE).stationary_distribution
    np.testing.assert_allclose(share @ IRREVERSIBLE, share, rtol=0, atol=1e-14)
    np.testing.assert_allclose(share.sum(), 1.0, rtol=1e-14)
    forever = np.linalg.matrix_power(IRREVERSIBLE, 5000)
    np.testing.assert_allclose(forever, np.tile(share, (3, 1)), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "matrix", [[[0.2, 0.8], [0.7, 0.3]], [[0.9, 0.1, 0.0], [0.0, 0.9, 0.1], [0.1, 0.0, 0.9]]]
)
def test_no_relaxation_time_is_nan(matrix: list[list[float]]) -> None:
    assert np.isnan(MarkovChain(matrix).timescales).all()


def test_samples_follow_the_matrix(rng: np.random.Generator) -> None:
    chain = MarkovChain(IRREVERSIBLE)
    states = chain.sample(2000, 200, rng=rng)
    assert states.shape == (2000, 200)
    counts = np.zeros((3, 3))
    np.add.at(counts, (states[:-1].ravel(), states[1:].ravel()), 1)
    rows = counts.sum(axis=1, keepdims=True)
    error = np.sqrt(IRREVERSIBLE * (1 - IRREVERSIBLE) / rows)
    assert (np.abs(counts / rows - IRREVERSIBLE) < 4.5 * error).all()


def test_samples_begin_in_equilibrium(rng: np.random.Generator) -> None:
    chain = MarkovChain(IRREVERSIBLE)
    first = chain.sample(1, 100_000, rng=rng)[0]
    shares = np.bincount(first, minlength=3) / len(first)
    np.testing.assert_allclose(shares, chain.stationary_distribution, rtol=0, atol=0.008)


def test_impossible_steps_never_happen(rng: np.random.Generator) -> None:
    ring = MarkovChain([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    states = ring.sample(50, 4, rng=rng)
    np.testing.assert_array_equal((states[1:] - states[:-1]) % 3, 1)


def test_same_seed_same_samples() -> None:
    chain = MarkovChain(IRREVERSIBLE)
    one, again, other = (
        chain.sample(100, 2, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_matrix_is_a_read_only_copy() -> None:
    given = IRREVERSIBLE.copy()
    chain = MarkovChain(given)
    given[0, 0] = 7.0
    assert chain.transition_matrix[0, 0] == 0.9
    with pytest.raises(ValueError, match="read-only"):
        chain.transition_matrix[0, 0] = 7.0


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 1)])
def test_refuses_bad_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"transition_matrix must have shape"):
        MarkovChain(np.ones(shape))


@pytest.mark.parametrize("matrix", [[[0.5, 0.4], [0.5, 0.5]], [[1.1, -0.1], [0.5, 0.5]]])
def test_refuses_rows_that_are_no_probabilities(matrix: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="rows of transition_matrix must be probabilities"):
        MarkovChain(matrix)
