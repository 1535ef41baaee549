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
from kgdyn.koopman import estimate_koopman_model, fit_simplex_map, match_states, one_hot
from kgdyn.koopman.simplex_map import SimplexMethod
from kgdyn.toys import MarkovChain, four_state_chain

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


@pytest.mark.parametrize("n_targets", [4, 40], ids=["all points", "points far out"])
@pytest.mark.parametrize("mixture", list(MIXTURES))
@pytest.mark.parametrize("n_states", [2, 3, 4])
def test_mixed_memberships_come_back_from_the_hull(
    n_states: int, mixture: str, n_targets: int, rng: np.random.Generator
) -> None:
    chi = memberships(n_states, n_targets, rng)
    mixed = chi @ mixing_matrix(mixture, n_states)
    matrix = fit_simplex_map(*pairs_of(mixed), method="pcca")
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


@pytest.mark.parametrize("n_points", [500, 20_000], ids=["all points", "points far out"])
@pytest.mark.parametrize("n_states", [2, 3, 4, 5])
def test_the_hull_holds_all_frames(n_states: int, n_points: int, rng: np.random.Generator) -> None:
    """A round cloud has no vertices: the simplex must still hold all of it."""
    logits = rng.normal(size=(n_points, n_states))
    later = 0.9 * logits + 0.4 * rng.normal(size=logits.shape)
    chi_t, chi_lag = (np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in (logits, later))
    matrix = fit_simplex_map(chi_t, chi_lag, method="pcca")
    mapped = chi_t @ matrix
    assert mapped.min() >= -1e-12
    assert mapped.max() <= 1.0 + 1e-12
    np.testing.assert_allclose(mapped.sum(axis=1), 1.0, rtol=0, atol=1e-9)
    assert (np.diff(mapped.mean(axis=0)) <= 0).all()
    # And it is tight: each membership is 0 somewhere.
    np.testing.assert_allclose(mapped.min(axis=0), 0.0, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_states", [3, 4])
def test_crispness_is_at_least_that_of_the_outputs(n_states: int, rng: np.random.Generator) -> None:
    def crispness(chi: Array) -> float:
        return float(((chi**2).sum(axis=0) / chi.sum(axis=0)).sum() / n_states)

    chi = memberships(n_states, 10, rng)
    chi += 0.1 * (rng.dirichlet(np.ones(n_states), size=chi.shape[:2]) - chi)
    chi = chi @ MIXTURES["softmax"](n_states)
    mapped = chi @ fit_simplex_map(*pairs_of(chi), method="pcca")
    flat, flat_mapped = (x.reshape(-1, n_states) for x in (chi, mapped))
    assert crispness(flat_mapped) > crispness(flat) + 0.2


def test_two_states_are_the_extremes(rng: np.random.Generator) -> None:
    """So that an output between 0.4 and 0.6 becomes one between 0 and 1."""
    chi = memberships(2, 4, rng) @ np.array([[0.6, 0.4], [0.4, 0.6]])
    matrix = fit_simplex_map(*pairs_of(chi), method="pcca")
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


@pytest.mark.parametrize("method", ["means", "pcca", "inner"])
@pytest.mark.parametrize("mixture", ["softmax", "wild"])
def test_every_method_finds_crisp_states(
    mixture: str, method: SimplexMethod, rng: np.random.Generator
) -> None:
    chi = one_hot(crisp_labels(4, 10, rng), 4).astype(np.float64)
    mixed = chi @ mixing_matrix(mixture, 4)
    matrix = fit_simplex_map(*pairs_of(mixed), method=method)
    order = np.argsort(-pairs_of(chi)[0].mean(axis=0), kind="stable")
    np.testing.assert_allclose(mixed @ matrix, chi[..., order], rtol=0, atol=1e-8)


def test_inner_simplex_has_frames_for_vertices(rng: np.random.Generator) -> None:
    """Each vertex is one of the frames; others may lie outside, unlike with PCCA+."""
    chi = seen_through_noise(crisp_labels(3, 10, rng), 0.1, rng) @ mixing_matrix("softmax", 3)
    mapped = pairs_of(chi)[0] @ fit_simplex_map(*pairs_of(chi), method="inner")
    np.testing.assert_allclose(mapped.sum(axis=1), 1.0, rtol=0, atol=1e-9)
    for state in range(3):
        nearest = np.abs(mapped - np.eye(3)[state]).max(axis=1).min()
        np.testing.assert_allclose(nearest, 0.0, rtol=0, atol=1e-9)
    assert mapped.min() < -0.01
    hull = pairs_of(chi)[0] @ fit_simplex_map(*pairs_of(chi), method="pcca")
    assert hull.min() >= -1e-12


def seen_through_noise(
    labels: NDArray[np.int64], noise: float, rng: np.random.Generator, heavy: bool = False
) -> Array:
    """Vertices of a simplex with noise about them; rows sum to 1."""
    n_states = int(labels.max()) + 1
    shape = (*labels.shape, n_states)
    about = rng.standard_t(4, size=shape) if heavy else rng.normal(size=shape)
    chi = one_hot(labels, n_states) + noise * about
    return chi - (chi.sum(axis=-1, keepdims=True) - 1.0) / n_states


def soft_features(
    labels: NDArray[np.int64], noise: float, heavy: bool, n_outputs: int, rng: np.random.Generator
) -> Array:
    """A faint random mixture of noisy states, as outputs before they are fixed.

    Outputs beyond the states carry processes of their own, without memory.
    """
    states = seen_through_noise(labels, noise, rng, heavy)
    extra = rng.normal(size=(*labels.shape, n_outputs - 4))
    inputs = np.concatenate([states, extra], axis=-1)
    while True:
        mixing = rng.normal(size=(n_outputs, n_outputs))
        mixing -= mixing.mean(axis=1, keepdims=True)
        if np.linalg.svd(mixing[:4], compute_uv=False)[-2] > 0.3:
            return 1.0 / n_outputs + 0.03 * inputs @ mixing


def share_recovered(labels: NDArray[np.int64], mapped: Array) -> float:
    """Of frames whose true state is the assigned one, states matched."""
    mapped = mapped[..., match_states(one_hot(labels, 4), mapped)]
    return float((mapped.argmax(axis=-1) == labels).mean())


@pytest.mark.parametrize(
    ("noise", "heavy", "n_outputs"),
    [
        pytest.param(0.2, False, 4, id="noise"),
        pytest.param(0.1, False, 4, id="little noise", marks=pytest.mark.slow),
        pytest.param(0.08, True, 4, id="odd frames", marks=pytest.mark.slow),
        pytest.param(0.2, False, 7, id="noise, more outputs", marks=pytest.mark.slow),
        pytest.param(0.08, True, 7, id="odd frames, more outputs", marks=pytest.mark.slow),
    ],
)
def test_four_states_are_recovered_in_all_of_20_seeds(
    noise: float, heavy: bool, n_outputs: int
) -> None:
    """At least 99% of the labels; a best linear map reaches 99.9% in each case."""
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels = MarkovChain(CHAINS[4]).sample(500, 10, rng=rng)
        chi = soft_features(labels, noise, heavy, n_outputs, rng)
        pairs = (part.reshape(-1, n_outputs) for part in (chi[:-1], chi[1:]))
        matrix = fit_simplex_map(*pairs, n_states=4)
        assert matrix.shape == (n_outputs, 4)
        np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=0, atol=1e-9)
        found.append(share_recovered(labels, chi @ matrix))
    assert min(found) >= 0.99, found


