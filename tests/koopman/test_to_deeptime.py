"""Koopman models and hard assignments in deeptime's hands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from deeptime.decomposition import TransferOperatorModel
from deeptime.markov import TransitionCountEstimator
from deeptime.markov.hmm import MaximumLikelihoodHMM, init
from deeptime.markov.msm import BayesianMSM, MarkovStateModel
from deeptime.util.validation import implied_timescales
from numpy.typing import NDArray

from kgdyn.koopman import ck_test as our_ck_test
from kgdyn.koopman import (
    discrete_trajectories,
    estimate_koopman_model,
    hard_assignments,
    label_markov_model,
    one_hot,
    transfer_operator_model,
)
from kgdyn.toys import MarkovChain

CHAIN = MarkovChain(np.array([[0.97, 0.02, 0.01], [0.03, 0.95, 0.02], [0.01, 0.05, 0.94]]))
Segments = list[NDArray[np.float64]]


@pytest.fixture
def soft(rng: np.random.Generator) -> Segments:
    """Fuzzy states of two segments of three targets, with the chain's states as the largest."""
    labels = [CHAIN.sample(n, 3, rng=rng) for n in (2000, 1500)]
    return [
        0.8 * one_hot(part, 3) + 0.2 * rng.dirichlet([1, 1, 1], size=part.shape) for part in labels
    ]


# --- the Koopman model --------------------------------------------------------------------------


