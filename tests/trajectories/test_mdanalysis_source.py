import os
import struct

import MDAnalysis
import numpy as np
import pytest
from MDAnalysis.coordinates.memory import MemoryReader
from MDAnalysis.lib.mdamath import triclinic_vectors
from MDAnalysis.transformations import translate

from kgdyn.trajectories._dcd import dcd_cells
from kgdyn.trajectories._regular_times import regular_times
from kgdyn.trajectories.mdanalysis_source import UniverseSource, universe_from_files
from kgdyn.trajectories.source import FrameSource

N_ATOMS, N_FRAMES, DT = 30, 8, 0.25
BOXES = {"orthogonal": (20.0, 21.0, 22.0, 90.0, 90.0, 90.0), "triclinic": (20, 21, 22, 75, 100, 85)}
# float32 lengths of about 20 angstrom, and 0.001 nm steps of XTC.
ATOL = {"xtc": 6e-3, "trr": 4e-6, "dcd": 4e-6, "nc": 4e-6, "h5md": 4e-6}

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:MDAnalysis"),
    pytest.mark.filterwarnings("ignore:Could not find netCDF4 module:UserWarning"),
    # Readers that fail to open have nothing to close: raised in their __del__.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def memory_universe(box=BOXES["orthogonal"], n_atoms=N_ATOMS):
    rng = np.random.default_rng(7)
    positions = rng.uniform(-5.0, 25.0, (N_FRAMES, n_atoms, 3)).astype(np.float32)
    boxes = None
    if box is not None:
        boxes = np.tile(np.array(box, dtype=np.float32), (N_FRAMES, 1))
        boxes[:, :3] *= 1.0 + 0.01 * np.arange(N_FRAMES)[:, None]
    universe = MDAnalysis.Universe.empty(n_atoms, trajectory=True)
    universe.add_TopologyAttr("names", (["Li", "S", "O"] * n_atoms)[:n_atoms])
    universe.load_new(positions, format=MemoryReader, dimensions=boxes, dt=DT)
    return universe, positions, boxes


def written(folder, extension, box="orthogonal", n_atoms=N_ATOMS):
    """A GRO topology and a trajectory, written by MDAnalysis."""
    universe, positions, boxes = memory_universe(BOXES.get(box), n_atoms)
    coordinates = folder / f"run.{extension}"
    units = {"lengthunit": "Angstrom", "timeunit": "ps"} if extension == "h5md" else {}
    with MDAnalysis.Writer(str(coordinates), n_atoms, dt=DT, **units) as writer:
        for _ in universe.trajectory:
            writer.write(universe.atoms)
    topology = folder / "top.gro"
    lines = [
        f"{1:5d}RES  {name:>5s}{i:5d}{0:8.3f}{0:8.3f}{0:8.3f}"
        for i, name in enumerate(universe.atoms.names)
    ]
    topology.write_text("\n".join(["test", str(n_atoms), *lines, "2.0 2.1 2.2"]) + "\n")
    return topology, coordinates, positions, boxes


def read(source, frames_per_chunk=3):
    chunks = list(source.chunks(frames_per_chunk))

    def joined(name):
        parts = [getattr(chunk, name) for chunk in chunks]
        return None if parts[0] is None else np.concatenate(parts)

    return joined("positions"), joined("cells"), joined("steps"), joined("times")


@pytest.mark.parametrize("box", ["orthogonal", "triclinic"])
@pytest.mark.parametrize("extension", ["xtc", "trr", "dcd", "nc", "h5md"])
def test_formats(tmp_path, extension, box):
    topology, coordinates, expected, boxes = written(tmp_path, extension, box)
    before = sorted(os.listdir(tmp_path))
    source = UniverseSource(universe_from_files(topology, coordinates))
    assert isinstance(source, FrameSource)
    assert source.n_frames == N_FRAMES
    assert source.pbc.all()
    assert source.species[:4].tolist() == [3, 16, 8, 3]
    assert source.frame_interval == (None if extension == "dcd" else DT)
    positions, cells, _, times = read(source)
    assert positions.dtype == np.float32
    np.testing.assert_allclose(positions, expected, rtol=0, atol=ATOL[extension])
    vectors = [triclinic_vectors(row) for row in boxes]
    np.testing.assert_allclose(cells, vectors, rtol=0, atol=2e-5)
    if extension == "dcd":
        assert times is None
    else:
        np.testing.assert_allclose(times, DT * np.arange(N_FRAMES), rtol=0, atol=1e-6)
    assert sorted(os.listdir(tmp_path)) == before  # no cache of offsets


