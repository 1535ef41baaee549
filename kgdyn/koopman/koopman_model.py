"""The Koopman model: how state probabilities move on in one lag time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman._spectrum import (
    nontrivial_eigenvalues,
    relaxation_times,
    stationary_distributions,
)
from kgdyn.koopman.bootstrap import Resampling
from kgdyn.koopman.covariances import Covariances, block_covariances
from kgdyn.koopman.eigenvectors import eigenvectors
from kgdyn.koopman.intervals import Interval
from kgdyn.koopman.model_intervals import model_intervals
from kgdyn.koopman.reversible import Estimator, estimate_matrices, estimator_columns
from kgdyn.koopman.to_deeptime import transfer_operator_model

__all__ = ["KoopmanModel", "estimate_koopman_model"]


@dataclass(frozen=True)
class KoopmanModel:
    """Linear dynamics of state probabilities: chi(t + lagtime) ~ K^T chi(t).

    ``lagtime`` and ``timescales(k)`` are named as deeptime's helpers look for them, and in frames
    as there: ``deeptime.util.validation.implied_timescales`` takes a list of these models.

    Attributes
    ----------
    koopman_matrix : (n_states, n_states) array of float64
        K = C00^-1 C0t, mean not removed; rows are from-states and sum to 1
        (Xie et al. 2019, Eq. 4), or as ``estimator`` says.
    lagtime : int, frames.
    frame_interval : float, ps.
    n_pairs : int
        Pairs of frames times targets.
    populations : (n_states,) array
        Mean state probability of the data.
    koopman_matrix_interval, ... : Interval or None
        95% intervals, of the quantity that the name begins with; times in ps.
    resampling : Resampling or None
        How the intervals were made.
    estimator : str
        "plain", "reversible" or "stationary": how K was estimated.
    eigenvalues_interval : Interval or None
        Of real eigenvalues; NaN for complex ones.
    independent_blocks : float or None
        On how many independent blocks of data the least certain of K, the timescales and the
        populations rests: fewer than there are where few blocks hold the events that count.
    """

    koopman_matrix: NDArray[np.float64]
    lagtime: int
    frame_interval: float
    n_pairs: int
    populations: NDArray[np.float64]
    vamp2_score: float
    koopman_matrix_interval: Interval | None = None
    stationary_distribution_interval: Interval | None = None
    timescales_interval: Interval | None = None
    populations_interval: Interval | None = None
    resampling: Resampling | None = field(default=None, repr=False)
    mean_first_passage_times_interval: Interval | None = None
    residence_times_interval: Interval | None = None
    estimator: Estimator = "plain"
    eigenvalues_interval: Interval | None = None
    independent_blocks: float | None = None

    @property
    def n_states(self) -> int:
        return len(self.koopman_matrix)

    @property
    def eigenvalues(self) -> NDArray[np.complex128]:
        """(n_states - 1,) by falling magnitude, without the equilibrium's 1."""
        return nontrivial_eigenvalues(self.koopman_matrix)

    @property
    def stationary_distribution(self) -> NDArray[np.float64]:
        """(n_states,) left eigenvector of K for eigenvalue 1; sums to 1."""
        return stationary_distributions(self.koopman_matrix)

    @property
    def left_eigenvectors(self) -> NDArray[Any]:
        """(n_states, n_states - 1), in columns; rules in :func:`kgdyn.koopman.eigenvectors`."""
        return eigenvectors(self.koopman_matrix)[0]

    @property
    def right_eigenvectors(self) -> NDArray[Any]:
        """(n_states, n_states - 1), in columns; ``left.T @ right`` is the identity."""
        return eigenvectors(self.koopman_matrix)[1]

    def timescales(self, k: int | None = None) -> NDArray[np.float64]:
        """The ``k`` slowest implied timescales -lagtime / ln(lambda), in frames, as in deeptime.

        An eigenvalue that is negative, complex or at least 1 has no relaxation time: NaN, with a
        RuntimeWarning.
        """
        times = relaxation_times(self.eigenvalues, float(self.lagtime))
        if np.isnan(times[: len(times) if k is None else k]).any():
            warnings.warn(
                "eigenvalues without a relaxation time (negative, complex or at least 1): "
                f"{self.eigenvalues[np.isnan(times)]}; their timescales are NaN",
                RuntimeWarning,
                stacklevel=2,
            )
        return times if k is None else times[:k]

    def timescales_ps(self, k: int | None = None) -> NDArray[np.float64]:
        """The same in ps."""
        return self.timescales(k) * self.frame_interval

    def to_deeptime(self) -> Any:
        """As :func:`kgdyn.koopman.transfer_operator_model`: the same K and timescales."""
        return transfer_operator_model(self.koopman_matrix, self.lagtime)

    def __repr__(self) -> str:
        times = relaxation_times(self.eigenvalues, self.lagtime * self.frame_interval)
        return (
            f"KoopmanModel(n_states={self.n_states}, lagtime={self.lagtime} frames = "
            f"{self.lagtime * self.frame_interval:g} ps, "
            f"timescales={np.array2string(times, precision=4)} ps)"
        )


