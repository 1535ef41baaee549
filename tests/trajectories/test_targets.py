"""From a selection in words to target groups, with and without a topology."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import MDAnalysis
import numpy as np
import pytest

from kgdyn.trajectories import FrameChunk, select_targets
from kgdyn.trajectories.gdynet_source import GDyNetSource
from kgdyn.trajectories.lammps_dump import LAMMPSDump
from kgdyn.trajectories.mdanalysis_source import UniverseSource


class PlainSource:
    """A source that knows species and nothing else."""

    source = "run.npz"
    pbc = np.ones(3, dtype=bool)
    n_frames = 1
    frame_interval = None

    def __init__(self, species: list[int]) -> None:
        self.species = np.array(species, np.int32)

    def chunks(self, frames_per_chunk: int = 64) -> Any:
        yield FrameChunk(np.zeros((1, len(self.species), 3)), np.eye(3)[None])


ARGYRODITE = PlainSource([3, 16, 3, 15, 3, 17, 120])


def groups(targets: Any) -> list[list[int]]:
    return [
        targets.atoms[start:stop].tolist()
        for start, stop in zip(targets.offsets, targets.offsets[1:], strict=False)
    ]


@pytest.mark.parametrize(
    ("selection", "atoms"),
    [
        ("element Li", [0, 2, 4]),
        ("element S P", [1, 3]),
        ("element S or element Cl", [1, 5]),
        ("index 2:4", [2, 3, 4]),
        ("bynum 1", [0]),
        ("type 16", [1]),
        ("type 120", [6]),
        ("name Li and not index 2", [0, 4]),
        ("all", [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_selections_without_a_topology(selection: str, atoms: list[int]) -> None:
    targets = select_targets(ARGYRODITE, selection)
    assert groups(targets) == [[atom] for atom in atoms]
    assert targets.description == selection


@pytest.mark.parametrize("selection", ["element Na", "index 7", "index 90:99", ""])
def test_selections_that_match_nothing(selection: str) -> None:
    message = f"^run.npz: targets '{selection}' matches no atom of 7$"
    with pytest.raises(ValueError, match=message):
        select_targets(ARGYRODITE, selection)


@pytest.mark.parametrize(
    "selection",
    [
        "Li",
        "elemnt Li",
        "index Li",
        "element Li and",
        "(element Li",
        "resname SOL",
        "charge 1",
        "=",
    ],
)
def test_nonsense(selection: str) -> None:
    message = r"^run.npz: targets .* is not understood: "
    with pytest.raises(ValueError, match=message):
        select_targets(ARGYRODITE, selection)


def test_a_file_that_names_no_targets_needs_a_selection() -> None:
    message = (
        r"^run.npz: targets must be given, as an MDAnalysis selection such as \"element Li\": "
        "the file does not name them$"
    )
    with pytest.raises(ValueError, match=message):
        select_targets(ARGYRODITE)


def test_the_targets_of_a_gdynet_file(tmp_path: Path) -> None:
    path = tmp_path / "traj.npz"
    np.savez(
        path,
        traj_coords=np.random.default_rng(1).random((3, 4, 3)),
        lattices=np.tile(5.0 * np.eye(3), (3, 1, 1)),
        atom_types=np.array([3, 16, 16, 3]),
        target_index=np.array([3, 0]),
    )
    targets = select_targets(GDyNetSource(path))
    assert groups(targets) == [[3], [0]]
    assert targets.description == "target_index of the file"
    assert groups(select_targets(GDyNetSource(path), "element S")) == [[1], [2]]


def test_types_of_a_dump_are_its_own(tmp_path: Path) -> None:
    """Type 1 is oxygen here, though hydrogen's atomic number is 1."""
    path = tmp_path / "water.dump"
    rows = "12 2 1 1 1\n7 2 0 0 0\n9 1 0.5 0.5 0.5\n"
    path.write_text(
        "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n3\nITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n"
        f"ITEM: ATOMS id type x y z\n{rows}"
    )
    source = LAMMPSDump(path, elements=["O", "H"])
    np.testing.assert_array_equal(source.species, [1, 8, 1])  # in the order of ids 7, 9, 12
    assert groups(select_targets(source, "type 1")) == [[1]]
    assert groups(select_targets(source, "type 2")) == [[0], [2]]
    assert groups(select_targets(source, "element H")) == [[0], [2]]


@pytest.mark.parametrize("groupby", ["residues", "molecules"])
def test_groups_need_a_topology(groupby: str) -> None:
    message = rf"^run.npz: groupby='{groupby}' needs a topology with "
    with pytest.raises(ValueError, match=message):
        select_targets(ARGYRODITE, "element Li", groupby)


