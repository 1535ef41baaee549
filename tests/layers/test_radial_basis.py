"""Gaussians at the values that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.layers import RadialBasis


def test_values_of_the_paper() -> None:
    """mu_t = 0.2 t, sigma = 0.2: 1 at a centre, 1/e one centre further, e^-4 two further."""
    basis = np.asarray(RadialBasis()(np.array([2.0, 2.1], "float32")))
    assert basis.shape == (2, 41)
    np.testing.assert_allclose(
        basis[0, 7:14], np.exp([-9.0, -4.0, -1.0, 0.0, -1.0, -4.0, -9.0]), rtol=1e-5, atol=1e-7
    )
    np.testing.assert_allclose(basis[1, 10:12], np.exp([-0.25, -0.25]), rtol=1e-5, atol=1e-7)


def test_equals_the_formula(rng: np.random.Generator) -> None:
    distances = rng.uniform(0.0, 9.0, (4, 3)).astype("float32")
    layer = RadialBasis(cutoff=5.0, spacing=0.5, width=0.35)
    expected = np.exp(-(((distances[..., None] - 0.5 * np.arange(11)) / 0.35) ** 2))
    np.testing.assert_allclose(layer(distances), expected, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "n_basis"),
    [({}, 41), ({"cutoff": 0.6}, 4), ({"cutoff": 6.0, "spacing": 0.3}, 21)],
)
def test_number_of_gaussians(options: dict[str, float], n_basis: int) -> None:
    layer = RadialBasis(**options)
    assert layer.n_basis == n_basis
    assert layer(np.ones((2, 3), "float32")).shape == (2, 3, n_basis)


def test_nothing_is_left_far_away() -> None:
    assert not np.asarray(RadialBasis()(np.array([30.0, np.inf], "float32"))).any()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_distances_keep_their_digits_in_half_precision(policy: str) -> None:
    """6.001 and 5.999 angstrom are one number in float16."""
    distances = np.array([6.001, 5.999], "float32")
    basis = np.asarray(RadialBasis(dtype=policy)(distances)).astype(np.float64)
    expected = np.asarray(RadialBasis()(distances), np.float64)
    rounding = {"mixed_float16": 2.0**-11, "mixed_bfloat16": 2.0**-8}[policy]
    np.testing.assert_allclose(basis, expected, rtol=1.1 * rounding, atol=1e-6)
    # Beside a centre the slope is 7 an angstrom: 0.002 angstrom change it by 0.7%.
    if policy == "mixed_float16":
        assert basis[0, 29] < basis[1, 29]


@pytest.mark.parametrize("name", ["cutoff", "spacing", "width"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_lengths_must_be_positive(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a positive length in angstrom, received"):
        RadialBasis(**{name: value})
