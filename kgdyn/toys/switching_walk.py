"""A random walk whose diffusion coefficient depends on a hidden state: all of it is exact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import readonly
from kgdyn.toys.markov_chain import MarkovChain

__all__ = ["SwitchingWalk"]

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SwitchingWalk:
    """Independent walkers; from frame t to t + 1 with the coefficient of the state at t.

    Parameters
    ----------
    chain : MarkovChain
    diffusion : (n_states,) array
        Square angstrom a frame: a step has the variance 2 D along each of three axes.

    Raises
    ------
    ValueError
        If there is not one positive coefficient for each state.
    """

    chain: MarkovChain
    diffusion: Float

    def __post_init__(self) -> None:
        values = np.array(self.diffusion, dtype=np.float64)
        if values.shape != (self.chain.n_states,) or not (values > 0.0).all():
            raise ValueError(
                f"diffusion must be {self.chain.n_states} positive numbers, received "
                f"{values.tolist()}"
            )
        object.__setattr__(self, "diffusion", readonly(values))

    def sample(
        self, n_frames: int, n_walkers: int, *, rng: np.random.Generator
    ) -> tuple[Float, NDArray[np.int64]]:
        """Positions (n_frames, n_walkers, 3), angstrom, not wrapped; states (n_frames, n_walkers).

        All walkers begin at the origin, and their states in equilibrium.
        """
        states = self.chain.sample(n_frames, n_walkers, rng=rng)
        steps = rng.normal(size=(n_frames, n_walkers, 3))
        steps[1:] *= np.sqrt(2.0 * self.diffusion[states[:-1]])[..., None]
        steps[0] = 0.0
        return np.cumsum(steps, axis=0), states

    def transition_msd(self, lagtime: int) -> Float:
        """(n_states, n_states) exact E[d^2(lagtime) | i -> j], square angstrom.

        The path between is a chain with both ends fixed: 6 times the sum over u < lagtime of
        (T^u diag(D) T^(lagtime - u))_ij / (T^lagtime)_ij. Zero at lag time 0.
        """
        moved, power = self._joint(lagtime)
        seen = power > 0.0
        return np.where(seen, moved / np.where(seen, power, 1.0), 0.0 if lagtime == 0 else np.nan)

    def state_msd(self, lagtime: int) -> Float:
        """(n_states,) exact mean square displacement of walkers that begin in a state."""
        result: Float = self._joint(lagtime)[0].sum(axis=1)
        return result

    def total_msd(self, lagtime: int) -> float:
        """Exact mean square displacement of all: 6 lagtime (sum of shares times D)."""
        return float(self.chain.stationary_distribution @ self.state_msd(lagtime))

    def _joint(self, lagtime: int) -> tuple[Float, Float]:
        matrix = np.asarray(self.chain.transition_matrix)
        moved, power = np.zeros(matrix.shape), np.eye(len(matrix))
        for _ in range(lagtime):
            moved = moved @ matrix + power @ np.diag(6.0 * self.diffusion) @ matrix
            power = power @ matrix
        return moved, power