def test_groupings_that_do_not_exist() -> None:
    message = r"groupby must be one of \('atoms', 'residues', 'molecules'\), received 'chains'"
    with pytest.raises(ValueError, match=message):
        select_targets(ARGYRODITE, "element Li", "chains")


# --- with a topology ----------------------------------------------------------------------------

# Two waters in one residue each, an ion, and a chain of two residues joined by a bond.
ELEMENTS = ["O", "H", "H", "O", "H", "H", "Li", "C", "O", "C", "O"]
RESIDUES = [0, 0, 0, 1, 1, 1, 2, 3, 3, 4, 4]
BONDS = [(0, 1), (0, 2), (3, 4), (3, 5), (7, 8), (7, 9), (9, 10)]


def source(bonds: bool = True, residues: bool = True) -> UniverseSource:
    options: dict[str, Any] = {"n_residues": 5, "atom_resindex": RESIDUES} if residues else {}
    universe = MDAnalysis.Universe.empty(11, trajectory=True, **options)
    universe.add_TopologyAttr("elements", ELEMENTS)
    universe.add_TopologyAttr("names", ELEMENTS)
    if residues:
        universe.add_TopologyAttr("resnames", ["SOL", "SOL", "LI", "EO", "EO"])
    if bonds:
        universe.add_TopologyAttr("bonds", BONDS)
    return UniverseSource(universe, frame_interval=1.0, source="run.xtc")


def test_atoms_of_a_topology() -> None:
    targets = select_targets(source(), "resname EO and element O")
    assert groups(targets) == [[8], [10]]
    assert targets.description == "resname EO and element O"


def test_a_topology_without_elements_has_those_that_were_given() -> None:
    """A LAMMPS data file knows types only."""
    universe = MDAnalysis.Universe.empty(5, trajectory=True)
    universe.add_TopologyAttr("types", ["1", "2", "2", "1", "2"])
    plain = UniverseSource(universe, elements=["Li", "S"], frame_interval=1.0, source="run.dcd")
    assert groups(select_targets(plain, "element Li")) == [[0], [3]]
    assert groups(select_targets(plain, "element S and not type 1 and index 2:4")) == [[2], [4]]
    with pytest.raises(ValueError, match=r"^run.dcd: targets 'element P' matches no atom of 5$"):
        select_targets(plain, "element P")
    with pytest.raises(ValueError, match=r"^run.dcd: targets 'elemnt Li' is not understood"):
        select_targets(plain, "elemnt Li")
    assert not hasattr(universe.atoms, "elements")  # the Universe is the user's


def test_residues_are_whole() -> None:
    targets = select_targets(source(), "resname SOL and element O or index 10", "residues")
    assert groups(targets) == [[0, 1, 2], [3, 4, 5], [9, 10]]
    assert targets.description == "residues of resname SOL and element O or index 10"


def test_molecules_by_bonds_are_whole() -> None:
    targets = select_targets(source(), "index 10 or index 1 or element Li", "molecules")
    assert groups(targets) == [[0, 1, 2], [6], [7, 8, 9, 10]]
    assert targets.description.startswith("molecules of ")


def test_molecules_by_number() -> None:
    plain = source(bonds=False)
    plain.universe.add_TopologyAttr("molnums", [0, 0, 1, 2, 2])
    assert groups(select_targets(plain, "index 4 or index 8", "molecules")) == [
        [0, 1, 2, 3, 4, 5],
        [7, 8, 9, 10],
    ]


def test_molecules_without_bonds_are_residues() -> None:
    plain = source(bonds=False)
    assert groups(select_targets(plain, "element O and resname SOL", "molecules")) == [
        [0, 1, 2],
        [3, 4, 5],
    ]


def test_a_topology_without_bonds_and_residues_knows_no_molecules() -> None:
    message = r"^run.xtc: groupby='molecules' needs a topology with bonds, molecule numbers or res"
    with pytest.raises(ValueError, match=message):
        select_targets(source(bonds=False, residues=False), "element O", "molecules")


def test_a_topology_is_asked_in_its_own_words() -> None:
    with pytest.raises(ValueError, match=r"^run.xtc: targets 'resname ICE' matches no atom of 11"):
        select_targets(source(), "resname ICE")
    with pytest.raises(ValueError, match=r"^run.xtc: targets 'resnam SOL' is not understood"):
        select_targets(source(), "resnam SOL")
