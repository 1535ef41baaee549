"""Parts of the silicon example that its small size does not show to be right."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from kgdyn.trajectories import trajectory_from_arrays

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "silicon_interface.py"
LENGTH = 40.0  # angstrom


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("silicon_interface", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_crystal_is_moved_to_the_middle(example: ModuleType) -> None:
    """Wherever it is, also across the border of the cell; nothing else changes."""
    rng = np.random.default_rng(0)
    n_frames, n_atoms = 6, 300
    middle = np.array([0.0, 3.0, 15.0, 20.0, 31.0, 39.5])
    off = rng.uniform(-0.5 * LENGTH, 0.5 * LENGTH, (n_frames, n_atoms))
    # As many at each side, so that the middle is known.
    off[:, 1::2] = -off[:, ::2]
    solid = np.abs(off) < 6.0
    positions = rng.uniform(0.0, 20.0, (n_frames, n_atoms, 3))
    positions[..., 2] = (middle[:, None] + off) % LENGTH
    run = trajectory_from_arrays(
        positions,
        np.diag([20.0, 20.0, LENGTH]),
        [14] * n_atoms,
        frame_interval=1.0,
        targets=range(n_atoms),
    )
    moved = example.around_crystal(run, solid)
    np.testing.assert_allclose(moved.positions[..., 2], 0.5 * LENGTH + off, rtol=0, atol=1e-3)
    np.testing.assert_array_equal(moved.positions[..., :2], run.positions[..., :2])
