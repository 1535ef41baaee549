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


# Five states in a ladder with a shortcut, reversible, one of them rare.
SHARES = np.array([0.35, 0.25, 0.2, 0.15, 0.05])
LADDER = np.zeros((5, 5))
for i, j, flux in [
    (0, 1, 9e-3), (0, 2, 1.2e-3), (0, 3, 6e-4), (1, 2, 1.2e-3), (1, 4, 6e-4), (2, 3, 6e-3),
    (3, 4, 1.2e-3),
]:  # fmt: skip
    LADDER[i, j], LADDER[j, i] = flux / SHARES[i], flux / SHARES[j]
LADDER[np.arange(5), np.arange(5)] = 1.0 - LADDER.sum(axis=1)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    ("matrix", "n_frames", "block_length"),
    [(REVERSIBLE, 3000, 75), (LADDER, 16_000, 800)],
    ids=["three states", "five states"],
)
def test_five_in_a_hundred_are_falsely_accused(
    matrix: np.ndarray, n_frames: int, block_length: int
) -> None:
    """2.5 to 8% of 200 reversible chains; the error of 5% is 1.5%, the seed is fixed."""
    labels = MarkovChain(matrix).sample(n_frames, 200, rng=np.random.default_rng(31))
    accused = 0
    for run in range(200):
        chi = one_hot(labels[:, run], len(matrix))
        found = detailed_balance(chi, lagtime=1, resampling=Resampling(block_length, seed=run))
        accused += bool(found.contradicted)
    assert 5 <= accused <= 16


def test_flows_of_few_events_accuse_nobody(rng: np.random.Generator) -> None:
    """One transition that is seen three times, and only one way, beside a reversible pair."""
    labels = np.repeat(np.tile([0, 1], 500), 4)
    for start in (800, 1800, 3200):
        labels[start : start + 12] = np.repeat([0, 2, 1], 4)  # back to 1, never to 0
    found = detailed_balance(one_hot(labels, 3), lagtime=1, resampling=Resampling(80))
    assert found.contradicted is False
