"""The map from features to states: known memberships, mixed linearly, come back.

The vertices are means over the frames assigned to a state, found from a simplex that holds all
frames. So memberships come back as they are where they are crisp, and otherwise stretched by the
inverse of the states' means.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import kgdyn.koopman.simplex_map as simplex_map_file
from kgdyn.koopman import estimate_koopman_model, fit_simplex_map, one_hot
from kgdyn.toys import MarkovChain

Array = NDArray[np.float64]

# Distinct populations and timescales, falling in the order of the states.
CHAINS = {
    2: np.array([[0.97, 0.03], [0.05, 0.95]]),
    3: np.array([[0.97, 0.02, 0.01], [0.04, 0.95, 0.01], [0.04, 0.02, 0.94]]),
    4: np.array(
        [
            [0.97, 0.015, 0.01, 0.005],
            [0.03, 0.95, 0.01, 0.01],
            [0.04, 0.02, 0.93, 0.01],
            [0.05, 0.03, 0.02, 0.9],
        ]
    ),
}
MIXTURES = {
    "softmax": lambda n: 0.55 * np.eye(n)[::-1] + 0.45 * np.full((n, n), 1 / n),
    "swap": lambda n: np.roll(np.eye(n), 1, axis=0),
    "faint": lambda n: 0.02 * np.eye(n) + 0.98 / n,
    "wild": lambda n: np.random.default_rng(n).normal(size=(n, n)) + 2.0 * np.eye(n),
}


def crisp_labels(n_states: int, n_targets: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return MarkovChain(CHAINS[n_states]).sample(400, n_targets, rng=rng)


def memberships(n_states: int, n_targets: int, rng: np.random.Generator) -> Array:
    """(n_frames, n_targets, n_states): crisp, but for frames on their way between two states."""
    labels = crisp_labels(n_states, n_targets, rng)
    chi = one_hot(labels, n_states).astype(np.float64)
    moving = labels[1:] != labels[:-1]
    share = rng.choice([0.2, 0.4, 0.6, 0.8], moving.sum())[:, None]
    before, after = chi[:-1][moving], chi[1:][moving]
    chi[1:][moving] = share * before + (1 - share) * after
    return chi


def mixing_matrix(mixture: str, n_states: int) -> Array:
    mixing = MIXTURES[mixture](n_states)
    return mixing / mixing.sum(axis=1, keepdims=True)


@pytest.fixture
def hull_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simplex that holds all frames, before its vertices move to the means."""
    monkeypatch.setattr(simplex_map_file, "_to_means", lambda matrix, chi: matrix)


def pairs_of(chi: Array, lagtime: int = 2) -> tuple[Array, Array]:
    n_states = chi.shape[-1]
    return chi[:-lagtime].reshape(-1, n_states), chi[lagtime:].reshape(-1, n_states)


@pytest.mark.parametrize("n_targets", [4, 40], ids=["all points", "points far out"])
@pytest.mark.parametrize("mixture", list(MIXTURES))
@pytest.mark.parametrize("n_states", [2, 3, 4])
def test_mixed_crisp_states_come_back_by_population(
    n_states: int, mixture: str, n_targets: int, rng: np.random.Generator
) -> None:
    labels = crisp_labels(n_states, n_targets, rng)
    chi = one_hot(labels, n_states).astype(np.float64)
    mixed = chi @ mixing_matrix(mixture, n_states)
    matrix = fit_simplex_map(*pairs_of(mixed))
    order = np.argsort(-pairs_of(chi)[0].mean(axis=0), kind="stable")
    np.testing.assert_allclose(mixed @ matrix, chi[..., order], rtol=0, atol=1e-8)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=0, atol=1e-9)


@pytest.mark.parametrize("mixture", ["softmax", "wild"])
@pytest.mark.parametrize("n_states", [2, 3, 4])
def test_vertices_are_the_means_of_the_states(
    n_states: int, mixture: str, rng: np.random.Generator
) -> None:
    """With frames on their way: the map is the inverse of the means over each state's frames."""
    chi = memberships(n_states, 10, rng)
    mixed = chi @ mixing_matrix(mixture, n_states)
    matrix = fit_simplex_map(*pairs_of(mixed))
    rows = pairs_of(chi)[0]
    owner = rows.argmax(axis=1)
    shares = np.bincount(owner) / len(owner)
    order = np.argsort(-shares, kind="stable")
    means = np.stack([rows[owner == state].mean(axis=0) for state in order])
    np.testing.assert_allclose(mixed @ matrix, chi @ np.linalg.inv(means), rtol=0, atol=1e-6)
    populations = (pairs_of(mixed)[0] @ matrix).mean(axis=0)
    np.testing.assert_allclose(populations, shares[order], rtol=0, atol=1e-9)
    np.testing.assert_array_equal(
        (pairs_of(mixed)[0] @ matrix).argmax(axis=1), order.argsort()[owner]
    )


@pytest.mark.usefixtures("hull_only")
@pytest.mark.parametrize("n_targets", [4, 40], ids=["all points", "points far out"])
@pytest.mark.parametrize("mixture", list(MIXTURES))
@pytest.mark.parametrize("n_states", [2, 3, 4])
def test_mixed_memberships_come_back_from_the_hull(
    n_states: int, mixture: str, n_targets: int, rng: np.random.Generator
) -> None:
    chi = memberships(n_states, n_targets, rng)
    mixed = chi @ mixing_matrix(mixture, n_states)
    matrix = fit_simplex_map(*pairs_of(mixed))
    order = np.argsort(-pairs_of(chi)[0].mean(axis=0), kind="stable")
    np.testing.assert_allclose(mixed @ matrix, chi[..., order], rtol=0, atol=1e-6)


