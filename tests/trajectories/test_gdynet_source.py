import numpy as np
import pytest

from kgdyn.trajectories.gdynet_source import GDyNetSource
from kgdyn.trajectories.source import FrameSource


def arrays(n_frames=10, dtype=np.float32):
    rng = np.random.default_rng(5)
    cell = np.array([[6.0, 0.0, 0.0], [1.0, 7.0, 0.0], [0.5, -1.0, 8.0]])
    cells = (cell * (1.0 + 0.01 * rng.random((n_frames, 1, 1)))).astype(dtype)
    images = rng.integers(-3, 4, (n_frames, 4, 3))
    positions = (rng.random((n_frames, 4, 3)) @ cells).astype(dtype)
    return {
        "traj_coords": positions,
        "lattices": cells,
        "atom_types": np.array([3, 16, 16, 8]),
        "target_index": np.array([0, 3]),
        "dt_ps": np.float64(0.25),
        "unwrapped": (positions + images @ cells).astype(dtype),
    }, images


def save(path, content, compressed=False):
    (np.savez_compressed if compressed else np.savez)(path, **content)
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_come_back(tmp_path, compressed, dtype):
    content, expected_images = arrays(dtype=dtype)
    source = GDyNetSource(save(tmp_path / "traj.npz", content, compressed))
    chunks = list(source.chunks(4))
    assert isinstance(source, FrameSource)
    assert [chunk.n_frames for chunk in chunks] == [4, 4, 2]
    assert source.n_frames == 10
    assert source.frame_interval == 0.25
    assert source.species.tolist() == [3, 16, 16, 8]
    assert source.target_index.tolist() == [0, 3]
    assert source.pbc.all()
    assert chunks[0].positions.dtype == dtype
    assert chunks[0].cells.dtype == np.float64
    positions = np.concatenate([chunk.positions for chunk in chunks])
    cells = np.concatenate([chunk.cells for chunk in chunks])
    images = np.concatenate([chunk.images for chunk in chunks])
    np.testing.assert_array_equal(positions, content["traj_coords"])
    np.testing.assert_array_equal(cells, content["lattices"])
    np.testing.assert_array_equal(images, expected_images)


def test_without_the_optional_arrays(tmp_path):
    content, _ = arrays()
    del content["dt_ps"], content["unwrapped"]
    path = save(tmp_path / "traj.npz", content)
    source = GDyNetSource(path)
    assert source.frame_interval is None
    assert next(source.chunks()).images is None
    assert GDyNetSource(path, frame_interval=2).frame_interval == 2.0


def changed(name, value):
    return lambda content: content.__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.pop("lattices"), r"the array 'lattices' is missing, received \['traj_coords'"),
        (changed("lattices", np.eye(3)), r"lattices must have shape \(10, 3, 3\), received"),
        (changed("traj_coords", np.zeros((10, 12))), r"traj_coords must have shape \(10, 12, 3\)"),
        (changed("traj_coords", np.zeros((0, 4, 3))), r"holds 0 frames of 4 atoms"),
        (changed("atom_types", np.array([3, 16])), r"atom_types must have shape \(4,\)"),
        (changed("atom_types", np.array([3, 16, 0, 8])), r"atom_types must be positive integers"),
        (changed("target_index", np.array([4])), r"target_index must be indices from 0 to 3"),
        (changed("target_index", np.array([-1])), r"target_index must be indices from 0 to 3"),
        (changed("dt_ps", 0.0), r"frame_interval must be a positive time in ps"),
        (changed("unwrapped", np.zeros((2, 4, 3))), r"unwrapped must have shape \(10, 4, 3\)"),
        (changed("atom_types", np.array(["Li"] * 4, object)), r"atom_types: holds pickled obj"),
        (changed("lattices", np.zeros((10, 3, 3))), r"frame 0: the cell has zero volume"),
        (
            lambda x: x.update(traj_coords=np.asfortranarray(x["traj_coords"])),
            r"traj_coords: must be in C order",
        ),
        (
            lambda x: x["traj_coords"].__setitem__((7, 2, 1), np.nan),
            r"frame 7: positions must be finite, .* atom 2",
        ),
        (
            lambda x: x["unwrapped"].__setitem__((7, 2, 1), x["unwrapped"][7, 2, 1] + 0.1),
            r"frame 7: unwrapped must differ from traj_coords by whole lattice .* 0.1 angstrom",
        ),
    ],
)
def test_broken_archives_are_refused(tmp_path, change, message):
    content, _ = arrays()
    change(content)
    path = save(tmp_path / "traj.npz", content)
    with pytest.raises(ValueError, match=message):
        list(GDyNetSource(path).chunks(4))


def test_files_that_are_no_whole_archive_are_refused(tmp_path):
    content, _ = arrays()
    path = save(tmp_path / "traj.npz", content)
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(ValueError, match=r"traj.npz: not a whole npz archive"):
        GDyNetSource(path)
    damaged = bytearray(whole)
    damaged[300] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"traj_coords.*: cannot be read: Bad CRC"):
        list(GDyNetSource(path).chunks(4))


@pytest.mark.parametrize(
    ("name", "interval", "n_targets"),
    [
        ("li_fcc_s/LiS_fcc_clean_s1.npz", 0.1, 1),
        ("si_interface/Si_interface_SW.npz", 1.0, 332),
        ("peo_litfsi/PEO_LiTFSI_CG.npz", 4.0, 25),
    ],
)
def test_real_archives(shared_data, name, interval, n_targets):
    path = shared_data(name)
    source = GDyNetSource(path)
    assert source.frame_interval == interval
    assert len(source.target_index) == n_targets
    with np.load(path, allow_pickle=False) as archive:
        chunk = next(source.chunks(50))
        np.testing.assert_array_equal(chunk.positions, archive["traj_coords"][:50])
        if "unwrapped" in archive.files:
            received = chunk.positions + chunk.images @ chunk.cells
            # The archives keep float32 of text with six digits.
            np.testing.assert_allclose(received, archive["unwrapped"][:50], rtol=0, atol=1e-2)
    if "fcc" not in name:  # 600,001 frames
        assert sum(chunk.n_frames for chunk in source.chunks(256)) == source.n_frames