@pytest.mark.parametrize("extension", ["xtc", "trr", "dcd"])
def test_agrees_with_iteration_and_restores_the_frame(tmp_path, extension):
    topology, coordinates, _, _ = written(tmp_path, extension, "triclinic")
    universe = universe_from_files(topology, coordinates)
    expected = [timestep.positions.copy() for timestep in universe.trajectory]
    vectors = [timestep.triclinic_dimensions for timestep in universe.trajectory]
    universe.trajectory[5]
    positions, cells, _, _ = read(UniverseSource(universe))
    np.testing.assert_array_equal(positions, expected)
    np.testing.assert_allclose(cells, vectors, rtol=0, atol=2e-5)
    assert universe.trajectory.frame == 5


def test_no_box_is_not_periodic(tmp_path):
    topology, coordinates, _, _ = written(tmp_path, "trr", box=None)
    universe = universe_from_files(topology, coordinates)
    source = UniverseSource(universe)
    assert not source.pbc.any()
    assert not read(source)[1].any()
    with pytest.raises(ValueError, match=r"run.trr, frame 0: the cell has zero volume"):
        read(UniverseSource(universe, pbc=True))


def test_pbc_and_interval_can_be_given(tmp_path):
    topology, coordinates, _, _ = written(tmp_path, "xtc")
    universe = universe_from_files(topology, coordinates)
    source = UniverseSource(universe, pbc=[True, True, False], frame_interval=4.0, source="slab")
    assert source.pbc.tolist() == [True, True, False]
    assert source.frame_interval == 4.0
    assert source.source == "slab"
    assert read(source)[3] is None  # the file's times say something else
    with pytest.raises(ValueError, match="slab: frame_interval must be a positive time in ps"):
        UniverseSource(universe, frame_interval=0.0, source="slab")


def test_several_files_are_joined(tmp_path):
    (tmp_path / "a").mkdir()
    topology, first, expected, _ = written(tmp_path, "xtc")
    second = tmp_path / "a" / "more.xtc"
    second.write_bytes(first.read_bytes())
    source = UniverseSource(universe_from_files(topology, [first, second]))
    positions, cells, steps, times = read(source)
    assert source.n_frames == 2 * N_FRAMES
    assert source.frame_interval == DT
    np.testing.assert_allclose(positions, np.concatenate([expected] * 2), rtol=0, atol=6e-3)
    assert len(cells) == len(steps) == len(times) == 2 * N_FRAMES
    assert times[N_FRAMES] == 0.0  # as the second file has it
    second.write_bytes(first.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"more.xtc, frame 7: the file is cut"):
        universe_from_files(topology, [first, second])


def test_memory_and_transformations(tmp_path):
    universe, expected, boxes = memory_universe()
    source = UniverseSource(universe)
    positions, cells, _, times = read(source)
    assert source.frame_interval is None
    assert times is None
    np.testing.assert_array_equal(positions, expected)
    np.testing.assert_allclose(cells[:, 0, 0], boxes[:, 0], rtol=1e-6)
    topology, coordinates, expected, _ = written(tmp_path, "dcd")
    universe = universe_from_files(topology, coordinates)
    universe.trajectory.add_transformations(translate([1.0, 2.0, 3.0]))
    positions, _, _, _ = read(UniverseSource(universe))
    np.testing.assert_allclose(positions, expected + np.array([1.0, 2.0, 3.0]), rtol=0, atol=1e-5)


def test_a_universe_that_is_moved_while_read_is_refused():
    universe, _, _ = memory_universe()
    chunks = UniverseSource(universe).chunks(2)
    next(chunks)
    universe.trajectory[6]
    with pytest.raises(ValueError, match=r"frame 2: the universe was moved to frame 7 while"):
        next(chunks)


