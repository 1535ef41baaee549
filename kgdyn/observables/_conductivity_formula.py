"""The cluster Nernst-Einstein formula as a function of block sums, and its errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman import Covariances, Interval
from kgdyn.koopman.intervals import JackknifeErrors, Statistics
from kgdyn.observables._displacement_sums import SMALLEST_WEIGHT, sums_of
from kgdyn.observables.transition_diffusion import TransitionDiffusion

__all__ = ["Formula", "Shares", "conductivity_factor"]

Float = NDArray[np.float64]
Shares = Literal["koopman", "pairs"]

_SUM = "conductivity and total"
_ELEMENTARY_CHARGE = 1.602176634e-19  # C, exact in SI
_BOLTZMANN = 1.380649e-23  # J/K, exact in SI
# Of 1/angstrom^3 times angstrom^2/ps, in SI.
_DENSITY_TIMES_DIFFUSION = 1e30 * 1e-8


def conductivity_factor(number_density: float, temperature: float) -> float:
    """e^2 N / (V kB T) in S/m for a diffusion coefficient in square angstrom per ps.

    Parameters
    ----------
    number_density : float, 1/cubic angstrom.
    temperature : float, K.
    """
    thermal = _BOLTZMANN * temperature
    return _ELEMENTARY_CHARGE**2 * number_density * _DENSITY_TIMES_DIFFUSION / thermal


@dataclass(frozen=True, eq=False)
class Formula:
    """sigma_ij = factor q z_ij share_ij D_ij, and what follows from it.

    Attributes
    ----------
    diffusion : TransitionDiffusion
    factor : float
        As :func:`conductivity_factor`.
    ion_charge : float, elementary charges.
    other : float or None, S/m
        Conductivity of all other ions.
    shares : {"koopman", "pairs"}
    """

    diffusion: TransitionDiffusion
    factor: float
    ion_charge: float
    other: float | None
    shares: Shares

    def pair_shares(self, some: Covariances) -> Float:
        """(n_samples, n_states, n_states) how often targets go from i to j."""
        found = self.diffusion.statistics(some)
        if self.shares == "pairs":
            return found["shares"]
        return found["populations"][:, :, None] * found["koopman_matrix"]

    def statistics(self, charges: Float) -> Statistics:
        """All quantities with an interval as a function of combined blocks, by name."""
        between = 0.5 * self.ion_charge * (charges[:, None] + charges)

        def statistics(some: Covariances) -> dict[str, Float]:
            sums = sums_of(some)
            found = self.diffusion.statistics(some)
            at = sums.lagtimes.index(self.diffusion.lagtime)
            moved = np.where(sums.weights[:, at] > SMALLEST_WEIGHT, found["diffusion"], 0.0)
            sigma = self.factor * between * self.pair_shares(some) * moved
            total = np.nansum(sigma, axis=(1, 2))
            alone = self.factor * self.ion_charge**2 * found["total_diffusion"]
            with np.errstate(divide="ignore", invalid="ignore"):
                result = {
                    "conductivity": sigma,
                    "percentages": 100.0 * sigma / total[:, None, None],
                    "total_conductivity": total,
                    _SUM: sigma + total[:, None, None],
                    "nernst_einstein_conductivity": alone,
                }
                if self.other is not None:
                    result["transference"] = sigma / (total + self.other)[:, None, None]
                    result["transference_number"] = total / (total + self.other)
            return result

        return statistics

    def intervals(self, charges: Float, charge_errors: Float | None) -> dict[str, Interval]:
        """From the blocks of data and, in squares, each charge moved by its error up and down."""
        statistics = self.statistics(charges)
        resampling, sums = self.diffusion.resampling, self.diffusion.sums
        if resampling.method == "percentile":
            drawn = resampling.intervals(sums, statistics, {})
            del drawn[_SUM]
            return drawn
        errors = resampling.errors(sums, statistics)
        whole = sums.combined()
        for state, size in enumerate([] if charge_errors is None else charge_errors):
            moved = size * np.eye(len(charges))[state]
            up = self.statistics(charges + moved)(whole)
            down = self.statistics(charges - moved)(whole)
            for name, found in errors.items():
                step = 0.5 * (up[name][0] - down[name][0])
                errors[name] = replace(found, error=np.hypot(found.error, step))
        total = errors.pop(_SUM)
        result = resampling.intervals(sums, statistics, {}, errors)
        result["percentages"] = _of_ratio(errors, total)
        return result


def _of_ratio(errors: dict[str, JackknifeErrors], sums: JackknifeErrors) -> Interval:
    """Of 100 sigma_ij / total: all shares p for which sigma_ij - p total may be 0.

    Fieller's interval (J. R. Stat. Soc. B 16, 175 (1954)). An error of the ratio itself takes it
    for linear in the total, which it is not where the total is uncertain. Infinite where the total
    may be 0.
    """
    part, total = errors["conductivity"], errors["total_conductivity"]
    reach = errors["percentages"].reach() ** 2
    x, y = part.estimate, total.estimate
    var_x, var_y = part.error**2, total.error**2
    both = 0.5 * (sums.error**2 - var_x - var_y)  # the covariance
    square, linear, constant = y**2 - reach * var_y, x * y - reach * both, x**2 - reach * var_x
    with np.errstate(invalid="ignore", divide="ignore"):
        half = np.sqrt(np.maximum(linear**2 - square * constant, 0.0))
        known = square > 0.0
        lower = np.where(known, (linear - half) / square, -np.inf)
        upper = np.where(known, (linear + half) / square, np.inf)
    undefined = ~np.isfinite(errors["percentages"].error)
    return Interval(
        np.where(undefined, np.nan, 100.0 * lower), np.where(undefined, np.nan, 100.0 * upper)
    )
