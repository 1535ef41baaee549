"""One call for every format: the same small simulation written in each of them."""

from __future__ import annotations

import gzip
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import MDAnalysis
import numpy as np
import pytest
from ase import Atoms
from pymatgen.core import Lattice, Structure

from kgdyn.frames import TargetGroups
from kgdyn.trajectories import (
    FrameStore,
    SourceOptions,
    from_universe,
    open_source,
    open_trajectories,
    open_trajectory,
)

N_FRAMES, N_ATOMS = 5, 6
SYMBOLS = ["Li", "S", "Li", "P", "S", "Li"]
NUMBERS = [3, 16, 3, 15, 16, 3]
TYPES = [1, 2, 1, 3, 2, 1]
LITHIUM = [0, 2, 5]
CELL = np.array([[9.0, 0.0, 0.0], [2.0, 8.0, 0.0], [-1.0, 1.5, 7.0]])
POSITIONS = (
    np.random.default_rng(3).uniform(0.02, 0.98, size=(N_FRAMES, N_ATOMS, 3)) @ CELL
).round(3)


@pytest.fixture
def quiet_writers() -> Any:
    """MDAnalysis' writers warn of all that a format cannot hold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def images(first: int = 0, last: int = N_FRAMES) -> list[Atoms]:
    return [Atoms(SYMBOLS, frame, cell=CELL, pbc=True) for frame in POSITIONS[first:last]]


def universe() -> MDAnalysis.Universe:
    made = MDAnalysis.Universe.empty(
        N_ATOMS, n_residues=2, atom_resindex=[0, 0, 0, 1, 1, 1], trajectory=True
    )
    made.add_TopologyAttr("names", SYMBOLS)
    made.add_TopologyAttr("elements", SYMBOLS)
    made.add_TopologyAttr("resnames", ["A", "B"])
    box = [*np.linalg.norm(CELL, axis=1), *Atoms(cell=CELL).cell.angles()]
    dimensions = np.tile(np.array(box, np.float32), (N_FRAMES, 1))
    made.load_new(POSITIONS.astype(np.float32), dimensions=dimensions, dt=0.5)
    return made


def write_universe(path: Path, frames: Any = "all") -> Path:
    atoms = universe().atoms
    atoms.write(str(path), frames=frames)
    return path


def dump_text() -> str:
    (xlo, ylo, zlo), (lx, ly, lz) = (0.0, 0.0, 0.0), np.diag(CELL)
    xy, xz, yz = CELL[1, 0], CELL[2, 0], CELL[2, 1]
    bounds = (
        f"{xlo + min(0, xy, xz, xy + xz)} {lx + max(0, xy, xz, xy + xz)} {xy}\n"
        f"{ylo + min(0, yz)} {ly + max(0, yz)} {xz}\n{zlo} {lz} {yz}\n"
    )
    text = []
    for frame in range(N_FRAMES):
        rows = [
            f"{atom + 1} {TYPES[atom]} " + " ".join(map(str, POSITIONS[frame, atom]))
            for atom in range(N_ATOMS)
        ]
        text += [
            f"ITEM: TIMESTEP\n{frame * 250}\nITEM: NUMBER OF ATOMS\n{N_ATOMS}\n"
            f"ITEM: BOX BOUNDS xy xz yz pp pp pp\n{bounds}ITEM: ATOMS id type x y z",
            *rows,
        ]
    return "\n".join([*text, ""])


def dump(folder: Path, name: str = "run.dump") -> Path:
    path = folder / name
    data = dump_text().encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def xdatcar(folder: Path, name: str = "XDATCAR", first: int = 0, last: int = N_FRAMES) -> Path:
    """Atoms in the order of SYMBOLS, which takes several blocks of one element."""
    lines = ["test", "1.0", *(" ".join(f"{x:.6f}" for x in row) for row in CELL)]
    lines += [" ".join(SYMBOLS), " ".join("1" * N_ATOMS)]
    for number, frame in enumerate(POSITIONS[first:last] @ np.linalg.inv(CELL), start=1):
        lines.append(f"Direct configuration={number:6d}")
        lines += [" ".join(f"{x:.9f}" for x in row) for row in frame]
    text = "\n".join([*lines, ""])
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def extxyz(folder: Path) -> Path:
    ase.io.write(folder / "run.extxyz", images(), format="extxyz")
    return folder / "run.extxyz"


def npz(folder: Path, **changes: Any) -> Path:
    arrays = {
        "traj_coords": POSITIONS,
        "lattices": np.tile(CELL, (N_FRAMES, 1, 1)),
        "atom_types": np.array(NUMBERS),
        "target_index": np.array(LITHIUM),
        "dt_ps": np.array(0.5),
    }
    np.savez(folder / "traj.npz", **(arrays | changes))
    return folder / "traj.npz"


def analyzer(folder: Path) -> Path:
    start = Structure(Lattice(CELL), SYMBOLS, POSITIONS[0], coords_are_cartesian=True)
    content = {
        "structure": start.as_dict(),
        "displacements": (POSITIONS - POSITIONS[0]).transpose(1, 0, 2).tolist(),
        "time_step": 2.0,
        "step_skip": 250,
    }
    (folder / "analyzer.json").write_text(json.dumps(content))
    return folder / "analyzer.json"


def lammps_data(folder: Path) -> Path:
    lx, ly, lz = np.diag(CELL)
    rows = [f"{atom + 1} {TYPES[atom]} 0 0 0" for atom in range(N_ATOMS)]
    header = [f"test\n\n{N_ATOMS} atoms\n3 atom types\n", f"0 {lx} xlo xhi", f"0 {ly} ylo yhi"]
    header += [f"0 {lz} zlo zhi", "2.0 -1.0 1.5 xy xz yz\n", "Masses\n"]
    header += ["1 6.94\n2 32.06\n3 30.974\n", "Atoms # atomic\n"]
    (folder / "system.data").write_text("\n".join([*header, *rows, ""]))
    return folder / "system.data"


Format = tuple[Callable[[Path], dict[str, Any]], float]

# What to pass to open_trajectory, and how far positions may be off: XTC keeps 0.01 angstrom.
FORMATS: dict[str, Format] = {
    "dump": (
        lambda folder: {
            "path": dump(folder),
            "elements": ["Li", "S", "P"],
            "timestep": 0.002,
            "targets": "element Li",
        },
        1e-6,
    ),
    "gzipped dump": (
        lambda folder: {
            "path": dump(folder, "run.lammpstrj.gz"),
            "elements": {"1": "Li", "2": "S", "3": "P"},
            "frame_interval": 0.5,
            "targets": "type 1",
        },
        1e-6,
    ),
    "dump by its content": (
        lambda folder: {
            "path": str(dump(folder, "frames.txt")),
            "elements": ["Li", "S", "P"],
            "frame_interval": 0.5,
            "targets": LITHIUM,
        },
        1e-6,
    ),
    "dump with a topology": (
        lambda folder: {
            "path": dump(folder),
            "topology": lammps_data(folder),
            "elements": "masses",
            "timestep": 0.002,
            "targets": "type 1",
        },
        1e-6,
    ),
    "XDATCAR": (
        lambda folder: {
            "path": xdatcar(folder),
            "frame_interval": 0.5,
            "targets": "element Li",
            "pbc": True,
        },
        1e-6,
    ),
    "several XDATCAR": (
        lambda folder: {
            "path": [xdatcar(folder, "run1.XDATCAR", 0, 2), xdatcar(folder, "XDATCAR.gz", 2)],
            "frame_interval": 0.5,
            "targets": TargetGroups.from_indices(LITHIUM),
        },
        1e-6,
    ),
    "extended XYZ": (
        lambda folder: {
            "path": extxyz(folder),
            "frame_interval": 0.5,
            "targets": "element Li",
        },
        1e-6,
    ),
    "gdynet": (lambda folder: {"path": npz(folder)}, 1e-6),
    "DiffusionAnalyzer": (
        lambda folder: {"path": analyzer(folder), "targets": "element Li"},
        1e-6,
    ),
    "XTC": (
        lambda folder: {
            "path": write_universe(folder / "run.xtc"),
            "topology": write_universe(folder / "top.pdb", None),
            "targets": "element Li",
        },
        0.0051,
    ),
    "several XTC": (
        lambda folder: {
            "path": [
                write_universe(folder / "a.xtc", slice(0, 3)),
                write_universe(folder / "b.xtc", slice(3, 5)),
            ],
            "topology": write_universe(folder / "top.pdb", None),
            "targets": "element Li",
        },
        0.0051,
    ),
    "DCD": (
        lambda folder: {
            "path": write_universe(folder / "run.dcd"),
            "topology": write_universe(folder / "top.gro", None),
            "frame_interval": 0.5,
            "targets": "name Li",
        },
        1e-5,
    ),
    "PDB alone": (
        lambda folder: {
            "path": write_universe(folder / "all.pdb"),
            "frame_interval": 0.5,
            "targets": "element Li",
        },
        1e-3,
    ),
}


@pytest.mark.usefixtures("quiet_writers")
@pytest.mark.parametrize("name", FORMATS)
def test_every_format(tmp_path: Path, name: str) -> None:
    arguments, atol = FORMATS[name]
    calls: list[tuple[int, int | None]] = []
    trajectory = open_trajectory(
        **arguments(tmp_path), progress=lambda done, total: calls.append((done, total))
    )
    assert trajectory.positions.shape == (N_FRAMES, N_ATOMS, 3)
    assert trajectory.positions.dtype == np.float32
    np.testing.assert_allclose(trajectory.cells, np.tile(CELL, (5, 1, 1)), rtol=0.0, atol=2e-3)
    # Wrapped or not, atoms are where they were.
    shifts = (trajectory.positions - POSITIONS) @ np.linalg.inv(CELL)
    assert np.abs(shifts - np.round(shifts)).max() < 0.01
    received = trajectory.positions - np.round(shifts) @ CELL
    np.testing.assert_allclose(received, POSITIONS, rtol=0.0, atol=atol)
    np.testing.assert_array_equal(trajectory.species, NUMBERS)
    np.testing.assert_array_equal(trajectory.pbc, [True] * 3)
    np.testing.assert_array_equal(trajectory.targets.atoms, LITHIUM)
    np.testing.assert_allclose(trajectory.frame_interval, 0.5, rtol=1e-6)
    assert trajectory.n_segments == 1
    assert calls[-1][0] == N_FRAMES
    assert calls[-1][1] in (N_FRAMES, None)


@pytest.mark.usefixtures("quiet_writers")
@pytest.mark.parametrize(
    "box", ["CRYST1    1.000    1.000    1.000  90.00  90.00  90.00", "REMARK"]
)
def test_a_pdb_file_without_a_cell_is_not_periodic(tmp_path: Path, box: str) -> None:
    path = write_universe(tmp_path / "all.pdb")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(f"{box}\n" if line.startswith("CRYST1") else line for line in lines))
    trajectory = open_trajectory(path, targets="element Li", frame_interval=0.5)
    assert not trajectory.pbc.any()
    assert not trajectory.cells.any()


@pytest.mark.usefixtures("quiet_writers")
def test_a_single_frame_alone(tmp_path: Path) -> None:
    path = write_universe(tmp_path / "one.gro", None)
    trajectory = open_trajectory(path, targets="name Li", frame_interval=1.0)
    assert trajectory.n_frames == 1
    np.testing.assert_allclose(trajectory.positions[0], POSITIONS[0], rtol=0.0, atol=6e-3)


def test_residues_of_a_dump_come_from_its_topology(tmp_path: Path) -> None:
    arguments, _ = FORMATS["dump with a topology"]
    options = arguments(tmp_path) | {"targets": "element S", "groupby": "residues"}
    options["elements"] = ["Li", "S", "P"]
    found = open_trajectory(**options)
    assert found.species.tolist() == [3, 16, 3, 15, 16, 3]
    # All atoms of the data file are one residue.
    assert found.targets.atoms.tolist() == list(range(6))
    assert found.targets.offsets.tolist() == [0, 6]


# --- refusals ------------------------------------------------------------------------------------


def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    here = npz(tmp_path)
    missing = tmp_path / "nowhere.xtc"
    for arguments in (
        {"path": missing},
        {"path": str(missing)},
        {"path": [here, missing], "topology": here},
        {"path": here, "topology": missing},
    ):
        with pytest.raises(FileNotFoundError, match=r"nowhere.xtc: there is no such file"):
            open_trajectory(**arguments)


@pytest.mark.parametrize("name", ["run.xtc", "run.dcd", "run.nc", "notes.md", "run"])
def test_formats_that_are_not_known(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"anything")
    message = rf"{name}: the format is not known by its name; .* need a topology beside them"
    with pytest.raises(ValueError, match=message):
        open_trajectory(path, targets="element Li")


def test_only_some_files_can_be_joined(tmp_path: Path) -> None:
    path = npz(tmp_path)
    message = "only XDATCAR files, and files with a topology, can be joined .* received .*traj.npz"
    with pytest.raises(ValueError, match=message):
        open_trajectory([path, path])
    with pytest.raises(ValueError, match="path: at least one file is needed, received none"):
        open_trajectory([])


def test_an_interval_that_nothing_tells(tmp_path: Path) -> None:
    message = "XDATCAR: frame_interval must be given in ps: the file does not tell the time betw"
    with pytest.raises(ValueError, match=message):
        open_trajectory(xdatcar(tmp_path), targets="element Li")


@pytest.mark.parametrize("name", ["XDATCAR", "DiffusionAnalyzer", "gdynet", "dump"])
@pytest.mark.parametrize("interval", [0.0, -0.5, np.nan])
def test_intervals_must_be_positive(tmp_path: Path, name: str, interval: float) -> None:
    options = FORMATS[name][0](tmp_path) | {"frame_interval": interval}
    options.pop("timestep", None)
    with pytest.raises(ValueError, match="frame_interval must be a positive time in ps, received"):
        open_trajectory(**options)


def test_targets_must_be_given_and_be_there(tmp_path: Path) -> None:
    path = xdatcar(tmp_path)
    with pytest.raises(ValueError, match=r"XDATCAR: targets must be given, as an MDAnalysis"):
        open_trajectory(path, frame_interval=1.0)
    with pytest.raises(ValueError, match="index 6 is outside of a frame of 6 atoms"):
        open_trajectory(path, targets=[0, 6], frame_interval=1.0)
    with pytest.raises(ValueError, match="targets 'element Na' matches no atom of 6"):
        open_trajectory(path, targets="element Na", frame_interval=1.0)


@pytest.mark.parametrize("name", ["XDATCAR", "extended XYZ", "gdynet", "DiffusionAnalyzer", "dump"])
def test_a_periodicity_that_contradicts_the_file(tmp_path: Path, name: str) -> None:
    options = FORMATS[name][0](tmp_path) | {"pbc": [True, True, False]}
    message = r"the file says pbc=\[True, True, True\], received \[True, True, False\]"
    with pytest.raises(ValueError, match=message):
        open_trajectory(**options)


def test_elements_of_the_wrong_kind(tmp_path: Path) -> None:
    message = r"run.extxyz: elements must be a mapping, label -> symbol, received \['Li'\]"
    with pytest.raises(ValueError, match=message):
        open_source(extxyz(tmp_path), SourceOptions(elements=["Li"]))
    message = "elements must be a sequence, a mapping or the word 'masses', received 'Li'"
    with pytest.raises(ValueError, match=message):
        open_source(dump(tmp_path), SourceOptions(elements="Li"))
    with pytest.raises(ValueError, match="elements='masses' needs a topology, which has them"):
        open_source(dump(tmp_path), SourceOptions(elements="masses"))


# --- frame stores ---------------------------------------------------------------------------------


def store(folder: Path, n_trajectories: int = 1) -> Path:
    made = FrameStore.create(folder / "store")
    source = open_source(npz(folder, unwrapped=POSITIONS + np.array([1, -2, 3]) @ CELL))
    for number in range(n_trajectories):
        made.append(source, targets=TargetGroups.from_indices(LITHIUM), name=f"run {number}")
    return folder / "store"


def test_a_frame_store_is_opened_as_it_is(tmp_path: Path) -> None:
    trajectory = open_trajectory(store(tmp_path))
    assert isinstance(trajectory.positions, np.memmap)
    np.testing.assert_allclose(trajectory.positions, POSITIONS, rtol=0.0, atol=1e-6)
    np.testing.assert_array_equal(trajectory.targets.atoms, LITHIUM)
    images = trajectory.images
    assert images is not None
    np.testing.assert_array_equal(images, np.broadcast_to([1, -2, 3], (5, 6, 3)))


def test_a_frame_store_with_other_targets(tmp_path: Path) -> None:
    path = store(tmp_path)
    np.testing.assert_array_equal(open_trajectory(path, targets=[1, 4]).targets.atoms, [1, 4])
    pair = TargetGroups.from_groups([[0, 1]])
    assert open_trajectory(str(path), targets=pair).n_targets == 1
    message = "a frame store keeps the targets it was made with; .* received 'element Li'"
    with pytest.raises(ValueError, match=message):
        open_trajectory(path, targets="element Li")


@pytest.mark.parametrize(
    "changes", [{"frame_interval": 1.0}, {"elements": ["Li"]}, {"pbc": True}, {"timestep": 0.001}]
)
def test_a_frame_store_says_all_by_itself(tmp_path: Path, changes: dict[str, Any]) -> None:
    (name,) = changes
    message = rf"store: a frame store keeps what it was made with, received {name}="
    with pytest.raises(ValueError, match=message):
        open_trajectory(store(tmp_path), **changes)


def test_several_trajectories_at_once(tmp_path: Path) -> None:
    path = store(tmp_path, 2)
    with pytest.raises(ValueError, match="store: holds 2 trajectories; use open_trajectories"):
        open_trajectory(path)
    found = open_trajectories([path, npz(tmp_path)])
    assert [trajectory.source for trajectory in found] == [
        "run 0",
        "run 1",
        str(tmp_path / "traj.npz"),
    ]
    (one,) = open_trajectories([npz(tmp_path)], targets=[1])
    np.testing.assert_array_equal(one.targets.atoms, [1])


def test_a_folder_that_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=str(tmp_path)):
        open_trajectory(tmp_path)


# --- universes ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quiet_writers")
def test_from_a_universe(tmp_path: Path) -> None:
    arguments = FORMATS["XTC"][0](tmp_path)
    made = MDAnalysis.Universe(str(arguments["topology"]), str(arguments["path"]))
    trajectory = from_universe(made, "element Li")
    np.testing.assert_allclose(trajectory.positions, POSITIONS, rtol=0.0, atol=0.0051)
    np.testing.assert_array_equal(trajectory.targets.atoms, LITHIUM)
    assert trajectory.frame_interval == 0.5
    residues = from_universe(made, "element P", groupby="residues", frame_interval=2.0)
    np.testing.assert_array_equal(residues.targets.atoms, [3, 4, 5])
    assert residues.frame_interval == 2.0
    beads = from_universe(made, "name S", elements=dict(zip(SYMBOLS, NUMBERS, strict=True)))
    np.testing.assert_array_equal(beads.species, NUMBERS)


def test_from_a_universe_in_memory() -> None:
    with pytest.raises(ValueError, match="frame_interval must be given in ps"):
        from_universe(universe(), "element Li")
    slab = from_universe(universe(), "element Li", frame_interval=1.0, pbc=[True, True, False])
    np.testing.assert_array_equal(slab.pbc, [True, True, False])
    with pytest.raises(ValueError, match="targets 'element Na' matches no atom of 6"):
        from_universe(universe(), "element Na", frame_interval=1.0)
