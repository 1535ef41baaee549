"""The global model from the local one: moves between sites, from the Koopman matrix of states.

Xie et al. 2019, Supplementary Note 2: targets see only their surroundings, so sites that look the
same are one state. Where it is known how sites are joined, the matrix between sites follows.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman._site_shares import site_shares
from kgdyn.koopman._spectrum import (
    nontrivial_eigenvalues,
    relaxation_times,
    stationary_distributions,
)
from kgdyn.koopman.bootstrap import Resampling
from kgdyn.koopman.covariances import Covariances
from kgdyn.koopman.intervals import Interval
from kgdyn.koopman.koopman_model import KoopmanModel, estimate_koopman_model
from kgdyn.koopman.reversible import Estimator, estimate_matrices, estimator_columns

__all__ = ["SiteModel", "estimate_site_model", "site_model"]

Float = NDArray[np.float64]


@dataclass(frozen=True)
class SiteModel:
    """Dynamics among sites, each of which looks like one of the states.

    Attributes
    ----------
    transition_matrix : (n_sites, n_sites) array
        Rows are from-sites and sum to 1.
    site_states : (n_sites,) array of int
        State of each site.
    lagtime : int, frames.
    frame_interval : float, ps.
    transition_matrix_interval, stationary_distribution_interval, timescales_interval : Interval
        95%, times in ps; None without a resampling.
    resampling : Resampling or None
        How the intervals were made.
    """

    transition_matrix: Float
    site_states: NDArray[np.int64]
    lagtime: int
    frame_interval: float
    transition_matrix_interval: Interval | None = None
    stationary_distribution_interval: Interval | None = None
    timescales_interval: Interval | None = None
    resampling: Resampling | None = None

    @property
    def n_sites(self) -> int:
        return len(self.transition_matrix)

    @property
    def eigenvalues(self) -> NDArray[np.complex128]:
        """(n_sites - 1,) by falling magnitude, without the equilibrium's 1."""
        return nontrivial_eigenvalues(self.transition_matrix)

    @property
    def stationary_distribution(self) -> Float:
        """(n_sites,) left eigenvector for eigenvalue 1; sums to 1."""
        return stationary_distributions(self.transition_matrix)

    def timescales(self, k: int | None = None) -> Float:
        """The ``k`` slowest implied timescales -lagtime / ln(lambda), in frames.

        An eigenvalue that is negative, complex or at least 1 has no relaxation time: NaN, with a
        RuntimeWarning.
        """
        times = relaxation_times(self.eigenvalues, float(self.lagtime))[:k]
        if np.isnan(times).any():
            warnings.warn(
                f"{int(np.isnan(times).sum())} eigenvalues of the site model have no relaxation "
                "time (negative, complex or at least 1): their timescales are NaN",
                RuntimeWarning,
                stacklevel=2,
            )
        return times

    def timescales_ps(self, k: int | None = None) -> Float:
        """The same in ps."""
        return self.timescales(k) * self.frame_interval

    def __repr__(self) -> str:
        slowest = relaxation_times(self.eigenvalues, self.lagtime * self.frame_interval)[0]
        return (
            f"SiteModel(n_sites={self.n_sites}, lagtime={self.lagtime} frames = "
            f"{self.lagtime * self.frame_interval:g} ps, slowest timescale {slowest:.4g} ps)"
        )


