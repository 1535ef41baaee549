"""One step of training that leaves out batches whose loss or gradient is not finite."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from kgdyn.models._xla_pieces import PiecewiseModel

__all__ = ["SkippingModel", "only_finite"]


class SkippingModel(PiecewiseModel):
    """A model whose training skips batches that would make its weights NaN.

    If inputs, loss or a gradient of a batch are not finite on any replica, then weights, moving
    statistics, optimizer and its iterations stay exactly as they were, on all. The batch is
    counted: `fit` warns once at the end of the epoch, with `skipped_batches` in its logs, and the
    returned history has `skipped_batches` for each epoch. It is left out of the loss, and the
    metrics see NaN for it.

    A `LossScaleOptimizer` (float16) skips too, and lowers its scale. Batches of which only the
    gradient is not finite are then not counted: it overflowed because the scale was too large,
    which is how the scale is found.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._skipped = _Counter()

    def make_train_function(self, force: bool = False) -> Any:
        with self.distribute_strategy.scope():
            self._skipped.build()
        return super().make_train_function(force)

    def train_step(self, data: Any) -> dict[str, Any]:
        import tensorflow as tf

        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        statistics = self._moving_statistics()
        before = [tf.identity(variable.value) for variable in statistics]
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            score = self.in_xla(
                lambda y_pred: self.compute_loss(x, y, y_pred, sample_weight, training=True)
            )
            loss = score(y_pred)
            scaled = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, self.trainable_weights)
        # On CPU a fused relu makes 0 of NaN: the loss alone would not tell of bad distances.
        usable = _finite_on_all_replicas([loss, *_floats_of(x)])
        finite = tf.logical_and(usable, _finite_on_all_replicas(gradients))
        if statistics:
            _restore_unless(finite, statistics, before)
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            # It looks at the gradients of one replica only: all must show what one has found.
            gradients = [_not_a_number_unless(finite, gradient) for gradient in gradients]
            self.optimizer.apply(gradients, self.trainable_weights)
        else:
            usable = finite
            update = self.in_xla(lambda g: self.optimizer.apply(g, self.trainable_weights))
            _apply_if(finite, update, gradients)
        self._skipped.add(usable)
        self._track_loss(loss, x, usable)
        # Nor do the metrics of this package count what is not finite.
        y_pred = tf.where(usable, y_pred, tf.constant(np.nan, y_pred.dtype))
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.fit`; skipped batches are reported."""
        call = inspect.signature(super().fit).bind(*args, **kwargs)
        watch, given = _WatchSkipped(self._skipped), call.arguments.get("callbacks")
        if isinstance(given, keras.callbacks.CallbackList):
            watch.set_model(self)
            given.callbacks.insert(0, watch)
        else:
            # First, so that the logs of all others tell what it finds.
            others = [] if given is None else given
            others = list(others) if isinstance(others, Sequence) else [others]
            call.arguments["callbacks"] = [watch, *others]
        history = super().fit(*call.args, **call.kwargs)
        history.history["skipped_batches"] = watch.counts
        return history

    def _moving_statistics(self) -> list[Any]:
        """What a forward pass in training changes."""
        return [
            variable
            for layer in self._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization)
            for variable in layer.non_trainable_variables
        ]

    def _track_loss(self, loss: Any, x: Any, usable: Any) -> None:
        """The mean over the batches of an epoch, weighted by frames, as Keras' own."""
        import tensorflow as tf

        # The gradients of replicas are summed, so that the loss is a share of that of the batch.
        value = tf.where(usable, loss, 0.0) * tf.cast(self._n_replicas(), loss.dtype)
        weight = tf.where(usable, tf.shape(keras.tree.flatten(x)[0])[0], 0)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(value, sample_weight=weight)


def only_finite(outputs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The pairs `(n_pairs, 2, n_states)` whose outputs are finite; a warning where some are not.

    Raises:
        ValueError: if none is.
    """
    finite = np.isfinite(outputs).all(axis=(1, 2))
    n_bad = len(finite) - int(finite.sum())
    if n_bad == len(finite):
        raise ValueError(
            f"pairs: the outputs of all {n_bad} pairs are not finite, so no states can be fixed"
        )
    if n_bad:
        warnings.warn(
            f"{n_bad} of {len(finite)} pairs are left out where the states are fixed: the model's "
            "outputs for them are not finite",
            RuntimeWarning,
            stacklevel=4,
        )
    kept: np.ndarray[Any, Any] = outputs[finite]
    return kept


class _Counter:
    """Of skipped batches; no weight of the model and none of its metrics, so nothing saves it."""

    def __init__(self) -> None:
        self._variable: Any = None

    def build(self) -> None:
        if self._variable is None:
            self._variable = keras.Variable(
                0,
                dtype="int64",
                trainable=False,
                aggregation="only_first_replica",  # all count the same
                synchronization="on_read",
                name="skipped_batches",
            )

    def add(self, finite: Any) -> None:
        self._variable.assign_add(keras.ops.cast(keras.ops.logical_not(finite), "int64"))

    def __int__(self) -> int:
        return 0 if self._variable is None else int(self._variable.numpy())


class _WatchSkipped(keras.callbacks.Callback):
    """Counts of each epoch, and a warning where there are any."""

    def __init__(self, counter: _Counter) -> None:
        super().__init__()
        self.counts: list[int] = []
        self._counter = counter
        self._before = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._before = int(self._counter)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        count = int(self._counter) - self._before
        self.counts.append(count)
        if not count:
            return
        if logs is not None:
            logs["skipped_batches"] = count
        warnings.warn(
            f"epoch {epoch + 1}: {count} {'batch was' if count == 1 else 'batches were'} skipped, "
            "because their inputs, loss or gradient were not finite; the weights stay as they "
            "were. Look for NaN or infinite distances in the data, or lower the learning rate.",
            RuntimeWarning,
            stacklevel=2,
        )


def _values(gradient: Any) -> Any:
    import tensorflow as tf

    return gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient


def _floats_of(inputs: Any) -> list[Any]:
    """Flat values of all inputs that can be not finite."""
    import tensorflow as tf

    leaves = tf.nest.flatten(inputs, expand_composites=True)
    return [leaf for leaf in leaves if leaf is not None and leaf.dtype.is_floating]


def _finite_on_all_replicas(tensors: Sequence[Any]) -> Any:
    """Bool scalar, the same on all replicas: a branch that only one took would block the rest."""
    import tensorflow as tf

    flags = [
        tf.reduce_all(tf.math.is_finite(_values(tensor)))
        for tensor in tensors
        if tensor is not None
    ]
    bad = tf.cast(tf.logical_not(tf.reduce_all(tf.stack(flags))), "float32")
    context = tf.distribute.get_replica_context()
    return tf.equal(context.all_reduce(tf.distribute.ReduceOp.SUM, bad), 0.0)


def _not_a_number_unless(finite: Any, gradient: Any) -> Any:
    import tensorflow as tf

    if gradient is None:
        return None
    values = _values(gradient)
    values = values + tf.where(
        finite, tf.zeros([], values.dtype), values.dtype.as_numpy_dtype("nan")
    )
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    return values


def _apply_if(finite: Any, update: Callable[[Any], Any], gradients: Any) -> None:
    """Apply gradients, or leave weights and optimizer alone.

    A branch that updates variables of several replicas must stand between the replicas, as in
    Keras' LossScaleOptimizer.
    """
    import tensorflow as tf

    def between(strategy: Any, finite: Any, gradients: Any) -> None:
        def apply() -> Any:
            strategy.extended.call_for_each_replica(update, args=(gradients,))
            return tf.constant(True)

        first = strategy.experimental_local_results(finite)[0]
        tf.cond(first, apply, lambda: tf.constant(False))

    tf.distribute.get_replica_context().merge_call(between, args=(finite, gradients))


def _restore_unless(finite: Any, variables: Sequence[Any], before: Sequence[Any]) -> None:
    import tensorflow as tf

    def restore(variable: Any, finite: Any, old: Any) -> None:
        variable.assign(tf.where(finite, variable, old))

    def between(strategy: Any, finite: Any, before: Sequence[Any]) -> None:
        for variable, old in zip(variables, before, strict=True):
            strategy.extended.update(variable.value, restore, args=(finite, old), group=False)

    tf.distribute.get_replica_context().merge_call(between, args=(finite, list(before)))
