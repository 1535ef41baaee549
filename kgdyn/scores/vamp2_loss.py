"""The loss that trains: the negative VAMP-2 score of a batch."""

from __future__ import annotations

from typing import Any

import keras

from kgdyn.scores._features import split_pairs
from kgdyn.scores._replicas import n_replicas
from kgdyn.scores.vamp2_score import vamp2_score

__all__ = ["VAMP2Loss"]


@keras.saving.register_keras_serializable(package="kgdyn")
class VAMP2Loss(keras.losses.Loss):
    """Negative VAMP-2 score of a whole batch (Xie et al. 2019, Eq. 3).

    The score belongs to the batch as one: it is no mean over samples, so there are no labels and
    nothing to reduce. Use batches of many pairs; the score of `P` independent pairs is biased
    upward by about `(n_states - 1)^2 / P`.

    Call arguments:
        y_true: Ignored; may be None.
        y_pred: `(n_pairs, 2, n_states)`, as a `GDyNet` gives for pairs of frames.
        sample_weight: `(n_pairs,)`, optional.

    Raises:
        ValueError: if `y_pred` has another shape.
    """

    def __init__(self, name: str = "vamp2_loss", **kwargs: Any) -> None:
        kwargs.pop("reduction", None)
        super().__init__(name=name, reduction="sum", **kwargs)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        with keras.name_scope(self.name):
            chi_t, chi_lag = split_pairs(y_pred)
            # Keras adds up the gradients of replicas, and each has the score of the whole batch.
            score = vamp2_score(chi_t, chi_lag, sample_weight) / n_replicas()
            return keras.ops.cast(-score, "float32")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self(y_true, y_pred)
