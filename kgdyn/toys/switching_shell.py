"""An atom whose nearest neighbour jumps between distances: any Markov chain as a trajectory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import readonly
from kgdyn.toys.markov_chain import MarkovChain

__all__ = ["SwitchingShell", "four_state_chain"]

_EDGE = 30.0  # angstrom: images of the few atoms are far away
_SPECIES = (3, 16, 16, 16, 16)
# The three S that stay, as seen from Li.
_REST = np.array([[0.0, 4.0, 0.0], [0.0, 0.0, 4.3], [0.0, -4.6, 0.0]])


def four_state_chain() -> MarkovChain:
    """Two pairs of states: within each, hops are frequent; timescales 235.8, 35.7 and 20.3 steps.

    Detailed balance holds, and all states are equally populated.
    """
    matrix = np.zeros((4, 4))
    for i, j, rate in ((0, 1, 0.0125), (2, 3, 0.0225), (1, 2, 0.005)):
        matrix[i, j] = matrix[j, i] = rate
    return MarkovChain(matrix + np.diag(1.0 - matrix.sum(axis=1)))


@dataclass(frozen=True, eq=False)
class SwitchingShell:
    """Li with four S around it; the state of the chain is the distance of the first S.

    Parameters
    ----------
    chain : MarkovChain
    nearest : float, angstrom
        Distance in state 0.
    spacing : float, angstrom
        From state to state.
    noise : float, angstrom
        Standard deviation of every coordinate in every frame, without memory. It is to be small
        beside ``spacing``, or states are not told apart in a single frame.

    Raises
    ------
    ValueError
        If a distance or the noise is not positive.
    """

    chain: MarkovChain
    nearest: float = 1.8
    spacing: float = 0.6
    noise: float = 0.04

    def __post_init__(self) -> None:
        for name in ("nearest", "spacing", "noise"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be positive, received {getattr(self, name)}")

    @property
    def species(self) -> NDArray[np.int32]:
        """(5,) atomic numbers: the target first."""
        return readonly(_SPECIES, np.int32)

    @property
    def cell(self) -> NDArray[np.float64]:
        """(3, 3), angstrom."""
        return readonly(_EDGE * np.eye(3))

    def sample(
        self, n_frames: int, *, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """A trajectory, one step of the chain a frame.

        Returns
        -------
        positions : (n_frames, 5, 3) array of float32, angstrom
        labels : (n_frames,) array of int
            The true state.
        """
        labels = self.chain.sample(n_frames, rng=rng)[:, 0]
        positions = np.full((n_frames, 5, 3), _EDGE / 2.0)
        positions[:, 1, 0] += self.nearest + self.spacing * labels
        positions[:, 2:] += _REST
        positions += rng.normal(scale=self.noise, size=positions.shape)
        return positions.astype(np.float32), labels