def lammps_dcd(new_lammps, folder, box):
    """A DCD file as LAMMPS writes it, its last frame as LAMMPS has it, and its cell."""
    tilt = "1.0 -2.0 1.5" if box == "triclinic" else "0 0 0"
    engine = new_lammps()
    engine.commands_string(f"""
        units metal
        region box prism 0 10 0 11 0 12 {tilt}
        create_box 2 box
        create_atoms 1 random 12 871 NULL
        create_atoms 2 random 12 872 NULL
        mass * 7.0
        pair_style zero 3.0 nocoeff
        pair_coeff * *
        displace_atoms all move 0.0 0.0 0.0
        velocity all create 600 4928
        fix 1 all nve
        timestep 0.001
        dump 1 all dcd 10 {folder / "run.dcd"}
        dump_modify 1 sort id unwrap yes
        run 40
        write_data {folder / "run.data"} nocoeff
    """)
    boxlo, boxhi, xy, yz, xz, _, _ = engine.extract_box()
    lengths = np.subtract(boxhi, boxlo)
    cell = np.array([[lengths[0], 0, 0], [xy, lengths[1], 0], [xz, yz, lengths[2]]])
    wrapped = np.array(engine.gather_atoms("x", 1, 3)).reshape(-1, 3)
    images = np.array(engine.gather_atoms("image", 0, 3)).reshape(-1, 3)
    engine.close()
    return folder / "run.data", folder / "run.dcd", wrapped + images @ cell, cell


@pytest.mark.lammps
@pytest.mark.parametrize("box", ["orthogonal", "triclinic"])
def test_dcd_of_lammps(new_lammps, tmp_path, box):
    topology, coordinates, last, cell = lammps_dcd(new_lammps, tmp_path, box)
    universe = universe_from_files(topology, coordinates)
    source = UniverseSource(universe, elements=["Li", "S"], frame_interval=0.01)
    positions, cells, _, _ = read(source, 2)
    assert source.n_frames == 5
    assert source.frame_interval == 0.01
    assert np.bincount(source.species)[[3, 16]].tolist() == [12, 12]
    np.testing.assert_allclose(positions[-1], last, rtol=0, atol=4e-6)
    np.testing.assert_allclose(cells, np.broadcast_to(cell, cells.shape), rtol=0, atol=1e-9)
    for timestep, frame, vectors in zip(universe.trajectory, positions, cells, strict=True):
        np.testing.assert_array_equal(frame, timestep.positions)
        np.testing.assert_allclose(vectors, timestep.triclinic_dimensions, rtol=0, atol=2e-5)


