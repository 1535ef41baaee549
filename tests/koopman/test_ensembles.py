"""Members of an ensemble: permuted states come back, agreement by hand, others are named."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from kgdyn.koopman import ensemble_states, match_states, one_hot
from kgdyn.toys import MarkovChain

Array = NDArray[np.float64]

CHAIN = MarkovChain(
    np.array(
        [
            [0.97, 0.015, 0.01, 0.005],
            [0.03, 0.95, 0.01, 0.01],
            [0.04, 0.02, 0.93, 0.01],
            [0.05, 0.03, 0.02, 0.9],
        ]
    )
)


def member(labels: NDArray[np.int64], order: list[int], rng: np.random.Generator) -> Array:
    """Soft probabilities, state k of the labels in the column where ``order`` has it."""
    chi = 0.9 * one_hot(labels, 4) + 0.1 * rng.dirichlet(np.ones(4), labels.shape)
    return chi[..., order]


def test_permuted_states_are_matched(rng: np.random.Generator) -> None:
    labels = CHAIN.sample(500, 6, rng=rng)
    reference = member(labels, [0, 1, 2, 3], rng)
    other = member(labels, [2, 0, 3, 1], rng)
    found = match_states(reference, other)
    np.testing.assert_array_equal(found, [1, 3, 0, 2])
    np.testing.assert_array_equal(other[..., found].argmax(-1), labels)
    parts = match_states([reference[:200], reference[200:]], [other[:200], other[200:]])
    np.testing.assert_array_equal(parts, found)


def test_rare_states_count_as_much_as_common_ones(rng: np.random.Generator) -> None:
    """2% of the frames in two rare states, which the second member spreads over 30%."""
    labels = rng.choice(3, p=[0.98, 0.01, 0.01], size=4000)
    reference = one_hot(labels, 3)
    soft = 0.6 * one_hot(labels, 3) + 0.4 * np.array([0.4, 0.3, 0.3])
    np.testing.assert_array_equal(match_states(reference, soft[..., [2, 1, 0]]), [2, 1, 0])


def test_common_order_mean_and_spread(rng: np.random.Generator) -> None:
    labels = CHAIN.sample(400, 5, rng=rng)
    orders = [[3, 1, 0, 2], [0, 1, 2, 3], [2, 3, 1, 0]]
    members = [member(labels, order, rng) for order in orders]
    found = ensemble_states(members)
    sizes = np.argsort(-np.bincount(labels.ravel()), kind="stable")
    aligned = []
    for values, order, permutation in zip(members, orders, found.permutations, strict=True):
        np.testing.assert_array_equal(np.array(order)[permutation], sizes)
        aligned.append(values[..., permutation])
    np.testing.assert_allclose(found.mean[0], np.mean(aligned, axis=0), rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.spread[0], np.std(aligned, axis=0, ddof=1), rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        found.populations, [values.mean(axis=(0, 1)) for values in aligned], rtol=1e-12, atol=0
    )
    np.testing.assert_array_equal(found.agreement, 1.0)
    np.testing.assert_allclose(found.kappa, 1.0, rtol=0, atol=1e-12)
    assert found.outliers == ()
    assert found.members == (0, 1, 2)
    assert repr(found) == (
        "Ensemble(n_members=3, n_states=4, outliers=[], lowest agreement of the others=1.0000)"
    )


def test_agreement_and_kappa_by_hand() -> None:
    """Ten frames: 8 and 2, against 7 and 3 of which nine are the same; 0.62 expected."""
    first = one_hot(np.array([0, 0, 0, 0, 0, 0, 0, 0, 1, 1]), 2)
    second = one_hot(np.array([1, 1, 1, 1, 1, 1, 1, 0, 0, 0]), 2)
    found = ensemble_states([first, second])
    np.testing.assert_allclose(found.agreement, [[1.0, 0.9], [0.9, 1.0]], rtol=1e-12, atol=0)
    kappa = (0.9 - 0.62) / (1 - 0.62)
    np.testing.assert_allclose(found.kappa, [[1.0, kappa], [kappa, 1.0]], rtol=1e-12, atol=0)
    np.testing.assert_array_equal(found.permutations, [[0, 1], [1, 0]])
    np.testing.assert_allclose(found.spread[0][7, 0], np.sqrt(0.5), rtol=1e-12, atol=0)


@pytest.mark.parametrize("place", [0, 2])
def test_members_that_found_something_else_are_named(place: int, rng: np.random.Generator) -> None:
    """A state of 96% makes any two members agree by more than 90%: kappa tells them apart."""
    slow = (rng.random((3000, 1)) < 0.04).astype(int)
    other = (rng.random((3000, 1)) < 0.04).astype(int)
    other[:600] = slow[:600]
    members = [one_hot(slow, 2), 0.9 * one_hot(slow, 2) + 0.05, one_hot(slow, 2)]
    members.insert(place, one_hot(other, 2))
    told = rf"members {place} \(kappa 0.\d\d\) assign other states than member \d: they found"
    with pytest.warns(RuntimeWarning, match=told):
        found = ensemble_states(members)
    assert found.outliers == (place,)
    inside = list(found.members)
    assert inside == [number for number in range(4) if number != place]
    assert found.agreement[place, inside].min() > 0.9
    assert found.kappa[place, inside].max() < 0.4
    np.testing.assert_allclose(
        found.mean[0], np.mean([members[m] for m in inside], axis=0), rtol=0, atol=1e-6
    )


def test_one_member_left_has_no_spread(rng: np.random.Generator) -> None:
    members = [one_hot(rng.integers(0, 2, (300, 1)), 2) for _ in range(2)]
    with pytest.warns(RuntimeWarning, match="members 1 "):
        found = ensemble_states(members, reference=0)
    assert found.reference == 0
    np.testing.assert_array_equal(found.mean[0], members[0][..., found.permutations[0]])
    assert np.isnan(found.spread[0]).all()


def test_members_of_one_state_agree() -> None:
    same = np.tile([0.8, 0.2], (6, 1, 1))
    found = ensemble_states([same, same])
    np.testing.assert_array_equal(found.kappa, 1.0)
    np.testing.assert_array_equal(found.permutations, [[0, 1], [0, 1]])


def test_segments_are_read_one_by_one(rng: np.random.Generator) -> None:
    labels = CHAIN.sample(300, 3, rng=rng)
    members = [member(labels, order, rng) for order in ([1, 0, 2, 3], [3, 2, 0, 1])]
    whole = ensemble_states(members)
    parts = ensemble_states([[values[:90], values[90:]] for values in members])
    np.testing.assert_array_equal(parts.permutations, whole.permutations)
    np.testing.assert_allclose(parts.kappa, whole.kappa, rtol=1e-12, atol=0)
    for name in ("mean", "spread"):
        joined = np.concatenate(getattr(parts, name))
        np.testing.assert_array_equal(joined, getattr(whole, name)[0])
        assert [len(part) for part in getattr(parts, name)] == [90, 210]


TWO = np.tile([0.8, 0.2], (6, 1, 1))


@pytest.mark.parametrize(
    ("members", "options", "message"),
    [
        ([TWO], {}, "members: at least 2 models are needed, received 1"),
        ([TWO, TWO], {"bound": 1.5}, "bound must be between 0 and 1, received 1.5"),
        ([TWO, TWO], {"reference": 2}, "reference must be between 0 and 1, received 2"),
        ([TWO, TWO[:5]], {}, "same frames, targets and number of states, received shapes"),
        ([TWO, [TWO, TWO]], {}, r"members must have the same segments, received \[1, 2\] of them"),
        ([TWO, np.full((6, 1, 3), 1 / 3)], {}, "same frames, targets and number of states"),
        (
            [[TWO, np.full((6, 1, 3), 1 / 3)]] * 2,
            {},
            "same number of states in all segments, received 3 in segment 1",
        ),
        ([TWO, 2 * TWO], {}, "rows of state_probabilities must sum to 1"),
    ],
)
def test_refuses(members: list[Array], options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ensemble_states(members, **options)
