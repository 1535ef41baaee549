"""Crispness by hand, and where it says that states overlap."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kgdyn.koopman import crispness, fit_simplex_map, one_hot
from kgdyn.toys import MarkovChain

Array = NDArray[np.float64]

COMMON = MarkovChain(np.array([[0.98, 0.02], [0.02, 0.98]]))
RARE = MarkovChain(np.array([[0.996, 0.004], [0.096, 0.904]]))


def seen_through_noise(chain: MarkovChain, distance: float, rng: np.random.Generator) -> Array:
    """(n_frames, n_targets, 2) mapped states of Gaussians ``distance`` widths apart."""
    labels = chain.sample(2000, 10, rng=rng)
    signal = 0.5 + 0.01 * (distance * labels + rng.normal(size=labels.shape))
    chi = np.stack([signal, 1.0 - signal], axis=-1)
    pairs = chi[:-1].reshape(-1, 2), chi[1:].reshape(-1, 2)
    return chi @ fit_simplex_map(*pairs)


def test_crisp_states(rng: np.random.Generator) -> None:
    found = crispness(one_hot(MarkovChain(np.full((3, 3), 1 / 3)).sample(50, 4, rng=rng), 3))
    np.testing.assert_allclose(found.overlap, np.eye(3), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.per_state, 1.0, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found.clear, 1.0)
    np.testing.assert_allclose(found.total, 1.0, rtol=0, atol=1e-12)
    assert not found.overlapping.any()
    assert found.note == ""


def test_no_information() -> None:
    found = crispness(np.tile([0.5, 0.3, 0.2], (10, 2, 1)))
    np.testing.assert_allclose(found.overlap, np.tile([0.5, 0.3, 0.2], (3, 1)), rtol=1e-12)
    np.testing.assert_allclose(found.per_state, 0.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.total, 0.0, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found.clear, [0.0, np.nan, np.nan])
    assert "state 1 overlaps with state 2 (only 0% of its frames are clear)" in found.note
    assert "no frame is assigned to state 2; no frame is assigned to state 3: there" in found.note


def test_by_hand() -> None:
    """Four frames in two segments; the value beyond 1 counts as 1."""
    first = np.array([[1.04, -0.04], [0.8, 0.2]])
    second = np.array([[0.3, 0.7], [0.0, 1.0]])
    found = crispness([first, second])
    means = np.array([2.1, 1.9]) / 4
    products = np.array([[1.73, 0.37], [0.37, 1.53]]) / 4
    np.testing.assert_allclose(found.overlap, products / means[:, None], rtol=1e-12, atol=0)
    variances = np.diag(products) - means**2
    np.testing.assert_allclose(
        found.per_state, variances / (means * (1 - means)), rtol=1e-12, atol=0
    )
    np.testing.assert_allclose(found.total, 1.73 / 2.1 + 1.53 / 1.9 - 1, rtol=1e-12, atol=0)
    np.testing.assert_allclose(found.clear, [1.0, 0.5], rtol=0, atol=0)
    np.testing.assert_array_equal(found.overlapping, [False, True])
    assert found.note.startswith("state 2 overlaps with state 1 (only 50% of its frames are clear)")
    assert repr(found).startswith("Crispness(total=0.629, per_state=")
    with pytest.raises(ValueError, match="read-only"):
        found.overlap[0, 0] = 1.0


@pytest.mark.parametrize("chain", [COMMON, RARE], ids=["equal", "rare"])
@pytest.mark.parametrize(("distance", "apart"), [(8.0, True), (6.0, True), (2.0, False)])
def test_gaussians(
    chain: MarkovChain, distance: float, apart: bool, rng: np.random.Generator
) -> None:
    found = crispness(seen_through_noise(chain, distance, rng))
    assert found.overlapping.any() != apart
    assert bool(found.note) != apart


def test_pieces_of_one_motion_overlap(rng: np.random.Generator) -> None:
    """One Gaussian, cut in the middle: half-normal, of which x < 0.4 is not clear, 31%."""
    steps = rng.normal(size=(4000, 20))
    signal = np.empty_like(steps)
    signal[0] = steps[0]
    for frame in range(1, len(steps)):
        signal[frame] = 0.9 * signal[frame - 1] + np.sqrt(1 - 0.9**2) * steps[frame]
    chi = np.stack([0.5 + 0.05 * signal, 0.5 - 0.05 * signal], axis=-1)
    pairs = chi[:-1].reshape(-1, 2), chi[1:].reshape(-1, 2)
    found = crispness(chi @ fit_simplex_map(*pairs))
    np.testing.assert_allclose(found.clear, 0.69, rtol=0, atol=0.02)
    assert found.overlapping.all()


def test_refuses_what_are_no_states() -> None:
    with pytest.raises(ValueError, match="rows of state_probabilities must sum to 1"):
        crispness(np.full((5, 1, 2), 0.4))