def test_dcd_cell_conventions():
    a, b, c, alpha, beta, gamma = BOXES["triclinic"]
    cosines = np.cos(np.radians([alpha, beta, gamma]))
    matrix = np.array([[9.0, -1.5, 2.0], [-1.5, 10.0, 0.5], [2.0, 0.5, 11.0]])
    cells = dcd_cells(
        np.array(
            [
                [a, gamma, b, beta, alpha, c],
                [a, cosines[2], b, cosines[1], cosines[0], c],
                [9.0, -1.5, 10.0, 2.0, 0.5, 11.0],
                [0.0] * 6,
                [a, 90.0, b, 90.0, 90.0, c],
            ]
        )
    )
    np.testing.assert_allclose(cells[0], triclinic_vectors(BOXES["triclinic"]), rtol=0, atol=5e-6)
    np.testing.assert_allclose(cells[1], cells[0], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(cells[2], matrix)  # newer CHARMM: a symmetric matrix
    assert not cells[3].any()
    np.testing.assert_array_equal(cells[4], np.diag([a, b, c]))


def cut(n_bytes):
    return lambda data: data[:-n_bytes]


def zeroed(n_bytes):
    return lambda data: data[:-n_bytes] + bytes(n_bytes)


def appended(data):
    return data + bytes(4096)


@pytest.mark.parametrize(
    ("extension", "damage", "message"),
    [
        ("xtc", cut(10), r"run.xtc, frame 7: the file is cut: it ends at byte \d+, the frame at"),
        ("xtc", lambda data: data + data[:50], r"frame 8: the file is cut: it ends inside of"),
        ("xtc", zeroed(10), r"run.xtc, frame 7: the compressed coordinates hold a run of zero"),
        ("xtc", zeroed(60), r"run.xtc, frame 7: the compressed coordinates hold a run of zero"),
        ("xtc", lambda d: d[:150] + bytes(20) + d[170:], r"frame 0: the compressed coordinates"),
        ("xtc", appended, r"run.xtc, frame 8: no frame starts at byte \d+ \(its first number is 0"),
        ("xtc", lambda data: b"", r"run.xtc: the file is empty"),
        ("xtc", lambda d: d[:4] + struct.pack(">i", 40) + d[8:], r"frame 1: the number of atoms"),
        ("trr", cut(10), r"run.trr, frame 7: the file is cut: it ends at byte"),
        ("trr", lambda data: data + data[:30], r"frame 8: the file is cut: it ends inside of"),
        ("trr", zeroed(60), r"frame 7: the last atoms lie exactly on one another at 0, 0, 0"),
        ("trr", appended, r"run.trr, frame 8: no frame starts at byte"),
        ("trr", lambda d: d[:-4] + struct.pack(">f", np.nan), r"frame 7: positions must be fin"),
        ("dcd", cut(10), r"run.dcd, frame 7: the file is cut: its last frame has \d+ of"),
        ("dcd", cut(56 + 3 * 4 * (N_ATOMS + 2)), r"frame 7: the file is cut: its header counts 8"),
        ("dcd", cut(8 * (56 + 3 * 4 * (N_ATOMS + 2))), r"run.dcd.*(cut|cannot|can be read)"),
        ("dcd", lambda data: b"\0" * 200, r"run.dcd: not a DCD file that can be read"),
        ("dcd", zeroed(60), r"run.dcd, frame 7: cannot be read"),
        ("nc", cut(600), r"run.nc: cannot be opened|run.nc"),
        ("h5md", cut(600), r"run.h5md: cannot be opened|run.h5md"),
    ],
)
def test_broken_files_are_refused(tmp_path, extension, damage, message):
    topology, coordinates, _, _ = written(tmp_path, extension)
    coordinates.write_bytes(damage(coordinates.read_bytes()))
    with pytest.raises(ValueError, match=message):
        read(UniverseSource(universe_from_files(topology, coordinates)))


def test_cut_files_are_refused_in_any_universe(tmp_path):
    topology, coordinates, _, _ = written(tmp_path, "xtc")
    universe = MDAnalysis.Universe(str(topology), str(coordinates), to_guess=())
    assert UniverseSource(universe).n_frames == N_FRAMES
    coordinates.write_bytes(coordinates.read_bytes() * 2)
    with pytest.raises(ValueError, match=r"holds 16 frames, but the universe counts 8: the file"):
        UniverseSource(universe)


def test_a_box_without_volume_or_one_that_appears_is_refused():
    universe, _, boxes = memory_universe()
    boxes[3, :3] = 0.0
    universe.trajectory.dimensions_array[3] = boxes[3]
    with pytest.raises(ValueError, match=r"MDAnalysis universe, frame 3: the cell has zero vol"):
        read(UniverseSource(universe))
    universe.trajectory.dimensions_array[:3] = 0.0
    universe.trajectory[0]
    with pytest.raises(ValueError, match=r"frame 4: has a box, but frame 0 had none: pass pbc"):
        read(UniverseSource(universe))


def test_few_atoms_in_xtc(tmp_path):
    topology, coordinates, expected, _ = written(tmp_path, "xtc", n_atoms=5)
    positions, _, _, _ = read(UniverseSource(universe_from_files(topology, coordinates)))
    np.testing.assert_allclose(positions, expected, rtol=0, atol=4e-6)


def test_trr_without_positions_is_refused(tmp_path):
    topology, coordinates, _, _ = written(tmp_path, "trr")
    data = coordinates.read_bytes()
    x_size = data.index(struct.pack(">i", 12 * N_ATOMS))  # the only record of that length
    coordinates.write_bytes(data[:x_size] + bytes(4) + data[x_size + 4 :])
    with pytest.raises(ValueError, match=r"run.trr, frame 0: the frame holds no positions"):
        universe_from_files(topology, coordinates)


def test_missing_files_and_other_topologies(tmp_path):
    topology, coordinates, _, _ = written(tmp_path, "nc")
    with pytest.raises(FileNotFoundError, match=r"other.nc: there is no such file"):
        universe_from_files(topology, tmp_path / "other.nc")
    (tmp_path / "b").mkdir()
    small, _, _, _ = written(tmp_path / "b", "nc", n_atoms=12)
    with pytest.raises(ValueError, match=r"cannot be opened"):
        universe_from_files(small, coordinates)


def empty_universe(**attributes):
    universe = MDAnalysis.Universe.empty(3, trajectory=True)
    for name, values in attributes.items():
        universe.add_TopologyAttr(name, values)
    return universe


@pytest.mark.parametrize(
    ("attributes", "elements", "expected"),
    [
        ({"elements": ["LI", "S", "o"]}, None, [3, 16, 8]),
        ({"names": ["Li", "S", "O"]}, None, [3, 16, 8]),
        ({"types": ["Li", "S", "O"]}, None, [3, 16, 8]),
        ({"types": ["1", "2", "2"]}, {"1": "Li", 2: "S"}, [3, 16, 16]),
        ({"types": ["1", "3", "3"]}, ["Li", "S", "O", "H"], [3, 8, 8]),
        ({"types": ["2", "1", "2"]}, ["Li", "S"], [16, 3, 16]),
        ({"names": ["OW", "HW1", "HW2"]}, {"OW": "O", "HW1": "H", "HW2": "H"}, [8, 1, 1]),
        ({"names": ["a", "b", "c"]}, ["O", "H", "H"], [8, 1, 1]),
        ({"names": ["a", "b", "c"]}, [1, 2, 200], [1, 2, 200]),
        ({"elements": ["H", "H", "H"]}, ["O", "H", "H"], [8, 1, 1]),
    ],
)
def test_species(attributes, elements, expected):
    source = UniverseSource(empty_universe(**attributes), elements=elements)
    assert source.species.tolist() == expected


@pytest.mark.parametrize(
    ("attributes", "elements", "message"),
    [
        ({"names": ["OW", "HW1", "HW2"]}, None, r"does not tell the elements.*names: HW1, HW2, OW"),
        ({"names": ["CA", "C", "N"]}, None, r"does not tell the elements"),
        ({"names": ["CA", "C", "N"], "elements": ["C", "", ""]}, None, r"does not tell the elem"),
        ({"types": ["1", "2", "2"]}, None, r"does not tell the elements.*Types: 1, 2; names: none"),
        ({"types": ["1", "2", "2"]}, {"1": "Li"}, r"the element of every type or of every name"),
        ({"types": ["1", "2", "2"]}, ["Li"], r"a list of elements needs one for each numeric"),
        ({"types": ["1", "2", "2"]}, ["Li", "Qq"], r"'Qq' is not the symbol of an element"),
        ({"names": ["a", "b", "c"]}, ["Li", 0, 1], r"a symbol or a positive integer, received 0"),
    ],
)
def test_unknown_species_are_refused(attributes, elements, message):
    with pytest.raises(ValueError, match=message):
        UniverseSource(empty_universe(**attributes), elements=elements)


def test_elements_must_not_be_text():
    with pytest.raises(
        TypeError, match="elements must be a mapping, a list of symbols or the word 'masses'"
    ):
        UniverseSource(empty_universe(names=["a", "b", "c"]), elements="Li")


def test_times_in_float32():
    steps = np.arange(1000) * 5
    exact = 1e6 + 0.02 * np.arange(1000)
    interval, times = regular_times(exact.astype(np.float32).astype(np.float64), steps)
    assert interval == pytest.approx(0.02, rel=0.02)  # float32 counts in 0.06 ps there
    assert np.all(np.diff(times) > 0.0)
    interval, times = regular_times((exact - 1e6).astype(np.float32).astype(np.float64), steps)
    assert interval == 0.02
    np.testing.assert_allclose(times, exact - 1e6, rtol=0, atol=1e-8)
    gap = np.array([0.0, 0.5, 1.0, 1.5, 9.0, 9.5])
    interval, times = regular_times(gap, np.arange(6))
    assert interval == 0.5
    np.testing.assert_array_equal(times, gap)
    assert regular_times(np.zeros(5), np.arange(5))[0] is None
    assert regular_times(np.array([3.0]), np.array([1]))[0] is None


def test_real_files(shared_data):
    folder = shared_data("maicos")
    water = {"OW": "O", "HW1": "H", "HW2": "H"}
    universe = universe_from_files(
        folder / "airwater" / "airwater.gro", folder / "airwater" / "airwater.trr"
    )
    with pytest.raises(ValueError, match="names: HW1, HW2, OW"):
        UniverseSource(universe)
    source = UniverseSource(universe, elements=water)
    positions, cells, _, _ = read(source, 40)
    assert source.frame_interval == 20.0
    assert positions.shape == (101, 1056, 3)
    np.testing.assert_allclose(cells[-1], np.diag([20.0, 20.0, 60.0]), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(positions[-1], universe.trajectory[-1].positions)
    universe = universe_from_files(
        shared_data("solvation/ea_fec.pdb"), shared_data("solvation/ea_fec.dcd")
    )
    source = UniverseSource(universe, frame_interval=1.0)
    positions, _, _, _ = read(source, 4)
    assert np.unique(source.species).tolist() == [1, 3, 6, 8, 9, 15]
    np.testing.assert_array_equal(positions[9], universe.trajectory[9].positions)
