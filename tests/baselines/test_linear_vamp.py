"""The linear model: against deeptime, and against sums made in one go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import kgdyn.baselines.neighbor_distances as distances
from kgdyn.baselines import fit_linear_vamp, neighbor_distances_for
from kgdyn.baselines._lagged_sums import lagged_sums
from kgdyn.baselines._sums import LaggedSums
from kgdyn.baselines.linear_vamp import held_out_singular_values, projected
from kgdyn.trajectories import Trajectory

Pairs = tuple[NDArray[np.float64], NDArray[np.float64]]


def sums_of(x: NDArray[Any], y: NDArray[Any]) -> LaggedSums:
    n = np.array([float(len(x))])
    products = [(a.T @ b)[None] for a, b in ((x, x), (x, y), (y, y))]
    return LaggedSums(*products, x.sum(axis=0)[None], y.sum(axis=0)[None], n)


def process(rng: np.random.Generator, n: int) -> Pairs:
    """Five mixed and shifted Gaussian processes of different memory, not reversible."""
    memory = np.diag([0.95, 0.8, 0.5, 0.2, 0.0])
    memory[0, 2] = memory[1, 3] = 0.2
    values = np.zeros((n, 5))
    noise = rng.normal(size=(n, 5))
    for t in range(1, n):
        values[t] = memory @ values[t - 1] + noise[t]
    mixed = values @ np.random.default_rng(1).normal(size=(5, 5)) + [3.0, -1.0, 0.0, 7.0, 2.0]
    return mixed[:-3], mixed[3:]


def test_equals_deeptime(rng: np.random.Generator) -> None:
    from deeptime.decomposition import VAMP

    train, test = process(rng, 4000), process(rng, 3000)
    model = fit_linear_vamp(sums_of(*train), 2, ridge=0.0)
    theirs = VAMP(dim=2, epsilon=1e-14).fit(train).fetch_model()
    np.testing.assert_allclose(model.singular_values, theirs.singular_values[:2], rtol=1e-8)
    their_u = theirs.transform(train[0])
    ours = train[0] @ model.left - model.shift_0
    for k in range(2):
        assert abs(np.corrcoef(ours[:, k], their_u[:, k])[0, 1]) == pytest.approx(1.0, abs=1e-8)

    # The score of functions of one data set on another.
    held_out = projected(sums_of(*test), model).centered()
    score = 1.0 + (held_out_singular_values(*held_out) ** 2).sum()
    other = VAMP(dim=2, epsilon=1e-14).fit(test).fetch_model()
    np.testing.assert_allclose(score, theirs.score(2, test_model=other), rtol=1e-8)


def test_projected_sums_are_those_of_the_functions(rng: np.random.Generator) -> None:
    x, y = process(rng, 500)
    model = fit_linear_vamp(sums_of(x[:300], y[:300]), 3, ridge=1e-3)
    u, v = x @ model.left - model.shift_0, y @ model.right - model.shift_t
    direct, found = sums_of(u, v), projected(sums_of(x, y), model)
    for name in ("cov_00", "cov_0t", "cov_tt", "sum_0", "sum_t", "n_pairs"):
        np.testing.assert_allclose(
            getattr(found, name), getattr(direct, name), rtol=1e-8, atol=1e-7, err_msg=name
        )


def test_what_is_projected_out_is_gone(rng: np.random.Generator) -> None:
    x, y = process(rng, 2000)
    states = [np.tanh(part[:, :1]) for part in (x, y)]
    wide = [np.concatenate([part, chi], axis=1) for part, chi in zip((x, y), states, strict=True)]
    model = fit_linear_vamp(sums_of(*wide), 2, ridge=1e-6, project_out=1)
    assert model.left.shape == (6, 2)
    for part, chi, functions in zip(wide, states, (model.left, model.right), strict=True):
        for k in range(2):
            assert abs(np.corrcoef((part @ functions)[:, k], chi[:, 0])[0, 1]) < 1e-8
    # The same by regression first.
    left_over = []
    for part, chi in zip((x, y), states, strict=True):
        centered = chi - chi.mean()
        left_over.append(part - centered * (centered.T @ part) / (centered**2).sum())
    scale = x.std(axis=0)
    plain = fit_linear_vamp(sums_of(*(part / scale for part in left_over)), 2, ridge=0.0)
    np.testing.assert_allclose(model.singular_values, plain.singular_values, rtol=1e-4)


def test_a_ridge_keeps_what_few_data_cannot_tell(rng: np.random.Generator) -> None:
    """One slow column among 40 of noise, 60 pairs: without a ridge all is believed."""
    n = 61
    slow = np.cumsum(rng.normal(size=n))[:, None] * 3.0
    values = np.concatenate([slow, rng.normal(size=(n, 40))], axis=1)
    bare, ridged = (
        fit_linear_vamp(sums_of(values[:-1], values[1:]), 5, ridge) for ridge in (0.0, 1.0)
    )
    assert bare.singular_values[4] > 0.95
    assert ridged.singular_values[4] < 0.6


def test_singular_values_are_those_of_the_scores(rng: np.random.Generator) -> None:
    from kgdyn.scores import vamp2_score

    chi = [rng.dirichlet([1.0, 2.0, 3.0], size=400) for _ in range(2)]
    chi[1][:300] = 0.7 * chi[0][:300] + 0.3 * chi[1][:300]
    found = held_out_singular_values(*sums_of(chi[0][:, :-1], chi[1][:, :-1]).centered())
    score = 1.0 + (found**2).sum()
    np.testing.assert_allclose(score, float(vamp2_score(chi[0], chi[1])), rtol=1e-8)


def test_bad_arguments(rng: np.random.Generator) -> None:
    sums = sums_of(*process(rng, 50))
    with pytest.raises(ValueError, match=r"ridge must not be negative, received -1\.0"):
        fit_linear_vamp(sums, 1, ridge=-1.0)
    with pytest.raises(ValueError, match="features must vary, received constant ones"):
        fit_linear_vamp(sums_of(np.ones((9, 2)), np.ones((9, 2))), 1)


# --- sums that stream ---------------------------------------------------------------------------


@pytest.fixture
def gapped(two: tuple[Trajectory, Any]) -> Trajectory:
    from dataclasses import replace

    return replace(two[0][:100], segment_offsets=np.array([0, 37, 41, 100]))


@pytest.mark.parametrize("per_chunk", [1, 7, 1000])
@pytest.mark.parametrize("lagtime", [1, 5])
def test_streamed_sums(
    gapped: Trajectory,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    lagtime: int,
    per_chunk: int,
) -> None:
    features = neighbor_distances_for(gapped, 2)
    chi = [rng.dirichlet([1, 1, 1], size=(n, 4)) for n in (37, 4, 59)]
    values = np.concatenate([features(gapped), np.concatenate(chi)[..., :-1]], axis=2)
    monkeypatch.setattr(
        distances, "_NUMBERS_AT_ONCE", per_chunk * (100 * gapped.n_targets + 10 * gapped.n_atoms)
    )
    seen: list[tuple[int, int]] = []
    one, two_lags = lagged_sums(
        *([gapped], features, [lagtime, 2 * lagtime], 20),
        state_probabilities=chi,
        progress=lambda *done: seen.append(done),
    )
    assert seen[-1][0] <= seen[-1][1] == 100
    pairs = [
        (t, t + lagtime)
        for start, stop in ((0, 37), (37, 41), (41, 100))
        for t in range(start, stop - lagtime)
    ]
    x, y = (np.concatenate([values[pair[k]] for pair in pairs]) for k in (0, 1))
    expected = sums_of(x, y).centered()
    for found, direct in zip(one.combined().centered(), expected, strict=True):
        np.testing.assert_allclose(found, direct, rtol=1e-7, atol=1e-10)
    assert one.n_pairs.sum() == len(pairs) * 4
    assert two_lags.n_pairs.sum() == 4 * sum(max(n - 2 * lagtime, 0) for n in (37, 4, 59))
    # About 20 frames a block; the short segment has one block, or no pair at all.
    assert one.n_blocks == two_lags.n_blocks == (6 if lagtime == 1 else 5)


def test_groups_of_targets_are_blocks(gapped: Trajectory) -> None:
    features = neighbor_distances_for(gapped, 2)
    (grouped,) = lagged_sums([gapped], features, [3], 20, n_target_groups=3)
    (whole,) = lagged_sums([gapped], features, [3])
    np.testing.assert_array_equal(grouped.n_pairs, (34 + 1 + 56) * np.array([2, 1, 1]))
    np.testing.assert_allclose(
        grouped.combined().cov_0t, whole.combined().cov_0t, rtol=1e-10, atol=1e-10
    )
