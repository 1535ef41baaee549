"""The VAMP-2 score of a whole epoch, from covariances accumulated over its batches."""

from __future__ import annotations

from typing import Any

import keras

from kgdyn.scores._features import score_from_moments, split_pairs
from kgdyn.scores.vamp2_score import centered_moments

__all__ = ["VAMP2Score"]


@keras.saving.register_keras_serializable(package="kgdyn")
class VAMP2Score(keras.metrics.Metric):
    """Streaming VAMP-2 score: that of all pairs seen since the last reset, taken at once.

    Averaging the scores of batches would be biased. Here float64 means and centred second moments
    are merged batch by batch (Chan, Golub and LeVeque, 1983), so `val_vamp2` is the score of the
    validation set. During training the weights change under it: the training value mixes the
    epoch's models.

    Args:
        n_states: Int, at least 2.
        name: String.

    Raises:
        ValueError: if `n_states` is below 2.
    """

    def __init__(self, n_states: int, name: str = "vamp2", **kwargs: Any) -> None:
        kwargs["dtype"] = "float64"
        super().__init__(name=name, **kwargs)
        if n_states < 2:
            raise ValueError(f"n_states must be at least 2, received {n_states}")
        self.n_states = int(n_states)
        self._direction = "up"
        size = self.n_states - 1
        self.weight = self._zeros("weight", ())
        self.means = self._zeros("means", (2, size))
        self.moment_00 = self._zeros("moment_00", (size, size))
        self.moment_0t = self._zeros("moment_0t", (size, size))
        self.moment_tt = self._zeros("moment_tt", (size, size))

    def _zeros(self, name: str, shape: tuple[int, ...]) -> Any:
        return self.add_variable(shape=shape, initializer="zeros", dtype="float64", name=name)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the pairs of `y_pred`, `(n_pairs, 2, n_states)`."""
        ops = keras.ops
        chi_t, chi_lag = split_pairs(y_pred)
        total, means, cov_00, cov_0t, cov_tt = centered_moments(chi_t, chi_lag, sample_weight)
        merged = self.weight + total
        shift = means - self.means
        share = total / ops.maximum(merged, 1e-300)
        factor = self.weight * share

        def outer(a: int, b: int) -> Any:
            return factor * shift[a][:, None] * shift[b][None, :]

        self.moment_00.assign(self.moment_00 + total * cov_00 + outer(0, 0))
        self.moment_0t.assign(self.moment_0t + total * cov_0t + outer(0, 1))
        self.moment_tt.assign(self.moment_tt + total * cov_tt + outer(1, 1))
        self.means.assign(self.means + shift * share)
        self.weight.assign(ops.cast(merged, "float64"))

    def result(self) -> Any:
        """The score of all pairs seen; 1 (no memory) before the first."""
        weight = keras.ops.maximum(self.weight, 1e-300)
        return score_from_moments(
            self.moment_00 / weight, self.moment_0t / weight, self.moment_tt / weight
        )

    def get_config(self) -> dict[str, Any]:
        return {"n_states": self.n_states, "name": self.name}
