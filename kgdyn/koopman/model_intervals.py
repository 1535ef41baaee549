"""Intervals of all that follows from K, and a word where they rest on too little."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman._spectrum import (
    nontrivial_eigenvalues,
    relaxation_times,
    stationary_distributions,
)
from kgdyn.koopman.bootstrap import Resampling
from kgdyn.koopman.covariances import Covariances
from kgdyn.koopman.intervals import (
    Interval,
    JackknifeErrors,
    Scale,
    Statistics,
    percentile_interval,
)
from kgdyn.koopman.passage_times import passage_matrices, residence_vectors
from kgdyn.koopman.reversible import Estimator, estimate_matrices

__all__ = ["FEWEST_INDEPENDENT", "model_intervals", "model_statistics", "timescales_interval"]

Float = NDArray[np.float64]

FEWEST_INDEPENDENT = 6.0
_SCALES: dict[str, Scale] = {
    "koopman_matrix": "probability",
    "stationary_distribution": "probability",
    "populations": "probability",
    "timescales": "log",
    "mean_first_passage_times": "log",
    "residence_times": "log",
}
# Neighbouring timescales nearer than this many errors of their ratio are not told apart.
_APART = 3.0
# An element of K, or its error, below this is 0.
_ROUNDING = 1e-9


def model_statistics(lag: float, estimator: Estimator, n_states: int) -> Statistics:
    """All that a KoopmanModel has intervals of, as a function of covariances, by name."""

    def statistics(some: Covariances) -> dict[str, Float]:
        matrices = estimate_matrices(some, estimator, n_states)
        values = nontrivial_eigenvalues(matrices)
        return {
            "koopman_matrix": matrices,
            "stationary_distribution": stationary_distributions(matrices),
            "eigenvalues": np.where(np.abs(values.imag) <= 1e-9, values.real, np.nan),
            "timescales": relaxation_times(values, lag),
            "populations": some.sum_0[:, :n_states] / some.n_pairs[:, None],
            "mean_first_passage_times": passage_matrices(matrices, lag),
            "residence_times": residence_vectors(matrices, lag),
        }

    return statistics


def model_intervals(
    resampling: Resampling,
    blocks: Covariances,
    lag: float,
    estimator: Estimator,
    n_states: int,
    errors: dict[str, JackknifeErrors] | None = None,
    warn: bool = True,
) -> tuple[dict[str, Interval], float]:
    """The intervals of a KoopmanModel by name, and on how many independent blocks they rest.

    A transition between crisp states that was never seen has K_ij = 0 in every block, and no error.
    Its interval is [0, 1 - 0.05^(1/n)], about [0, 3/n] (the rule of three): with a larger K_ij, the
    chance to see none in n independent trials is below 5%. n is the number of frames times targets
    in state i, divided by the lag time, as pairs that overlap are no trials of their own: as many
    as if K itself held, and targets were independent. Of a state that was never left, the interval
    of K_ii is [0.05^(1/n), 1].

    Parameters
    ----------
    resampling : Resampling
    blocks : Covariances
        Of the columns that the estimator needs, in the blocks of ``resampling``.
    lag : float, ps
    estimator, n_states
    errors : dict, optional
        Of :func:`model_statistics`, where they are known already.
    warn : bool

    Warns
    -----
    RuntimeWarning
        With ``warn``: if an interval rests on so few blocks that it means little.
    """
    statistics = model_statistics(lag, estimator, n_states)
    if errors is None:
        errors = resampling.errors(blocks, statistics)
    found = resampling.intervals(blocks, statistics, _SCALES, errors)
    found["timescales"] = timescales_interval(
        resampling, blocks, lag, estimator, n_states, errors["timescales"]
    )
    found["koopman_matrix"] = _with_unseen(
        found["koopman_matrix"], errors["koopman_matrix"], blocks.combined()
    )
    times, other = found["timescales"], found["eigenvalues"]
    with np.errstate(divide="ignore", invalid="ignore"):
        # Both say the same of a positive eigenvalue.
        decay = [np.exp(-lag / bound) for bound in (times.lower, times.upper)]
    found["eigenvalues"] = Interval(
        *(
            np.where(np.isfinite(bound), bound, plain)
            for bound, plain in zip(decay, (other.lower, other.upper), strict=True)
        )
    )
    independent = _fewest(errors)
    if warn and independent < FEWEST_INDEPENDENT <= blocks.n_blocks - 1:
        warnings.warn(
            f"some intervals rest on as little as {independent:.1f} independent blocks of data, at "
            f"least {FEWEST_INDEPENDENT:g} are wanted: a state or a transition is seen too rarely",
            RuntimeWarning,
            stacklevel=3,
        )
    return {f"{name}_interval": interval for name, interval in found.items()}, independent


def timescales_interval(
    resampling: Resampling,
    blocks: Covariances,
    lag: float,
    estimator: Estimator,
    n_states: int,
    errors: JackknifeErrors | None = None,
) -> Interval:
    """(n_states - 1,) bounds of the timescales, in the unit of ``lag``.

    Two timescales that cannot be told apart push each other away in every estimate, and change
    places: what one block adds to them is then no measure of their error. Their bounds are the
    wider ones of the jackknife and of a bootstrap's percentiles.
    """

    def statistics(some: Covariances) -> dict[str, Float]:
        matrices = estimate_matrices(some, estimator, n_states)
        return {"timescales": relaxation_times(nontrivial_eigenvalues(matrices), lag)}

    if resampling.method == "percentile":
        return resampling.intervals(blocks, statistics, _SCALES)["timescales"]
    if errors is None:
        errors = resampling.errors(blocks, statistics)["timescales"]
    found = errors.interval("log")
    together = _not_told_apart(errors)
    if not together.any():
        return found
    drawn = percentile_interval(statistics(resampling.samples(blocks))["timescales"])
    return Interval(
        np.where(together, np.fmin(found.lower, drawn.lower), found.lower),
        np.where(together, np.fmax(found.upper, drawn.upper), found.upper),
    )


def _with_unseen(bounds: Interval, errors: JackknifeErrors, total: Covariances) -> Interval:
    """One-sided bounds for elements of K that are 0 or 1 in every block."""
    estimate = errors.estimate
    if not ((estimate > -_ROUNDING) & (estimate < 1.0 + _ROUNDING)).all():
        return bounds
    trials = total.sum_0[0, : len(estimate), None] / total.lagtime
    reach = 1.0 - 0.05 ** (1.0 / np.maximum(trials, 1.0))
    fixed = errors.error < _ROUNDING
    return Interval(
        np.where(fixed & (estimate > 1.0 - _ROUNDING), 1.0 - reach, bounds.lower),
        np.where(fixed & (estimate < _ROUNDING), reach, bounds.upper),
    )


def _not_told_apart(times: JackknifeErrors) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore", divide="ignore"):
        gaps = -np.diff(np.log(times.estimate))
        error = np.sqrt((np.diff(times.influences / times.estimate, axis=1) ** 2).sum(axis=0))
        close = gaps < _APART * error
    result = np.zeros(len(times.estimate), dtype=np.bool_)
    result[:-1] |= close
    result[1:] |= close
    return result


def _fewest(errors: dict[str, JackknifeErrors]) -> float:
    fewest = np.inf
    for name in ("koopman_matrix", "timescales", "populations"):
        known = errors[name].error > 1e-12
        fewest = min(fewest, float(errors[name].degrees[known].min(initial=np.inf)))
    return fewest
