"""The Markov model of hard labels."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.koopman import label_markov_model, one_hot
from kgdyn.toys import MarkovChain

CHAIN = np.array([[0.95, 0.04, 0.01], [0.03, 0.92, 0.05], [0.0, 0.1, 0.9]])


@pytest.mark.parametrize("lagtime", [1, 4])
def test_counts_every_pair_of_every_target(lagtime: int, rng: np.random.Generator) -> None:
    labels = [MarkovChain(CHAIN).sample(n, k, rng=rng) for n, k in ((300, 3), (200, 1), (3, 2))]
    counts = np.zeros((3, 3))
    for part in labels:
        for target in range(part.shape[1]):
            for frame in range(len(part) - lagtime):
                counts[part[frame, target], part[frame + lagtime, target]] += 1
    expected = counts / counts.sum(axis=1, keepdims=True)
    labels[1] = labels[1][:, 0]  # one target may come without its axis
    model = label_markov_model(labels, lagtime)
    assert model.lagtime == lagtime
    np.testing.assert_allclose(model.transition_matrix, expected, rtol=0, atol=1e-12)


def test_finds_the_exact_chain(rng: np.random.Generator) -> None:
    chain = MarkovChain(CHAIN)
    model = label_markov_model([chain.sample(4000, 50, rng=rng)], 1)
    np.testing.assert_allclose(model.transition_matrix, CHAIN, rtol=0, atol=5e-3)
    np.testing.assert_allclose(model.timescales(), chain.timescales, rtol=0.05, atol=0)
    np.testing.assert_allclose(
        model.stationary_distribution, chain.stationary_distribution, rtol=0, atol=0.01
    )


def test_one_hot() -> None:
    found = one_hot([[0, 2], [1, 1]], 3)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [0, 1, 0]]])
    assert one_hot([0, 1], 2).shape == (2, 1, 2)


def test_one_hot_of_yes_and_no() -> None:
    found = one_hot(np.array([[True, False], [False, False]]), 2)
    np.testing.assert_array_equal(found, one_hot(np.array([[1, 0], [0, 0]]), 2))


@pytest.mark.parametrize("labels", [[0, 3], [-1, 2]])
def test_one_hot_refuses_other_labels(labels: list[int]) -> None:
    match = f"labels must be from 0 to 2, received {min(labels)} to {max(labels)}"
    with pytest.raises(ValueError, match=match):
        one_hot(labels, 3)
