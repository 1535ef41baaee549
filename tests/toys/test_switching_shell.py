"""The atom whose neighbour jumps: what is seen is the chain."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.toys import SwitchingShell, four_state_chain


def test_the_chain_is_what_it_says() -> None:
    chain = four_state_chain()
    np.testing.assert_allclose(chain.timescales, [235.84, 35.73, 20.26], rtol=3e-4)
    np.testing.assert_allclose(chain.stationary_distribution, 0.25, rtol=1e-12)
    flow = chain.stationary_distribution[:, None] * chain.transition_matrix
    np.testing.assert_allclose(flow, flow.T, atol=1e-15)


def test_distances_tell_the_states(rng: np.random.Generator) -> None:
    shell = SwitchingShell(four_state_chain())
    positions, labels = shell.sample(5000, rng=rng)
    assert positions.shape == (5000, 5, 3)
    assert positions.dtype == np.float32
    assert set(labels) == {0, 1, 2, 3}
    distance = np.linalg.norm(positions[:, 1] - positions[:, 0], axis=1)
    np.testing.assert_array_equal(np.rint((distance - 1.8) / 0.6), labels)
    others = np.linalg.norm(positions[:, 2:] - positions[:, :1], axis=2)
    np.testing.assert_allclose(others.mean(axis=0), [4.0, 4.3, 4.6], atol=0.01)
    assert positions.min() > 0.0
    assert positions.max() < shell.cell.max()
    assert shell.species.tolist() == [3, 16, 16, 16, 16]


@pytest.mark.parametrize("name", ["nearest", "spacing", "noise"])
def test_refusals(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be positive, received 0"):
        SwitchingShell(four_state_chain(), **{name: 0.0})
