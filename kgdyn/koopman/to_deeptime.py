"""Koopman models and hard assignments as deeptime's own objects."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman._spectrum import nontrivial_eigenvalues, relaxation_times
from kgdyn.koopman.covariances import as_segments

__all__ = ["discrete_trajectories", "hard_assignments", "transfer_operator_model"]


def transfer_operator_model(koopman_matrix: ArrayLike, lagtime: int) -> Any:
    """A Koopman matrix of state probabilities as a deeptime model.

    K of fuzzy states may have small negative elements, which deeptime's ``MarkovStateModel``
    refuses. So this is a ``TransferOperatorModel`` that acts on the state probabilities
    themselves, with what deeptime's helpers ask a model for: ``lagtime`` and ``timescales(k)``
    for ``deeptime.util.validation.implied_timescales``, and a ``ck_test(models)`` as deeptime's
    own models have. Its timescales come from eigenvalues; those of deeptime's VAMP come from
    singular values, and are the same only for a reversible K.

    Parameters
    ----------
    koopman_matrix : (n_states, n_states) array
        K, rows are from-states.
    lagtime : int, frames, at least 1.

    Returns
    -------
    deeptime.decomposition.TransferOperatorModel
        ``forward(chi)`` is chi K, the state probabilities one lag time later.

    Raises
    ------
    ValueError
        If the matrix is not square and finite, or the lag time is below 1.
    """
    matrix = np.array(koopman_matrix, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise ValueError(
            "koopman_matrix must have shape (n_states, n_states) with at least two states, "
            f"received {matrix.shape}"
        )
    if not np.isfinite(matrix).all():
        raise ValueError(f"koopman_matrix must be finite, received {matrix.tolist()}")
    if lagtime < 1:
        raise ValueError(f"lagtime must be at least 1 frame, received {lagtime}")
    return _model_class()(readonly(matrix), int(lagtime))


def hard_assignments(
    state_probabilities: ArrayLike | Sequence[ArrayLike],
) -> list[NDArray[np.int32]]:
    """The most probable state of each target in each frame, an array a gap-free segment.

    Parameters
    ----------
    state_probabilities : array (n_frames, n_targets, n_states) or a sequence of such arrays
        One array a gap-free segment.

    Returns
    -------
    list of (n_frames, n_targets) arrays of int32

    Raises
    ------
    ValueError
        As :func:`kgdyn.koopman.as_segments`.
    """
    return [
        part.argmax(axis=-1).astype(np.int32, copy=False)
        for part in as_segments(state_probabilities)
    ]


def discrete_trajectories(
    assignments: Sequence[ArrayLike], lagtime: int = 0
) -> list[NDArray[np.int32]]:
    """Hard assignments as deeptime's estimators take them: one trajectory a target and segment.

    No pair of frames then crosses from one target, or from one segment, to the next.

    Parameters
    ----------
    assignments : sequence of (n_frames,) or (n_frames, n_targets) arrays of int
        One array a gap-free segment, as :func:`hard_assignments` returns.
    lagtime : int, frames
        Leave out segments that are not longer than this: some of deeptime's estimators refuse
        them, and they hold no pair.

    Returns
    -------
    list of (n_frames,) arrays of int32, contiguous

    Raises
    ------
    ValueError
        If an array has another shape or no integers, or if no segment is longer than ``lagtime``.
    """
    trajectories: list[NDArray[np.int32]] = []
    for number, values in enumerate(assignments):
        labels = np.asarray(values)
        if labels.ndim not in (1, 2) or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                "assignments must be arrays of int of shape (n_frames,) or (n_frames, n_targets), "
                f"received {labels.dtype} of shape {labels.shape} for segment {number}"
            )
        if len(labels) > lagtime:
            columns = labels.reshape(len(labels), -1).T
            trajectories += [np.ascontiguousarray(column, dtype=np.int32) for column in columns]
    if not trajectories:
        raise ValueError(
            f"assignments: no segment is longer than lagtime, {lagtime} frames; received lengths "
            f"{[len(np.asarray(values)) for values in assignments]}"
        )
    return trajectories


@functools.cache
def _model_class() -> type[Any]:
    """Made when first asked for: deeptime is not loaded before."""
    from deeptime.base import Observable
    from deeptime.decomposition import TransferOperatorModel
    from deeptime.util.validation import ck_test

    class Propagator(Observable):  # type: ignore[misc]
        """K of a model, to a whole power: what a Chapman-Kolmogorov test compares."""

        def __call__(self, model: Any, mlag: float = 1, **kwargs: Any) -> NDArray[np.float64]:
            steps = round(mlag)
            if abs(steps - mlag) > 1e-9:
                raise ValueError(
                    "models: their lag times must be multiples of that of the tested model, "
                    f"received {mlag:g} times it"
                )
            result: NDArray[np.float64] = np.linalg.matrix_power(model.operator, steps)
            return result

    class StateTransferOperator(TransferOperatorModel):  # type: ignore[misc]
        """K of state probabilities: chi(t + lagtime) ~ chi(t) K, rows are from-states."""

        def __init__(self, koopman_matrix: NDArray[np.float64], lagtime: int) -> None:
            super().__init__(koopman_matrix)
            self._lagtime = lagtime

        @property
        def lagtime(self) -> int:
            """In frames."""
            return self._lagtime

        @property
        def n_states(self) -> int:
            return len(self.operator)

        @property
        def eigenvalues(self) -> NDArray[np.complex128]:
            """(n_states - 1,) by falling magnitude, without the equilibrium's 1."""
            return nontrivial_eigenvalues(self.operator)

        def timescales(self, k: int | None = None) -> NDArray[np.float64]:
            """-lagtime / ln(eigenvalue) in frames; NaN where it is not between 0 and 1."""
            return relaxation_times(self.eigenvalues, float(self.lagtime))[:k]

        def ck_test(self, models: Sequence[Any]) -> Any:
            """deeptime's Chapman-Kolmogorov test: K^n of this model against K(n lagtime)."""
            return ck_test(list(models), Propagator(), test_model=self, include_lag0=False)

    return StateTransferOperator
