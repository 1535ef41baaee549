"""States against labels: exact cases, scikit-learn's scores, coverage, and words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgdyn.koopman import Resampling, one_hot
from kgdyn.observables import compare_labels

pytestmark = pytest.mark.filterwarnings("ignore:intervals rest on only")


def test_the_same_partition_under_other_names(rng: np.random.Generator) -> None:
    labels = rng.integers(0, 3, (200, 4))
    states = one_hot(np.array([2, 0, 1])[labels], 3)
    found = compare_labels(states, labels, resampling=Resampling(10))
    assert (found.adjusted_rand, found.accuracy) == (1.0, 1.0)
    assert found.explained == pytest.approx(1.0)
    assert found.assignment.tolist() == [1, 2, 0]
    assert found.names == ("0", "1", "2")
    assert found.commonest_label == np.bincount(labels.reshape(-1)).max() / 800
    np.testing.assert_allclose(found.labels_of_states, np.eye(3)[[1, 2, 0]], atol=1e-12)
    assert found.sentence().startswith("the states are these labels: adjusted Rand index 1.00")


def test_independent_labels(rng: np.random.Generator) -> None:
    labels = (rng.random((400, 10)) < 0.3).astype(int)
    states = one_hot(rng.integers(0, 2, (400, 10)), 2)
    found = compare_labels(states, labels, names=["free", "bound"], resampling=Resampling(10))
    assert abs(found.adjusted_rand) < 0.01
    assert found.adjusted_rand_interval.contains(np.array(0.0))
    assert found.explained < 0.01
    assert found.commonest_label == pytest.approx(0.7, abs=0.03)
    assert found.accuracy == pytest.approx(0.5, abs=0.03)
    assert found.sentence().startswith("the states are not these labels")
    np.testing.assert_allclose(found.table, np.outer([0.5, 0.5], [0.7, 0.3]), atol=0.02)


def test_by_hand() -> None:
    """Three of four in the same place, by probabilities that are not all certain."""
    states = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])[:, None]
    labels = np.array([0, 0, 1, 1])
    found = compare_labels(states, labels, resampling=Resampling(1))
    np.testing.assert_allclose(found.table, np.array([[1.7, 0.9], [0.3, 1.1]]) / 4)
    np.testing.assert_allclose(found.states_of_labels, np.array([[0.85, 0.45], [0.15, 0.55]]))
    assert found.accuracy == 0.75
    # Pairs together: 1 of labels and states alike; 3 of states, 2 of labels, 6 in all.
    assert found.adjusted_rand == pytest.approx((1 - 1) / (2.5 - 1))
    np.testing.assert_allclose(found.populations, [0.65, 0.35])
    assert "related" in found.sentence() or "not these" in found.sentence()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", [{}, {"by_target": True}, {"two_way": True}])
def test_against_scikit_learn(scheme: Any, rng: np.random.Generator) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    lengths = (60, 35)
    labels = [rng.integers(-1, 4, (n, 5)) for n in lengths]
    states = []
    for own in labels:
        chi = rng.dirichlet(np.ones(3), own.shape)
        chi[..., 0] += 1.5 * (own == 2)
        states.append(chi / chi.sum(axis=-1, keepdims=True))
    found = compare_labels(states, labels, resampling=Resampling(5, **scheme))
    truth = np.concatenate([own.reshape(-1) for own in labels])
    said = np.concatenate([chi.argmax(axis=-1).reshape(-1) for chi in states])
    good = truth >= 0
    truth, said = truth[good], said[good]
    assert found.n_compared == good.sum()
    assert found.adjusted_rand == pytest.approx(metrics.adjusted_rand_score(truth, said))
    assert found.explained == pytest.approx(metrics.homogeneity_score(truth, said), rel=1e-9)
    counts = metrics.confusion_matrix(truth, said)[:, :3]
    best = max(
        counts[list(order), range(3)].sum()
        for order in np.array(np.meshgrid(*[range(4)] * 3)).reshape(3, -1).T.tolist()
        if len(set(order)) == 3
    )
    assert found.accuracy == best / good.sum()
    assert found.table.sum() == pytest.approx(1.0)
    for name in ("adjusted_rand", "explained", "accuracy"):
        interval = getattr(found, f"{name}_interval")
        assert interval.lower < getattr(found, name) < interval.upper


def test_more_states_than_labels() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    found = compare_labels(one_hot([0, 0, 2, 1, 1, 1], 3), labels, resampling=Resampling(1))
    assert found.assignment.tolist() == [0, 1, -1]
    assert found.accuracy == pytest.approx(5 / 6)
    alone = compare_labels(one_hot([0, 1, 0], 2), np.zeros(3, int), resampling=Resampling(1))
    assert np.isnan(alone.explained)
    assert repr(found).startswith(
        "LabelAgreement(n_states=3, labels=['0', '1'], adjusted_rand=0.706, explained=1.000, "
        "accuracy=0.833 (commonest label 0.500)"
    )
    with pytest.raises(ValueError, match="read-only"):
        found.table[...] = 0.0


def test_one_label_alone_is_nothing_to_compare() -> None:
    found = compare_labels(one_hot([0, 0, 0, 0], 2), np.zeros(4, int), resampling=Resampling(1))
    assert np.isnan(found.adjusted_rand)
    assert found.sentence() == "there is one state or one label only: nothing to compare"


def test_intervals_cover(rng: np.random.Generator) -> None:
    """Labels right in 80% of independent frames: of 60 runs about 57."""
    inside = 0
    for _ in range(60):
        truth = rng.integers(0, 2, (120, 3))
        said = truth ^ (rng.random(truth.shape) < 0.2)
        found = compare_labels(one_hot(said, 2), truth, resampling=Resampling(6))
        inside += bool(found.accuracy_interval.contains(np.array(0.8)))
    assert 51 <= inside <= 60


@pytest.mark.parametrize(
    ("labels", "changes", "message"),
    [
        (np.zeros((9, 2), int), {}, r"shape \(n_frames, n_targets\) = \(10, 2\), received int64"),
        (np.zeros((10, 2)), {}, "labels must be integers .* received float64"),
        (np.full((10, 2), -1), {}, "labels: at least one must not be negative, received none"),
        ([np.zeros((10, 2), int)] * 2, {}, "labels must be one array for each segment, received 2"),
        (np.ones((10, 2), int), {"names": ["a"]}, r"names must be of all 2 labels, received \['a"),
    ],
)
def test_bad_arguments(labels: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_labels(np.full((10, 2, 2), 0.5), labels, **changes)
