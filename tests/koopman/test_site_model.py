"""From the Koopman matrix of states to that of sites, against known spectra and counted moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kgdyn.koopman import (
    Resampling,
    estimate_koopman_model,
    estimate_site_model,
    one_hot,
    site_adjacency,
    site_model,
)
from kgdyn.toys import MarkovChain

Array = NDArray[np.float64]

EDGE = 6.5
OCTAHEDRAL = np.array([[0.5, 0.5, 0.5], [0.5, 0, 0], [0, 0.5, 0], [0, 0, 0.5]])
TETRAHEDRAL = np.stack(np.meshgrid(*[[0.25, 0.75]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
HOLES = np.concatenate([OCTAHEDRAL, TETRAHEDRAL]) * EDGE
HOLE_STATES = np.repeat([0, 1], [4, 8])
LOCAL = np.array([[0.991, 0.009], [0.185, 0.815]])


def holes_joined() -> NDArray[np.int64]:
    return site_adjacency(HOLES, EDGE * np.eye(3), 0.45 * EDGE)


def test_every_hole_touches_all_of_the_other_kind() -> None:
    expected = np.not_equal.outer(HOLE_STATES, HOLE_STATES).astype(int)
    np.testing.assert_array_equal(holes_joined(), expected)


def test_spectrum_of_the_twelve_holes() -> None:
    model = site_model(LOCAL, HOLE_STATES, holes_joined(), lagtime=100, frame_interval=0.1)
    p_o, p_t = np.diag(LOCAL)
    values = np.sort(np.linalg.eigvals(model.transition_matrix).real)
    expected = np.sort([1.0, p_o + p_t - 1.0, *[p_o] * 3, *[p_t] * 7])
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(model.timescales(3), -100 / np.log(p_o), rtol=1e-9, atol=0)
    np.testing.assert_allclose(model.timescales_ps(1), -10 / np.log(p_o), rtol=1e-9, atol=0)
    share = 0.185 / (0.009 + 0.185)
    np.testing.assert_allclose(
        model.stationary_distribution,
        np.where(HOLE_STATES == 0, share / 4, (1 - share) / 8),
        rtol=1e-9,
        atol=0,
    )
    np.testing.assert_allclose(model.transition_matrix.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    assert (model.n_sites, model.lagtime, model.frame_interval) == (12, 100, 0.1)
    assert "n_sites=12, lagtime=100 frames = 10 ps, slowest timescale 1106 ps" in repr(model)


def test_what_leaves_is_shared_among_the_sites_that_touch() -> None:
    """A row of five sites by hand: O T O T T, where the last touches the one before only."""
    adjacency = np.diag(np.ones(4), 1) + np.diag(np.ones(4), -1)
    matrix = site_model(LOCAL, [0, 1, 0, 1, 1], adjacency).transition_matrix
    expected = [
        [0.991, 0.009, 0.0, 0.0, 0.0],
        [0.0925, 0.815, 0.0925, 0.0, 0.0],
        [0.0, 0.0045, 0.991, 0.0045, 0.0],
        [0.0, 0.0, 0.185, 0.815, 0.0],
        [0.0, 0.0, 0.185, 0.0, 0.815],
    ]
    np.testing.assert_allclose(matrix, expected, rtol=0, atol=1e-15)


def test_ways_count_images_and_go_around_other_states() -> None:
    """A state that nothing touches is reached by the fewest steps, each way counted."""
    local = np.array([[0.9, 0.08, 0.02], [0.1, 0.8, 0.1], [0.03, 0.07, 0.9]])
    # Sites A, B1, B2, C1, C2: A touches B1 twice and B2 once; B1 touches C1; B2 touches C1 and C2.
    adjacency = np.zeros((5, 5))
    for one, other, ways in ((0, 1, 2), (0, 2, 1), (1, 3, 1), (2, 3, 1), (2, 4, 1)):
        adjacency[one, other] = adjacency[other, one] = ways
    matrix = site_model(local, [0, 1, 1, 2, 2], adjacency).transition_matrix
    np.testing.assert_allclose(
        matrix[0], [0.9, 0.08 * 2 / 3, 0.08 / 3, 0.02 * 3 / 4, 0.02 / 4], rtol=1e-12, atol=0
    )
    np.testing.assert_allclose(matrix[3], [0.03, 0.035, 0.035, 0.9, 0.0], rtol=1e-12, atol=1e-15)


def test_walks_among_sites_come_back() -> None:
    """A chain of the sites themselves: its local model gives its own matrix back."""
    sites = MarkovChain(site_model(LOCAL, HOLE_STATES, holes_joined()).transition_matrix)
    walk = sites.sample(4000, 20, rng=np.random.default_rng(7))
    found = estimate_site_model(
        one_hot(HOLE_STATES[walk], 2),
        HOLE_STATES,
        holes_joined(),
        lagtime=1,
        resampling=Resampling(block_length=200),
    )
    assert found.timescales_interval is not None
    assert found.stationary_distribution_interval is not None
    assert found.transition_matrix_interval is not None
    assert found.timescales_interval.contains(sites.timescales)[[0, 3, 10]].all()
    assert found.stationary_distribution_interval.contains(sites.stationary_distribution).all()
    assert found.transition_matrix_interval.contains(sites.transition_matrix)[0, 0]
    ratio = found.timescales_interval.upper / found.timescales_interval.lower
    assert (ratio[:3] > 1.01).all()
    assert (ratio[:3] < 1.5).all()
    model = estimate_koopman_model(one_hot(HOLE_STATES[walk], 2), lagtime=1)
    np.testing.assert_array_equal(
        site_model(model, HOLE_STATES, holes_joined()).transition_matrix, found.transition_matrix
    )


def test_the_slowest_time_of_the_true_sites(shared_data: Callable[[str], Path]) -> None:
    """Li in fcc sulfur, 60 ns: the local model's interval holds the value counted on 12 sites."""
    with np.load(shared_data("li_fcc_s/LiS_fcc_clean_s1.npz")) as data:
        sites, states = data["site12"].astype(int), data["state2"].astype(int)
    np.testing.assert_array_equal(HOLE_STATES[sites], states)
    lagtime = 100
    # 40 blocks of 1,500 ps: longer than the slowest process.
    resampling = Resampling(block_length=15_000)
    model = estimate_site_model(
        one_hot(states[:, None], 2),
        HOLE_STATES,
        holes_joined(),
        lagtime=lagtime,
        frame_interval=0.1,
        resampling=resampling,
    )
    counted = estimate_koopman_model(
        one_hot(sites[:, None], 12), lagtime=lagtime, frame_interval=0.1, estimator="reversible"
    )
    assert 1300.0 < counted.timescales_ps(1)[0] < 1500.0
    assert model.timescales_interval is not None
    lower, upper = model.timescales_interval.lower[0], model.timescales_interval.upper[0]
    assert lower < counted.timescales_ps(1)[0] < upper
    assert upper / lower < 2.0
    # Three equal times in the model; their counted mean rests on more than the slowest alone.
    three = counted.timescales_ps(3).mean()
    np.testing.assert_allclose(model.timescales_ps(3), three, rtol=0.1, atol=0)


