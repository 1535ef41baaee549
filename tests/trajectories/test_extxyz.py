import gzip

import ase.io
import numpy as np
import pytest
from ase import Atoms

from kgdyn.trajectories.extxyz import ExtXYZSource
from kgdyn.trajectories.source import FrameSource


def images(n_frames=5, symbols="LiSOLi", pbc=(True, True, False)):
    rng = np.random.default_rng(3)
    cell = np.array([[7.0, 0.0, 0.0], [1.0, 8.0, 0.0], [0.5, -1.0, 9.0]])
    return [
        Atoms(symbols, positions=rng.normal(0, 5, (4, 3)), cell=cell * (1 + 0.01 * k), pbc=pbc)
        for k in range(n_frames)
    ]


@pytest.fixture
def path(tmp_path):
    ase.io.write(tmp_path / "run.xyz", images(), format="extxyz")
    return tmp_path / "run.xyz"


def edited(path, edit):
    lines = path.read_text().splitlines(keepends=True)
    edit(lines)
    path.write_text("".join(lines))
    return path


def test_agrees_with_what_was_written(path):
    source = ExtXYZSource(path, frame_interval=0.5)
    chunks = list(source.chunks(2))
    assert isinstance(source, FrameSource)
    assert [chunk.n_frames for chunk in chunks] == [2, 2, 1]
    assert source.n_frames == 5
    assert source.frame_interval == 0.5
    assert source.species.tolist() == [3, 16, 8, 3]
    assert source.pbc.tolist() == [True, True, False]
    positions = np.concatenate([chunk.positions for chunk in chunks])
    cells = np.concatenate([chunk.cells for chunk in chunks])
    np.testing.assert_allclose(positions, [a.positions for a in images()], rtol=0, atol=1e-7)
    np.testing.assert_allclose(cells, [a.cell[:] for a in images()], rtol=0, atol=1e-7)


def test_gz_without_cell(tmp_path):
    frames = images(pbc=False)
    for atoms in frames:
        atoms.cell = np.zeros((3, 3))
    plain = tmp_path / "run.xyz"
    ase.io.write(plain, frames, format="extxyz")
    packed = tmp_path / "run.xyz.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    source = ExtXYZSource(packed)
    (chunk,) = source.chunks()
    assert not source.pbc.any()
    assert not chunk.cells.any()
    np.testing.assert_allclose(chunk.positions, [a.positions for a in frames], rtol=0, atol=1e-7)


def test_labels_need_elements(path):
    path.write_text(path.read_text().replace("Li", "CA").replace("S ", "2 "))
    with pytest.raises(ValueError, match=r"frame 0: the element of '2', 'CA' is not known; pass"):
        ExtXYZSource(path)
    source = ExtXYZSource(path, elements={"CA": "Li", "2": "S", "O": 100})
    assert source.species.tolist() == [3, 16, 100, 3]


def test_atomic_numbers_instead_of_symbols(path):
    text = path.read_text().replace("species:S:1", "Z:I:1")
    for symbol, number in (("Li", "3"), ("S ", "16 "), ("O ", "8 ")):
        text = text.replace(symbol, number)
    path.write_text(text)
    assert ExtXYZSource(path).species.tolist() == [3, 16, 8, 3]
    path.write_text(text.replace("Z:I:1", "other:I:1"))
    with pytest.raises(ValueError, match="needs a column of species or of atomic numbers"):
        ExtXYZSource(path)


def swap(lines, first, second):
    lines[first], lines[second] = lines[second], lines[first]


def replace(row, old, new):
    def edit(lines):
        assert old in lines[row - 1]
        lines[row - 1] = lines[row - 1].replace(old, new)

    return edit


def delete(start, stop=None):
    return lambda lines: lines.__delitem__(slice(start, stop))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda x: swap(x, 14, 15), r"frame 2, row 15: atoms must keep their order.*was 3, .* 16"),
        (replace(9, "Li", "Na"), r"frame 1, row 9: atoms must keep .* received 11"),
        (replace(13, "4", "3"), r"frame 2, row 13: the number of atoms must not change: 4 .* 3"),
        (delete(-1), r"frame 4, row 29: the file ends after 3 of 4 atoms"),
        (delete(20, 21), r"frame 4, row 25: expected the number of atoms"),
        (
            lambda x: x.insert(6, "\n"),
            r"frame 1, row 8: expected the end of the file",
        ),
        (lambda x: x.__setitem__(-1, x[-1][:-4]), r"frame 4, row 30: the file is cut inside"),
        (replace(9, ".", "x"), r"frame 1, in rows 7 to 12: cannot be read"),
        (lambda x: x.__setitem__(8, "Li nan 0 0\n"), r"frame 1: positions must be finite"),
        (replace(20, 'pbc="T T F"', 'pbc="T T T"'), r"frame 3: pbc must not change"),
        (lambda x: x.clear(), r"holds no frame"),
        (lambda x: x.__setitem__(0, "four\n"), r"row 1: expected the number of atoms, .*'four'"),
    ],
)
def test_broken_files_are_refused(path, edit, message):
    with pytest.raises(ValueError, match=message):
        list(ExtXYZSource(edited(path, edit)).chunks())


def test_zero_volume_is_refused(tmp_path):
    frames = images()
    frames[3].cell = [[1, 0, 0], [2, 0, 0], [0, 0, 1]]
    ase.io.write(tmp_path / "run.xyz", frames, format="extxyz")
    with pytest.raises(ValueError, match=r"run.xyz, frame 3: the cell has zero volume"):
        list(ExtXYZSource(tmp_path / "run.xyz").chunks(2))
