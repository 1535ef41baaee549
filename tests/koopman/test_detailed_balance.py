"""Net flows of probability: none in a reversible chain, a cycle in an irreversible one."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.koopman import Resampling, detailed_balance, one_hot
from kgdyn.toys import MarkovChain

REVERSIBLE = np.array([[0.9, 0.08, 0.02], [0.16, 0.8, 0.04], [0.08, 0.08, 0.84]])
BLOCKS = Resampling(100, n_samples=200)
CYCLE = np.array([[0.9, 0.08, 0.02], [0.02, 0.9, 0.08], [0.08, 0.02, 0.9]])


def chain(matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return one_hot(MarkovChain(matrix).sample(4000, 4, rng=rng), 3)


def test_a_cycle_is_found_with_its_flow(rng: np.random.Generator) -> None:
    found = detailed_balance(chain(CYCLE, rng), lagtime=1, resampling=BLOCKS)
    assert found.contradicted is True
    assert "contradict detailed balance: there is a net flow" in found.verdict
    exact = (0.08 - 0.02) / 3.0  # pi_i K_ij - pi_j K_ji, pi = 1/3
    flows = found.net_fluxes[[0, 1, 2], [1, 2, 0]]
    np.testing.assert_allclose(flows, exact, rtol=0.1)
    np.testing.assert_allclose(found.net_fluxes, -found.net_fluxes.T, rtol=0, atol=1e-12)
    assert found.interval is not None


def test_a_reversible_chain_is_not_accused(rng: np.random.Generator) -> None:
    found = detailed_balance(chain(REVERSIBLE, rng), lagtime=1, resampling=BLOCKS)
    assert found.contradicted is False
    assert "do not contradict" in found.verdict


def test_without_resampling_nothing_is_said(rng: np.random.Generator) -> None:
    found = detailed_balance(chain(CYCLE, rng), lagtime=1)
    assert found.contradicted is None
    assert found.interval is None
    assert "not tested" in found.verdict


def test_a_state_never_visited_is_refused() -> None:
    chi = one_hot(np.tile([0, 1], 50), 3)
    with pytest.raises(ValueError, match="covariance of the states is singular"):
        detailed_balance(chi, lagtime=1)