@pytest.mark.parametrize("n_states", [2, 3, 4])
def test_score_and_timescales_stay_and_k_changes_by_similarity(
    n_states: int, rng: np.random.Generator
) -> None:
    mixing = MIXTURES["softmax"](n_states)
    chi = memberships(n_states, 10, rng) @ mixing
    chi = chi + 0.02 * (rng.dirichlet(np.ones(n_states), size=chi.shape[:2]) - chi)
    matrix = fit_simplex_map(*pairs_of(chi))
    before = estimate_koopman_model(chi, lagtime=2)
    after = estimate_koopman_model(chi @ matrix, lagtime=2)
    np.testing.assert_allclose(after.vamp2_score, before.vamp2_score, rtol=0, atol=1e-9)
    np.testing.assert_allclose(after.timescales(), before.timescales(), rtol=1e-7, atol=0)
    similar = np.linalg.inv(matrix) @ before.koopman_matrix @ matrix
    np.testing.assert_allclose(after.koopman_matrix, similar, rtol=0, atol=1e-7)
    assert (np.diff(after.populations) <= 1e-3).all()


@pytest.mark.parametrize(
    "rows",
    [
        [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.4, 0.35, 0.25]],
        [[0.34, 0.33, 0.33], [0.33, 0.34, 0.33], [0.33, 0.33, 0.34]],
    ],
    ids=["a state without frames", "means that coincide"],
)
def test_means_that_span_no_simplex_are_not_used(rows: list[list[float]]) -> None:
    matrix = np.eye(3)
    assert simplex_map_file._to_means(matrix, np.repeat(rows, 9, axis=0)) is matrix


@pytest.mark.usefixtures("hull_only")
@pytest.mark.parametrize("n_points", [500, 20_000], ids=["all points", "points far out"])
@pytest.mark.parametrize("n_states", [2, 3, 4, 5])
def test_the_hull_holds_all_frames(n_states: int, n_points: int, rng: np.random.Generator) -> None:
    """A round cloud has no vertices: the simplex must still hold all of it."""
    logits = rng.normal(size=(n_points, n_states))
    later = 0.9 * logits + 0.4 * rng.normal(size=logits.shape)
    chi_t, chi_lag = (np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in (logits, later))
    matrix = fit_simplex_map(chi_t, chi_lag)
    mapped = chi_t @ matrix
    assert mapped.min() >= -1e-12
    assert mapped.max() <= 1.0 + 1e-12
    np.testing.assert_allclose(mapped.sum(axis=1), 1.0, rtol=0, atol=1e-9)
    assert (np.diff(mapped.mean(axis=0)) <= 0).all()
    # And it is tight: each membership is 0 somewhere.
    np.testing.assert_allclose(mapped.min(axis=0), 0.0, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("hull_only")
@pytest.mark.parametrize("n_states", [3, 4])
def test_crispness_is_at_least_that_of_the_outputs(n_states: int, rng: np.random.Generator) -> None:
    def crispness(chi: Array) -> float:
        return float(((chi**2).sum(axis=0) / chi.sum(axis=0)).sum() / n_states)

    chi = memberships(n_states, 10, rng)
    chi += 0.1 * (rng.dirichlet(np.ones(n_states), size=chi.shape[:2]) - chi)
    chi = chi @ MIXTURES["softmax"](n_states)
    mapped = chi @ fit_simplex_map(*pairs_of(chi))
    flat, flat_mapped = (x.reshape(-1, n_states) for x in (chi, mapped))
    assert crispness(flat_mapped) > crispness(flat) + 0.2


@pytest.mark.usefixtures("hull_only")
def test_two_states_are_the_extremes(rng: np.random.Generator) -> None:
    """So that an output between 0.4 and 0.6 becomes one between 0 and 1."""
    chi = memberships(2, 4, rng) @ np.array([[0.6, 0.4], [0.4, 0.6]])
    matrix = fit_simplex_map(*pairs_of(chi))
    np.testing.assert_allclose(matrix, [[3.0, -2.0], [-2.0, 3.0]], rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "row", [[0.5, 0.5], [0.1, 0.9], [0.2, 0.3, 0.5], [1 / 3, 1 / 3, 1 / 3], [0.7, 0.1, 0.1, 0.1]]
)
def test_collapsed_outputs_are_left_alone(row: list[float], dtype: str) -> None:
    chi = np.tile(row, (100, 1)).astype(dtype)
    with pytest.warns(RuntimeWarning, match="the network has collapsed"):
        matrix = fit_simplex_map(chi, chi)
    np.testing.assert_array_equal(matrix, np.eye(len(row)))


def test_outputs_of_lower_rank_are_left_alone(rng: np.random.Generator) -> None:
    two = memberships(2, 4, rng)
    three = np.concatenate([0.5 * two[..., :1], 0.5 * two[..., :1], two[..., 1:]], axis=-1)
    with pytest.warns(RuntimeWarning, match="the 3 outputs span fewer than 3 states"):
        matrix = fit_simplex_map(*pairs_of(three))
    np.testing.assert_array_equal(matrix, np.eye(3))


@pytest.mark.parametrize("shapes", [((5, 2), (5, 3)), ((5,), (5,)), ((5, 1), (5, 1))])
def test_refuses_bad_shapes(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="must have the same shape"):
        fit_simplex_map(np.ones(shapes[0]), np.ones(shapes[1]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_refuses_values_that_are_not_finite(bad: float) -> None:
    chi = np.full((5, 2), 0.5)
    chi[3, 1] = bad
    with pytest.raises(ValueError, match="must be finite, received NaN or infinity"):
        fit_simplex_map(chi, np.full((5, 2), 0.5))
