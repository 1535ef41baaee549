"""Keras' fit, evaluate and predict under tf.distribute, for models that are built at once."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

__all__ = ["DistributableModel"]


class DistributableModel(keras.Model):
    """A `keras.Model` that trains under MirroredStrategy and MultiWorkerMirroredStrategy.

    All overrides of what is private to Keras stand here. Without them, in Keras 3.15:

    - `_maybe_symbolic_build` takes the mean over the replicas of a first batch, to learn its
      shapes. That fails where the replicas get unequal parts, and for ragged inputs; and it
      starts the dataset once more than on one device, so that its order differs. Here the model
      is built when it is made: only the optimizer is missing.
    - `compute_metrics` returns scalars, which `reduce_per_replica` then reduces along axis 0 if
      there are several workers: "Invalid reduction dimension". Here they get that axis.

    `tests/models/test_distributed_hooks.py` tells when Keras no longer needs them.
    """

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        self._build_optimizer()

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        results: dict[str, Any] = super().compute_metrics(x, y, y_pred, sample_weight)
        if not self._has_several_workers():
            return results
        return {name: keras.ops.reshape(value, (1,)) for name, value in results.items()}

    def make_train_function(self, force: bool = False) -> Any:
        self._build_optimizer()
        if self._n_replicas() > 1 and self.steps_per_execution > 1:
            raise ValueError(
                "steps_per_execution must be 1 under a tf.distribute strategy (Keras cannot "
                f"do more there), received {self.steps_per_execution}"
            )
        return super().make_train_function(force)

    def distributed_batches(self, dataset: Any) -> Any:
        """The batches of a dataset, each split among the replicas if there are several."""
        import tensorflow as tf

        if self._n_replicas() > 1 and isinstance(dataset, tf.data.Dataset):
            return self.distribute_strategy.experimental_distribute_dataset(dataset)
        return dataset

    def predict_batch(self, batch: Any) -> Any:
        """Outputs of one batch of `distributed_batches`, of all replicas, as an array."""
        self.make_predict_function()
        batch = batch if isinstance(batch, tuple) else (batch,)
        return np.asarray(self.predict_function([batch]))

    def _build_optimizer(self) -> None:
        """Its variables belong to the strategy, and cannot be made where a step branches."""
        optimizer = self.optimizer
        if optimizer is not None and not optimizer.built:
            with self.distribute_strategy.scope():
                optimizer.build(self.trainable_variables)

    def _n_replicas(self) -> int:
        return int(self.distribute_strategy.num_replicas_in_sync)

    def _has_several_workers(self) -> bool:
        """As Keras decides it in `reduce_per_replica`."""
        import tensorflow as tf

        strategy = self.distribute_strategy
        several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        return several and bool(strategy.extended._in_multi_worker_mode())
