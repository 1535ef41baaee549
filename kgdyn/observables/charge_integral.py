"""Charge within a distance of the targets of each state (Xie et al. 2019, Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman import Interval, Resampling
from kgdyn.observables._block_sums import block_intervals
from kgdyn.observables._inputs import AtomValues, atom_values
from kgdyn.observables._radial_sums import check_bins, resampling_of, state_sums
from kgdyn.observables._selections import channels_of
from kgdyn.observables._target_frames import target_frames
from kgdyn.trajectories import Trajectory

__all__ = ["ChargeIntegral", "charge_integral"]

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class ChargeIntegral:
    """Mean charge of a sphere around targets of each state.

    Attributes
    ----------
    radii : (n_radii,) array, angstrom
        Of the spheres; the first is 0.
    charge : (n_states, n_radii) array, elementary charges
        NaN for a state that is never visited. At radius 0 the charge of the target itself, or 0
        without ``include_target``.
    charge_interval : Interval, 95%.
    target_charges : (n_states,) array
        Mean charge of the targets themselves.
    populations : (n_states,) array
    include_target : bool
    n_frames, n_targets : int
        Of all trajectories; targets of the first one.
    centre : str
        "atom", "mean of the atoms" or "centre of mass": where distances begin.
    resampling : Resampling
    """

    radii: Float
    charge: Float
    charge_interval: Interval
    target_charges: Float
    populations: Float
    include_target: bool
    n_frames: int
    n_targets: int
    centre: str
    resampling: Resampling

    def at(self, radius: float) -> tuple[Float, Interval]:
        """Charge within a radius (angstrom) and its interval, (n_states,) each.

        Between the radii of the result all three are interpolated linearly.

        Raises
        ------
        ValueError
            For a radius that is negative or beyond the last one.
        """
        if not 0.0 <= radius <= self.radii[-1]:
            raise ValueError(
                f"radius must be from 0 to {self.radii[-1]:g} angstrom, received {radius}"
            )
        value, lower, upper = (
            np.array([np.interp(radius, self.radii, row) for row in rows])
            for rows in (self.charge, self.charge_interval.lower, self.charge_interval.upper)
        )
        return value, Interval(lower, upper)

    def __repr__(self) -> str:
        return (
            f"ChargeIntegral(n_states={len(self.charge)}, r_max={self.radii[-1]:g} angstrom, "
            f"n_radii={len(self.radii)}, include_target={self.include_target}, "
            f"n_frames={self.n_frames}, n_targets={self.n_targets}, centre={self.centre!r}, "
            f"intervals={self.resampling.describe()!r})"
        )


def charge_integral(
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike] | None = None,
    *,
    charges: AtomValues,
    r_max: float = 10.0,
    n_bins: int = 200,
    include_target: bool = True,
    masses: AtomValues | None = None,
    resampling: Resampling | None = None,
    lagtime: int = 1,
    n_threads: int | None = None,
) -> ChargeIntegral:
    """State-weighted charge within a distance of a target (docs/theory.md, equation 14).

    Q_i(r) = <p_i sum_j q_j [d_j < r]> / <p_i>, over all atoms and all periodic images nearer than
    r, the target's own charge included if asked for.

    Parameters
    ----------
    trajectories, state_probabilities, masses, resampling, lagtime, n_threads
        As for :func:`kgdyn.observables.state_rdf`.
    charges : mapping from elements, (n_atoms,) array, or a list of one array a trajectory
        In elementary charges.
    r_max : float, angstrom
    n_bins : int
        Radii are ``r_max * k / n_bins``, k from 0 to ``n_bins``.
    include_target : bool
        Whether the target's own charge counts: the charge of the cluster around an ion is with it.

    Raises
    ------
    ValueError
        As :func:`kgdyn.observables.state_rdf`; for charges that are all zero, of another shape, or
        missing for an element.
    """
    from kgdyn.observables._compiled_structure import add_distances

    check_bins(r_max, n_bins)
    frames = target_frames(trajectories, state_probabilities, masses)
    values = atom_values(frames.trajectories, charges, "charges")
    if not any(own.any() for own in values):
        raise ValueError("charges must not all be zero, received only zeros")
    resampling = resampling_of(frames, resampling, lagtime)
    channels = [
        channels_of(t, [np.arange(t.n_atoms)], [own])
        for t, own in zip(frames.trajectories, values, strict=True)
    ]
    blocks = state_sums(
        frames,
        resampling,
        channels,
        np.array([float(r_max)]),
        add_distances,
        (),
        (1, n_bins),
        n_threads,
    )

    def statistics(sums: dict[str, Float]) -> dict[str, Float]:
        weights = np.where(sums["weights"] > 0.0, sums["weights"], np.nan)[..., None]
        around = np.moveaxis(sums["counts"][:, 0], -1, 1).cumsum(axis=-1)
        around = np.concatenate([np.zeros_like(around[..., :1]), around], axis=-1)
        own = sums["own"][:, 0, :, None]
        return {"charge": (around + (own if include_target else 0.0)) / weights}

    found, intervals = block_intervals(resampling, blocks, statistics)
    total = {name: value.sum(axis=0) for name, value in blocks.sums.items()}
    weights = np.where(total["weights"] > 0.0, total["weights"], np.nan)
    return ChargeIntegral(
        radii=readonly(np.linspace(0.0, r_max, n_bins + 1)),
        charge=readonly(found["charge"]),
        charge_interval=intervals["charge"],
        target_charges=readonly(total["own"][0] / weights),
        populations=readonly(total["weights"] / total["weights"].sum()),
        include_target=include_target,
        n_frames=frames.n_frames,
        n_targets=frames.n_targets[0],
        centre=frames.centre,
        resampling=resampling,
    )
