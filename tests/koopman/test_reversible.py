"""Symmetrised and reweighted K, against deeptime and exact chains; the detailed-balance check."""

from __future__ import annotations

import numpy as np
import pytest
from deeptime.covariance import Covariance, KoopmanWeightingEstimator
from numpy.typing import NDArray

from kgdyn.koopman import Resampling, detailed_balance, estimate_koopman_model, one_hot
from kgdyn.toys import MarkovChain

REVERSIBLE = np.array([[0.9, 0.08, 0.02], [0.16, 0.8, 0.04], [0.08, 0.08, 0.84]])
IRREVERSIBLE = np.array([[0.92, 0.07, 0.01], [0.02, 0.9, 0.08], [0.06, 0.02, 0.92]])
MIXING = np.array([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.2, 0.2, 0.6]])


def soft(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    return one_hot(labels, 3).astype(np.float64) @ MIXING


def relaxing(rng: np.random.Generator) -> NDArray[np.int64]:
    """Many short trajectories that all begin in the last state."""
    states = np.full((6, 20000), 2)
    bounds = np.cumsum(REVERSIBLE, axis=1)[:, :-1]
    for frame in range(1, 6):
        draws = rng.random(states.shape[1])[:, None]
        states[frame] = (draws >= bounds[states[frame - 1]]).sum(axis=1)
    return states


@pytest.mark.parametrize("estimator", ["reversible", "stationary"])
def test_equals_deeptime(estimator: str, rng: np.random.Generator) -> None:
    chi = soft(MarkovChain(IRREVERSIBLE).sample(500, rng=rng))[:, 0]
    weights = None
    if estimator == "stationary":
        weights = KoopmanWeightingEstimator(lagtime=3, epsilon=1e-10).fit_fetch(chi)
    covariance = Covariance(
        lagtime=3,
        compute_c0t=True,
        reversible=True,
        remove_data_mean=False,
        bessels_correction=False,
    )
    found = covariance.fit(chi, weights=weights).fetch_model()
    model = estimate_koopman_model(chi, lagtime=3, estimator=estimator)  # type: ignore[arg-type]
    expected = np.linalg.solve(found.cov_00, found.cov_0t)
    np.testing.assert_allclose(model.koopman_matrix, expected, rtol=0, atol=1e-8)
    assert model.estimator == estimator
    assert np.isreal(model.eigenvalues).all()


def test_plain_is_the_default(rng: np.random.Generator) -> None:
    chi = soft(MarkovChain(REVERSIBLE).sample(300, rng=rng))
    default = estimate_koopman_model(chi, lagtime=2)
    plain = estimate_koopman_model(chi, lagtime=2, estimator="plain")
    assert default.estimator == "plain"
    np.testing.assert_array_equal(default.koopman_matrix, plain.koopman_matrix)


def test_an_unknown_estimator_is_refused() -> None:
    with pytest.raises(ValueError, match=r"estimator must be one of .* received 'symmetric'"):
        estimate_koopman_model(
            np.eye(2),
            lagtime=1,
            estimator="symmetric",  # type: ignore[arg-type]
        )


def test_stationary_keeps_the_equilibrium_of_the_plain_matrix(rng: np.random.Generator) -> None:
    """From data that relax, the symmetrised matrix is wrong, and the reweighted one is not."""
    chi = one_hot(relaxing(rng), 3)
    plain, symmetric, weighted = (
        estimate_koopman_model(chi, lagtime=1, estimator=name)  # type: ignore[arg-type]
        for name in ("plain", "reversible", "stationary")
    )
    pi = weighted.stationary_distribution
    np.testing.assert_allclose(pi, plain.stationary_distribution, rtol=0, atol=1e-10)
    flux = pi[:, None] * weighted.koopman_matrix
    np.testing.assert_allclose(flux, flux.T, rtol=0, atol=1e-12)
    np.testing.assert_allclose(weighted.koopman_matrix, REVERSIBLE, rtol=0, atol=0.01)
    assert np.abs(symmetric.koopman_matrix - REVERSIBLE).max() > 0.03
    result = detailed_balance(chi, lagtime=1, resampling=Resampling(5, True, n_samples=100))
    assert result.contradicted is False  # although the raw counts are far from symmetric


@pytest.mark.parametrize("estimator", ["reversible", "stationary"])
def test_intervals_are_of_the_same_estimator(estimator: str, rng: np.random.Generator) -> None:
    chi = soft(MarkovChain(IRREVERSIBLE).sample(3000, 2, rng=rng))
    model = estimate_koopman_model(
        chi,
        lagtime=1,
        resampling=Resampling(150, n_samples=100),
        estimator=estimator,  # type: ignore[arg-type]
    )
    for values, interval in (
        (model.koopman_matrix, model.koopman_matrix_interval),
        (model.timescales(), model.timescales_interval),
        (model.populations, model.populations_interval),
    ):
        assert interval is not None
        assert interval.contains(values).all()
        assert (np.abs(interval.upper - interval.lower) < 0.6 * np.abs(values).max()).all()


# -- detailed balance ------------------------------------------------------------------------------


def test_fluxes_of_crisp_states(rng: np.random.Generator) -> None:
    labels = MarkovChain(IRREVERSIBLE).sample(2000, 3, rng=rng)
    model = estimate_koopman_model(one_hot(labels, 3), lagtime=1)
    flux = model.stationary_distribution[:, None] * model.koopman_matrix
    result = detailed_balance(one_hot(labels, 3), lagtime=1)
    np.testing.assert_allclose(result.net_fluxes, flux - flux.T, rtol=0, atol=1e-12)
    np.testing.assert_allclose(result.net_fluxes.sum(axis=1), 0.0, rtol=0, atol=1e-12)
    assert result.contradicted is None
    assert result.verdict.startswith("not tested")


@pytest.mark.parametrize(("matrix", "contradicted"), [(REVERSIBLE, False), (IRREVERSIBLE, True)])
def test_verdict_on_soft_states(
    matrix: NDArray[np.float64], contradicted: bool, rng: np.random.Generator
) -> None:
    chi = soft(MarkovChain(matrix).sample(4000, 5, rng=rng))
    result = detailed_balance(chi, lagtime=1, resampling=Resampling(200, n_samples=200))
    assert result.contradicted is contradicted
    assert ("do not contradict" in result.verdict) is not contradicted
    assert result.interval is not None
    assert result.interval.contains(result.net_fluxes).all()


def test_two_states_have_no_net_flow(rng: np.random.Generator) -> None:
    labels = MarkovChain(np.array([[0.9, 0.1], [0.3, 0.7]])).sample(2000, rng=rng)
    result = detailed_balance(
        one_hot(labels, 2), lagtime=1, resampling=Resampling(100, n_samples=50)
    )
    np.testing.assert_allclose(result.net_fluxes, 0.0, rtol=0, atol=1e-12)
    assert result.contradicted is False
    assert "between two states" in result.verdict


def test_an_unvisited_state_has_no_fluxes() -> None:
    with pytest.raises(ValueError, match="net fluxes are not defined"):
        detailed_balance(one_hot(np.array([0, 1, 0, 1, 0]), 3), lagtime=1)
