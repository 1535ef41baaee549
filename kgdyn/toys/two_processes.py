"""Ions whose surroundings switch by one or two independent two-state chains of known timescales."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import readonly
from kgdyn.toys.markov_chain import MarkovChain

__all__ = ["TwoProcesses"]

_CORNERS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3.0)
_SPACING = 14.0  # angstrom between ions: their neighbours stay apart


@dataclass(frozen=True)
class TwoProcesses:
    """Each Li stands in a tetrahedron of S and one of Cl, which widen and narrow by themselves.

    Four S at 2.4 or 2.9 angstrom by the first chain, four Cl at 3.4 or 4.0 by the second; every
    coordinate of S and Cl with normal noise. The singular values of the system are
    exp(-lagtime / timescale) of each chain, and their product.

    Parameters
    ----------
    timescales : (2,) tuple of float, frames
        Relaxation times of S and of Cl. 0: as drawn anew in each frame, no process at all.
    populations : (2,) tuple of float
        Of the wide state of each chain.
    n_targets : int
    noise : float, angstrom

    Raises
    ------
    ValueError
        For a negative timescale, a population outside of (0, 1), or no target.
    """

    timescales: tuple[float, float] = (60.0, 15.0)
    populations: tuple[float, float] = (0.5, 0.5)
    n_targets: int = 4
    noise: float = 0.08

    def __post_init__(self) -> None:
        if min(self.timescales) < 0.0:
            raise ValueError(f"timescales must not be negative, received {self.timescales}")
        if not all(0.0 < share < 1.0 for share in self.populations):
            raise ValueError(f"populations must lie between 0 and 1, received {self.populations}")
        if self.n_targets < 1:
            raise ValueError(f"n_targets must be at least 1, received {self.n_targets}")

    def chain(self, process: int) -> MarkovChain:
        """The chain of S (0) or of Cl (1), one step a frame."""
        time, wide = self.timescales[process], self.populations[process]
        stay = np.exp(-1.0 / time) if time > 0.0 else 0.0
        equilibrium = np.array([1.0 - wide, wide])
        return MarkovChain(stay * np.eye(2) + (1.0 - stay) * equilibrium)

    @property
    def species(self) -> NDArray[np.int32]:
        """(n_atoms,) Li, then S, then Cl of each target."""
        return readonly(np.tile([3, *[16] * 4, *[17] * 4], self.n_targets), np.int32)

    @property
    def targets(self) -> NDArray[np.int64]:
        """(n_targets,) indices of Li."""
        return readonly(9 * np.arange(self.n_targets), np.int64)

    @property
    def cell(self) -> NDArray[np.float64]:
        """(3, 3), angstrom; the ions stand in a row."""
        return np.diag([_SPACING * self.n_targets, _SPACING, _SPACING])

    def sample(
        self, n_frames: int, *, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Positions and true states.

        Returns
        -------
        positions : (n_frames, n_atoms, 3) array, angstrom
        labels : (n_frames, n_targets, 2) array of int
            1 where S, where Cl is wide.
        """
        labels = np.stack(
            [self.chain(k).sample(n_frames, self.n_targets, rng=rng) for k in (0, 1)], axis=-1
        )
        sulfur = np.where(labels[..., :1, None] == 1, 2.9, 2.4) * _CORNERS
        chlorine = np.where(labels[..., 1:, None] == 1, 4.0, 3.4) * -_CORNERS
        around = np.concatenate([np.zeros_like(sulfur[:, :, :1]), sulfur, chlorine], axis=2)
        around[:, :, 1:] += rng.normal(0.0, self.noise, around[:, :, 1:].shape)
        centers = (np.arange(self.n_targets) + 0.5)[:, None] * [_SPACING, 0.0, 0.0]
        positions = around + centers[:, None, :] + [0.0, 0.5 * _SPACING, 0.5 * _SPACING]
        shape = (n_frames, 9 * self.n_targets, 3)
        return positions.reshape(shape).astype(np.float32), labels
