"""The floor: what a linear method reaches on held-out frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.baselines._cross_fitting import cross_fit
from kgdyn.baselines._held_out_blocks import blocks_for, held_out_sums
from kgdyn.baselines._lagged_sums import Progress, lagged_sums
from kgdyn.baselines._processes import LinearProcess, describe_processes, process_time
from kgdyn.baselines._sums import bootstrap_weights, interval_of
from kgdyn.baselines.linear_vamp import fit_linear_vamp
from kgdyn.baselines.neighbor_distances import neighbor_distances_for
from kgdyn.koopman import Interval
from kgdyn.trajectories import Trajectory, as_trajectories, lagged_pairs

__all__ = ["LinearFloor", "linear_vamp_floor"]


@dataclass(frozen=True)
class LinearFloor:
    """Held-out score of a linear VAMP model.

    Attributes
    ----------
    vamp2_score : float
        Of the n_states - 1 slowest linear functions, fitted elsewhere, on the test frames; the
        constant function counts 1, as everywhere in kgdyn.
    interval : Interval of the score.
    processes : tuple of LinearProcess, n_states - 1 of them, slowest first.
    n_states : int
    lagtime : int, frames.
    frame_interval : float, ps.
    blocks : str
        What the intervals rest on.
    """

    vamp2_score: float
    interval: Interval
    processes: tuple[LinearProcess, ...]
    n_states: int
    lagtime: int
    frame_interval: float
    blocks: str

    @property
    def singular_values(self) -> NDArray[np.float64]:
        """(n_states - 1,) held-out, signed: below 0 where the fitted function found nothing."""
        return np.array([process.singular_value for process in self.processes])

    @property
    def timescales_ps(self) -> NDArray[np.float64]:
        """(n_states - 1,) of the processes; NaN where there is none."""
        return np.array([process.timescale_ps for process in self.processes])

    def __str__(self) -> str:
        low, high = float(self.interval.lower), float(self.interval.upper)
        lines = [
            f"linear floor: VAMP-2 {self.vamp2_score:.4f} ({low:.4f} to {high:.4f}) of at most "
            f"{self.n_states}, the constant counted"
        ]
        return "\n".join([*lines, *(f"  {process}" for process in self.processes)])


def linear_vamp_floor(
    train: Trajectory | Sequence[Trajectory],
    test: Trajectory | Sequence[Trajectory],
    *,
    lagtime: int,
    n_states: int,
    n_neighbors_per_element: int = 8,
    transform: str = "distance",
    ridge: float = 1e-3,
    by_target: bool | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> LinearFloor:
    """Fit a linear VAMP model to some frames; score its slowest functions on others.

    The features are sorted distances to the nearest atoms of each element; one model serves all
    targets. On the test frames only the scores of the fitted functions are computed, so they are
    lower bounds of what a network with the same number of states can reach, up to the error that
    is given with them.

    Parameters
    ----------
    train, test : Trajectory or sequence of Trajectory
        With the same elements. No frame should be in both.
    lagtime : int, frames.
    n_states : int
        Of the network to compare with; n_states - 1 processes count.
    n_neighbors_per_element : int
    transform : "distance", "inverse" or "exponential"
    ridge : float
        Added to the variance of the standardised features.
    by_target : bool, optional
        Whether errors come from groups of targets or from 20 blocks of time. If not given, from
        time, unless these blocks are shorter than two relaxation times of the slowest process and
        there are 20 targets.
    seed : int
        Of the bootstrap.
    progress : callable, optional
        Called with the test frames done and those in all.

    Returns
    -------
    LinearFloor

    Raises
    ------
    ValueError
        If ``n_states`` is below 2, the elements differ, no segment is longer than ``lagtime``, or
        the test frames make only one block.
    """
    train, test = as_trajectories(train), as_trajectories(test)
    if n_states < 2:
        raise ValueError(f"n_states must be at least 2, received {n_states}")
    lagged_pairs(train, lagtime)
    lagged_pairs(test, lagtime)
    features = neighbor_distances_for([*train, *test], n_neighbors_per_element, transform)
    for trajectory in test:
        if set(trajectory.elements) != set(train[0].elements):
            raise ValueError(
                f"test must have the elements of train, {train[0].elements}, received "
                f"{trajectory.elements} in {trajectory.source}"
            )
    fitted = lagged_sums(train, features, [lagtime])[0]
    slowest = fit_linear_vamp(fitted.combined(), 1, ridge).singular_values[0]
    blocks = blocks_for(test, process_time(float(slowest), lagtime), by_target)
    sums = held_out_sums(test, features, lagtime, blocks, None, progress)
    found = cross_fit(sums, 0, n_states - 1, 0, ridge, train=fitted)
    estimate = found.statistics()
    samples = found.statistics(bootstrap_weights(sums[0].n_blocks, seed))
    interval = test[0].frame_interval
    processes = describe_processes(
        (estimate.floor_values[0], samples.floor_values),
        (estimate.floor_decays[0], samples.floor_decays),
        lag_ps=lagtime * interval,
        functions=found.floor.left,
        covariance=fitted,
        names=features.names,
    )
    return LinearFloor(
        float(estimate.floor_score[0]),
        interval_of(samples.floor_score),
        processes,
        n_states,
        lagtime,
        interval,
        blocks.describe(sums[0].n_blocks, processes[0].timescale_ps / interval),
    )
