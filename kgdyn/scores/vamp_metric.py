"""VAMP scores of a whole epoch, from covariances accumulated over its batches."""

from __future__ import annotations

from typing import Any

import keras

from kgdyn.scores._from_moments import check_method, score_from_moments
from kgdyn.scores._moments import centered_moments, positive, split_pairs

__all__ = ["VAMP2Score", "VAMPScore"]


@keras.saving.register_keras_serializable(package="kgdyn")
class VAMPScore(keras.metrics.Metric):
    """Streaming VAMP score: that of all pairs seen since the last reset, taken at once.

    Averaging the scores of batches would be biased. Here float64 means and centred second moments
    are merged batch by batch (Chan, Golub and LeVeque, 1983), so `val_vamp2` is the score of the
    validation set, on one device or many. During training the weights change under it: the
    training value mixes the epoch's models.

    A batch in which a probability or a weight is not finite adds nothing.

    Args:
        n_states: Int, at least 2.
        method: `"VAMP1"`, `"VAMP2"` or `"VAMPE"` (see `kgdyn.vamp_score`).
        reversible: Boolean, whether each pair counts in both directions.
        name: String; if `None`, the method in small letters, with `_reversible` where it is.

    Raises:
        ValueError: if `n_states` is below 2 or not that of `y_pred`, `method` is unknown,
            `y_pred` has not the shape `(n_pairs, 2, n_states)`, or there is not one weight a pair.
    """

    def __init__(
        self,
        n_states: int,
        method: str = "VAMP2",
        reversible: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        check_method(method)
        if n_states < 2:
            raise ValueError(f"n_states must be at least 2, received {n_states}")
        kwargs["dtype"] = "float64"
        super().__init__(
            name=name or method.lower() + ("_reversible" if reversible else ""), **kwargs
        )
        self.n_states = int(n_states)
        self.method = method
        self.reversible = bool(reversible)
        self._direction = "up"
        size = self.n_states - 1
        self.weight = self._zeros("weight", ())
        self.means = self._zeros("means", (2, size))
        self.moments = self._zeros("moments", (3, size, size))

    def _zeros(self, name: str, shape: tuple[int, ...]) -> Any:
        # Every replica adds the moments of all: one copy is the result, their sum is not.
        return self.add_variable(
            shape, "zeros", dtype="float64", aggregation="only_first_replica", name=name
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the pairs of `y_pred`, `(n_pairs, 2, n_states)`."""
        ops = keras.ops
        chi_t, chi_lag = split_pairs(y_pred)
        if chi_t.shape[1] != self.n_states:
            raise ValueError(
                f"y_pred must have n_states = {self.n_states} as its last axis, "
                f"received shape {tuple(y_pred.shape)}"
            )
        total, means, covariances = centered_moments(chi_t, chi_lag, sample_weight, self.reversible)
        # The moments are those of all replicas: they all leave the batch out, or none.
        finite = ops.isfinite(total) & ops.all(ops.isfinite(covariances))
        zero = ops.zeros_like(total)
        total = ops.where(finite, total, zero)
        moments = total * ops.where(finite, covariances, zero)

        before = ops.convert_to_tensor(self.weight)
        shift = ops.where(finite, means - ops.convert_to_tensor(self.means), zero)
        merged = before + total
        share = total / positive(merged)
        left, right = shift[0], shift[1]
        between = ops.stack(
            [ops.outer(left, left), ops.outer(left, right), ops.outer(right, right)]
        )
        self.moments.assign_add(moments + before * share * between)
        self.means.assign_add(shift * share)
        self.weight.assign(merged)

    def result(self) -> Any:
        """The score of all pairs seen; 1 (no memory) before the first."""
        moments, weight = (keras.ops.convert_to_tensor(x) for x in (self.moments, self.weight))
        return score_from_moments(moments / positive(weight), self.method)

    def get_config(self) -> dict[str, Any]:
        return {
            "n_states": self.n_states,
            "method": self.method,
            "reversible": self.reversible,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="kgdyn")
class VAMP2Score(VAMPScore):
    """Streaming VAMP-2 score, the `val_vamp2` of a training: `VAMPScore(n_states, "VAMP2")`."""

    def __init__(self, n_states: int, name: str = "vamp2", **kwargs: Any) -> None:
        super().__init__(n_states, "VAMP2", name=name, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {"n_states": self.n_states, "name": self.name}
