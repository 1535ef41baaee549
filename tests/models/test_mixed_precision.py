"""What stays in float32 and better under mixed policies, and how float16 finds its scale."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

POLICIES = ["mixed_float16", "mixed_bfloat16"]


@pytest.fixture(scope="module")
def helper() -> Any:
    path = Path(__file__).parent / "helpers" / "train_distributed.py"
    spec = importlib.util.spec_from_file_location("train_distributed", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where TensorFlow looks for the source of its functions
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=POLICIES)
def model(request: pytest.FixtureRequest, helper: Any) -> Any:
    return helper.make_model(tf.distribute.get_strategy(), dtype=request.param)


def test_probabilities_and_weights_are_in_float32(model: Any, helper: Any) -> None:
    (x,) = next(iter(helper.pairs(35, 16)))
    chi = model(x, training=False)
    assert chi.dtype == tf.float32
    # In half precision the sums would be off by 1e-3 and 1e-2.
    np.testing.assert_allclose(np.asarray(chi).sum(axis=-1), 1.0, rtol=0.0, atol=1e-6)
    assert all(variable.dtype in ("float32", "float64") for variable in model.weights)
    assert model.convolutions[0].compute_dtype == model.dtype_policy.compute_dtype != "float32"


def test_outputs_are_those_of_float32_to_half_precision(model: Any, helper: Any) -> None:
    exact = helper.make_model(tf.distribute.get_strategy())
    model.set_weights(exact.get_weights())
    (x,) = next(iter(helper.pairs(35, 16)))
    difference = np.abs(np.asarray(model(x)) - np.asarray(exact(x))).max()
    assert 0.0 < difference < 0.02


def test_distances_are_not_rounded(model: Any) -> None:
    """Two distances 0.001 apart are one number in either half precision."""
    distances = tf.constant([6.09, 6.091])
    half = tf.cast(distances, model.dtype_policy.compute_dtype)
    assert half[0] == half[1]
    first, second = np.asarray(tf.cast(model.radial_basis(distances), "float32"))
    assert np.abs(first - second).max() > 1e-3


def test_loss_scaling_is_for_float16_only(model: Any) -> None:
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (model.dtype_policy.name == "mixed_float16")


@pytest.mark.slow
def test_float16_recovers_from_a_scale_that_overflows(helper: Any) -> None:
    found = helper.float16(tf.distribute.get_strategy())
    assert found["scale"] < 2.0**20  # of 2**40
    assert 3 <= found["iterations"] < 40  # the others were skipped
    assert found["moved"] > 0.8
    assert all(np.isfinite(values).all() for values in found.values())
    assert found["history loss"][-1] < found["history loss"][0] - 0.05
    assert not found["history skipped_batches"].any()  # how the scale is found is not told


@pytest.mark.slow
def test_a_batch_with_nan_is_skipped_and_told(helper: Any) -> None:
    found = helper.skip(tf.distribute.get_strategy(), dtype="mixed_float16")
    for name, value in found.items():
        if name.startswith("clean weight"):
            np.testing.assert_array_equal(found[name.replace("clean", "spoiled")], value)
    assert found["clean history skipped_batches"] == [0]
    assert found["spoiled history skipped_batches"] == [1]
    assert len(found["spoiled warnings"]) == 1
