"""A transition that was never seen is not known to be impossible."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.koopman import Resampling, estimate_koopman_model, one_hot
from kgdyn.toys import MarkovChain

pytestmark = pytest.mark.filterwarnings("ignore:some intervals rest on as little as")


@pytest.mark.parametrize("lagtime", [1, 4])
def test_rule_of_three(lagtime: int) -> None:
    """A cycle 0 -> 1 -> 2 -> 0: three transitions of six never happen."""
    labels = np.repeat(np.arange(3 * 40) % 3, 10)
    model = estimate_koopman_model(
        one_hot(labels[:, None], 3), lagtime=lagtime, resampling=Resampling(60)
    )
    found = model.koopman_matrix_interval
    assert found is not None
    starts = np.bincount(labels[:-lagtime])
    for i in range(3):
        j = (i + 2) % 3
        n_trials = starts[i] / lagtime
        assert abs(model.koopman_matrix[i, j]) < 1e-12
        np.testing.assert_allclose(found.lower[i, j], 0.0, rtol=0, atol=1e-12)
        np.testing.assert_allclose(found.upper[i, j], 1 - 0.05 ** (1 / n_trials), rtol=1e-9)
        np.testing.assert_allclose(found.upper[i, j], 3.0 / n_trials, rtol=0.02)


def test_a_state_that_was_never_left() -> None:
    labels = np.zeros((300, 2), dtype=int)
    labels[:, 1] = 1
    model = estimate_koopman_model(one_hot(labels, 2), lagtime=1, resampling=Resampling(20))
    found = model.koopman_matrix_interval
    assert found is not None
    reach = 1 - 0.05 ** (1 / 299)
    np.testing.assert_allclose(found.lower, [[1 - reach, 0], [0, 1 - reach]], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.upper, [[1, reach], [reach, 1]], rtol=0, atol=1e-12)


def test_the_bound_holds_a_rare_transition() -> None:
    """K_02 is 2 divided by the visits: not seen in 13% of runs, and its interval holds it then."""
    rng = np.random.default_rng(2)
    n_frames = 1200
    rare = 2.0 / (n_frames / 2)
    matrix = np.array([[0.95 - rare, 0.05, rare], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8]])
    unseen = 0
    for _ in range(40):
        chi = one_hot(MarkovChain(matrix).sample(n_frames, 1, rng=rng), 3)
        found = estimate_koopman_model(chi, lagtime=1, resampling=Resampling(60))
        if found.koopman_matrix[0, 2] < 1e-12:
            unseen += 1
            interval = found.koopman_matrix_interval
            assert interval is not None
            assert interval.lower[0, 2] < 1e-12
            assert rare < interval.upper[0, 2] < 4 * rare
    assert unseen >= 2


def test_soft_states_have_no_such_bound(rng: np.random.Generator) -> None:
    """Elements of K outside of [0, 1] are no probabilities."""
    labels = np.repeat(np.arange(3 * 40) % 3, 10)
    mix = np.array([[1.0, 0.0, 0.0], [0.2, 0.8, 0.0], [0.0, 0.3, 0.7]])
    soft = one_hot(labels[:, None], 3) @ mix
    model = estimate_koopman_model(soft, lagtime=1, resampling=Resampling(60))
    assert model.koopman_matrix.min() < -1e-3
    found = model.koopman_matrix_interval
    assert found is not None
    assert (found.lower <= model.koopman_matrix + 1e-12).all()
