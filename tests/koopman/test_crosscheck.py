"""deeptime's estimators beside ours: agreement where both are right, a finding where one is not."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from deeptime.basis import Identity
from deeptime.decomposition import EDMD, VAMP
from numpy.typing import NDArray

from kgdyn.koopman import (
    Comparison,
    ck_test,
    crosscheck,
    crosscheck_results,
    estimate_koopman_model,
    implied_timescales,
    one_hot,
)
from kgdyn.toys import MarkovChain

Array = NDArray[np.float64]
CHAIN = MarkovChain(np.array([[0.97, 0.02, 0.01], [0.03, 0.95, 0.02], [0.01, 0.05, 0.94]]))
LAG = 3


@pytest.fixture
def soft(rng: np.random.Generator) -> list[Array]:
    """Segments of several lengths and numbers of targets; one too short for any pair."""
    labels = [CHAIN.sample(n, k, rng=rng) for n, k in ((900, 3), (2, 2), (400, 1), (10, 2))]
    return [
        0.8 * one_hot(part, 3) + 0.2 * rng.dirichlet([1, 1, 1], size=part.shape) for part in labels
    ]


def results(segments: list[Array]) -> dict[str, Any]:
    return {
        "model": estimate_koopman_model(segments, lagtime=LAG, frame_interval=0.5),
        "timescales": implied_timescales(segments, lagtimes=[1, LAG, 12], frame_interval=0.5),
        "ck": ck_test(segments, lagtime=LAG, n_steps=4, frame_interval=0.5),
    }


def exact_cycle(n_frames: list[int], n_turns: int) -> NDArray[np.int64]:
    """A turn visits 0, 1, 2; so many frames are spent in each, and K is exact in the counts."""
    stays = [np.diff(np.linspace(0, n, n_turns + 1).round().astype(int)) for n in n_frames]
    cycle = np.repeat(np.tile([0, 1, 2], n_turns), np.stack(stays, axis=1).ravel())
    return np.append(cycle, 0)


# --- agreement ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_agrees_over_segments_and_targets(soft: list[Array], dtype: str) -> None:
    segments = [part.astype(dtype) for part in soft]
    found = crosscheck(segments, lagtime=LAG, lagtimes=[1, 2, 3, 9, 12], n_steps=4)
    assert found.ok
    assert not found.failed
    names = [item.quantity for item in found.comparisons]
    assert len(set(names)) == len(names) == 14
    for item in found.comparisons:
        assert item.difference < 1e-10, item
        assert item.bound == 1e-8
        assert item.ours.shape == item.deeptimes.shape
    assert found["K"].ours.shape == (3, 3)
    assert found["CK prediction K^n"].ours.shape == (4, 3, 3)
    assert np.isfinite(found["timescales at lag 3 (ps)"].ours).all()


def test_compares_results_that_are_there(soft: list[Array]) -> None:
    found = crosscheck_results(soft, **results(soft))
    assert found.ok
    assert (found.lagtime, found.frame_interval) == (LAG, 0.5)
    model = results(soft)["model"]
    np.testing.assert_array_equal(found["K"].ours, model.koopman_matrix)
    np.testing.assert_allclose(
        found["timescales at lag 3 (ps)"].deeptimes, model.timescales_ps(), rtol=1e-10
    )


def test_deeptimes_side_is_deeptimes(soft: list[Array]) -> None:
    """Against its other estimators, which take pairs that a loop has made."""
    now, later = (
        np.concatenate([part[rows, k] for part in soft for k in range(part.shape[1])])
        for rows in (slice(None, -LAG), slice(LAG, None))
    )
    found = crosscheck(soft, lagtime=LAG)
    operator = EDMD(Identity()).fit((now, later)).fetch_model().operator
    np.testing.assert_allclose(found["K"].deeptimes, operator, rtol=0, atol=1e-12)
    vamp = VAMP(epsilon=1e-10).fit((now, later)).fetch_model()  # mean removed, 1 added
    for name in ("VAMP-1", "VAMP-2", "VAMP-E"):
        score = vamp.score(name.replace("-", ""), epsilon=1e-10)
        np.testing.assert_allclose(found[name].deeptimes, score, rtol=1e-10)


def test_irreversible_chain_has_the_time_of_its_eigenvalue() -> None:
    """Singular values would say 36.68 frames where the relaxation time is 23.96."""
    labels = exact_cycle([5560, 4560, 222], 100)
    found = crosscheck(one_hot(labels, 3), lagtime=1)
    assert found.ok
    times = found["timescales at lag 1 (ps)"]
    for side in (times.ours, times.deeptimes):
        np.testing.assert_allclose(side[0], 23.96, rtol=0, atol=0.005)
    np.testing.assert_allclose(found.singular_value_timescales[0], 36.68, rtol=0, atol=0.005)
    rates = 100 / np.array([5560, 4560, 222])
    exact = np.eye(3) + rates[:, None] * (np.roll(np.eye(3), 1, axis=1) - np.eye(3))
    np.testing.assert_allclose(found["K"].deeptimes, exact, rtol=0, atol=1e-12)


def test_what_has_no_time_has_none_on_either_side() -> None:
    """Jumps 0 1 0 1 ...: a negative eigenvalue. deeptime's formula would take its magnitude."""
    labels = np.tile([0, 1, 0, 1, 1, 0], 30)
    found = crosscheck(one_hot(labels, 2), lagtime=1, n_steps=1)
    assert found.ok
    assert found["eigenvalues"].deeptimes.real < -0.3
    times = found["timescales at lag 1 (ps)"]
    for side in (times.ours, times.deeptimes):
        np.testing.assert_array_equal(side, [np.nan])


