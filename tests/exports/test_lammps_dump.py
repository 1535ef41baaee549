"""Dumps as this package, MDAnalysis and a loop read them: the same structure, whatever the cell."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.cell
import MDAnalysis
import numpy as np
import pytest

import kgdyn
from kgdyn.exports import write_lammps_dump
from kgdyn.frames import TargetGroups
from kgdyn.trajectories import trajectory_from_arrays

Make = Callable[..., Any]
LAMMPS = [[5.0, 0, 0], [1.25, 4.5, 0], [-0.75, 0.5, 6.0]]
GENERAL = [[3.0, 4.0, 0.5], [-2.0, 3.5, 1.0], [0.5, -1.0, 6.5]]
LEFT_HANDED = [[3.0, 4.0, 0.5], [0.5, -1.0, 6.5], [-2.0, 3.5, 1.0]]
CELLS = {
    "orthogonal": np.diag([5.0, 4.5, 6.0]),
    "LAMMPS": LAMMPS,
    "general": GENERAL,
    "left-handed": LEFT_HANDED,
    # A column order that turns x, y, z round: still right-angled.
    "turned": [[0, 5.0, 0], [0, 0, 4.5], [6.0, 0, 0]],
}


def read(path: Path, **options: Any) -> Any:
    return kgdyn.open_trajectory(path, targets="element Li", timestep=0.5, **options)


def test_three_atoms_by_hand(tmp_path: Path) -> None:
    cell = [[4.0, 0, 0], [1.0, 3.0, 0], [-2.0, 0.5, 5.0]]
    run = trajectory_from_arrays(
        [[[0.5, 0.25, 1.0], [1.5, 1.0, 2.0], [2.0, 0.125, 3.0]]],
        cell,
        [16, 3, 8],
        frame_interval=1.0,
        targets=TargetGroups.from_indices([1]),
        pbc=[True, True, False],
    )
    write_lammps_dump(tmp_path / "run.lammpstrj", run, [[[0.25, 0.75]]])
    assert (tmp_path / "run.lammpstrj").read_text() == (
        "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n3\n"
        # xlo + min(0, xy, xz, xy + xz), xhi + max(0, xy, xz, xy + xz); y with yz.
        "ITEM: BOX BOUNDS xy xz yz pp pp ff\n-2 5 1\n0 3.5 -2\n0 5 0.5\n"
        "ITEM: ATOMS id type element x y z state p_1 p_2\n"
        "1 3 S 0.5 0.25 1 0 0 0\n"
        "2 1 Li 1.5 1 2 2 0.25 0.75\n"
        "3 2 O 2 0.125 3 0 0 0\n"
    )


@pytest.mark.parametrize("name", CELLS)
def test_this_package_reads_the_same_structure(
    name: str, make: Make, states: Any, tmp_path: Path
) -> None:
    run = make(CELLS[name], images=True)
    write_lammps_dump(tmp_path / "run.lammpstrj", run, states)
    found = read(tmp_path / "run.lammpstrj")
    np.testing.assert_array_equal(found.species, run.species)
    assert found.frame_interval == 0.5
    # Lengths and angles of the cell, up to the sign of the third vector of a left-handed one.
    grams = [np.einsum("fac,fbc->fab", part.cells, part.cells) for part in (found, run)]
    np.testing.assert_allclose(np.abs(grams[0]), np.abs(grams[1]), rtol=1e-12, atol=1e-10)
    assert (np.linalg.det(found.cells) > 0).all()
    # All distances between all unwrapped atoms at all times.
    unwrapped = [part.positions.astype(float) + part.images @ part.cells for part in (found, run)]
    for frame in range(4):
        distances = [
            np.linalg.norm(some[frame][:, None] - some[frame], axis=2) for some in unwrapped
        ]
        np.testing.assert_allclose(distances[0], distances[1], rtol=0, atol=3e-6)
    # Atoms keep their place in the cell; along a vector that was turned round, from its other end.
    places = [part.positions[0] @ np.linalg.inv(part.cells[0]) for part in (found, run)]
    if name == "left-handed":
        places[1][:, 2] = 1.0 - places[1][:, 2]
    np.testing.assert_allclose(places[0], places[1], rtol=0, atol=1e-6)
    if name in ("orthogonal", "LAMMPS"):
        np.testing.assert_array_equal(found.positions, run.positions)
        np.testing.assert_allclose(found.cells, run.cells, rtol=1e-14)
        np.testing.assert_array_equal(found.images, run.images)


@pytest.mark.parametrize("name", [*CELLS])
def test_neighbours_are_the_same(name: str, make: Make, states: Any, tmp_path: Path) -> None:
    """Through periodic images, which a mistake of the box would show."""
    from kgdyn.graphs import nearest_neighbors

    run = make(CELLS[name])
    write_lammps_dump(tmp_path / "run.lammpstrj", run, states)
    found = read(tmp_path / "run.lammpstrj")
    assert found.images is None  # not known: not written
    for frame in range(4):
        lists = [nearest_neighbors(part.frame(frame), 30) for part in (run, found)]
        np.testing.assert_allclose(lists[0].distances, lists[1].distances, rtol=0, atol=5e-6)


@pytest.mark.parametrize("name", ["general", "LAMMPS"])
def test_mdanalysis_reads_states_and_box(
    name: str, make: Make, states: Any, expected_states: Any, tmp_path: Path
) -> None:
    run = make(CELLS[name], images=True)
    write_lammps_dump(tmp_path / "run.lammpstrj", run, states)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="MDAnalysis")
        universe = MDAnalysis.Universe(
            tmp_path / "run.lammpstrj",
            format="LAMMPSDUMP",
            additional_columns=["state", "p_2", "ix"],
        )
        assert len(universe.trajectory) == 4
        for number, timestep in enumerate(universe.trajectory):
            # ASE knows the same rule for the cell.
            box, rotation = ase.cell.Cell(run.cells[number]).standard_form()
            np.testing.assert_allclose(timestep.triclinic_dimensions, box, rtol=0, atol=1e-5)
            wanted = run.positions[number] @ np.asarray(rotation).T
            np.testing.assert_allclose(timestep.positions, wanted, rtol=0, atol=1e-5)
            np.testing.assert_array_equal(timestep.data["state"], expected_states[number])
            np.testing.assert_allclose(
                timestep.data["p_2"][[0, 2, 3]], states[number, [0, 1, 1], 1], rtol=1e-6
            )
            assert timestep.data["ix"].tolist() == run.images[number, :, 0].tolist()


@pytest.mark.parametrize(
    ("cell", "pbc"),
    [
        (np.zeros((3, 3)), [False, False, False]),
        ([[5.0, 0, 0], [1.0, 4.0, 0], [0, 0, 0]], [True, True, False]),
        ([[0, 0, 0], [0.0, 3.0, 4.0], [0, 0, 0]], [False, True, False]),
        ([[0, 0, 0], [0.0, 3.0, 4.0], [1.0, 4.0, -3.0]], [False, True, True]),
        ([[5.0, 0, 0], [0, 4.0, 0], [5.0, 4.0, 0]], [True, True, False]),
    ],
)
def test_free_directions_end_at_the_outermost_atoms(
    cell: Any, pbc: Any, make: Make, states: Any, tmp_path: Path
) -> None:
    run = make(cell, pbc=pbc)
    write_lammps_dump(tmp_path / "run.lammpstrj", run, states)
    found = read(tmp_path / "run.lammpstrj")
    assert found.pbc.tolist() == pbc
    for frame in range(4):
        kept = [part.cells[frame][run.pbc] for part in (found, run)]
        np.testing.assert_allclose(kept[0] @ kept[0].T, kept[1] @ kept[1].T, atol=1e-9)
        gaps = [part.positions[frame][:, None] - part.positions[frame] for part in (found, run)]
        lengths = [np.linalg.norm(some, axis=2) for some in gaps]
        np.testing.assert_allclose(lengths[0], lengths[1], rtol=0, atol=3e-6)
        # Every atom lies in the box along the free directions.
        free = ~run.pbc
        fractions = (found.positions[0] @ np.linalg.inv(found.cells[0]))[:, free]
        if len(fractions.T):
            assert fractions.min() > -1e-6
            assert fractions.max() < 1 + 1e-6


def test_one_atom_without_a_cell_has_a_box(tmp_path: Path) -> None:
    run = trajectory_from_arrays(
        [[[1.0, 2.0, 3.0]]], np.zeros((3, 3)), [3], frame_interval=1.0, targets=[0], pbc=False
    )
    write_lammps_dump(tmp_path / "run.lammpstrj", run, [[[1.0, 0.0]]])
    lines = (tmp_path / "run.lammpstrj").read_text().splitlines()
    assert lines[4:8] == ["ITEM: BOX BOUNDS ff ff ff", "0.5 1.5", "1.5 2.5", "2.5 3.5"]


def test_gaps_are_gaps_for_readers(make: Make, states: Any, tmp_path: Path) -> None:
    run = make(segment_offsets=[0, 1, 4])
    write_lammps_dump(tmp_path / "run.lammpstrj.gz", run, states)
    assert read(tmp_path / "run.lammpstrj.gz").offsets.tolist() == [0, 1, 4]
    write_lammps_dump(tmp_path / "some.lammpstrj", run[1:], states[1:], frames=[0, 2])
    steps = (tmp_path / "some.lammpstrj").read_text().splitlines()[1::14]
    assert steps == ["1", "3"]


def test_beads_have_numbers_for_elements(make: Make, states: Any, tmp_path: Path) -> None:
    run = make(species=np.array([3, 130, 8, 1, 3]))
    write_lammps_dump(tmp_path / "run.lammpstrj", run, states)
    row = (tmp_path / "run.lammpstrj").read_text().splitlines()[10]
    assert row.split()[:3] == ["2", "4", "130"]
    found = read(tmp_path / "run.lammpstrj", elements=["H", "Li", "O", 130])
    np.testing.assert_array_equal(found.species, run.species)
