"""95% intervals from what each block of the data adds to an estimate.

The estimate is made again without each block in turn (the jackknife: Efron and Stein, Ann. Stat. 9,
586 (1981)). The error that follows is multiplied by a quantile of Student's t: with few blocks, or
with an estimate that rests on few of them, the error itself is uncertain, and the interval wider.
Bounds are taken on a scale where errors are symmetric: of the logarithm of times, of the arcsine
of the root of probabilities.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman.covariances import Covariances

__all__ = ["Interval", "JackknifeErrors", "Scale", "Statistics", "jackknife", "percentile_interval"]

Float = NDArray[np.float64]
Scale = Literal["linear", "log", "probability"]
Statistics = Callable[[Covariances], dict[str, Float]]

_LEVEL = 0.95
_ROUNDING = 1e-9
# Of a block whose loss leaves the estimate undefined, this much is left out instead.
_SHARE = 0.1


@dataclass(frozen=True)
class Interval:
    """Bounds of a 95% interval, arrays of the quantity's own shape; NaN where undefined."""

    lower: Float
    upper: Float

    def contains(self, values: Float) -> NDArray[np.bool_]:
        """Which of ``values`` lie inside."""
        result: NDArray[np.bool_] = (values >= self.lower) & (values <= self.upper)
        return result


@dataclass(frozen=True)
class JackknifeErrors:
    """An estimate with its error and how well that is known.

    Attributes
    ----------
    estimate, error : arrays of the quantity's shape
        Its value and its standard error; NaN where undefined.
    degrees : array of the quantity's shape
        Degrees of freedom of the error: number of blocks less one, less where few blocks carry the
        estimate. From the kurtosis k of the blocks' influence on it, 2 n / (k - 1): a sum to which
        m of very many blocks contribute alike has 2 m.
    influences : (n_blocks, ...) array
        What each block adds to the estimate. Of targets and blocks of time combined: first those
        of the blocks of time, then those of targets.
    """

    estimate: Float
    error: Float
    degrees: Float
    influences: Float

    def reach(self) -> Float:
        """How many errors half of an interval is: a quantile of Student's t."""
        from scipy.special import stdtrit  # as scipy.stats, without its second to import

        found: Float = stdtrit(np.maximum(self.degrees, 1.0), 0.5 + 0.5 * _LEVEL)
        return found

    def interval(self, scale: Scale = "linear") -> Interval:
        """Bounds of 95%.

        Parameters
        ----------
        scale : {"linear", "log", "probability"}
            Errors are symmetric in the quantity, its logarithm, or the arcsine of its root. The
            last is "linear" for all elements if one is no probability.
        """
        reach = self.reach() * self.error
        with np.errstate(invalid="ignore", divide="ignore"):
            lower, upper = self.estimate - reach, self.estimate + reach
            if scale == "log":
                good = self.estimate > 0.0
                factor = np.exp(np.minimum(reach / np.where(good, self.estimate, 1.0), 700.0))
                lower = np.where(good, self.estimate / factor, lower)
                upper = np.where(good, self.estimate * factor, upper)
            elif scale == "probability" and not _outside(self.estimate).any():
                share = np.clip(self.estimate, 0.0, 1.0)
                slope = 2.0 * np.sqrt(share * (1.0 - share))
                angle = np.arcsin(np.sqrt(share))
                good = slope > _ROUNDING
                width = np.where(good, reach / np.where(good, slope, 1.0), 0.0)
                bounds = (
                    np.sin(np.clip(turned, 0.0, np.pi / 2)) ** 2
                    for turned in (angle - width, angle + width)
                )
                lower, upper = (
                    np.where(good, bound, old)
                    for bound, old in zip(bounds, (lower, upper), strict=True)
                )
        return Interval(lower, upper)


def jackknife(blocks: Covariances, statistics: Statistics) -> dict[str, JackknifeErrors]:
    """Errors of quantities that are computed from covariances.

    Parameters
    ----------
    blocks : Covariances
        With ``target_of``, each block of time of each target is apart, and errors are of blocks of
        time and targets combined: the variance over blocks of time, plus that over targets, less
        that over both apart, which the first two count twice (Cameron, Gelbach and Miller, J. Bus.
        Econ. Stat. 29, 238 (2011)); at least the variance over targets.
    statistics : callable
        Maps (n_samples) blocks to a dictionary of arrays, samples along the first axis.
    """
    whole = {name: value[0] for name, value in statistics(blocks.combined()).items()}
    without = statistics(blocks.without_each())
    partly: dict[str, Float] | None = None
    result = {}
    for name, estimate in whole.items():
        steps = estimate - without[name]
        undefined = np.isnan(steps) & np.isfinite(estimate)
        if undefined.any():
            partly = statistics(blocks.without_each(_SHARE)) if partly is None else partly
            steps = np.where(undefined, (estimate - partly[name]) / _SHARE, steps)
        result[name] = _errors(estimate, steps, blocks)
    return result


def percentile_interval(samples: Float) -> Interval:
    """The central 95% of samples along the first axis; NaN where half of them are undefined."""
    tail = 50.0 * (1.0 - _LEVEL)
    defined = np.isfinite(samples).mean(axis=0) >= 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column of NaN stays NaN
        lower, upper = np.nanpercentile(samples, [tail, 100.0 - tail], axis=0)
    return Interval(np.where(defined, lower, np.nan), np.where(defined, upper, np.nan))


def _errors(estimate: Float, steps: Float, blocks: Covariances) -> JackknifeErrors:
    if blocks.block_of is None or blocks.target_of is None:
        steps = steps - steps.mean(axis=0)
        count = len(steps)
        # Steps of losing one of n blocks are n / (n - 1) times what the block adds.
        variance = (count - 1) / count * (steps**2).sum(axis=0)
        return JackknifeErrors(estimate, np.sqrt(variance), _degrees(steps), steps)
    ways, variances = [], []
    for labels in (blocks.block_of, blocks.target_of, np.arange(len(steps))):
        _, places = np.unique(labels, return_inverse=True)
        sums = np.zeros((places.max() + 1, *steps.shape[1:]))
        np.add.at(sums, places, steps)
        sums -= sums.mean(axis=0)
        ways.append(sums)
        variances.append(len(sums) / max(len(sums) - 1, 1) * (sums**2).sum(axis=0))
    over_time = np.maximum(variances[0] - variances[2], 0.0)
    variance = over_time + variances[1]
    # Welch and Satterthwaite: degrees of a sum of two variances.
    spread = over_time**2 / _degrees(ways[0]) + variances[1] ** 2 / _degrees(ways[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        degrees = np.where(spread > 0.0, variance**2 / spread, len(ways[0]) - 1.0)
    return JackknifeErrors(estimate, np.sqrt(variance), degrees, np.concatenate(ways[:2]))


def _degrees(steps: Float) -> Float:
    """Of the sum of squares of steps of mean zero; all of them where nothing varies."""
    count = len(steps)
    squares = (steps**2).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        kurtosis = count * (steps**4).sum(axis=0) / squares**2
        degrees = 2.0 * count / (kurtosis - 1.0)
    result: Float = np.clip(np.where(np.isfinite(degrees), degrees, count), 1.0, max(count - 1, 1))
    return result


def _outside(values: Float) -> NDArray[np.bool_]:
    return np.asarray((values < -_ROUNDING) | (values > 1.0 + _ROUNDING), dtype=np.bool_)
