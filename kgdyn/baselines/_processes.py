"""One slow process that a linear method sees: how strong, how slow, and where to look for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.baselines._sums import LaggedSums, interval_of
from kgdyn.koopman import Interval

Float = NDArray[np.float64]

_FEATURES_NAMED = 3
# Singular values that surely exceed this are far enough from 0 to divide by.
_SEEN = 0.2


@dataclass(frozen=True)
class LinearProcess:
    """A linear function of neighbour distances that stays correlated over the lag time.

    Attributes
    ----------
    singular_value : float
        Held-out correlation of its value at t with that of its partner at t + lagtime.
    interval : Interval of the singular value.
    timescale_ps : float
        ``-lagtime / ln(c(2 lagtime) / c(lagtime))`` with the covariance c of the two functions:
        fast noise in distances, which lowers the singular value, cancels. For reversible dynamics
        and up to its error this is at most the true relaxation time. Where the segments are too
        short for two lag times, or the singular value is close to 0, ``-lagtime / ln(s)``; NaN
        where there is none.
    timescale_interval_ps : tuple of two floats
    features : tuple of (name, correlation)
        Distances that correlate most with the function.
    elements : tuple of str
        Of these features, strongest first.
    """

    singular_value: float
    interval: Interval
    timescale_ps: float
    timescale_interval_ps: tuple[float, float]
    features: tuple[tuple[str, float], ...]

    @property
    def elements(self) -> tuple[str, ...]:
        names = (_element_of(name) for name, _ in self.features)
        return tuple(dict.fromkeys(names))

    def __str__(self) -> str:
        low, high = self.timescale_interval_ps
        return (
            f"{self.timescale_ps:.3g} ps ({low:.3g} to {high:.3g}), singular value "
            f"{self.singular_value:.3f}, seen in the {self.where}"
        )

    @property
    def where(self) -> str:
        """The features in words: ``distance to S 1 (0.93), ...``"""
        return ", ".join(f"{name} ({value:+.2f})" for name, value in self.features)


def process_time(singular_value: float, lag: float) -> float:
    """``-lag / ln(s)``; 0 for s that is not positive, infinite for 1 and more."""
    if singular_value <= 0.0:
        return 0.0
    return float(-lag / np.log(singular_value)) if singular_value < 1.0 else float("inf")


def describe_processes(
    values: tuple[Float, Float],
    decays: tuple[Float, Float],
    *,
    lag_ps: float,
    functions: Float,
    covariance: LaggedSums,
    names: Sequence[str],
) -> tuple[LinearProcess, ...]:
    """Put processes in words.

    Parameters
    ----------
    values : (k,) estimates and (n_samples, k) samples of the singular values.
    decays : the same of the covariance after two lag times as a share of that after one.
    lag_ps : float
    functions : (n_columns, k) array
        Coefficients on the columns of ``covariance``.
    covariance : LaggedSums of features, and perhaps of states after them.
    names : sequence of str
        Of the features.
    """
    cov_00 = covariance.combined().centered()[0][0]
    bounds = interval_of(values[1])
    decay_bounds = interval_of(decays[1])
    result = []
    for k, value in enumerate(values[0]):
        interval = Interval(bounds.lower[k], bounds.upper[k])
        three = [float(x) for x in (value, interval.lower, interval.upper)]
        later = [float(x[k]) for x in (decays[0], decay_bounds.lower, decay_bounds.upper)]
        # A ratio of two small numbers says nothing.
        if three[1] > _SEEN and np.isfinite(later).all():
            three = later
        time, low, high = (process_time(x, lag_ps) for x in three)
        result.append(
            LinearProcess(
                float(value),
                interval,
                time if time > 0.0 else float("nan"),
                (low, high),
                _strongest(functions[:, k], cov_00, names),
            )
        )
    return tuple(result)


def _strongest(
    function: Float, cov_00: Float, names: Sequence[str]
) -> tuple[tuple[str, float], ...]:
    """Features that correlate most with a function."""
    padded = np.pad(function, (0, len(cov_00) - len(function)))
    spread = np.sqrt(np.maximum(np.diag(cov_00), 1e-300))[: len(names)]
    alone = (cov_00 @ padded)[: len(names)] / spread
    correlation = alone / np.sqrt(max(float(padded @ cov_00 @ padded), 1e-300))
    # Constants that carry rounding correlate with anything.
    correlation[spread <= 1e-4 * spread.max()] = 0.0
    strongest = np.argsort(-np.abs(correlation), kind="stable")[:_FEATURES_NAMED]
    # The sign of a function means nothing: the strongest feature rises with it.
    sign = 1.0 if correlation[strongest[0]] >= 0.0 else -1.0
    return tuple((names[i], float(sign * correlation[i])) for i in strongest)


def _element_of(name: str) -> str:
    return name.removeprefix("distance to ").rsplit(" ", 1)[0]
