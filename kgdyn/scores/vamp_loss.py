"""The losses that train: the negative VAMP score of a batch."""

from __future__ import annotations

from typing import Any

import keras

from kgdyn.scores._from_moments import check_method
from kgdyn.scores._moments import split_pairs
from kgdyn.scores._replicas import n_replicas
from kgdyn.scores.vamp_score import vamp_score

__all__ = ["VAMP2Loss", "VAMPLoss"]


@keras.saving.register_keras_serializable(package="kgdyn")
class VAMPLoss(keras.losses.Loss):
    """Negative VAMP score of a whole batch (see `kgdyn.vamp_score`).

    The score belongs to the batch as one: it is no mean over samples, so there are no labels and
    nothing to reduce. Use batches of many pairs; the VAMP-2 score of `P` independent pairs is
    biased upward by about `(n_states - 1)^2 / P`, and VAMP-1 by more. Under a `tf.distribute`
    strategy the batch is that of all replicas together.

    Args:
        method: `"VAMP1"`, `"VAMP2"` or `"VAMPE"`. A batch's VAMP-E is its VAMP-2.
        reversible: Boolean, whether each pair counts in both directions.
        name: String; `"vamp2_loss"`, say, after method, if `None`.

    Call arguments:
        y_true: Ignored; may be None.
        y_pred: `(n_pairs, 2, n_states)`, as a `GDyNet` gives for pairs of frames.
        sample_weight: `(n_pairs,)`, optional.

    Output: float32 scalar; NaN if `y_pred` or a weight is not finite.

    Raises:
        ValueError: if `method` is unknown, `y_pred` has another shape, or there is not one
            weight a pair.
    """

    def __init__(
        self,
        method: str = "VAMP2",
        reversible: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("reduction", None)
        self.method = check_method(method)
        self.reversible = bool(reversible)
        super().__init__(name=name or f"{method.lower()}_loss", reduction="sum", **kwargs)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        with keras.name_scope(self.name):
            score = vamp_score(*split_pairs(y_pred), self.method, sample_weight, self.reversible)
            # Keras adds up the gradients of replicas, and each has the score of the whole batch.
            return keras.ops.cast(-score / n_replicas(), "float32")

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "method": self.method, "reversible": self.reversible}


@keras.saving.register_keras_serializable(package="kgdyn")
class VAMP2Loss(VAMPLoss):
    """Negative VAMP-2 score of a whole batch (Xie et al. 2019, Eq. 3): `VAMPLoss("VAMP2")`."""

    def __init__(self, name: str = "vamp2_loss", **kwargs: Any) -> None:
        super().__init__("VAMP2", name=name, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return keras.losses.Loss.get_config(self)  # type: ignore[no-any-return]
