import gzip

import ase.io
import numpy as np
import pytest
from ase import Atoms

from kgdyn.trajectories.source import FrameSource
from kgdyn.trajectories.xdatcar import XDATCARSource

N_ATOMS = 5


def images(n_frames=7, constant_cell=True, seed=0):
    rng = np.random.default_rng(seed)
    cell = np.array([[4.0, 0.1, 0.0], [0.3, 5.0, -0.2], [0.0, 0.7, 6.0]])
    frames = []
    for frame in range(n_frames):
        atoms = Atoms(
            "Li2S2Cl", cell=cell * (1.0 if constant_cell else 1.0 + 0.01 * frame), pbc=True
        )
        atoms.set_scaled_positions(rng.random((N_ATOMS, 3)))
        frames.append(atoms)
    return frames


@pytest.fixture
def xdatcar(tmp_path):
    return write(tmp_path / "XDATCAR", images())


def write(path, frames):
    """As VASP does for a constant cell: the header once (ASE repeats it)."""
    ase.io.write(path, frames, format="vasp-xdatcar")
    lines = path.read_text().splitlines(keepends=True)
    length = N_ATOMS + 8
    frames_only = [line for at, line in enumerate(lines) if at < 7 or at % length >= 7]
    path.write_text("".join(frames_only))
    return path


def read(source, frames_per_chunk=3):
    chunks = list(source.chunks(frames_per_chunk))
    return (
        np.concatenate([chunk.positions for chunk in chunks]),
        np.concatenate([chunk.cells for chunk in chunks]),
    )


def edited(path, edit):
    lines = path.read_text().splitlines(keepends=True)
    edit(lines)
    path.write_text("".join(lines))
    return path


@pytest.mark.parametrize("constant_cell", [True, False])
def test_agrees_with_ase(tmp_path, constant_cell):
    path = tmp_path / "XDATCAR"
    frames = images(constant_cell=constant_cell)
    if constant_cell:
        write(path, frames)
    else:
        ase.io.write(path, frames, format="vasp-xdatcar")
    assert path.read_text().count("Li S Cl") == (1 if constant_cell else 7)
    reference = ase.io.read(path, index=":", format="vasp-xdatcar")
    source = XDATCARSource(path)
    positions, cells = read(source)
    assert isinstance(source, FrameSource)
    assert source.species.tolist() == [3, 3, 16, 16, 17]
    assert source.pbc.all()
    assert source.frame_interval is None
    assert len(positions) == len(reference) == 7
    np.testing.assert_allclose(positions, [a.positions for a in reference], rtol=0, atol=1e-12)
    np.testing.assert_allclose(cells, [a.cell[:] for a in reference], rtol=0, atol=1e-12)
    np.testing.assert_allclose(positions, [a.positions for a in frames], rtol=0, atol=1e-6)


def test_chunks_are_at_most_as_long_as_asked(xdatcar):
    lengths = [chunk.n_frames for chunk in XDATCARSource(xdatcar).chunks(3)]
    assert lengths == [3, 3, 1]
    with pytest.raises(ValueError, match="frames_per_chunk must be at least 1, received 0"):
        next(XDATCARSource(xdatcar).chunks(0))


def test_gz_crlf_blank_end_and_potential_names(xdatcar, tmp_path):
    expected, _ = read(XDATCARSource(xdatcar))
    text = xdatcar.read_text().replace("Li S Cl", "Li_sv S/0a1b Cl") + "\n  \n"
    path = tmp_path / "XDATCAR.gz"
    path.write_bytes(gzip.compress(text.replace("\n", "\r\n").encode()))
    received, _ = read(XDATCARSource(path))
    np.testing.assert_array_equal(received, expected)


def test_negative_scale_is_the_volume(xdatcar):
    edited(xdatcar, lambda lines: lines.__setitem__(1, "-240.0\n"))
    _, cells = read(XDATCARSource(xdatcar))
    np.testing.assert_allclose(np.linalg.det(cells), 240.0, rtol=1e-12)


def test_files_are_joined_in_order(tmp_path):
    for part in range(2):
        frames = images(constant_cell=True, seed=part)
        write(tmp_path / f"part{part}", frames)
    paths = [tmp_path / "part1", tmp_path / "part0"]
    source = XDATCARSource(paths, frame_interval=0.1)
    positions, _ = read(source)
    assert source.frame_interval == 0.1
    expected = np.concatenate([read(XDATCARSource(path))[0] for path in paths])
    np.testing.assert_array_equal(positions, expected)


