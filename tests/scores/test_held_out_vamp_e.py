"""held_out_vamp_e: the model of some pairs on others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from deeptime.decomposition import VAMP
from deeptime.decomposition import vamp_score as deeptime_vamp_score
from numpy.typing import NDArray

from kgdyn.scores import held_out_vamp_e, vamp_score

Array = NDArray[np.float64]
MakePairs = Callable[..., tuple[Array, Array]]


def two_sets(make_pairs: MakePairs, kind: str, n_states: int) -> tuple[Array, Array]:
    return tuple(np.stack(make_pairs(kind, n_states), axis=1) for _ in range(2))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reversible", [False, True])
@pytest.mark.parametrize("n_states", [2, 4])
@pytest.mark.parametrize("kind", ["regular", "rare", "uniform", "one_hot", "proportional"])
def test_equals_deeptime(
    kind: str,
    n_states: int,
    reversible: bool,
    weighted: bool,
    make_pairs: MakePairs,
    deeptime_covariances: Callable[..., Any],
    rng: np.random.Generator,
) -> None:
    train, test = two_sets(make_pairs, kind, n_states)
    weights = (rng.random(600), rng.random(600)) if weighted else (None, None)
    theirs = [
        deeptime_covariances(pairs[:, 0], pairs[:, 1], reversible, weight)
        for pairs, weight in zip((train, test), weights, strict=True)
    ]
    model = VAMP(epsilon=1e-12).fit_from_covariances(theirs[0]).fetch_model()
    expected = deeptime_vamp_score(model, r="E", covariances_test=theirs[1], epsilon=1e-12)
    found = held_out_vamp_e(train, test, *weights, reversible)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert abs(found - held_out_vamp_e(train, train, *weights, reversible)) > 1e-4


@pytest.mark.parametrize("kind", ["regular", "rare", "uniform", "degenerate", "collapsed"])
def test_on_its_own_pairs_it_is_the_score(kind: str, make_pairs: MakePairs) -> None:
    pairs = np.stack(make_pairs(kind, 3), axis=1)
    expected = float(vamp_score(pairs[:, 0], pairs[:, 1], "VAMPE"))
    np.testing.assert_allclose(held_out_vamp_e(pairs, pairs), expected, rtol=0, atol=1e-6)


def test_two_states_by_hand() -> None:
    """A model of eigenvalue 0.6 on pairs of eigenvalue -0.2: 1 + 2 x 0.6 x -0.2 - 0.6^2."""
    sets = []
    for stay, leave in ((4, 1), (2, 3)):
        labels = np.repeat([[0, 0, 1, 1], [0, 1, 0, 1]], [stay, leave, leave, stay], axis=1)
        sets.append(np.eye(2)[labels.T])
    np.testing.assert_allclose(held_out_vamp_e(*sets), 1.0 - 0.24 - 0.36, rtol=0, atol=1e-9)


def test_no_model_is_better_than_that_of_the_pairs(make_pairs: MakePairs) -> None:
    train, test = two_sets(make_pairs, "regular", 4)
    own = held_out_vamp_e(test, test)
    assert held_out_vamp_e(train, test) < own - 1e-3


def test_a_state_that_training_never_visits_counts_nothing(make_pairs: MakePairs) -> None:
    train, test = two_sets(make_pairs, "one_hot", 3)
    train = train[~(train[:, :, 2] == 1).any(axis=1)]
    assert 1.0 < held_out_vamp_e(train, test) < 2.0


@pytest.mark.parametrize("name", ["train", "test"])
def test_refuses_what_is_not_right(name: str, make_pairs: MakePairs) -> None:
    pairs = np.stack(make_pairs("regular", 3), axis=1)

    def call(value: Array, **weights: Array) -> float:
        return held_out_vamp_e(**{"train": pairs, "test": pairs, name: value}, **weights)

    with pytest.raises(ValueError, match=rf"{name} must have shape .* received \(600, 3\)"):
        call(pairs[:, 0])
    with pytest.raises(ValueError, match=rf"{name} must have shape .* received \(600, 2, 1\)"):
        call(pairs[:, :, :1])
    broken = pairs.copy()
    broken[5, 0, 1] = np.nan
    with pytest.raises(ValueError, match=f"{name} and its weights must be finite"):
        call(broken)
    with pytest.raises(ValueError, match="same number of states, received"):
        call(pairs[:, :, :2])
    with pytest.raises(ValueError, match=r"sample_weight must have shape \(n_pairs,\) = \(600,\)"):
        call(pairs, **{f"{name}_weight": np.ones(5)})