@pytest.mark.parametrize("n_states", [2, 3])
def test_fewer_states_than_outputs_are_the_slowest(n_states: int, rng: np.random.Generator) -> None:
    """The score of the map's states is that of the slowest functions, as near as crispness lets."""
    chi = one_hot(four_state_chain().sample(3000, 10, rng=rng), 4)
    chi = chi @ mixing_matrix("softmax", 4)
    matrix = fit_simplex_map(*pairs_of(chi), n_states=n_states, method="inner")
    before = estimate_koopman_model(chi, lagtime=2, estimator="reversible")
    after = estimate_koopman_model(chi @ matrix, lagtime=2, estimator="reversible")
    kept = n_states - 1
    np.testing.assert_allclose(after.timescales(), before.timescales(kept), rtol=0.01, atol=0)
    assert after.timescales()[0] > 150.0


def test_outputs_that_do_nothing_are_no_hindrance(rng: np.random.Generator) -> None:
    labels = crisp_labels(3, 10, rng)
    three = one_hot(labels, 3) @ mixing_matrix("softmax", 3)
    five = np.concatenate([0.8 * three, np.full((*labels.shape, 2), 0.1)], axis=-1)
    matrix = fit_simplex_map(*pairs_of(five), n_states=3)
    np.testing.assert_allclose(
        five @ matrix, three @ fit_simplex_map(*pairs_of(three)), rtol=0, atol=1e-8
    )


def test_a_collapsed_network_with_more_outputs_lumps_them() -> None:
    chi = np.tile([0.1, 0.2, 0.3, 0.15, 0.25], (50, 1))
    with pytest.warns(RuntimeWarning, match="the 5 outputs span fewer than 2 states"):
        matrix = fit_simplex_map(chi, chi, n_states=2)
    np.testing.assert_array_equal(matrix, [[1, 0], [0, 1], [1, 0], [0, 1], [1, 0]])


@pytest.mark.parametrize("n_states", [1, 5])
def test_refuses_numbers_of_states(n_states: int) -> None:
    chi = np.full((5, 4), 0.25)
    with pytest.raises(ValueError, match=f"number of outputs, 4, received {n_states}"):
        fit_simplex_map(chi, chi, n_states=n_states)


def test_refuses_an_unknown_method() -> None:
    chi = np.full((5, 2), 0.5)
    with pytest.raises(ValueError, match=r"method must be one of .*, received 'pca'"):
        fit_simplex_map(chi, chi, method="pca")  # type: ignore[arg-type]


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


def test_vertices_are_found_among_many_points() -> None:
    """The hull is searched piece by piece: a vertex may be anywhere."""
    from kgdyn.koopman._vertices import _extreme_points

    points = np.random.default_rng(0).uniform(-0.1, 0.1, (7000, 3))
    points[:, 0] = 1.0
    far = [100, 2500, 6999]
    points[far, 1:] = [[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]]
    assert set(far) <= set(_extreme_points(points).tolist())