def test_files_of_other_atoms_are_refused(xdatcar, tmp_path):
    other = tmp_path / "other"
    ase.io.write(other, [Atoms("Li2Cl2S", cell=np.eye(3) * 5, pbc=True)], format="vasp-xdatcar")
    with pytest.raises(ValueError, match=r"other, row 6: atoms must be the same.*1 of 16"):
        XDATCARSource([xdatcar, other])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda x: x.__delitem__(slice(-2, None)), r"frame 6, row 47: the file ends after 3 of 5"),
        (lambda x: x.__delitem__(slice(22, 23)), r"frame 2, row 25: expected 3 fractional"),
        (lambda x: x.__setitem__(9, "0.1 0.2\n"), r"frame 0, row 10: .*received '0.1 0.2'"),
        (lambda x: x.__setitem__(9, "0.1 0.2 *****\n"), r"frame 0, row 10: expected 3"),
        (lambda x: x.__setitem__(9, "\n"), r"frame 0, row 10: .*received ''"),
        (lambda x: x.__setitem__(slice(8, 13), ["\n"] * 5), r"frame 0, row 9: .*received ''"),
        (lambda x: x.__setitem__(-1, x[-1][:-4]), r"frame 6, row 49: the file is cut inside of a"),
        (lambda x: x.__setitem__(15, "nan 0.0 0.0\n"), r"frame 1: positions must be finite"),
        (lambda x: x.insert(13, "\n"), r"frame 1, row 15: .* after a blank line"),
        (lambda x: x.__setitem__(1, "one\n"), r"frame 0, row 2: the scale of the cell needs 1"),
        (lambda x: x.__setitem__(3, "1.0 2.0\n"), r"row 4: a lattice vector needs 3 numbers"),
        (lambda x: x.__setitem__(5, "Li S Qq\n"), r"row 6: 'Qq' is not the symbol of an element"),
        (lambda x: x.__delitem__(5), r"row 6: expected element symbols \(VASP 5 or later\)"),
        (
            lambda x: x.__setitem__(6, "2 2\n"),
            r"row 7: the number of atoms of each element needs 3",
        ),
        (lambda x: x.__setitem__(6, "2 2 -1\n"), r"row 7: numbers of atoms must be positive"),
        (lambda x: x.__setitem__(7, "Konfig= 1\n"), r"row 8: expected 'Direct configuration='"),
        (lambda x: x.__delitem__(slice(5, None)), r"row 5: the file ends inside of the header"),
        (lambda x: x.__delitem__(slice(7, None)), r"row 7: expected 'Direct configuration='"),
        (lambda x: x.clear(), r"the file is empty"),
        (lambda x: x.__setitem__(slice(2, 5), ["0 0 0\n"] * 3), r"frame 0: the cell has zero vol"),
    ],
)
def test_broken_files_are_refused(xdatcar, edit, message):
    with pytest.raises(ValueError, match=message):
        list(XDATCARSource(edited(xdatcar, edit)).chunks())


def test_a_last_row_without_line_end_is_read(xdatcar):
    expected, _ = read(XDATCARSource(xdatcar))
    edited(xdatcar, lambda lines: lines.__setitem__(-1, lines[-1].rstrip()))
    np.testing.assert_array_equal(read(XDATCARSource(xdatcar))[0], expected)


def test_a_cut_gz_is_refused(xdatcar, tmp_path):
    path = tmp_path / "XDATCAR.gz"
    path.write_bytes(gzip.compress(xdatcar.read_bytes())[:-300])
    with pytest.raises(ValueError, match=r"XDATCAR.gz, after row \d+: the file cannot be read"):
        list(XDATCARSource(path).chunks())


def test_arguments(xdatcar):
    with pytest.raises(ValueError, match="paths must name at least one file"):
        XDATCARSource([])
    with pytest.raises(ValueError, match=r"frame_interval must be a positive time in ps.*-1"):
        XDATCARSource(xdatcar, frame_interval=-1.0)


def test_argyrodite(shared_data):
    names = [f"argyrodite/Li6PS5Cl_50p_run{run}.XDATCAR.gz" for run in (5, 6)]
    paths = [shared_data(name) for name in names]
    source = XDATCARSource(paths, frame_interval=0.1)
    positions, cells = read(source, 64)
    assert positions.shape == (140, 416, 3)
    assert np.bincount(source.species)[[3, 15, 16, 17]].tolist() == [192, 32, 160, 32]
    reference = ase.io.read(paths[1], index=-1, format="vasp-xdatcar")
    np.testing.assert_array_equal(reference.numbers, source.species)
    np.testing.assert_allclose(reference.positions, positions[-1], rtol=0, atol=1e-10)
    np.testing.assert_allclose(reference.cell[:], cells[-1], rtol=0, atol=1e-12)
