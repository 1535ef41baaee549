"""A short trajectory of ions and molecules, in any cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.trajectories import Trajectory

# Two ions, a molecule of two atoms, and an atom that nobody looks at.
SPECIES = [3, 16, 8, 1, 3]
TARGETS = [[0], [2, 3], [4]]
LAMMPS = [[5.0, 0, 0], [1.25, 4.5, 0], [-0.75, 0.5, 6.0]]
ORTHOGONAL = [[5.0, 0, 0], [0, 4.5, 0], [0, 0, 6.0]]
GENERAL = [[3.0, 4.0, 0.5], [-2.0, 3.5, 1.0], [0.5, -1.0, 6.5]]
LEFT_HANDED = [[3.0, 4.0, 0.5], [0.5, -1.0, 6.5], [-2.0, 3.5, 1.0]]
CELLS = {
    "orthogonal": ORTHOGONAL,
    "LAMMPS": LAMMPS,
    "general": GENERAL,
    "left-handed": LEFT_HANDED,
}


@pytest.fixture
def states(rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """(4 frames, 3 targets, 3 states)"""
    return rng.dirichlet([0.5, 0.5, 0.5], (4, 3))


@pytest.fixture
def make(rng: np.random.Generator) -> Callable[..., Trajectory]:
    """Function: four frames in a cell that breathes; image counts if asked for."""

    def trajectory(
        cell: Any = ORTHOGONAL, *, images: bool = False, pbc: Any = True, **more: Any
    ) -> Trajectory:
        cells = np.asarray(cell) * np.array([1.0, 1.01, 0.99, 1.02])[:, None, None]
        fractions = rng.random((4, 5, 3))
        box = np.where(np.asarray(cell).any(axis=1, keepdims=True), cell, 3.0 * np.eye(3))
        positions = fractions @ np.asarray(box)
        options = {
            "species": np.array(SPECIES),
            "targets": TargetGroups.from_groups(TARGETS),
            "frame_interval": 0.5,
            "source": "toy",
            **more,
        }
        return Trajectory(
            positions.astype(np.float32),
            cells,
            pbc,
            images=rng.integers(-3, 4, positions.shape) if images else None,
            **options,
        )

    return trajectory


@pytest.fixture
def expected_states(states: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """(4 frames, 5 atoms) numbers of the atoms' states, by a loop."""
    found = np.zeros((4, 5), int)
    for frame in range(4):
        for target, atoms in enumerate(TARGETS):
            for atom in atoms:
                found[frame, atom] = 1 + int(np.argmax(states[frame, target]))
    return found
