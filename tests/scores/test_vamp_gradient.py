"""The gradient of every score: that of finite differences, and finite everywhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from kgdyn.scores import vamp_score

Array = NDArray[np.float64]
MakePairs = Callable[..., tuple[Array, Array]]

each_method = pytest.mark.parametrize("method", ["VAMP1", "VAMP2", "VAMPE"])
each_direction = pytest.mark.parametrize("reversible", [False, True])


def gradients(
    chi: tuple[Array, ...], method: str, weights: Array | None = None, reversible: bool = False
) -> list[Array]:
    variables = [tf.Variable(x) for x in chi]
    with tf.GradientTape() as tape:
        score = vamp_score(*variables, method, weights, reversible)
    return [gradient.numpy() for gradient in tape.gradient(score, variables)]


@each_method
@each_direction
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["regular", "rare", "one_hot", "uniform", "degenerate"])
def test_is_that_of_finite_differences(
    kind: str,
    weighted: bool,
    reversible: bool,
    method: str,
    make_pairs: MakePairs,
    rng: np.random.Generator,
) -> None:
    chi = make_pairs(kind, 3)
    n_pairs = len(chi[0])
    weights = rng.random(n_pairs) if weighted else None
    found = gradients(chi, method, weights, reversible)
    step = 1e-7 if kind == "uniform" else 1e-4  # of features that vary by 1e-3 and by 1
    for _ in range(2):
        # Along the gradient too: a random direction alone is nearly orthogonal to it.
        random = rng.normal(size=(2, n_pairs, 3)) / np.sqrt(n_pairs)
        directions = random + [g / np.abs(g).max() for g in found]
        slope = sum((g * d).sum() for g, d in zip(found, directions, strict=True))
        up, down, up2, down2 = (
            float(
                vamp_score(
                    chi[0] + h * directions[0],
                    chi[1] + h * directions[1],
                    method,
                    weights,
                    reversible,
                )
            )
            for h in (step, -step, 2 * step, -2 * step)
        )
        expected = (8 * (up - down) - (up2 - down2)) / (12 * step)  # of fourth order
        np.testing.assert_allclose(slope, expected, rtol=1e-5, atol=0)


@each_method
@each_direction
def test_every_entry_is_that_of_finite_differences(
    method: str, reversible: bool, make_pairs: MakePairs
) -> None:
    chi = make_pairs("regular", 3, n_pairs=6)
    found = gradients(chi, method, None, reversible)
    step = 1e-5
    for which in (0, 1):
        for entry in np.ndindex(chi[which].shape):
            values = []
            for sign in (step, -step):
                moved = [chi[0].copy(), chi[1].copy()]
                moved[which][entry] += sign
                values.append(float(vamp_score(*moved, method, None, reversible)))
            expected = (values[0] - values[1]) / (2 * step)
            np.testing.assert_allclose(found[which][entry], expected, rtol=1e-5, atol=1e-7)


@each_method
@each_direction
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "kind", ["regular", "rare", "uniform", "one_hot", "proportional", "degenerate"]
)
def test_is_finite_and_not_zero(
    kind: str, dtype: str, reversible: bool, method: str, make_pairs: MakePairs
) -> None:
    chi = tuple(x.astype(dtype) for x in make_pairs(kind, 4))
    for gradient in gradients(chi, method, None, reversible):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 1e-4


@each_method
@each_direction
@pytest.mark.parametrize("row", [[0.25, 0.25, 0.5], [1 / 3, 1 / 3, 1 / 3], [1.0, 0.0, 0.0]])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_is_zero_where_outputs_collapsed(
    row: list[float], dtype: str, reversible: bool, method: str
) -> None:
    chi = np.tile(row, (600, 1)).astype(dtype)
    found = float(vamp_score(chi, chi, method, None, reversible))
    np.testing.assert_allclose(found, 1.0, rtol=0, atol=1e-6)
    for gradient in gradients((chi, chi), method, None, reversible):
        np.testing.assert_allclose(gradient, 0.0, rtol=0, atol=1e-6)


@each_method
@each_direction
@pytest.mark.parametrize("weight", [None, 0.0])
def test_is_zero_of_one_pair_and_without_weight(
    method: str, reversible: bool, weight: float | None, make_pairs: MakePairs
) -> None:
    chi = make_pairs("one_pair", 3)
    weights = None if weight is None else np.full(1, weight)
    for gradient in gradients(chi, method, weights, reversible):
        np.testing.assert_allclose(gradient, 0.0, rtol=0, atol=1e-4)


@each_method
def test_is_zero_where_singular_values_are(method: str) -> None:
    """Independent pairs: VAMP-1 has a kink there, and the same slope on both sides but its sign."""
    labels = np.indices((3, 3)).reshape(2, -1)
    chi = tuple(np.eye(3)[labels])
    for gradient in gradients(chi, method):
        np.testing.assert_allclose(gradient, 0.0, rtol=0, atol=1e-9)


@each_method
def test_one_singular_value_may_be_zero(method: str, rng: np.random.Generator) -> None:
    """States 0 and 1 mix at once, state 2 is slow: the gradient of the slow process remains."""
    counts = np.array([[4, 4, 1], [4, 4, 1], [1, 1, 7]]).ravel()
    labels = np.indices((3, 3)).reshape(2, -1).repeat(counts, axis=1)
    found = gradients(tuple(np.eye(3)[labels]), method)
    # Merged into one state, the two mixed ones give the gradient of the two-state chain.
    merged = gradients(tuple(np.eye(2)[(labels == 2).astype(int)]), method)
    for three, two in zip(found, merged, strict=True):
        difference = two[:, 1] - two[:, 0]
        np.testing.assert_allclose(
            three[:, 2] - three[:, :2].mean(axis=1), difference, rtol=0, atol=1e-6
        )


@each_method
def test_of_an_unvisited_state_is_finite(method: str, make_pairs: MakePairs) -> None:
    padded = tuple(np.c_[x, np.zeros(600)] for x in make_pairs("one_hot", 2))
    assert all(np.isfinite(gradient).all() for gradient in gradients(padded, method))


@each_method
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_is_nan_where_input_is_not_finite(method: str, bad: float, make_pairs: MakePairs) -> None:
    """What skips a step that overflowed looks at gradients."""
    chi = make_pairs("regular", 3)
    chi[0][5, 1] = bad
    for gradient in gradients(chi, method):
        assert np.isnan(gradient).all()
