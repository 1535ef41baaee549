"""Conductivity per transition by the cluster Nernst-Einstein formula.

sigma_ij = e^2 N q z_ij pi_i K_ij(lag) D_ij(lag) / (V kB T),        z_ij = (z_i + z_j) / 2

(Xie et al., Nat. Commun. 10, 2667 (2019), after France-Lanord and Grossman, Phys. Rev. Lett. 122,
136001 (2019)): N targets of charge q (of lithium: 1) in the volume V; z_i is the charge of the
cluster that a target in state i moves with. A cluster of opposite charge counts negative. Targets
that move alone have z_i = q, and the sum over ij is the Nernst-Einstein conductivity: exactly with
``estimate="ratio"`` of :func:`kgdyn.observables.transition_diffusion`; else but for the terms named
there.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman import Interval, Resampling
from kgdyn.observables._conductivity_formula import Formula, Shares, conductivity_factor
from kgdyn.observables.transition_diffusion import TransitionDiffusion
from kgdyn.observables.transition_msd import readonly_interval

__all__ = ["TransitionConductivity", "transition_conductivity"]

Float = NDArray[np.float64]
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, eq=False)
class TransitionConductivity:
    """Contributions of transitions to the conductivity, in S/m (10 mS/cm), with 95% intervals.

    Attributes
    ----------
    conductivity : (n_states, n_states) array, S/m
        From state i (rows) to j; 0 where that was never seen, NaN where D_ij is not known (no pair
        at one end of the window of its slope). Sums count NaN as 0.
    percentages : (n_states, n_states) array
        100 conductivity / total_conductivity; sums to 100.
    total_conductivity : float, S/m
        The sum of ``conductivity``.
    transference : (n_states, n_states) array or None
        conductivity / (total_conductivity + other_conductivity), if the latter is known.
    transference_number : float or None
        The sum of ``transference``.
    nernst_einstein_conductivity : float, S/m
        Of targets of charge q that move alone, from the total diffusion.
    state_charges : (n_states,) array, elementary charges
    transition_charges : (n_states, n_states) array
        z_ij, the mean of the charges of states i and j.
    transition_shares : (n_states, n_states) array
        pi_i K_ij, or the share of the pairs.
    conductivity_interval, ... : Interval
        95%, of the quantity that the name begins with; NaN for transitions never seen. Charges,
        density and temperature are taken as exact, but for ``charge_errors``.
    transition_charges_interval : Interval or None
        From ``charge_errors``.
    temperature : float, K.
    number_density : float
        Targets per cubic angstrom.
    ion_charge : float, elementary charges.
    other_conductivity : float or None, S/m.
    shares : {"koopman", "pairs"}
    resampling : Resampling
    """

    conductivity: Float
    percentages: Float
    total_conductivity: float
    transference: Float | None
    transference_number: float | None
    nernst_einstein_conductivity: float
    state_charges: Float
    transition_charges: Float
    transition_shares: Float
    conductivity_interval: Interval
    percentages_interval: Interval
    total_conductivity_interval: Interval
    nernst_einstein_conductivity_interval: Interval
    transference_interval: Interval | None
    transference_number_interval: Interval | None
    transition_charges_interval: Interval | None
    temperature: float
    number_density: float
    ion_charge: float
    other_conductivity: float | None
    shares: Shares
    resampling: Resampling = field(repr=False)

    @property
    def n_states(self) -> int:
        return len(self.state_charges)

    def __repr__(self) -> str:
        low, high = self.total_conductivity_interval.lower, self.total_conductivity_interval.upper
        return (
            f"TransitionConductivity(n_states={self.n_states}, "
            f"total_conductivity={self.total_conductivity:.4g} [{low:.4g}, {high:.4g}] S/m, "
            f"nernst_einstein_conductivity={self.nernst_einstein_conductivity:.4g} S/m, "
            f"temperature={self.temperature:g} K, errors: {self.resampling.describe()})"
        )


def transition_conductivity(
    diffusion: TransitionDiffusion,
    *,
    charges: ArrayLike,
    temperature: float,
    ion_charge: float = 1.0,
    charge_errors: ArrayLike | None = None,
    number_density: float | None = None,
    other_conductivity: float | None = None,
    shares: Shares = "koopman",
) -> TransitionConductivity:
    """Conductivity, percentages and transference per transition, errors from the same blocks.

    Parameters
    ----------
    diffusion : TransitionDiffusion
        Of all ions of one kind: its targets.
    charges : (n_states,) array, elementary charges
        z_i, of the cluster around a target in state i, itself included.
    temperature : float, K.
    ion_charge : float, elementary charges
        q, of a target.
    charge_errors : (n_states,) array, optional
        Standard errors of ``charges``, taken as independent of all else.
    number_density : float, optional, 1/cubic angstrom
        Of targets. From the cells if not given.
    other_conductivity : float, optional, S/m
        Of all ions that are not targets, for transference numbers.
    shares : {"koopman", "pairs"}
        How often targets go from i to j: pi_i K_ij, as in the paper, or the mean of
        chi_i(t) chi_j(t + lag), the weight that D_ij has. The same for crisp states.

    Raises
    ------
    ValueError
        For arrays of another shape, numbers that are not positive, a density that is not known, a
        state that was never visited with ``shares="koopman"``, and ``charge_errors`` with a
        bootstrap.

    Warns
    -----
    RuntimeWarning
        If a transition was seen whose D_ij is not known.
    """
    values = _state_array("charges", charges, diffusion.n_states)
    errors = None
    if charge_errors is not None:
        errors = _state_array("charge_errors", charge_errors, diffusion.n_states)
        if (errors < 0.0).any():
            raise ValueError(f"charge_errors must not be negative, received {errors.tolist()}")
        if diffusion.resampling.method == "percentile":
            raise ValueError('charge_errors need a resampling with method="jackknife"')
    if not (np.isfinite(ion_charge) and ion_charge != 0.0):
        raise ValueError(f"ion_charge must be a number other than 0, received {ion_charge}")
    _check_positive("temperature", temperature)
    density = diffusion.number_density if number_density is None else number_density
    if density is None:
        raise ValueError(
            "number_density is needed where the cell is not periodic in all three directions"
        )
    _check_positive("number_density", density)
    if other_conductivity is not None and not (
        np.isfinite(other_conductivity) and other_conductivity >= 0.0
    ):
        raise ValueError(f"other_conductivity must not be negative, received {other_conductivity}")
    if shares not in ("koopman", "pairs"):
        raise ValueError(f'shares must be "koopman" or "pairs", received {shares!r}')
    if shares == "koopman" and not np.isfinite(diffusion.koopman_matrix).all():
        raise ValueError(
            "the Koopman matrix is not defined, as some state is never visited or is a "
            'combination of the others; shares="pairs" does without'
        )
    formula = Formula(
        diffusion,
        factor=conductivity_factor(density, temperature),
        ion_charge=float(ion_charge),
        other=other_conductivity,
        shares=shares,
    )
    bounds = formula.intervals(values, errors)
    undefined = ~np.isfinite(diffusion.diffusion)
    for name in {"conductivity", "percentages", "transference"} & set(bounds):
        found = bounds[name]
        bounds[name] = Interval(
            np.where(undefined, np.nan, found.lower), np.where(undefined, np.nan, found.upper)
        )
    whole = diffusion.sums.combined()
    lost = np.argwhere(undefined & (diffusion.shares > 0.0)).tolist()
    if lost:
        named = ", ".join(f"{i + 1} -> {j + 1}" for i, j in lost)
        warnings.warn(
            f"transitions {named} (states from 1) were seen at the lag time, but not at both ends "
            "of the window of the slope: their conductivity is NaN and counts as 0 in sums; a "
            'smaller half_window or estimate="ratio" may help',
            RuntimeWarning,
            stacklevel=2,
        )
    result = {name: found[0] for name, found in formula.statistics(values)(whole).items()}
    pair_error = None if errors is None else 0.5 * np.hypot(errors[:, None], errors)
    if pair_error is not None and errors is not None:
        np.fill_diagonal(pair_error, errors)
    between = 0.5 * (values[:, None] + values)
    known = other_conductivity is not None
    return TransitionConductivity(
        conductivity=readonly(result["conductivity"]),
        percentages=readonly(result["percentages"]),
        total_conductivity=float(result["total_conductivity"]),
        transference=readonly(result["transference"]) if known else None,
        transference_number=float(result["transference_number"]) if known else None,
        nernst_einstein_conductivity=float(result["nernst_einstein_conductivity"]),
        state_charges=readonly(values),
        transition_charges=readonly(between),
        transition_shares=readonly(formula.pair_shares(whole)[0]),
        conductivity_interval=readonly_interval(bounds["conductivity"]),
        percentages_interval=readonly_interval(bounds["percentages"]),
        total_conductivity_interval=readonly_interval(bounds["total_conductivity"]),
        nernst_einstein_conductivity_interval=readonly_interval(
            bounds["nernst_einstein_conductivity"]
        ),
        transference_interval=readonly_interval(bounds["transference"]) if known else None,
        transference_number_interval=(
            readonly_interval(bounds["transference_number"]) if known else None
        ),
        transition_charges_interval=(
            None
            if pair_error is None
            else readonly_interval(
                Interval(between - _NORMAL_95 * pair_error, between + _NORMAL_95 * pair_error)
            )
        ),
        temperature=float(temperature),
        number_density=float(density),
        ion_charge=float(ion_charge),
        other_conductivity=None if other_conductivity is None else float(other_conductivity),
        shares=shares,
        resampling=diffusion.resampling,
    )


def _state_array(name: str, values: ArrayLike, n_states: int) -> Float:
    found = np.array(values, dtype=np.float64)
    if found.shape != (n_states,) or not np.isfinite(found).all():
        raise ValueError(
            f"{name} must be one finite number for each of {n_states} states, received "
            f"{found.tolist()}"
        )
    return found


def _check_positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0.0):
        raise ValueError(f"{name} must be positive, received {value}")
