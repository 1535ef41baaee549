"""The exact displacements of the walk that transport is tested on, from all its paths by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kgdyn.toys import MarkovChain
from kgdyn.toys.switching_walk import SwitchingWalk

MATRIX = np.array([[0.9, 0.08, 0.02], [0.1, 0.7, 0.2], [0.05, 0.15, 0.8]])
WALK = SwitchingWalk(MarkovChain(MATRIX), np.array([0.01, 0.05, 0.2]))


def test_displacements_are_means_over_all_hidden_paths() -> None:
    lagtime = 4
    squares, weights = np.zeros((3, 3)), np.zeros((3, 3))
    for path in itertools.product(range(3), repeat=lagtime + 1):
        chance = np.prod([MATRIX[a, b] for a, b in itertools.pairwise(path)])
        squares[path[0], path[-1]] += chance * 6.0 * WALK.diffusion[list(path[:-1])].sum()
        weights[path[0], path[-1]] += chance
    np.testing.assert_allclose(WALK.transition_msd(lagtime), squares / weights, rtol=1e-12)
    np.testing.assert_allclose(WALK.state_msd(lagtime), squares.sum(axis=1), rtol=1e-12)
    shares = WALK.chain.stationary_distribution
    assert WALK.total_msd(lagtime) == pytest.approx(6.0 * lagtime * shares @ WALK.diffusion)
    np.testing.assert_array_equal(WALK.transition_msd(0), 0.0)


def test_samples_step_as_their_state_says(rng) -> None:
    positions, states = WALK.sample(2000, 40, rng=rng)
    steps = np.diff(positions, axis=0)
    for state, value in enumerate(WALK.diffusion):
        own = steps[states[:-1] == state]
        assert (own**2).mean() == pytest.approx(2.0 * value, rel=0.05)
    np.testing.assert_array_equal(positions[0], 0.0)


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match="diffusion must be 3 positive numbers"):
        SwitchingWalk(WALK.chain, np.array([0.1, 0.2]))
