"""Arrays beside a trajectory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kgdyn import trajectory_from_arrays
from kgdyn.cli._labels import atom_table, read_labels
from kgdyn.trajectories import Trajectory


@pytest.fixture
def run() -> Trajectory:
    positions = np.random.default_rng(0).random((10, 5, 3))
    return trajectory_from_arrays(
        positions, np.eye(3), [3, 8, 3, 8, 8], frame_interval=1.0, targets=[0, 2]
    )


def test_rows_of_the_frames_in_use(run: Trajectory, tmp_path: Path) -> None:
    values = np.arange(20).reshape(10, 2)
    np.save(tmp_path / "a.npy", values)
    (found,) = read_labels(str(tmp_path / "a.npy"), [run[4:7]])
    np.testing.assert_array_equal(found, values[4:7])


def test_a_row_of_all_atoms(run: Trajectory, tmp_path: Path) -> None:
    solid = np.random.default_rng(1).random((10, 5)) < 0.5
    np.savez(tmp_path / "a.npz", solid=solid)
    (found,) = read_labels(f"{tmp_path / 'a.npz'}:solid", [run])
    np.testing.assert_array_equal(found, solid[:, [0, 2]])
    assert found.dtype == np.int64


def test_what_is_wrong(run: Trajectory, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, 2), int))
    np.savez(tmp_path / "b.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match="has 3 rows, the trajectory needs at least 10"):
        read_labels(str(tmp_path / "a.npy"), [run])
    with pytest.raises(ValueError, match=r"holds no array 'y', it has \['x'\]"):
        read_labels(f"{tmp_path / 'b.npz'}:y", [run])
    with pytest.raises(ValueError, match="names 'y' of an archive"):
        read_labels(f"{tmp_path / 'a.npy'}:y", [run])
    with pytest.raises(ValueError, match=r"one number for each of 5 atoms, received shape \(3,\)"):
        atom_table("charges", f"{tmp_path / 'b.npz'}:x", 5)
    with pytest.raises(FileNotFoundError, match="there is no such file of molecules"):
        atom_table("molecules", str(tmp_path / "c.npy"), 5)