def test_complex_eigenvalues_are_paired() -> None:
    found = crosscheck(one_hot(exact_cycle([300, 310, 290], 100), 3), lagtime=1)
    assert found.ok
    np.testing.assert_allclose(
        found["eigenvalues"].ours, found["eigenvalues"].deeptimes, rtol=1e-12
    )
    assert np.abs(found["eigenvalues"].ours.imag).min() > 0.1


def test_states_that_almost_coincide_have_a_wider_bound(rng: np.random.Generator) -> None:
    labels = CHAIN.sample(2000, 2, rng=rng)
    blurred = one_hot(labels, 3).astype(np.float64) @ (np.full((3, 3), 0.3333) + 1e-4 * np.eye(3))
    found = crosscheck(blurred / blurred.sum(axis=-1, keepdims=True), lagtime=1)
    assert 1e-6 < found["K"].bound < 1e-4
    assert found.ok


def test_an_equilibrium_that_is_not_unique_is_no_difference(rng: np.random.Generator) -> None:
    """Two targets, each in two states of its own: any mixture is stationary."""
    apart = MarkovChain(np.array([[0.9, 0.1], [0.2, 0.8]])).sample(500, 2, rng=rng)
    apart = apart + np.array([0, 2])
    found = crosscheck(one_hot(apart, 4), lagtime=1)
    assert found.ok
    assert found["stationary distribution"].bound > 1.0
    assert found["K"].bound == 1e-8


# --- a difference is found ----------------------------------------------------------------------


def shifted(array: Array, amount: float) -> Array:
    changed = array.copy()
    changed[(-1,) * array.ndim] += amount
    return changed


@pytest.mark.parametrize("factor", [1e-6, 1e-2])
@pytest.mark.parametrize(
    ("part", "field", "failed"),
    [
        ("model", "koopman_matrix", {"K", "eigenvalues", "stationary distribution"}),
        ("model", "vamp2_score", {"VAMP-2", "VAMP-E"}),
        ("timescales", "timescales", {"timescales at lag 12 (ps)"}),
        ("ck", "predictions", {"CK prediction K^n"}),
        ("ck", "estimates", {"CK estimate K(n lagtime)"}),
    ],
)
def test_names_what_differs(
    soft: list[Array], part: str, field: str, failed: set[str], factor: float
) -> None:
    given = results(soft)
    value = getattr(given[part], field)
    changed = value + factor if np.ndim(value) == 0 else shifted(value, factor)
    given[part] = dataclasses.replace(given[part], **{field: changed})
    found = crosscheck_results(soft, **given)
    assert not found.ok
    assert {item.quantity for item in found.failed} == failed
    assert all(item.difference > 1e-8 for item in found.failed)
    assert "differs from deeptime" in repr(found)
    assert repr(found).count("EXCEEDED") == len(failed)


def test_finds_pairs_across_borders(soft: list[Array]) -> None:
    joined = [np.concatenate([part[:, :1] for part in soft])]
    given = results([part[:, :1] for part in soft])
    assert not crosscheck_results(joined, **given)["K"].ok


def test_difference_is_relative() -> None:
    matrix = Comparison("K", np.array([[1.0, 2e-3]]), np.array([[1.0, 1e-3]]), 1e-8)
    np.testing.assert_allclose(matrix.difference, 1e-3, rtol=1e-12)
    assert matrix.worst == (2e-3, 1e-3)
    times = Comparison("t", np.array([500.0, 0.2]), np.array([500.0, 0.1]), 1e-8, unit=0.0)
    np.testing.assert_allclose(times.difference, 1.0, rtol=1e-12)
    large = Comparison("t", np.array([2.0]), np.array([4.0]), 0.5)
    assert (large.difference, large.ok) == (0.5, True)


@pytest.mark.parametrize(
    ("ours", "deeptimes", "difference"),
    [(np.nan, np.nan, 0.0), (np.nan, 1.0, np.inf), (1.0, np.nan, np.inf)],
)
def test_nan_on_one_side_is_a_difference(ours: float, deeptimes: float, difference: float) -> None:
    found = Comparison("t", np.array([1.0, ours]), np.array([1.0, deeptimes]), 1e-8, unit=0.0)
    assert found.difference == difference
    assert found.ok == (difference == 0.0)


def test_what_is_printed(soft: list[Array]) -> None:
    text = repr(crosscheck(soft, lagtime=LAG))
    first, *rows = text.splitlines()
    assert first == "Crosscheck(lagtime=3 frames): agrees with deeptime"
    assert rows[0].split()[0] == "K"
    assert all(row.endswith("of at most 1.0e-08  ok") for row in rows)


def test_refuses_what_does_not_belong_together(soft: list[Array]) -> None:
    given = results(soft)
    given["ck"] = ck_test(soft, lagtime=2)
    with pytest.raises(ValueError, match="ck must have the model's lagtime, 3, received 2"):
        crosscheck_results(soft, **given)
    with pytest.raises(KeyError, match="'VAMP-7' is none of"):
        crosscheck(soft, lagtime=2)["VAMP-7"]
