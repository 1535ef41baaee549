"""Radial distribution functions around the targets of each state (Xie et al. 2019, Figs. 4, 5)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman import Interval, Resampling
from kgdyn.observables._block_sums import block_intervals
from kgdyn.observables._inputs import AtomValues
from kgdyn.observables._radial_sums import check_bins, resampling_of, state_sums
from kgdyn.observables._selections import Selections, channels_of, select_atoms
from kgdyn.observables._target_frames import target_frames
from kgdyn.trajectories import Trajectory

__all__ = ["StateRDF", "state_rdf"]

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class StateRDF:
    """What stands around targets of each state, and how far away.

    Attributes
    ----------
    radii : (n_bins,) array, angstrom
        Middle of each bin.
    edges : (n_bins + 1,) array, angstrom
    rdf : (n_states, n_selections, n_bins) array
        g_i(r), 1 for atoms without any order. NaN for a state that is never visited, a selection
        that holds the target alone, and where a direction is not periodic (there is no density).
    rdf_interval : Interval
        95%. Of a bin in which no atom was ever seen [0, 0], which says nothing.
    coordination : (n_states, n_selections, n_bins) array
        Mean number of atoms nearer than ``edges[1:]``.
    coordination_interval : Interval, 95%.
    densities : (n_states, n_selections) array, per cubic angstrom
        Mean density of the selection, without the target's own atoms: what ``rdf`` is relative to.
    populations : (n_states,) array
        Mean state probabilities.
    selections : tuple of str
    n_frames, n_targets : int
        Of all trajectories; targets of the first one.
    centre : str
        "atom", "mean of the atoms" or "centre of mass": where distances begin.
    resampling : Resampling
        Blocks that the intervals are made of.
    """

    radii: Float
    edges: Float
    rdf: Float
    rdf_interval: Interval
    coordination: Float
    coordination_interval: Interval
    densities: Float
    populations: Float
    selections: tuple[str, ...]
    n_frames: int
    n_targets: int
    centre: str
    resampling: Resampling

    @property
    def n_states(self) -> int:
        return len(self.populations)

    def of(self, selection: str) -> Float:
        """(n_states, n_bins) g(r) of one selection, by name."""
        if selection not in self.selections:
            raise ValueError(
                f"selection must be one of {list(self.selections)}, received {selection!r}"
            )
        result: Float = self.rdf[:, self.selections.index(selection)]
        return result

    def __repr__(self) -> str:
        return (
            f"StateRDF(n_states={self.n_states}, selections={list(self.selections)}, "
            f"r_max={self.edges[-1]:g} angstrom, n_bins={len(self.radii)}, "
            f"n_frames={self.n_frames}, n_targets={self.n_targets}, centre={self.centre!r}, "
            f"intervals={self.resampling.describe()!r})"
        )


def state_rdf(
    trajectories: Trajectory | Sequence[Trajectory],
    state_probabilities: ArrayLike | Sequence[ArrayLike] | None = None,
    *,
    selections: Selections = None,
    r_max: float = 10.0,
    n_bins: int = 200,
    masses: AtomValues | None = None,
    resampling: Resampling | None = None,
    lagtime: int = 1,
    n_threads: int | None = None,
) -> StateRDF:
    """State-weighted radial distribution functions and running coordination numbers.

    g_i(r) = <n(r) p_i> / (<rho p_i> V(r)), n(r) the atoms of a selection in a shell of volume V(r)
    around a target, p_i its probability of state i, rho the density of the selection in that frame
    (docs/theory.md, equation 14, with the shell's exact volume). Density is taken frame by frame:
    an ideal gas in a cell that breathes has g = 1 (MDAnalysis divides by the mean volume instead).
    The target's own atoms count neither in n nor in rho.

    All periodic images are counted, so ``r_max`` may exceed half of the cell, or the cell. Beyond
    the shortest lattice vector a target meets its own images, which are counted: they are part of
    a lattice's coordination, and a peak at that distance in any other system.

    Parameters
    ----------
    trajectories : Trajectory, or a sequence of them
    state_probabilities : (n_frames, n_targets, n_states) array, or a list of one a trajectory
        Of all frames of each trajectory; rows sum to 1. None: all targets are one state.
    selections : mapping from names to atom indices, or elements such as ``["O", "N"]``, optional
        Every element that occurs, if not given. Selections may overlap.
    r_max : float, angstrom
    n_bins : int
        Equal bins from 0 to ``r_max``.
    masses : mapping from elements, (n_atoms,) array, or one array a trajectory, optional
        Distances of targets of several atoms are from their centre of mass; without, from the mean
        of the atoms. Molecules are made whole by the images of the trajectory where it has them,
        else by the image of each atom that is nearest to the target's first.
    resampling : Resampling, optional
        Blocks for the intervals. :func:`kgdyn.koopman.resampling_for` chooses them if not given,
        at ``lagtime``; with fewer than 10 frames, targets are taken as independent.
    lagtime : int, frames
    n_threads : int, optional
        All cores that this process may use, if not given.

    Raises
    ------
    ValueError
        For arguments that break these rules, or a bad frame (naming source and frame).

    Warns
    -----
    RuntimeWarning
        If a direction is not periodic (g is NaN then), or intervals rest on too little.
    """
    from kgdyn.observables._compiled_structure import add_distances

    check_bins(r_max, n_bins)
    frames = target_frames(trajectories, state_probabilities, masses)
    names, lists = select_atoms(frames.trajectories, selections)
    if not all(t.pbc.all() for t in frames.trajectories):
        warnings.warn(
            "a direction is not periodic: there is no density, and g(r) is NaN; coordination "
            "numbers hold",
            RuntimeWarning,
            stacklevel=2,
        )
    resampling = resampling_of(frames, resampling, lagtime)
    channels = [channels_of(t, own) for t, own in zip(frames.trajectories, lists, strict=True)]
    reaches = np.full(len(names), float(r_max))
    shape = (len(names), n_bins)
    blocks = state_sums(frames, resampling, channels, reaches, add_distances, (), shape, n_threads)
    edges = np.linspace(0.0, r_max, n_bins + 1)
    shells = 4.0 / 3.0 * np.pi * np.diff(edges**3)

    def statistics(sums: dict[str, Float]) -> dict[str, Float]:
        counts = np.moveaxis(sums["counts"], -1, 1)  # n_samples, states, selections, bins
        ideal = np.moveaxis(sums["ideal"], -1, 1)
        ideal = np.where(ideal > 0.0, ideal, np.nan)
        weights = np.where(sums["weights"] > 0.0, sums["weights"], np.nan)
        return {
            "rdf": counts / (ideal[..., None] * shells),
            "coordination": counts.cumsum(axis=-1) / weights[:, :, None, None],
        }

    found, intervals = block_intervals(resampling, blocks, statistics)
    total = {name: value.sum(axis=0) for name, value in blocks.sums.items()}
    weights = np.where(total["weights"] > 0.0, total["weights"], np.nan)
    return StateRDF(
        radii=readonly(0.5 * (edges[1:] + edges[:-1])),
        edges=readonly(edges),
        rdf=readonly(found["rdf"]),
        rdf_interval=intervals["rdf"],
        coordination=readonly(found["coordination"]),
        coordination_interval=intervals["coordination"],
        densities=readonly((total["ideal"] / weights).T),
        populations=readonly(total["weights"] / total["weights"].sum()),
        selections=names,
        n_frames=frames.n_frames,
        n_targets=frames.n_targets[0],
        centre=frames.centre,
        resampling=resampling,
    )
