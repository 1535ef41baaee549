"""The envelope against its polynomial, and its ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from kgdyn.layers import CutoffEnvelope


def polynomial(distances: Any) -> Any:
    """DimeNet's u(x), p = 6, in float64, of (n_rows, M) distances."""
    x = distances / distances.max(axis=1, keepdims=True)
    p = 6
    return (
        1.0
        - (p + 1) * (p + 2) / 2 * x**p
        + p * (p + 2) * x ** (p + 1)
        - p * (p + 1) / 2 * x ** (p + 2)
    )


def test_is_the_polynomial_of_the_paper(rng: np.random.Generator) -> None:
    distances = rng.uniform(0.5, 7.0, (40, 12)).astype("float32")
    weights = np.exp(np.asarray(CutoffEnvelope()(distances), np.float64))
    np.testing.assert_allclose(weights, polynomial(distances.astype(np.float64)), atol=1e-6, rtol=0)
    assert 0.0 <= weights.min() < 1e-27
    assert weights.max() > 0.9


def test_keeps_its_digits_near_the_end() -> None:
    """u is nearly 56 (1 - x)^3 there, which the polynomial itself would lose in float32."""
    gaps = np.array([1e-2, 1e-3, 1e-4])
    distances = 6.0 * np.append(1.0 - gaps, 1.0)[None].astype("float32")
    weights = np.exp(np.asarray(CutoffEnvelope()(distances), np.float64))[0, :3]
    gaps = 1.0 - distances.astype(np.float64)[0, :3] / 6.0
    np.testing.assert_allclose(weights, 56.0 * gaps**3, rtol=4 * gaps.max(), atol=0)
    np.testing.assert_allclose(weights[1:], 56.0 * gaps[1:] ** 3, rtol=5e-3, atol=0)


def test_one_at_contact_and_nothing_at_the_end() -> None:
    values = np.asarray(CutoffEnvelope()(np.array([[0.0, 0.5, 5.0]], "float32")))[0]
    assert values[0] == pytest.approx(0.0, abs=1e-6)
    assert values[1] == pytest.approx(0.0, abs=1e-4)
    assert values[2] == pytest.approx(3.0 * np.log(1e-10) + np.log(56.0), abs=1e-3)
    assert np.isfinite(values.astype(np.float16)).all()


@pytest.mark.parametrize("distance", [0.0, 2.7, 1e4])
def test_equal_distances_weigh_the_same(distance: float) -> None:
    values = np.asarray(CutoffEnvelope()(np.full((2, 5), distance, "float32")))
    assert np.isfinite(values).all()
    assert np.ptp(values) < 1e-5


def test_ragged_form_is_the_same(rng: np.random.Generator) -> None:
    distances = rng.uniform(1.0, 6.0, (7, 5)).astype("float32")
    kept = np.arange(5) < np.array([5, 1, 0, 3, 5, 0, 2])[:, None]
    centers = np.nonzero(kept)[0].astype("int32")
    values = np.asarray(CutoffEnvelope()(distances[kept], centers, n_atoms=7))
    rows = [row[keep] for row, keep in zip(distances, kept, strict=True) if keep.any()]
    slow = [CutoffEnvelope()(row[None])[0] for row in rows]
    np.testing.assert_allclose(values, np.concatenate(slow), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_float32_under_every_policy(policy: str) -> None:
    distances = np.array([[5.998, 6.0, 6.001]])
    exact, half = CutoffEnvelope()(distances), CutoffEnvelope(dtype=policy)(distances)
    assert np.asarray(half).dtype == np.float32
    np.testing.assert_array_equal(half, exact)


def test_gradient_of_the_weights_is_finite() -> None:
    distances = tf.constant([[1.0, 3.0, 4.9999, 5.0, 5.0]])
    with tf.GradientTape() as tape:
        tape.watch(distances)
        weights = tf.exp(CutoffEnvelope()(distances))
        total = tf.reduce_sum(weights[:, :3])
    gradient = tape.gradient(total, distances).numpy()[0]
    assert np.isfinite(gradient).all()
    x = 0.6
    slope = -168 * x**5 + 336 * x**6 - 168 * x**7
    assert gradient[1] == pytest.approx(slope / 5.0, rel=1e-4)


def test_ragged_without_centers() -> None:
    with pytest.raises(ValueError, match=r"need centers and n_atoms, received centers None"):
        CutoffEnvelope()(np.ones(3, "float32"))
    with pytest.raises(ValueError, match=r"received centers \(3,\) and n_atoms None"):
        CutoffEnvelope()(np.ones(3, "float32"), np.zeros(3, "int32"))
