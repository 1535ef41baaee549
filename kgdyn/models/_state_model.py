"""What all models of this room share: training, states fixed at its end, what a file holds."""

from __future__ import annotations

from typing import Any, TypeVar

import keras
import numpy as np

from kgdyn.koopman.simplex_map import fit_simplex_map
from kgdyn.layers import SimplexMap, StateHead
from kgdyn.models._training_step import SkippingModel, only_finite

__all__ = ["FORMAT_VERSION", "StateModel", "check_lag", "needs_tensorflow"]

# Of the configuration in a .keras file. Raised when an older reader would misread a file.
FORMAT_VERSION = 1
# Enough to find the extremes of a slow function; bounds the memory of `fix_states`.
_PAIRS_TO_FIX_STATES = 400_000

Self = TypeVar("Self", bound="StateModel")


class StateModel(SkippingModel):
    """A model whose last layers are `self.head` and `self.simplex_map`.

    Whoever inherits sets these two, `n_states` and `n_outputs` in `__init__`, after
    `super().__init__(**kwargs)`.
    """

    head: StateHead
    simplex_map: SimplexMap
    n_states: int
    n_outputs: int

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)

    def _resolve_auto_jit_compile(self) -> bool:
        """XLA only where asked for: batches differ in shape, and it recompiles for each shape."""
        return False

    def read_out(self, vectors: Any, training: bool | None, mapped: bool) -> Any:
        """From the vectors of targets to their states, or to the outputs before the map."""

        def last_layers(vectors: Any) -> Any:
            outputs = self.head(vectors, training=training)
            return self.simplex_map(outputs) if mapped else keras.ops.cast(outputs, "float32")

        return (self.in_xla(last_layers) if training else last_layers)(vectors)

    @property
    def maps_pairs(self) -> bool:
        """Scores are of all outputs. Where these are as many as states, the map does not matter."""
        return self.n_outputs == self.n_states

    def as_pairs(self, probabilities: Any) -> Any:
        """`(n_pairs, 2, n_outputs)` of rows at t, and after them those a lag time later."""
        ops = keras.ops
        return ops.transpose(ops.reshape(probabilities, (2, -1, self.n_outputs)), (1, 0, 2))

    def fit(self, x: Any = None, *args: Any, fix_states: bool = True, **kwargs: Any) -> Any:
        """Train as any Keras model, then fix the states on the training pairs.

        Args:
            x: A dataset of pairs, as `kgdyn.training.pairs_dataset` makes for a `GDyNet` and
                `kgdyn.training.coordinates_dataset` for a `VAMPNet`.
            fix_states: Bool. False leaves the outputs as the score leaves them: undetermined up
                to a linear map.
            *args: As `keras.Model.fit`.
            **kwargs: As `keras.Model.fit`.

        Returns:
            The `keras.callbacks.History`.
        """
        needs_tensorflow("fit", "train there and load the model file here")
        kwargs.setdefault("shuffle", False)  # the dataset shuffles itself; Keras would warn
        history = super().fit(x, *args, **kwargs)
        if fix_states:
            self.fix_states(x, steps=kwargs.get("steps_per_epoch"))
        return history

    def fix_states(self, pairs: Any, steps: int | None = None) -> np.ndarray[Any, Any]:
        """Make states of the outputs: find the simplex map on these pairs and keep it.

        Args:
            pairs: A dataset of pairs, or an array `(n_pairs, 2, n_outputs)` of this model's
                unmapped outputs.
            steps: Int, batches to use; all of the dataset, up to 400,000 pairs, if not given.

        Returns:
            The matrix, `(n_outputs, n_states)`; states are ordered by population.
        """
        self.simplex_map.reset()
        outputs = pairs if isinstance(pairs, np.ndarray) else self._outputs(pairs, steps)
        matrix = fit_simplex_map(outputs[:, 0], outputs[:, 1], n_states=self.n_states)
        self.simplex_map.set_matrix(matrix)
        return matrix

    def _outputs(self, pairs: Any, steps: int | None) -> np.ndarray[Any, Any]:
        parts: list[np.ndarray[Any, Any]] = []
        n_pairs = 0
        for number, batch in enumerate(self.distributed_batches(pairs)):
            if n_pairs >= _PAIRS_TO_FIX_STATES or (steps is not None and number >= steps):
                break
            parts.append(self.predict_batch(batch))
            n_pairs += len(parts[-1])
        if not parts:
            raise ValueError("pairs: at least one batch is needed to fix the states, received none")
        return only_finite(np.concatenate(parts))

    def get_config(self) -> dict[str, Any]:
        """What every model's file holds first."""
        base = super().get_config()
        return {
            **{key: base[key] for key in ("name", "trainable", "dtype") if key in base},
            "format_version": FORMAT_VERSION,
        }

    @classmethod
    def from_config(cls: type[Self], config: dict[str, Any], custom_objects: Any = None) -> Self:
        config = dict(config)
        version = config.pop("format_version", None)
        if version != FORMAT_VERSION:
            raise ValueError(
                f"the model was written in format version {version}; this kgdyn reads version "
                f"{FORMAT_VERSION}: use the kgdyn that wrote it, or train again"
            )
        dtype = config.get("dtype")
        if isinstance(dtype, dict):
            config["dtype"] = keras.dtype_policies.deserialize(dtype)
        return cls(**config)


def check_lag(frame_interval: float | None, **at_least_one: int) -> None:
    """ValueError unless the interval is a time and the other arguments are at least 1."""
    for name, value in at_least_one.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, received {value}")
    if frame_interval is not None and not frame_interval > 0:
        raise ValueError(f"frame_interval must be a positive time in ps, received {frame_interval}")


def needs_tensorflow(what: str, instead: str) -> None:
    """NotImplementedError where Keras runs on something else."""
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise NotImplementedError(
            f"{what} only with TensorFlow, and Keras runs on {backend}: {instead}"
        )