def site_model(
    koopman: KoopmanModel | ArrayLike,
    site_states: ArrayLike,
    adjacency: ArrayLike,
    *,
    lagtime: int | None = None,
    frame_interval: float | None = None,
) -> SiteModel:
    """The matrix between sites that a Koopman matrix between states stands for.

    A target on site a of state i is on a again one lag time later with probability K_ii. The
    probability K_ij that it is in state j by then is shared equally among the sites of state j
    that a touches. Where it touches none, it is shared among those that the fewest steps lead to,
    in proportion to the number of ways.

    It is assumed that

    - all sites of a state are alike, and a move forgets where it came from;
    - in one lag time a target does not leave its site and come to another of the same state: that
      would count as staying. So the lag time is to be short beside the residence times, and yet
      long enough for K to be Markovian;
    - the Koopman matrix is one of (nearly) crisp states.

    Where every site of two states i and j touches all sites of the other state, n_i and n_j of
    them, the eigenvalues are K_ii (n_i - 1 times), K_jj (n_j - 1 times), K_ii + K_jj - 1, and 1.

    Parameters
    ----------
    koopman : KoopmanModel, or (n_states, n_states) array
        Of a model, its lag time and frame interval are taken.
    site_states : (n_sites,) array of int
        State of each site; each state has at least one.
    adjacency : (n_sites, n_sites) array
        Which sites touch; symmetric. Numbers count ways, as :func:`kgdyn.koopman.site_adjacency`
        counts periodic images.
    lagtime : int, frames, optional
        With an array; 1 if not given.
    frame_interval : float, ps, optional
        With an array; 1 if not given.

    Returns
    -------
    SiteModel
        Without intervals: :func:`estimate_site_model` makes those.

    Raises
    ------
    ValueError
        For a matrix whose rows do not sum to 1, other shapes, states without a site, an adjacency
        that is not symmetric, or a site that no way leads from to a state that K moves to.
    """
    if isinstance(koopman, KoopmanModel):
        if lagtime is not None or frame_interval is not None:
            raise ValueError(
                "lagtime and frame_interval are those of the Koopman model, received "
                f"{lagtime} and {frame_interval}"
            )
        matrix = koopman.koopman_matrix
        lagtime, frame_interval = koopman.lagtime, koopman.frame_interval
    else:
        matrix = np.asarray(koopman, dtype=np.float64)
    matrix = _checked_matrix(matrix)
    states, shares = site_shares(matrix, site_states, adjacency)
    return SiteModel(
        transition_matrix=readonly(_between_sites(matrix, states, shares)),
        site_states=readonly(states, np.int64),
        lagtime=1 if lagtime is None else int(lagtime),
        frame_interval=1.0 if frame_interval is None else float(frame_interval),
    )


def estimate_site_model(
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    site_states: ArrayLike,
    adjacency: ArrayLike,
    *,
    lagtime: int,
    frame_interval: float = 1.0,
    resampling: Resampling | None = None,
    estimator: Estimator = "plain",
) -> SiteModel:
    """Estimate K from state probabilities, and from it the matrix between sites.

    Parameters
    ----------
    site_states, adjacency
        As for :func:`site_model`, which says what is assumed.
    state_probabilities, lagtime, frame_interval, estimator
        As for :func:`kgdyn.koopman.estimate_koopman_model`.
    resampling : Resampling, optional
        Makes 95% intervals, in which only the error of K is counted, not that of assumptions.

    Raises
    ------
    ValueError
        As the two functions above.
    """
    segments, columns = estimator_columns(state_probabilities, estimator)
    model = estimate_koopman_model(
        segments, lagtime=lagtime, frame_interval=frame_interval, estimator=estimator
    )
    found = site_model(model, site_states, adjacency)
    if resampling is None:
        return found
    states, shares = site_shares(model.koopman_matrix, site_states, adjacency)

    def statistics(blocks: Covariances) -> dict[str, Float]:
        local = estimate_matrices(blocks, estimator, model.n_states)
        matrices = _between_sites(local, states, shares)
        times = relaxation_times(nontrivial_eigenvalues(matrices), lagtime * frame_interval)
        return {
            "transition_matrix": matrices,
            "stationary_distribution": stationary_distributions(matrices),
            "timescales": times,
        }

    intervals = resampling.intervals(
        resampling.covariances(columns, lagtime),
        statistics,
        {
            "transition_matrix": "probability",
            "stationary_distribution": "probability",
            "timescales": "log",
        },
    )
    return SiteModel(
        transition_matrix=found.transition_matrix,
        site_states=found.site_states,
        lagtime=found.lagtime,
        frame_interval=found.frame_interval,
        transition_matrix_interval=intervals["transition_matrix"],
        stationary_distribution_interval=intervals["stationary_distribution"],
        timescales_interval=intervals["timescales"],
        resampling=resampling,
    )


def _between_sites(local: Float, states: NDArray[np.int64], shares: Float) -> Float:
    """(..., n_sites, n_sites): K of the two sites' states, times the share of the site."""
    result: Float = local[..., states[:, None], states[None, :]] * shares
    return result


def _checked_matrix(matrix: Float) -> Float:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise ValueError(
            "koopman must be a model, or a matrix of shape (n_states, n_states) with at least two "
            f"states, received {matrix.shape}"
        )
    # Written so that NaN fails too. Columns of a rounded chi may be off by as much as chi.
    if not np.abs(matrix.sum(axis=1) - 1.0).max() <= 1e-4:
        raise ValueError(f"rows of koopman must sum to 1, received {matrix.sum(axis=1)}")
    return matrix