def test_eigenvalues_without_a_time_are_named() -> None:
    local = np.array([[0.3, 0.7], [0.9, 0.1]])
    model = site_model(local, [0, 1], [[0, 1], [1, 0]])
    with pytest.warns(RuntimeWarning, match="1 eigenvalues of the site model have no relaxation"):
        assert np.isnan(model.timescales()).all()


def test_numbers_cannot_be_given_twice(rng: np.random.Generator) -> None:
    walk = MarkovChain(LOCAL).sample(2000, 4, rng=rng)
    model = estimate_koopman_model(one_hot(walk, 2), lagtime=5, frame_interval=0.2)
    sites = site_model(model, [0, 1], [[0, 1], [1, 0]])
    assert (sites.lagtime, sites.frame_interval) == (5, 0.2)
    np.testing.assert_allclose(sites.timescales_ps(), model.timescales_ps(), rtol=1e-12, atol=0)
    with pytest.raises(ValueError, match="are those of the Koopman model, received 5 and None"):
        site_model(model, [0, 1], [[0, 1], [1, 0]], lagtime=5)


@pytest.mark.parametrize(
    ("matrix", "states", "adjacency", "message"),
    [
        ([[0.9, 0.1]], [0, 1], np.eye(2), r"matrix of shape \(n_states, n_states\) with at least"),
        ([[0.9, 0.2], [0.1, 0.9]], [0, 1], np.eye(2), "rows of koopman must sum to 1, received"),
        ([[np.nan, 0.2], [0.1, 0.9]], [0, 1], np.eye(2), "rows of koopman must sum to 1"),
        (LOCAL, [0.0, 1.0], np.eye(2), "site_states must be an array of int of shape"),
        (LOCAL, [0, 0], np.eye(2), r"must hold each of the states 0 to 1, received \[0\]"),
        (LOCAL, [0, 2], np.eye(2), r"must hold each of the states 0 to 1, received \[0, 2\]"),
        (LOCAL, [0, 1], np.eye(3), r"adjacency must have shape \(2, 2\), received \(3, 3\)"),
        (LOCAL, [0, 1], [[0, 1], [0, 0]], "adjacency must be symmetric, with finite numbers"),
        (LOCAL, [0, 1], [[0, -1], [-1, 0]], "finite numbers that are not negative"),
        (LOCAL, [0, 1], np.eye(2), "no way leads from site 1 to a site of state 0, but K moves"),
    ],
)
def test_refuses(matrix: Array, states: list[int], adjacency: Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        site_model(matrix, states, adjacency)
