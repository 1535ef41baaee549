"""PDB models as ASE and MDAnalysis read them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import MDAnalysis
import numpy as np
import pytest

from kgdyn.exports import write_pdb
from kgdyn.trajectories import trajectory_from_arrays

Make = Callable[..., Any]
GENERAL = [[3.0, 4.0, 0.5], [-2.0, 3.5, 1.0], [0.5, -1.0, 6.5]]
LEFT_HANDED = [[3.0, 4.0, 0.5], [0.5, -1.0, 6.5], [-2.0, 3.5, 1.0]]


def distances(positions: Any) -> Any:
    return np.linalg.norm(positions[:, None] - positions, axis=2)


@pytest.mark.parametrize("cell", [GENERAL, LEFT_HANDED])
def test_ase_reads_models_with_their_cells(
    cell: Any, make: Make, states: Any, expected_states: Any, tmp_path: Path
) -> None:
    run = make(cell)
    write_pdb(tmp_path / "run.pdb", run, states)
    read = ase.io.read(tmp_path / "run.pdb", index=":")
    assert len(read) == 4
    for number, atoms in enumerate(read):
        np.testing.assert_array_equal(atoms.numbers, run.species)
        np.testing.assert_array_equal(atoms.arrays["bfactor"], expected_states[number])
        np.testing.assert_allclose(
            atoms.get_volume(), abs(np.linalg.det(run.cells[number])), rtol=2e-3
        )
        found = distances(atoms.positions)
        np.testing.assert_allclose(found, distances(run.positions[number].astype(float)), atol=2e-3)
        places = atoms.positions @ np.linalg.inv(atoms.cell[:])
        wanted = run.positions[number] @ np.linalg.inv(run.cells[number])
        if cell is LEFT_HANDED:  # its third vector is turned round
            wanted[:, 2] = 1.0 - wanted[:, 2]
        np.testing.assert_allclose(places, wanted, atol=2e-3)
        # Through the images too: cell and atoms were turned together.
        frame = run.frame(number)
        images = ase.Atoms(positions=frame.positions, cell=frame.cell, pbc=True)
        wanted = images.get_all_distances(mic=True)
        np.testing.assert_allclose(atoms.get_all_distances(mic=True), wanted, atol=5e-3)
        assert atoms.arrays["residuenumbers"].tolist() == [1, 0, 2, 2, 3]
        assert atoms.arrays["residuenames"].tolist()[:2] == ["TAR", "ENV"]


def test_mdanalysis_reads_factors_of_each_model(
    make: Make, states: Any, expected_states: Any, tmp_path: Path
) -> None:
    run = make()
    write_pdb(tmp_path / "run.pdb", run, states, frames=slice(1, None))
    write_pdb(tmp_path / "second.pdb", run, states, frames=slice(1, None), state=2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="MDAnalysis")
        first = MDAnalysis.Universe(tmp_path / "run.pdb")
        second = MDAnalysis.Universe(tmp_path / "second.pdb")
        assert len(first.trajectory) == 3
        assert first.select_atoms("resname TAR").ix.tolist() == [0, 2, 3, 4]
        for number in range(1, 4):
            data = first.trajectory[number - 1].data
            np.testing.assert_allclose(first.dimensions[:3], np.diag(run.cells[number]), atol=1e-3)
            np.testing.assert_allclose(first.atoms.positions, run.positions[number], atol=1e-3)
            np.testing.assert_array_equal(data["tempfactor"], expected_states[number])
            wanted = states[number, [0, 1, 1, 2]]
            of_targets = data["occupancy"][[0, 2, 3, 4]]
            np.testing.assert_allclose(of_targets, wanted.max(axis=1), atol=0.0051)
            data = second.trajectory[number - 1].data
            np.testing.assert_allclose(data["tempfactor"][[0, 2, 3, 4]], wanted[:, 1], atol=0.0051)
            np.testing.assert_array_equal(data["occupancy"], expected_states[number])


def test_models_are_numbered(make: Make, states: Any, tmp_path: Path) -> None:
    done = []
    write_pdb(tmp_path / "run.pdb", make(), states, progress=lambda *counts: done.append(counts))
    lines = (tmp_path / "run.pdb").read_text().splitlines()
    assert [line.split()[1] for line in lines if line.startswith("MODEL")] == ["1", "2", "3", "4"]
    # ASE would take an END behind the last model for one more, without atoms.
    assert lines[-1] == "ENDMDL"
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert {len(line) for line in lines if line.startswith("ATOM")} == {80}


def test_without_a_cell_there_is_none(make: Make, states: Any, tmp_path: Path) -> None:
    run = make(np.zeros((3, 3)), pbc=False)
    write_pdb(tmp_path / "run.pdb", run, states)
    assert "CRYST1" not in (tmp_path / "run.pdb").read_text()
    read = ase.io.read(tmp_path / "run.pdb", index=1)
    np.testing.assert_allclose(read.positions, run.positions[1], atol=1e-3)


def test_residues_of_many_targets_begin_again(tmp_path: Path) -> None:
    """The format has four digits for them."""
    n_atoms = 10_002
    run = trajectory_from_arrays(
        np.zeros((1, n_atoms, 3)),
        np.eye(3) * 9.0,
        [3] * n_atoms,
        frame_interval=1.0,
        targets=range(n_atoms),
    )
    write_pdb(tmp_path / "run.pdb", run, np.ones((1, n_atoms, 1)))
    rows = (tmp_path / "run.pdb").read_text().splitlines()[2:-1]
    assert [int(row[22:26]) for row in rows[9_998:]] == [9_999, 0, 1, 2]
    assert {len(row) for row in rows} == {80}


def test_what_is_refused(make: Make, states: Any, tmp_path: Path) -> None:
    run, path = make(), tmp_path / "run.pdb"
    for state in (0, 4):
        with pytest.raises(ValueError, match=f"state must be from 1 to 3, received {state}"):
            write_pdb(path, run, states, state=state)
    with pytest.raises(ValueError, match="frames must be at least one, received none"):
        write_pdb(path, run, states, frames=[])
    far = make(np.diag([5.0, 5.0, 5.0]))
    positions = far.positions.copy()
    positions[1, 2, 0] = 10_000.0
    moved = trajectory_from_arrays(
        positions, far.cells, far.species, frame_interval=1.0, targets=far.targets, source="far"
    )
    with pytest.raises(ValueError, match=r"far, frame 1: coordinates must be from -999.999 to"):
        write_pdb(path, moved, states)
    assert list(tmp_path.iterdir()) == []
