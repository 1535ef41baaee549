import json

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.core.trajectory import Trajectory

from kgdyn.trajectories.source import FrameSource
from kgdyn.trajectories.structures import StructuresSource, diffusion_analyzer_source

LATTICE = Lattice([[4.0, 0.2, 0.0], [0.0, 5.0, 0.3], [-0.4, 0.0, 6.0]])


def structures(n_frames=5):
    rng = np.random.default_rng(1)
    return [
        Structure(Lattice(LATTICE.matrix * (1 + 0.01 * k)), ["Li+", "S2-", "P"], rng.random((3, 3)))
        for k in range(n_frames)
    ]


def test_structures():
    frames = structures()
    source = StructuresSource(frames, frame_interval=0.02)
    chunks = list(source.chunks(2))
    assert isinstance(source, FrameSource)
    assert [chunk.n_frames for chunk in chunks] == [2, 2, 1]
    assert source.n_frames == 5
    assert source.species.tolist() == [3, 16, 15]
    assert source.pbc.all()
    positions = np.concatenate([chunk.positions for chunk in chunks])
    cells = np.concatenate([chunk.cells for chunk in chunks])
    np.testing.assert_allclose(positions, [s.cart_coords for s in frames], rtol=0, atol=1e-12)
    np.testing.assert_allclose(cells, [s.lattice.matrix for s in frames], rtol=0, atol=1e-12)


def test_pymatgen_trajectory():
    frames = structures()
    trajectory = Trajectory.from_structures(frames, constant_lattice=False)
    source = StructuresSource(trajectory, frame_interval=None)
    (chunk,) = source.chunks()
    assert source.n_frames == 5
    np.testing.assert_allclose(chunk.positions, [s.cart_coords for s in frames], rtol=0, atol=1e-9)
    np.testing.assert_allclose(chunk.cells, [s.lattice.matrix for s in frames], rtol=0, atol=1e-12)


def test_an_iterator_is_read_once_and_lazily():
    asked = []

    def stream():
        for frame, structure in enumerate(structures()):
            asked.append(frame)
            yield structure

    source = StructuresSource(stream(), frame_interval=1.0)
    assert source.n_frames is None
    chunks = source.chunks(2)
    next(chunks)
    assert asked == [0, 1]
    assert 2 + sum(chunk.n_frames for chunk in chunks) == 5
    with pytest.raises(ValueError, match="an iterator of structures can be read only once"):
        next(source.chunks())


def test_broken_structures_are_refused():
    frames = structures()
    other = frames[2].copy()
    other.replace(0, "Na")
    with pytest.raises(ValueError, match=r"list, frame 2: atoms must keep their number, order"):
        list(StructuresSource([*frames[:2], other], frame_interval=1.0).chunks())
    mixed = Structure(LATTICE, [{"Li": 0.5, "Na": 0.5}], [[0, 0, 0]])
    with pytest.raises(ValueError, match=r"frame 0: sites must be ordered"):
        StructuresSource([mixed], frame_interval=1.0)
    dummy = Structure(LATTICE, ["Xx"], [[0, 0, 0]])
    with pytest.raises(ValueError, match=r"frame 0: sites must be elements, received \['Xx"):
        StructuresSource([dummy], frame_interval=1.0)
    with pytest.raises(ValueError, match="holds no structure"):
        StructuresSource([], frame_interval=1.0)
    with pytest.raises(TypeError, match="expected a pymatgen Structure, received"):
        StructuresSource([1, 2], frame_interval=1.0)
    slab = frames[1].copy()
    slab.lattice = Lattice(slab.lattice.matrix, pbc=(True, True, False))
    with pytest.raises(ValueError, match=r"frame 1: pbc must not change"):
        list(StructuresSource([frames[0], slab], frame_interval=1.0).chunks())
    broken = frames[3].copy()
    broken.translate_sites([1], [np.nan, 0, 0], to_unit_cell=False)
    with pytest.raises(ValueError, match=r"frame 3: positions must be finite.*atom 1"):
        list(StructuresSource([*frames[:3], broken], frame_interval=1.0).chunks(2))