def test_the_same_matrix_and_timescales(soft: Segments) -> None:
    model = estimate_koopman_model(soft, lagtime=4, frame_interval=0.5)
    found = model.to_deeptime()
    assert isinstance(found, TransferOperatorModel)
    np.testing.assert_array_equal(found.koopman_matrix, model.koopman_matrix)
    np.testing.assert_array_equal(found.timescales(), model.timescales())  # frames
    np.testing.assert_array_equal(found.timescales(1), model.timescales(1))
    np.testing.assert_array_equal(found.eigenvalues, model.eigenvalues)
    assert (found.lagtime, found.n_states, found.output_dimension) == (4, 3, 3)
    chi = soft[0][:5, 0]
    np.testing.assert_allclose(found.forward(chi), chi @ model.koopman_matrix, rtol=1e-12)
    back = found.backward(found.forward(chi))
    np.testing.assert_allclose(back, chi, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(found.copy().timescales(), found.timescales())


def test_keeps_negative_elements_that_a_markov_model_refuses() -> None:
    matrix = np.array([[1.02, -0.02], [0.1, 0.9]])
    with pytest.raises(ValueError, match="not a stochastic matrix"):
        MarkovStateModel(matrix)
    found = transfer_operator_model(matrix, 3)
    np.testing.assert_array_equal(found.operator, matrix)
    np.testing.assert_allclose(found.timescales(), [-3 / np.log(0.92)], rtol=1e-12)


def test_an_eigenvalue_without_a_time_is_nan() -> None:
    found = transfer_operator_model([[0.2, 0.8], [0.8, 0.2]], 1)
    np.testing.assert_array_equal(found.timescales(), [np.nan])


def test_deeptimes_helpers_take_it(soft: Segments) -> None:
    lagtimes = [2, 4, 6]
    models = [estimate_koopman_model(soft, lagtime=lag).to_deeptime() for lag in lagtimes]
    times = implied_timescales(models)
    np.testing.assert_array_equal(times.lagtimes, lagtimes)
    for process in range(2):
        expected = [model.timescales()[process] for model in models]
        np.testing.assert_array_equal(times.timescales_for_process(process), expected)

    found = models[0].ck_test(models)
    ours = our_ck_test(soft, lagtime=2, n_steps=3)
    np.testing.assert_array_equal(found.lagtimes, lagtimes)
    np.testing.assert_allclose(found.predictions, ours.predictions, rtol=0, atol=1e-13)
    np.testing.assert_allclose(found.estimates, ours.estimates, rtol=0, atol=1e-13)


def test_ck_test_refuses_fractions_of_the_lag_time() -> None:
    models = [transfer_operator_model(0.9 * np.eye(2) + 0.05, lag) for lag in (2, 3)]
    with pytest.raises(ValueError, match=r"must be multiples .* received 1\.5 times"):
        models[0].ck_test(models)


@pytest.mark.parametrize(
    ("matrix", "lagtime", "match"),
    [
        (np.eye(3)[:2], 1, r"koopman_matrix must have shape .* received \(2, 3\)"),
        ([[1.0]], 1, r"at least two states, received \(1, 1\)"),
        ([[np.nan, 1.0], [0.0, 1.0]], 1, "koopman_matrix must be finite, received"),
        (np.eye(2), 0, "lagtime must be at least 1 frame, received 0"),
    ],
)
def test_refuses_what_is_no_model(matrix: Any, lagtime: int, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        transfer_operator_model(matrix, lagtime)


# --- hard assignments ---------------------------------------------------------------------------


def test_one_trajectory_a_target_and_segment(rng: np.random.Generator) -> None:
    chi = [rng.dirichlet([1, 1, 1], size=(n, k)).astype("f4") for n, k in ((7, 2), (3, 1), (9, 1))]
    found = discrete_trajectories(hard_assignments(chi), lagtime=3)
    expected = [
        [int(np.argmax(chi[part][frame, target])) for frame in range(length)]
        for part, target, length in ((0, 0, 7), (0, 1, 7), (2, 0, 9))
    ]
    assert [part.tolist() for part in found] == expected
    assert all(part.dtype == np.int32 and part.flags.c_contiguous for part in found)
    assert len(discrete_trajectories(hard_assignments(chi))) == 4


@pytest.mark.parametrize(
    ("assignments", "lagtime", "match"),
    [
        ([np.zeros((5, 2))], 1, r"must be arrays of int .* received float64 of shape \(5, 2\)"),
        ([np.zeros((5, 2, 3), int)], 1, r"received int64 of shape \(5, 2, 3\) for segment 0"),
        ([np.zeros((5, 2), int)], 5, r"no segment is longer than lagtime, 5 frames; .* \[5\]"),
        ([], 1, r"no segment is longer than lagtime, 1 frames; .* \[\]"),
    ],
)
def test_refuses_what_are_no_assignments(assignments: Any, lagtime: int, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        discrete_trajectories(assignments, lagtime)


def test_markov_model_of_hard_assignments(soft: Segments) -> None:
    """Its lag, timescales and populations; deeptime's PCCA+ and transition paths run on it."""
    model = label_markov_model(hard_assignments(soft), 2, reversible=True)
    flux = model.stationary_distribution[:, None] * model.transition_matrix
    np.testing.assert_allclose(flux, flux.T, rtol=0, atol=1e-6)
    assert model.lagtime == 2
    np.testing.assert_allclose(model.timescales()[0], CHAIN.timescales[0], rtol=0.2)

    memberships = model.pcca(2).memberships
    np.testing.assert_allclose(memberships.sum(axis=1), 1.0, rtol=1e-12)
    assert len(set(model.pcca(2).assignments)) == 2

    paths = model.reactive_flux([0], [2])
    np.testing.assert_array_equal(paths.forward_committor[[0, 2]], [0.0, 1.0])
    matrix = model.transition_matrix
    committor = matrix[1, 2] / (1.0 - matrix[1, 1])
    np.testing.assert_allclose(paths.forward_committor[1], committor, rtol=1e-9)


def test_bayesian_markov_model(soft: Segments) -> None:
    trajectories = discrete_trajectories(hard_assignments(soft), 2)
    counts = TransitionCountEstimator(2, "effective").fit_fetch(trajectories)
    posterior = BayesianMSM(n_samples=30, reversible=True).fit_fetch(counts)
    assert len(posterior.samples) == 30
    spread = posterior.gather_stats("timescales")
    assert np.all(spread.std > 0.0)
    np.testing.assert_allclose(spread.mean[0], CHAIN.timescales[0], rtol=0.3)


def test_hidden_markov_model(soft: Segments) -> None:
    trajectories = discrete_trajectories(hard_assignments(soft), 1)
    start = init.discrete.metastable_from_data(trajectories, n_hidden_states=3, lagtime=1)
    found = MaximumLikelihoodHMM(start, lagtime=1, maxit=20).fit_fetch(trajectories)
    times = found.transition_model.timescales()
    np.testing.assert_allclose(times, CHAIN.timescales, rtol=0.25)


def test_two_models_have_one_class() -> None:
    models = [transfer_operator_model(np.eye(2), lag) for lag in (1, 2)]
    assert type(models[0]) is type(models[1])
