"""A Markov chain: the one system whose Koopman matrix, timescales and populations are exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import readonly

__all__ = ["MarkovChain"]


@dataclass(frozen=True, eq=False)
class MarkovChain:
    """A chain of given transition matrix T, whose trajectories begin in equilibrium.

    Parameters
    ----------
    transition_matrix : (n_states, n_states) array
        Probabilities of one step, rows are from-states. One state can be reached from all others.

    Raises
    ------
    ValueError
        If the matrix is not square, or its rows are no probabilities.
    """

    transition_matrix: NDArray[np.float64]

    def __post_init__(self) -> None:
        matrix = np.array(self.transition_matrix, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
            raise ValueError(
                "transition_matrix must have shape (n_states, n_states) with at least two states, "
                f"received {matrix.shape}"
            )
        if not (np.all(matrix >= 0.0) and np.allclose(matrix.sum(axis=1), 1.0, atol=1e-10)):
            raise ValueError(
                "rows of transition_matrix must be probabilities that sum to 1, received rows "
                f"{matrix.tolist()}"
            )
        object.__setattr__(self, "transition_matrix", readonly(matrix))

    @property
    def n_states(self) -> int:
        return len(self.transition_matrix)

    @property
    def stationary_distribution(self) -> NDArray[np.float64]:
        """(n_states,) pi with pi T = pi; sums to 1."""
        values, vectors = np.linalg.eig(self.transition_matrix.T)
        vector = vectors[:, np.argmin(np.abs(values - 1.0))].real
        result: NDArray[np.float64] = vector / vector.sum()
        return result

    @property
    def timescales(self) -> NDArray[np.float64]:
        """(n_states - 1,) exact relaxation times -1 / ln(lambda), in steps, slowest first.

        NaN where the eigenvalue is negative, zero or complex: it has none.
        """
        values = np.linalg.eigvals(self.transition_matrix)
        values = np.delete(values, np.argmin(np.abs(values - 1.0)))
        values = values[np.argsort(-np.abs(values), kind="stable")]
        result = np.full(len(values), np.nan)
        decays = (values.imag == 0.0) & (values.real > 0.0)
        result[decays] = -1.0 / np.log(values.real[decays])
        return result

    def sample(
        self, n_frames: int, n_targets: int = 1, *, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Independent trajectories of states.

        Parameters
        ----------
        n_frames : int
        n_targets : int
        rng : numpy.random.Generator

        Returns
        -------
        (n_frames, n_targets) array of int
        """
        bounds = np.cumsum(self.transition_matrix, axis=1)[:, :-1]
        draws = rng.random((n_frames, n_targets))
        states = np.empty((n_frames, n_targets), dtype=np.int64)
        states[0] = np.searchsorted(
            np.cumsum(self.stationary_distribution)[:-1], draws[0], side="right"
        )
        for frame in range(1, n_frames):
            states[frame] = (draws[frame][:, None] >= bounds[states[frame - 1]]).sum(axis=1)
        return states
