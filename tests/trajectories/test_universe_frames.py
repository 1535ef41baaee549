"""Frames of a Universe one at a time are those that from_universe reads all at once."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import MDAnalysis
import numpy as np
import pytest

import kgdyn
from kgdyn.trajectories import universe_frames


@pytest.fixture
def universe(rng: np.random.Generator) -> Any:
    made = MDAnalysis.Universe.empty(6, n_residues=2, atom_resindex=[0, 0, 0, 1, 1, 1])
    for name in ("elements", "names", "types"):
        made.add_TopologyAttr(name, ["Li", "S", "S"] * 2)
    boxes = np.array([7.1, 7.3, 7.7, 80.0, 95.0, 103.0]) + rng.normal(0.0, 0.1, (5, 6))
    made.load_new(rng.random((5, 6, 3)).astype(np.float32), dimensions=boxes, dt=2.0)
    return made


@pytest.mark.parametrize("suffix", ["", ".xtc", ".dcd"])
def test_positions_and_cells(suffix: str, universe: Any, tmp_path: Path) -> None:
    if suffix:
        universe.atoms.write(tmp_path / f"run{suffix}", frames="all")
        universe.load_new(str(tmp_path / f"run{suffix}"))
    whole = kgdyn.from_universe(universe, "element Li", frame_interval=2.0)
    frames = pickle.loads(pickle.dumps(universe_frames(universe)))
    np.testing.assert_array_equal(frames.species, whole.species)
    for number in (3, 0, 3):
        positions, cell = frames.read(frames.universe.trajectory[number])
        np.testing.assert_array_equal(positions, whole.positions[number])
        np.testing.assert_array_equal(cell, whole.cells[number])
    positions[:] = 0.0  # a copy: the Universe keeps its own
    assert frames.universe.atoms.positions.any()


def test_targets_of_words_and_groups(universe: Any) -> None:
    frames = universe_frames(universe)
    for selection in ("element Li", universe.select_atoms("element Li")):
        assert frames.targets(selection).atoms.tolist() == [0, 3]
        groups = frames.targets(selection, "residues")
        assert groups.offsets.tolist() == [0, 3, 6]
    with pytest.raises(ValueError, match="targets must be at least one atom"):
        frames.targets(universe.atoms[[]])
    with pytest.raises(ValueError, match="groupby must be one of"):
        frames.targets(universe.atoms, "segments")


def test_some_frames_as_a_trajectory(universe: Any) -> None:
    frames = universe_frames(universe)
    targets = frames.targets("element Li")
    universe.trajectory[2]
    run = frames.trajectory([0, 2, 4], targets, frame_interval=2.0)
    assert universe.trajectory.frame == 2
    assert run.frame_interval == 4.0
    assert run.offsets.tolist() == [0, 3]
    assert frames.trajectory([0, 1, 4], targets, 2.0).n_segments == 2
    assert frames.trajectory([3], targets, 2.0).frame_interval == 2.0
    for bad in ([], [1, 1], [[0]]):
        with pytest.raises(ValueError, match="frames must be at least one, in rising order"):
            frames.trajectory(bad, targets, 2.0)
    with pytest.raises(ValueError, match="frame_interval must be given in ps"):
        frames.trajectory([0, 1], targets)


def test_frames_that_are_bad(universe: Any) -> None:
    frames = universe_frames(universe)
    universe.trajectory.get_array()[2, 4] = np.inf
    with pytest.raises(ValueError, match=r"frame 2: positions must be finite.* atom 4"):
        frames.read(universe.trajectory[2])
    timestep = universe.trajectory[1]
    timestep.has_positions = False
    with pytest.raises(ValueError, match="frame 1: the frame holds no positions"):
        frames.read(timestep)
