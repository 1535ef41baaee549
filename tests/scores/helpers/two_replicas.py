"""python two_replicas.py IN.npz OUT.npz: losses and metrics on two replicas of one process.

A process of its own, because logical devices are set up before TensorFlow starts.
"""

from __future__ import annotations

import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kgdyn.scores import VAMPLoss, VAMPScore, _moments

CASES = [(m, r) for m in ("VAMP1", "VAMP2") for r in (False, True)]


def on_replicas(strategy: tf.distribute.Strategy, parts: list[Any]) -> Any:
    """One part each."""
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(parts[context.replica_id_in_sync_group])
    )


def loss_and_gradient(
    strategy: tf.distribute.Strategy, data: Any, cut: int, case: tuple[str, bool]
) -> tuple[float, Any]:
    """Sums over the replicas, of which the first has `cut` pairs; eager where it has none."""
    loss = VAMPLoss(*case)
    with strategy.scope():
        kernel = tf.Variable(data["kernel"])

    def step(features: Any, weights: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            value = loss(None, tf.nn.softmax(features @ kernel), sample_weight=weights)
        return value, tape.gradient(value, kernel)

    parts = [
        on_replicas(strategy, [data[name][:cut], data[name][cut:]])
        for name in ("features", "weights")
    ]
    step = tf.function(step) if cut else step
    found = strategy.run(step, args=parts)
    value, gradient = (strategy.reduce("SUM", part, axis=None) for part in found)
    return float(value), gradient.numpy()


def streamed(strategy: tf.distribute.Strategy, data: Any, case: tuple[str, bool]) -> list[float]:
    """Scores on each replica and between them, and the weight; with empty and broken parts."""
    chi = tf.nn.softmax(data["features"] @ data["kernel"]).numpy()
    weights = data["weights"]
    broken = np.where(np.arange(20)[:, None, None] == 3, np.nan, chi[:20])
    with strategy.scope():
        metric = VAMPScore(chi.shape[-1], *case)

    def update(pairs: Any, weights: Any) -> None:
        metric.update_state(None, pairs, sample_weight=weights)

    def add(pairs: list[Any], weights: list[Any]) -> None:
        strategy.run(update, args=(on_replicas(strategy, pairs), on_replicas(strategy, weights)))

    add([chi[:7], chi[7:9]], [weights[:7], weights[7:9]])
    metric.reset_state()
    for first, middle, last in ((0, 30, 100), (100, 100, 150), (150, 151, 151), (151, 290, 400)):
        slices = slice(first, middle), slice(middle, last)
        add([chi[part] for part in slices], [weights[part] for part in slices])
        add([broken, chi[:20]], [weights[:20], weights[:20]])
    each = strategy.experimental_local_results(strategy.run(metric.result))
    weight = metric.weight.numpy()
    return [*(float(value) for value in each), float(metric.result()), float(weight)]


def main(source: str, target: str) -> None:
    (device,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    data = dict(np.load(source))
    results: dict[str, Any] = {"n_replicas": strategy.num_replicas_in_sync}
    for case in CASES:
        name = f"{case[0]}_{case[1]}"
        for cut in (130, 0):  # with 0 pairs the first replica has nothing
            value, gradient = loss_and_gradient(strategy, data, cut, case)
            results[f"{name}_loss_{cut}"], results[f"{name}_gradient_{cut}"] = value, gradient
        results[f"{name}_metric"] = streamed(strategy, data, case)
        kept, _moments.sum_over_replicas = _moments.sum_over_replicas, lambda value: value
        results[f"{name}_alone"] = loss_and_gradient(strategy, data, 130, case)[1]
        _moments.sum_over_replicas = kept
    np.savez(target, **results)


if __name__ == "__main__":
    keras.utils.set_random_seed(1)
    main(*sys.argv[1:])
