"""The water film in LAMMPS, some hundred steps of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kgdyn.integrations.lammps import simulate
from numpy.testing import assert_allclose

import kgdyn
from kgdyn.toys import WaterSlab

pytestmark = [pytest.mark.lammps, pytest.mark.usefixtures("new_lammps")]


def test_molecules_stay_rigid_and_together(tmp_path: Path) -> None:
    system = WaterSlab(settling_time=0.2, duration=0.0004, frame_interval=0.1)
    topology, trajectory = simulate(system, tmp_path)
    run = kgdyn.open_trajectory(
        trajectory,
        topology=topology,
        elements=system.elements,
        targets="element O",
        groupby="molecules",
    )
    assert (run.n_frames, run.n_atoms, run.n_targets) == (5, 648, 216)
    assert run.frame_interval == pytest.approx(0.1)
    assert_allclose(run.cells[0], np.diag([*system.lengths[:2], 56.0]), rtol=0, atol=1e-6)
    assert run.images is not None
    unwrapped = (run.positions + run.images @ run.cells)[:, run.targets.atoms].reshape(5, 216, 3, 3)
    # O and its two H, in this order, and rigid: what LAMMPS writes is rounded to 0.001 angstrom.
    assert set(run.species[run.targets.atoms].reshape(-1, 3).T[0]) == {8}
    first, second = (unwrapped[:, :, k] - unwrapped[:, :, 0] for k in (1, 2))
    for bond in (first, second):
        assert_allclose(np.linalg.norm(bond, axis=-1), 1.0, rtol=0, atol=0.003)
    apart = np.linalg.norm(first - second, axis=-1)
    assert_allclose(apart, 2.0 * np.sin(np.radians(109.47 / 2.0)), rtol=0, atol=0.003)
    # It moves, as a film in the middle of the cell, about as fast as water at 300 K.
    oxygen = unwrapped[:, :, 0]
    assert_allclose(oxygen[..., 2].mean(axis=1), 28.0, rtol=0, atol=0.1)
    assert np.abs(oxygen[..., 2] - 28.0).max() < 13.0
    moved = np.linalg.norm(oxygen[-1] - oxygen[0], axis=-1)
    assert 0.2 < moved.mean() < 2.0