def analyzer(tmp_path, constant=True, n_frames=6, **changes):
    """A file as DiffusionAnalyzer.from_structures makes it, and the unwrapped coordinates."""
    rng = np.random.default_rng(2)
    scale = np.ones(n_frames) if constant else 1.0 + 0.01 * np.arange(n_frames)
    cells = LATTICE.matrix * scale[:, None, None]
    fractions = np.cumsum(rng.normal(0, 0.3, (n_frames, 3, 3)), axis=0) + 0.5
    displacements = (fractions - fractions[0]) @ cells
    first = Structure(Lattice(cells[0]), ["Li", "S", "P"], fractions[0])
    lattices = cells[:1] if constant else np.concatenate([cells[:1], cells])
    content = {
        "structure": first.as_dict(),
        "displacements": displacements.transpose(1, 0, 2).tolist(),
        "lattices": lattices.tolist(),
        "time_step": 2,
        "step_skip": 10,
        **changes,
    }
    path = tmp_path / "DiffusionAnalyzer.json"
    path.write_text(json.dumps(content))
    return path, fractions @ cells, cells


@pytest.mark.parametrize("constant", [True, False])
def test_diffusion_analyzer(tmp_path, constant):
    path, unwrapped, expected_cells = analyzer(tmp_path, constant)
    source = diffusion_analyzer_source(path)
    assert isinstance(source, FrameSource)
    assert source.frame_interval == 0.02
    assert source.n_frames == 6
    assert source.species.tolist() == [3, 16, 15]
    chunks = list(source.chunks(4))
    assert [chunk.n_frames for chunk in chunks] == [4, 2]
    positions = np.concatenate([chunk.positions for chunk in chunks])
    cells = np.concatenate([chunk.cells for chunk in chunks])
    images = np.concatenate([chunk.images for chunk in chunks])
    np.testing.assert_allclose(cells, expected_cells, rtol=0, atol=1e-12)
    np.testing.assert_allclose(positions + images @ cells, unwrapped, rtol=0, atol=1e-9)
    fractions = positions @ np.linalg.inv(cells)
    assert fractions.min() > -1e-9
    assert fractions.max() < 1 + 1e-9
    assert np.abs(images).max() > 0


def test_displacements_from_an_earlier_structure(tmp_path):
    path, unwrapped, _ = analyzer(tmp_path)
    content = json.loads(path.read_text())
    shifted = np.array(content["displacements"]) + np.array([0.3, -0.2, 0.1])
    path.write_text(json.dumps({**content, "displacements": shifted.tolist()}))
    (chunk,) = diffusion_analyzer_source(path).chunks()
    received = chunk.positions + chunk.images @ chunk.cells
    np.testing.assert_allclose(received, unwrapped, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"displacements": [[0.0]]}, r"displacements must have shape \(n_atoms, n_frames, 3\)"),
        ({"lattices": [LATTICE.matrix.tolist()] * 3}, r"lattices must have shape \(1 or n_frames"),
        ({"time_step": None}, r"not the JSON file of a DiffusionAnalyzer"),
        ({"structure": {}}, r"not the JSON file of a DiffusionAnalyzer"),
        ({"time_step": 0}, r"frame_interval must be a positive time in ps"),
    ],
)
def test_broken_analyzers_are_refused(tmp_path, changes, message):
    path, _, _ = analyzer(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        diffusion_analyzer_source(path)


def test_a_displacement_that_is_not_finite_is_refused(tmp_path):
    path, _, _ = analyzer(tmp_path)
    content = json.loads(path.read_text())
    content["displacements"][1][4][2] = float("nan")
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"frame 4: positions must be finite.*atom 1"):
        list(diffusion_analyzer_source(path).chunks(3))
    path.write_text(path.read_text()[:-50])
    with pytest.raises(ValueError, match="not the JSON file of a DiffusionAnalyzer"):
        diffusion_analyzer_source(path)


def test_lgps(shared_data):
    path = shared_data("lgps/DiffusionAnalyzer.json")
    source = diffusion_analyzer_source(path)
    assert source.frame_interval == 0.02
    assert source.n_frames == 1000
    assert np.bincount(source.species)[[3, 15, 16, 32]].tolist() == [20, 4, 24, 2]
    content = json.loads(path.read_text())
    start = Structure.from_dict(content["structure"]).cart_coords
    expected = start[:, None] + np.array(content["displacements"])
    received = np.concatenate([c.positions + c.images @ c.cells for c in source.chunks(100)])
    np.testing.assert_allclose(received, expected.transpose(1, 0, 2), rtol=0, atol=1e-9)
