"""Pooling against a loop over targets of different sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgdyn.layers import TargetPooling

GROUPS = ([4], [0, 1, 2], [7, 3], [5, 0, 6, 2, 1, 3, 4], [4])


def flat(groups: tuple[list[int], ...]) -> dict[str, Any]:
    target_of_atom = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    return {
        "target_atoms": np.concatenate(groups).astype("int32"),
        "target_of_atom": target_of_atom.astype("int32"),
        "n_targets": len(groups),
    }


def test_mean_over_the_atoms_of_each_target(rng: np.random.Generator) -> None:
    nodes = rng.normal(size=(8, 5)).astype("float32")
    pooled = np.asarray(TargetPooling()(nodes, **flat(GROUPS)))
    slow = np.array([np.mean([nodes[atom] for atom in group], axis=0) for group in GROUPS])
    np.testing.assert_allclose(pooled, slow, rtol=1e-6, atol=1e-6)


def test_several_pools_side_by_side(rng: np.random.Generator) -> None:
    nodes = rng.normal(size=(8, 5)).astype("float32")
    pooled = np.asarray(TargetPooling(("sum", "max", "mean"))(nodes, **flat(GROUPS)))
    slow = [
        np.concatenate([reduce(nodes[group], axis=0) for reduce in (np.sum, np.max, np.mean)])
        for group in GROUPS
    ]
    assert pooled.shape == (len(GROUPS), 15)
    np.testing.assert_allclose(pooled, np.array(slow), rtol=1e-6, atol=1e-6)


def test_one_pool_by_name(rng: np.random.Generator) -> None:
    nodes = rng.normal(size=(8, 5)).astype("float32")
    slow = [nodes[group].max(axis=0) for group in GROUPS]
    np.testing.assert_array_equal(TargetPooling("max")(nodes, **flat(GROUPS)), np.array(slow))


@pytest.mark.parametrize("pools", [(), ("mean", "mean"), ("median",), "min"])
def test_unknown_pools(pools: Any) -> None:
    with pytest.raises(ValueError, match=r"pools must be distinct and of \('mean', .*received"):
        TargetPooling(pools)


def test_order_inside_a_target_does_not_matter(rng: np.random.Generator) -> None:
    nodes = rng.normal(size=(8, 5)).astype("float32")
    mirrored = tuple(group[::-1] for group in GROUPS)
    pooled = TargetPooling()(nodes, **flat(GROUPS))
    np.testing.assert_allclose(
        TargetPooling()(nodes, **flat(mirrored)), pooled, rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_large_molecule_is_summed_in_float32(policy: str) -> None:
    n_atoms = 40_000  # float16 ends at 65,504, and bfloat16 counts no further than 256 by ones
    nodes = np.full((n_atoms, 1), 3.0)
    atoms = np.arange(n_atoms, dtype="int32")
    pooled = TargetPooling(dtype=policy)(nodes, atoms, np.zeros(n_atoms, "int32"), n_targets=1)
    assert np.asarray(pooled).astype(float).item() == 3.0


def test_number_of_targets_may_be_a_tensor(rng: np.random.Generator) -> None:
    import tensorflow as tf

    nodes = rng.normal(size=(8, 5)).astype("float32")
    arguments, layer = flat(GROUPS), TargetPooling()
    traced = tf.function(lambda count: layer(nodes, **{**arguments, "n_targets": count}))
    np.testing.assert_allclose(
        traced(tf.constant(len(GROUPS))), layer(nodes, **arguments), rtol=1e-6, atol=1e-6
    )
