"""Blocks of held-out data that errors come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kgdyn.baselines._lagged_sums import Float, Progress, lagged_sums
from kgdyn.baselines._sums import LaggedSums
from kgdyn.baselines.neighbor_distances import NeighborDistances
from kgdyn.trajectories import Trajectory

_BLOCKS_OF_TIME, _MOST_GROUPS, _RELAXATIONS = 20, 40, 2.0


@dataclass(frozen=True)
class Blocks:
    """20 blocks of time, or up to 40 groups of targets."""

    length: int
    by_target: bool

    def describe(self, n_blocks: int, slowest: float) -> str:
        """What intervals rest on, and whether that is too little for so slow a process."""
        if self.by_target:
            return f"95% bootstrap over {n_blocks} groups of targets"
        text = f"95% bootstrap over {n_blocks} blocks of time"
        if self.length < _RELAXATIONS * slowest:
            text += ", shorter than two relaxation times: intervals are too narrow"
        return text


def blocks_for(test: Sequence[Trajectory], slowest: float, by_target: bool | None = None) -> Blocks:
    """Blocks of time; groups of targets where these hold less than two relaxations.

    Parameters
    ----------
    test : sequence of Trajectory
    slowest : float, frames
        The slowest relaxation time.
    by_target : bool, optional
        The choice, where it is made already.
    """
    length = max(sum(trajectory.n_frames for trajectory in test) // _BLOCKS_OF_TIME, 1)
    if by_target is None:
        many = min(trajectory.n_targets for trajectory in test) >= _BLOCKS_OF_TIME
        by_target = many and length < _RELAXATIONS * slowest
    return Blocks(length, by_target)


def held_out_sums(
    test: Sequence[Trajectory],
    features: NeighborDistances,
    lagtime: int,
    blocks: Blocks,
    state_probabilities: Sequence[Float] | None,
    progress: Progress | None,
) -> list[LaggedSums]:
    """Sums at one and two lag times, at least two blocks."""
    n_targets = min(trajectory.n_targets for trajectory in test)
    groups = min(_MOST_GROUPS, n_targets) if blocks.by_target else 1
    sums = lagged_sums(
        test,
        features,
        [lagtime, 2 * lagtime],
        blocks.length,
        groups,
        state_probabilities,
        progress,
    )
    if sums[0].n_blocks < 2:
        raise ValueError(
            "a held-out comparison needs at least 2 blocks of data, received 1: give more frames, "
            "or several targets"
        )
    return sums
