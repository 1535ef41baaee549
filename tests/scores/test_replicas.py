"""Losses and metrics on two replicas of one tf.distribute strategy are those of one device."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from kgdyn.scores import VAMPLoss, vamp_score

Arrays = dict[str, NDArray[np.float64]]
HELPER = Path(__file__).parent / "helpers" / "two_replicas.py"

pytestmark = pytest.mark.slow
each_direction = pytest.mark.parametrize("reversible", [False, True])
each_method = pytest.mark.parametrize("method", ["VAMP1", "VAMP2"])


@pytest.fixture(scope="module")
def data() -> Arrays:
    """Pairs in the order of their first feature: what replicas get differs."""
    rng = np.random.default_rng(5)
    now = rng.normal(size=(400, 4))
    now = now[np.argsort(now[:, 0])]
    later = 0.8 * now + 0.5 * rng.normal(size=(400, 4))
    return {
        "features": np.stack([now, later], axis=1),
        "weights": rng.random(400),
        "kernel": rng.normal(size=(4, 3)),
    }


@pytest.fixture(scope="module")
def found(data: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    """What the two replicas of another process made of the same data."""
    folder = tmp_path_factory.mktemp("replicas")
    np.savez(folder / "in.npz", **data)
    command = [sys.executable, HELPER, folder / "in.npz", folder / "out.npz"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(folder / "out.npz") as arrays:
        return dict(arrays)


def on_one_device(data: Arrays, method: str, reversible: bool) -> tuple[float, NDArray[np.float64]]:
    kernel = tf.Variable(data["kernel"])
    with tf.GradientTape() as tape:
        chi = tf.nn.softmax(data["features"] @ kernel)
        value = VAMPLoss(method, reversible)(None, chi, sample_weight=data["weights"])
    return float(value), tape.gradient(value, kernel).numpy()


@each_method
@each_direction
@pytest.mark.parametrize("cut", [130, 0])
def test_loss_and_gradient(
    method: str, reversible: bool, cut: int, data: Arrays, found: Arrays
) -> None:
    assert found["n_replicas"] == 2
    value, gradient = on_one_device(data, method, reversible)
    name = f"{method}_{reversible}"
    np.testing.assert_allclose(found[f"{name}_loss_{cut}"], value, rtol=1e-6, atol=0)
    error = np.abs(found[f"{name}_gradient_{cut}"] - gradient).max()
    assert error < 1e-6 * np.abs(gradient).max()


@each_method
@each_direction
def test_scores_of_each_replica_alone_have_another_gradient(
    method: str, reversible: bool, data: Arrays, found: Arrays
) -> None:
    """So the test above would see sums over replicas that are missing."""
    gradient = on_one_device(data, method, reversible)[1]
    error = np.abs(found[f"{method}_{reversible}_alone"] - gradient).max()
    assert error > 0.1 * np.abs(gradient).max()


@each_method
@each_direction
def test_metric(method: str, reversible: bool, data: Arrays, found: Arrays) -> None:
    """Also where a replica had no pair, and without the batches that one of them broke."""
    chi = tf.nn.softmax(data["features"] @ data["kernel"]).numpy()
    expected = float(vamp_score(chi[:, 0], chi[:, 1], method, data["weights"], reversible))
    *scores, weight = found[f"{method}_{reversible}_metric"]
    assert len(scores) == 3  # on each replica, and between them
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(weight, data["weights"].sum(), rtol=1e-12, atol=0)
