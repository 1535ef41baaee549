"""Dumps that LAMMPS itself has written: every kind of coordinates tells the same paths."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dump_text import array, read, unwrapped
from numpy.testing import assert_allclose, assert_array_equal

import kgdyn.trajectories.lammps_dump as lammps_dump
from kgdyn.trajectories.lammps_dump import LAMMPSDump


@pytest.fixture
def lammps(new_lammps: Callable[..., Any]) -> Iterator[Any]:
    engine = new_lammps()
    yield engine
    engine.close()


def run(engine: Any, folder: Path, box: str, dumps: dict[str, str], action: str) -> None:
    """Two types of ideal atoms, fast enough to leave a small cell often."""
    commands = [
        "units metal",
        "atom_modify map array sort 1 1.0",  # rows come out of order
        box,
        "create_atoms 1 random 12 4711 NULL",
        "create_atoms 2 random 8 815 NULL",
        "mass 1 6.94",
        "mass 2 32.06",
        "pair_style zero 2.0",
        "pair_coeff * *",
        "neighbor 0.3 bin",
        "velocity all create 30000.0 12345",
        "timestep 0.01",
        "group half id 3 7 19 5 12 20",
    ]
    for name, columns in dumps.items():
        group = "half" if name.startswith("half") else "all"
        commands.append(f"dump {name} {group} custom 10 {folder}/{name}.dump {columns}")
        if not name.startswith("rough"):
            commands.append(f"dump_modify {name} format float %.15g")
    engine.commands_string("\n".join([*commands, action]))


UPRIGHT = "boundary p p p\nregion r block -3 5 1 7 0.5 8\ncreate_box 2 r"
TILTED = "boundary p p p\nregion r prism -3 5 1 7 0.5 8 2.0 -1.5 1.2\ncreate_box 2 r"
ALL_KINDS = {
    "xu": "id type xu yu zu",
    "xsu": "zsu type ysu id xsu",
    "x": "id type x y z ix iy iz",
    "xs": "iz mass xs ix zs type ys iy id vx",
    "no_flags": "id type x y z",
}


@pytest.mark.lammps
@pytest.mark.parametrize("box", [UPRIGHT, TILTED])
@pytest.mark.parametrize(
    "motion", ["fix 1 all nve", "fix 1 all npt temp 9e3 9e3 1 aniso 9e4 1e3 1"]
)
def test_all_kinds_of_coordinates_agree(tmp_path: Path, lammps: Any, box: str, motion: str) -> None:
    run(lammps, tmp_path, box, ALL_KINDS, f"{motion}\nrun 200")
    chunks = {name: read(tmp_path / f"{name}.dump") for name in ALL_KINDS}
    reference = unwrapped(chunks["xu"])
    assert reference.shape == (21, 20, 3)
    assert np.abs(array(chunks["xu"].images)).max() > 2
    fractions = chunks["xu"].positions @ np.linalg.inv(chunks["xu"].cells)
    assert fractions.min() >= -1e-12
    assert fractions.max() < 1.0 + 1e-12
    for name in ("xsu", "x", "xs"):
        assert_allclose(unwrapped(chunks[name]), reference, rtol=0, atol=1e-9)
    assert chunks["no_flags"].images is None
    assert_array_equal(chunks["no_flags"].positions, chunks["x"].positions)
    # The engine's own positions of the last frame, and its own box.
    low, high, xy, yz, xz, _, _ = lammps.extract_box()
    cell = [[high[0] - low[0], 0, 0], [xy, high[1] - low[1], 0], [xz, yz, high[2] - low[2]]]
    assert_allclose(chunks["x"].cells[-1], cell, rtol=1e-12, atol=1e-12)
    own = np.array(lammps.gather_atoms("x", 1, 3)).reshape(-1, 3) - low
    difference = (chunks["x"].positions[-1] - own) @ np.linalg.inv(cell)
    assert_allclose(difference, np.round(difference), rtol=0, atol=1e-9)


@pytest.mark.lammps
def test_box_flips_keep_the_paths(tmp_path: Path, lammps: Any) -> None:
    shear = "fix 1 all nve\nfix 2 all deform 1 xy erate 0.8 remap none flip yes\nrun 400"
    run(lammps, tmp_path, TILTED, ALL_KINDS, shear)
    chunks = {name: read(tmp_path / f"{name}.dump") for name in ALL_KINDS}
    tilt = chunks["xu"].cells[:, 1, 0]
    assert (np.diff(tilt) < 0).any()  # it did flip
    for name in ("xsu", "x", "xs"):
        assert_allclose(unwrapped(chunks[name]), unwrapped(chunks["xu"]), rtol=0, atol=1e-9)


@pytest.mark.lammps
def test_general_triclinic(tmp_path: Path, lammps: Any) -> None:
    box = (
        "boundary p p p\nlattice custom 4.0 a1 1 0.2 0 a2 0.3 1.5 0.1 a3 0.2 0.1 2.0 "
        "basis 0 0 0 triclinic/general origin 0 0 0\ncreate_box 2 NULL -1 1 0 1 0 1"
    )
    general = "dump_modify x triclinic/general yes units yes time yes\nfix 1 all nve\nrun 100"
    run(
        lammps,
        tmp_path,
        box,
        {"x": "id type x y z ix iy iz", "xsu": "id type xsu ysu zsu"},
        general,
    )
    assert b"abc origin" in (tmp_path / "x.dump").read_bytes()
    source = LAMMPSDump(tmp_path / "x.dump", elements=["Li", "S"])
    chunk = lammps_dump._joined(list(source.chunks()))
    cell = 4.0 * np.array([[2 * 1, 2 * 0.2, 0], [0.3, 1.5, 0.1], [0.2, 0.1, 2.0]])
    assert_allclose(chunk.cells, np.broadcast_to(cell, (11, 3, 3)), rtol=1e-9, atol=1e-9)
    # Fractions do not know how the cell is turned.
    restricted = read(tmp_path / "xsu.dump")
    assert_allclose(
        unwrapped(chunk) @ np.linalg.inv(chunk.cells),
        unwrapped(restricted) @ np.linalg.inv(restricted.cells),
        rtol=0,
        atol=1e-9,
    )
    assert source.frame_interval == pytest.approx(0.1, rel=1e-9)
    assert_allclose(array(chunk.times), 0.1 * np.arange(11), rtol=1e-9, atol=1e-12)


@pytest.mark.lammps
def test_partial_periodicity_and_a_box_that_shrinks(tmp_path: Path, lammps: Any) -> None:
    box = UPRIGHT.replace("boundary p p p", "boundary p f s")
    walls = "fix 1 all nve\nfix 2 all wall/reflect ylo EDGE yhi EDGE\nrun 100"
    run(lammps, tmp_path, box, ALL_KINDS, walls)
    source = LAMMPSDump(tmp_path / "xu.dump", elements=["Li", "S"])
    assert_array_equal(source.pbc, [True, False, False])
    chunks = {name: read(tmp_path / f"{name}.dump") for name in ALL_KINDS}
    assert np.ptp(chunks["xu"].cells[:, 2, 2]) > 1.0
    for name in ("xsu", "x", "xs"):
        assert_allclose(unwrapped(chunks[name]), unwrapped(chunks["xu"]), rtol=0, atol=1e-9)
    # Free flight along the shrink-wrapped direction: a straight line, whatever the bounds do.
    path = unwrapped(chunks["xu"])[:, :, 2]
    assert_allclose(np.diff(path, 2, axis=0), 0.0, atol=1e-9)


@pytest.mark.lammps
def test_subset_gzip_style_atom_and_element_column(tmp_path: Path, lammps: Any) -> None:
    dumps = {"half": "id type xu yu zu", "named": "element id xu yu zu"}
    action = (
        f"dump plain all atom 10 {tmp_path}/plain.dump\n"
        "dump_modify named element Li S\nfix 1 all nve\nrun 50"
    )
    run(lammps, tmp_path, UPRIGHT, dumps, action)
    half = LAMMPSDump(tmp_path / "half.dump", elements=["Li", "S"])
    assert_array_equal(half.atom_ids, [3, 5, 7, 12, 19, 20])
    named = LAMMPSDump(tmp_path / "named.dump")
    assert_array_equal(named.species, [3] * 12 + [16] * 8)
    assert_array_equal(half.species, named.species[half.atom_ids - 1])
    every = read(tmp_path / "named.dump", elements=None)
    assert_array_equal(
        read(tmp_path / "half.dump").positions, every.positions[:, half.atom_ids - 1]
    )
    packed = tmp_path / "named.dump.gz"
    packed.write_bytes(gzip.compress((tmp_path / "named.dump").read_bytes()))
    assert_array_equal(read(packed, elements=None).positions, every.positions)
    assert LAMMPSDump(packed).n_frames == 6
    plain = read(tmp_path / "plain.dump")  # scaled, six digits
    difference = (plain.positions - every.positions) @ np.linalg.inv(every.cells)
    assert_allclose(difference, np.round(difference), rtol=0, atol=2e-6)
