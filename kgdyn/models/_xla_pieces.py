"""XLA for what stands around operations that XLA cannot compile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kgdyn.models._distribution import DistributableModel

__all__ = ["PiecewiseModel"]


class PiecewiseModel(DistributableModel):
    """A model of which `jit_compile=True` compiles all but what must run outside of XLA.

    Where `_runs_outside_xla` says so, Keras' own functions are not compiled as a whole. The pieces
    that `in_xla` is given are, each by itself; their shapes hardly change from batch to batch, so
    that ragged batches are not compiled anew.
    """

    def _runs_outside_xla(self) -> bool:
        """Whether a part of the model cannot be compiled by XLA."""
        return False

    def _in_pieces(self) -> bool:
        return bool(self.jit_compile) and not self.run_eagerly and self._runs_outside_xla()

    def in_xla(self, piece: Callable[..., Any]) -> Callable[..., Any]:
        """A function of tensors, compiled where the model is compiled in pieces."""
        if not self._in_pieces():
            return piece
        import tensorflow as tf

        compiled: Callable[..., Any] = tf.function(piece, jit_compile=True, autograph=False)
        return compiled

    def make_train_function(self, force: bool = False) -> Any:
        return self._made(super().make_train_function, force)

    def make_test_function(self, force: bool = False) -> Any:
        return self._made(super().make_test_function, force)

    def make_predict_function(self, force: bool = False) -> Any:
        return self._made(super().make_predict_function, force)

    def _made(self, make: Callable[[bool], Any], force: bool) -> Any:
        """Keras asks for `jit_compile` when it makes a function, before that is traced."""
        if not self._in_pieces():
            return make(force)
        self.jit_compile = False
        try:
            return make(force)
        finally:
            self.jit_compile = True
