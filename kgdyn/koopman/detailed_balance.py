"""Do the data contradict detailed balance? Net flows of probability between states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman.bootstrap import Resampling
from kgdyn.koopman.covariances import Covariances, as_segments, block_covariances
from kgdyn.koopman.intervals import Interval, JackknifeErrors
from kgdyn.koopman.reversible import equilibrium_moments, with_products

__all__ = ["DetailedBalance", "detailed_balance"]

_ROUNDING = 1e-9
_DRAWS = 4000


@dataclass(frozen=True)
class DetailedBalance:
    """Net flows of probability in one lag time, and what they say.

    Attributes
    ----------
    net_fluxes : (n_states, n_states) array
        From i to j less from j to i, in equilibrium; antisymmetric, rows sum to 0.
    interval : Interval or None
        95% of each element alone.
    contradicted : bool or None
        Whether the largest net flow, in units of its error, is beyond what 95% of data without a
        flow would show: one test for all pairs of states. None without resampling. Of 400
        reversible chains each, 6.5 and 5.0% were accused with three states (40 and 100 blocks of
        data), 3.8 and 5.3% with five (43 and 20 blocks); the error of such a share is 1.1%.
    verdict : str
        The same in words.
    """

    net_fluxes: NDArray[np.float64]
    interval: Interval | None
    contradicted: bool | None
    verdict: str


def detailed_balance(
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    *,
    lagtime: int,
    resampling: Resampling | None = None,
) -> DetailedBalance:
    """Net flows <chi_i(t) chi_j(t + lagtime)> - <chi_j(t) chi_i(t + lagtime)> in equilibrium.

    The means are reweighted to the equilibrium of K, so that data which still relax do not look
    irreversible. For crisp states this is pi_i K_ij - pi_j K_ji. For soft ones it is not, and only
    this form is zero for reversible dynamics. Two states have no net flow, whatever the dynamics.

    Parameters
    ----------
    state_probabilities : array (n_frames, n_targets, n_states) or a sequence of such arrays
        One array a gap-free segment.
    lagtime : int, frames.
    resampling : Resampling, optional
        Makes the interval and the verdict.

    Raises
    ------
    ValueError
        As :func:`kgdyn.koopman.estimate_koopman_model`.
    """
    segments = as_segments(state_probabilities)
    n_states = segments[0].shape[-1]
    products = with_products(segments)
    fluxes = _net_fluxes(block_covariances(products, lagtime).combined(), n_states)[0]
    if not np.isfinite(fluxes).all():
        raise ValueError(
            "state_probabilities: the covariance of the states is singular, so that net fluxes "
            "are not defined; some state is never visited, or is a combination of the others"
        )
    interval, contradicted = None, None
    verdict = "not tested: without resampling a net flow has no error to compare it with"
    if resampling is not None:
        blocks = resampling.covariances(products, lagtime)

        def statistic(some: Covariances) -> dict[str, NDArray[np.float64]]:
            return {"fluxes": _net_fluxes(some, n_states)}

        interval = resampling.intervals(blocks, statistic, {})["fluxes"]
        errors = resampling.errors(blocks, statistic)["fluxes"]
        contradicted = _beyond_chance(errors, resampling.seed)
        verdict = (
            "the data contradict detailed balance: there is a net flow of probability in a cycle, "
            "and a reversible estimator would hide it"
            if contradicted
            else "the data do not contradict detailed balance"
        )
        if n_states == 2:
            verdict += ": between two states there is no net flow, whatever the dynamics"
    return DetailedBalance(readonly(fluxes), interval, contradicted, verdict)


def _net_fluxes(blocks: Covariances, n_states: int) -> NDArray[np.float64]:
    crossed = equilibrium_moments(blocks, n_states)[1]
    result: NDArray[np.float64] = crossed - np.swapaxes(crossed, -1, -2)
    return result


def _beyond_chance(fluxes: JackknifeErrors, seed: int) -> bool:
    """One test of all pairs: the largest |flux| / error beyond 95% of those of no flow.

    Without a flow the ratios follow Student's t, correlated as the blocks' influences are: drawn
    as sums of influences with random normal factors. Each is compared at its own degrees of
    freedom, through the probability of a larger one, so that pairs with few events do not decide.
    """
    from scipy.special import chdtri, stdtr

    pairs = np.triu_indices(len(fluxes.estimate), 1)
    found, error = fluxes.estimate[pairs], fluxes.error[pairs]
    influences = fluxes.influences[:, pairs[0], pairs[1]]
    real = np.isfinite(error) & (error > _ROUNDING) & np.isfinite(influences).all(axis=0)
    if not real.any():
        return False
    degrees = fluxes.degrees[pairs][real]
    ratios = np.abs(found[real] / error[real])
    rng = np.random.default_rng(seed)
    steps = influences[:, real] / np.sqrt((influences[:, real] ** 2).sum(axis=0))
    normal = rng.standard_normal((_DRAWS, len(steps))) @ steps
    # One chi-square for all pairs: their errors come from the same blocks.
    quantiles = rng.random(_DRAWS)[:, None]
    drawn = np.abs(normal) / np.sqrt(chdtri(degrees, quantiles) / degrees)
    chance = stdtr(degrees, -drawn).min(axis=1)
    return bool(stdtr(degrees, -ratios).min() < np.percentile(chance, 5.0))