def estimate_koopman_model(
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    *,
    lagtime: int,
    frame_interval: float = 1.0,
    resampling: Resampling | None = None,
    estimator: Estimator = "plain",
) -> KoopmanModel:
    """Estimate K = C00^-1 C0t over all pairs of frames and all targets (Xie et al. 2019, Eq. 4).

    Parameters
    ----------
    state_probabilities : array (n_frames, n_targets, n_states) or a sequence of such arrays
        One array a gap-free segment; no pair crosses from one to the next.
    lagtime : int, frames.
    frame_interval : float, ps.
    resampling : Resampling, optional
        Makes 95% intervals for K, its stationary distribution, eigenvalues, timescales, the
        populations, mean first passage and residence times, by the same estimator.
    estimator : {"plain", "reversible", "stationary"}
        - "plain": K = C00^-1 C0t. Assumes nothing of equilibrium or reversibility.
        - "reversible": (C00 + Ctt) / 2 and (C0t + C0t^T) / 2 in their place. Assumes reversible
          dynamics and data sampled in equilibrium; the stationary distribution is the mean of the
          data. From data that still relax it is biased.
        - "stationary": pairs are first reweighted to the stationary distribution of the plain K,
          which is kept, then symmetrised (Wu et al., J. Chem. Phys. 146, 154104 (2017)). Assumes
          reversible dynamics, and states that describe the slow processes; data need not be in
          equilibrium. Its error is larger.

        The last two have real eigenvalues, and K is self-adjoint under its covariance; for crisp
        states that is detailed balance. They hide a net flow in a cycle: see
        :func:`kgdyn.koopman.detailed_balance`. ``vamp2_score`` and ``populations`` are those of
        the data in all three.

    Raises
    ------
    ValueError
        For an unknown estimator, or weights of "stationary" that leave no positive covariance;
        for a bad shape, rows that do not sum to 1, a lag time longer than every segment, or
        states that are linear combinations of each other (C00 singular).

    Warns
    -----
    RuntimeWarning
        With ``resampling``: if there are few blocks, or an interval rests on few of them.
    """
    segments, columns = estimator_columns(state_probabilities, estimator)
    n_states = segments[0].shape[-1]
    total = block_covariances(segments, lagtime).combined()
    used = total if columns is segments else block_covariances(columns, lagtime).combined()
    matrix = estimate_matrices(used, estimator, n_states)[0]
    if not np.isfinite(matrix).all():
        raise ValueError(
            "state_probabilities: the covariance of the states is singular, so that K is not "
            "defined; some state is never visited, or is a combination of the others"
        )
    intervals: dict[str, Interval] = {}
    independent = None
    if resampling is not None:
        blocks = resampling.covariances(columns, lagtime)
        lag = lagtime * frame_interval
        intervals, independent = model_intervals(resampling, blocks, lag, estimator, n_states)
    return KoopmanModel(
        koopman_matrix=readonly(matrix),
        lagtime=int(lagtime),
        frame_interval=float(frame_interval),
        n_pairs=int(total.n_pairs[0]),
        populations=readonly(_populations(segments)),
        vamp2_score=vamp2_of(total),
        resampling=resampling,
        estimator=estimator,
        independent_blocks=independent,
        **intervals,
    )


def _populations(segments: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    total = np.sum([segment.sum(axis=(0, 1)) for segment in segments], axis=0)
    count = sum(segment.shape[0] * segment.shape[1] for segment in segments)
    result: NDArray[np.float64] = total / count
    return result


def vamp2_of(total: Covariances) -> float:
    """Mean removed, the constant counted as 1: as :func:`kgdyn.scores.vamp2_score`."""
    n_pairs = total.n_pairs[0]
    # Rows sum to 1: without the last state the functions are the same, but no direction is null.
    kept = np.s_[:-1, :-1]
    mean_0, mean_t = total.sum_0[0] / n_pairs, total.sum_t[0] / n_pairs
    cov_00 = (total.cov_00[0] / n_pairs - np.outer(mean_0, mean_0))[kept]
    cov_0t = (total.cov_0t[0] / n_pairs - np.outer(mean_0, mean_t))[kept]
    cov_tt = (total.cov_tt[0] / n_pairs - np.outer(mean_t, mean_t))[kept]
    inverse_00 = np.linalg.pinv(cov_00, rcond=1e-10, hermitian=True)
    inverse_tt = np.linalg.pinv(cov_tt, rcond=1e-10, hermitian=True)
    return 1.0 + float(np.trace(inverse_00 @ cov_0t @ inverse_tt @ cov_0t.T))
