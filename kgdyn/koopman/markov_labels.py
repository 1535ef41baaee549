"""The Markov model of hard labels, by deeptime: the yardstick where true states are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.koopman.to_deeptime import discrete_trajectories

__all__ = ["label_markov_model", "one_hot"]


def label_markov_model(
    labels: Sequence[ArrayLike], lagtime: int, *, reversible: bool = False
) -> Any:
    """Count transitions between labels and estimate their Markov state model with deeptime.

    With :func:`kgdyn.koopman.hard_assignments` it is the Markov model of learned states, on which
    deeptime's PCCA+ (``.pcca(n)``) and transition paths (``.reactive_flux(a, b)``) work; its
    ``BayesianMSM`` and hidden Markov models take
    :func:`kgdyn.koopman.discrete_trajectories`.

    Parameters
    ----------
    labels : sequence of (n_frames,) or (n_frames, n_targets) arrays of int
        One array a gap-free segment; each target is one trajectory of labels.
    lagtime : int, frames.
    reversible : bool
        Make the model obey detailed balance.

    Returns
    -------
    deeptime.markov.msm.MarkovStateModel

    Raises
    ------
    ValueError
        As :func:`kgdyn.koopman.discrete_trajectories`.
    """
    from deeptime.markov import TransitionCountEstimator
    from deeptime.markov.msm import MaximumLikelihoodMSM

    trajectories = discrete_trajectories(labels, lagtime)
    counts = TransitionCountEstimator(lagtime, "sliding").fit_fetch(trajectories)
    return MaximumLikelihoodMSM(reversible=reversible).fit_fetch(counts)


def one_hot(labels: ArrayLike, n_states: int) -> NDArray[np.float32]:
    """(n_frames,) or (n_frames, n_targets) labels as state probabilities of 0 and 1.

    Raises
    ------
    ValueError
        If a label is not between 0 and ``n_states - 1``.
    """
    labels = np.asarray(labels)
    if labels.dtype == bool:  # as an index it would be a mask
        labels = labels.astype(np.int64)
    if labels.size and not (labels.min() >= 0 and labels.max() < n_states):
        raise ValueError(
            f"labels must be from 0 to {n_states - 1}, received {labels.min()} to {labels.max()}"
        )
    if labels.ndim == 1:
        labels = labels[:, None]
    result: NDArray[np.float32] = np.eye(n_states, dtype=np.float32)[labels]
    return result
