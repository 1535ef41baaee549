"""Bond order: lattices by the literature, a slow loop with SciPy, silicon as it is labelled."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.special import sph_harm_y

from kgdyn.koopman import Resampling, one_hot
from kgdyn.observables import bond_order, state_bond_order
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

CELL = np.array([[6.0, 0.0, 0.0], [2.5, 5.0, 0.0], [-2.0, 2.2, 6.0]])
FCC = 0.5 * (np.ones((3, 3)) - np.eye(3))
BCC = 0.5 * (np.ones((3, 3)) - 2.0 * np.eye(3))

pytestmark = pytest.mark.filterwarnings("ignore:intervals rest on only")


def lattice(cell: Any, basis: Any = ((0.0, 0.0, 0.0),), species: Any = None) -> Trajectory:
    positions = np.asarray(basis) @ np.asarray(cell) + 0.37
    species = [14] * len(positions) if species is None else species
    return trajectory_from_arrays(
        positions[None].repeat(2, axis=0), cell, species, frame_interval=1.0, targets=[0]
    )


@pytest.mark.parametrize(
    ("crystal", "n_neighbors", "magnitudes"),
    [
        (lattice(np.eye(3)), 6, {4: 0.763763, 6: 0.353553}),
        (lattice(FCC), 12, {4: 0.190941, 6: 0.574524}),
        (lattice(BCC), 8, {4: 0.509175, 6: 0.628539}),
        (lattice(BCC), 14, {4: 0.036370, 6: 0.510688}),
        (lattice(5.43 * FCC, [[0, 0, 0], [0.25] * 3]), 4, {3: 0.745356, 4: 0.509175, 6: 0.628539}),
    ],
    ids=["simple cubic", "fcc", "bcc 8", "bcc 14", "diamond"],
)
def test_lattices_in_primitive_cells(
    crystal: Trajectory, n_neighbors: int, magnitudes: dict[int, float]
) -> None:
    """Every neighbour is an image. Values of Mickel et al., J. Chem. Phys. 138, 044501 (2013)."""
    found = bond_order(crystal, tuple(magnitudes), n_neighbors=n_neighbors, atoms="all")
    for degree, value in magnitudes.items():
        np.testing.assert_allclose(found.of(degree), value, atol=1e-6)
        # Neighbours are copies, or inverted copies, whose odd harmonics change sign.
        sign = -1.0 if degree == 3 else 1.0
        np.testing.assert_allclose(found.of(degree, "correlation"), sign, atol=1e-12)


def slow(
    trajectory: Trajectory, frame: int, degree: int, near: Any, n_neighbors: int, cutoff: float
) -> tuple[Any, Any]:
    """Magnitude and correlation of all atoms, from complex harmonics and all images."""
    positions, cell = trajectory.positions[frame], trajectory.cells[frame]
    images = np.array(list(product(range(-4, 5), repeat=3)))
    values, lists = [], []
    for atom in range(len(positions)):
        vectors = positions[near][:, None] + images @ cell - positions[atom]
        owners = np.broadcast_to(np.asarray(near)[:, None], vectors.shape[:2]).reshape(-1)
        vectors = vectors.reshape(-1, 3)
        sizes = np.linalg.norm(vectors, axis=1)
        order = np.argsort(sizes)
        order = order[sizes[order] > 1e-9]
        order = order[:n_neighbors] if n_neighbors else order[sizes[order] < cutoff]
        x, y, z = (vectors[order] / sizes[order, None]).T
        m = np.arange(-degree, degree + 1)[:, None]
        values.append(sph_harm_y(degree, m, np.arccos(z), np.arctan2(y, x)).mean(axis=1))
        lists.append(owners[order])
    norms = np.linalg.norm(values, axis=1)
    units = np.array(values) / norms[:, None]
    correlation = [
        np.real(units[k].conj() @ units[others].T).mean() for k, others in enumerate(lists)
    ]
    return np.sqrt(4 * np.pi / (2 * degree + 1)) * norms, correlation


@pytest.mark.parametrize("rule", [{"n_neighbors": 7}, {"cutoff": 4.6}])
@pytest.mark.parametrize("selection", [None, ["O"]])
def test_against_a_slow_loop(rule: Any, selection: Any, rng: np.random.Generator) -> None:
    """A triclinic cell smaller than the neighbourhood, with neighbours of one element too."""
    trajectory = trajectory_from_arrays(
        rng.random((2, 9, 3)) @ CELL + 40.0, CELL, [3] * 3 + [8] * 6, frame_interval=1.0,
        targets=[0, 1],
    )  # fmt: skip
    degrees = (1, 3, 8)
    found = bond_order(trajectory, degrees, atoms="all", selection=selection, **rule)
    near = np.arange(9) if selection is None else np.arange(3, 9)
    for frame, degree in product(range(2), degrees):
        magnitude, correlation = slow(
            trajectory, frame, degree, near, rule.get("n_neighbors", 0), rule.get("cutoff", 0.0)
        )
        np.testing.assert_allclose(found.of(degree)[frame], magnitude, rtol=1e-10)
        np.testing.assert_allclose(found.of(degree, "correlation")[frame], correlation, rtol=1e-9)
    some = bond_order(trajectory, (8,), atoms=[5, 1], selection=selection, n_threads=1, **rule)
    assert np.array_equal(some.of(8), found.of(8)[:, [5, 1]])
    assert np.array_equal(some.of(8, "correlation"), found.of(8, "correlation")[:, [5, 1]])


def test_rotation_translation_permutation(rng: np.random.Generator) -> None:
    positions = rng.random((1, 30, 3)) @ CELL
    turn = Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()
    order = rng.permutation(30)

    def of(positions: Any, cell: Any) -> Any:
        run = trajectory_from_arrays(
            positions, cell, [14] * 30, frame_interval=1.0, targets=range(30)
        )
        found = bond_order(run, n_neighbors=9)
        return np.stack([found.magnitude[0], found.correlation[0]])

    expected = of(positions, CELL)
    np.testing.assert_allclose(of(positions @ turn, CELL @ turn), expected, atol=1e-12)
    np.testing.assert_allclose(of(positions + 1000.0, CELL), expected, atol=1e-9)
    np.testing.assert_allclose(of(positions[:, order], CELL), expected[:, :, order], atol=1e-12)


def test_silicon_as_it_is_labelled(shared_data: Callable[[str], Path]) -> None:
    """q3 of the data is the correlation over four neighbours, kept in half precision."""
    with np.load(shared_data("si_interface/Si_interface_SW.npz")) as data:
        chosen = [0, 600, 1200]
        positions, cells = data["traj_coords"][chosen], data["lattices"][chosen]
        species, targets = data["atom_types"], data["target_index"]
        expected = data["q3"][chosen].astype(float)
    run = trajectory_from_arrays(positions, cells, species, frame_interval=1.0, targets=targets)
    found = bond_order(run, (3,), n_neighbors=4, atoms="all")
    assert np.abs(found.of(3, "correlation") - expected).max() < 3e-4
    own = bond_order(run, (3,), n_neighbors=4)
    assert np.abs(own.of(3, "correlation") - expected[:, targets]).max() < 3e-4


def test_atoms_alone_in_space() -> None:
    positions = np.array([[0.0, 0, 0], [1.0, 0, 0], [0, 50.0, 0], [0, 0, 1e3]])[None]
    run = trajectory_from_arrays(
        positions, np.zeros((3, 3)), [14] * 4, frame_interval=1.0, targets=[0], pbc=False
    )
    found = bond_order(run, (2,), cutoff=2.0, atoms="all")
    np.testing.assert_allclose(found.of(2)[0], [1.0, 1.0, np.nan, np.nan])
    assert np.isnan(found.of(2, "correlation")[0, 2:]).all()
    assert np.isfinite(bond_order(run, n_neighbors=3, atoms="all").magnitude[0]).all()
    with pytest.raises(ValueError, match="n_neighbors=4 needs more than 4 atoms that count"):
        bond_order(run, n_neighbors=4)


def test_means_and_histograms_of_states(rng: np.random.Generator) -> None:
    positions = rng.random((40, 30, 3)) @ CELL
    run = trajectory_from_arrays(positions, CELL, [14] * 30, frame_interval=1.0, targets=range(8))
    states = rng.dirichlet(np.ones(3), (40, 8))
    options: Any = {"degrees": (3, 6), "n_neighbors": 5}
    single = bond_order(run, **options)
    found = state_bond_order(run, states, **options, n_bins=10, resampling=Resampling(4))
    for kind, low in (("magnitude", 0.0), ("correlation", -1.0)):
        values = getattr(single, kind)[0]
        expected = np.einsum("fts,ftd->sd", states, values) / states.sum(axis=(0, 1))[:, None]
        np.testing.assert_allclose(getattr(found, kind), expected, rtol=1e-12)
        density, edges = getattr(found, f"{kind}_density"), getattr(found, f"{kind}_edges")
        for state, d in product(range(3), range(2)):
            counts, _ = np.histogram(
                values[..., d], 10, (low, 1.0), weights=states[..., state], density=True
            )
            np.testing.assert_allclose(density[state, d], counts, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose((density * np.diff(edges)).sum(axis=-1), 1.0)
        interval = getattr(found, f"{kind}_interval")
        assert (interval.lower < expected).all()
        assert (expected < interval.upper).all()
    whole = state_bond_order(run, None, **options, resampling=Resampling(4))
    np.testing.assert_allclose(whole.magnitude[0], single.magnitude[0].mean(axis=(0, 1)))
    apart = state_bond_order(
        run, states, **options, resampling=Resampling(4, two_way=True), n_bins=10
    )
    np.testing.assert_allclose(apart.correlation, found.correlation, rtol=1e-12)


def test_a_state_without_targets() -> None:
    found = state_bond_order(
        lattice(FCC), one_hot(np.zeros((2, 1), int), 2), (4,), n_neighbors=12,
        resampling=Resampling(1),
    )  # fmt: skip
    assert found.magnitude[0, 0] == pytest.approx(0.190941, abs=1e-6)
    assert np.isnan(found.magnitude[1, 0])
    assert repr(found).startswith(
        "StateBondOrder(n_states=2, degrees=[4], n_neighbors=12, selection='all atoms', n_frames=2"
    )
    with pytest.raises(ValueError, match="read-only"):
        found.magnitude[...] = 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"degrees": ()}, r"degrees must be from 1 to 20, at least one, each once, received \[\]"),
        ({"degrees": (0, 3)}, "degrees must be from 1 to 20"),
        ({"degrees": (3, 3)}, "degrees must be from 1 to 20"),
        ({"n_neighbors": None}, "exactly one of n_neighbors and cutoff must be given"),
        ({"cutoff": 3.0}, "exactly one of n_neighbors and cutoff must be given"),
        ({"n_neighbors": 0}, "n_neighbors must be at least 1, received 0"),
        ({"n_neighbors": None, "cutoff": -1.0}, "cutoff must be a positive distance"),
        ({"selection": ["O"]}, r"selection \['O'\] holds no atom"),
        ({"selection": [0.5]}, "selection must be a list of atom indices"),
        ({"selection": [0, 9]}, "selection must be from 0 to 1, each once"),
        ({"atoms": "some"}, 'atoms must be "targets", "all" or indices, received \'some\''),
        ({"atoms": [0, 0]}, "atoms must be from 0 to 1, each once"),
        ({"n_threads": 0}, "n_threads must be at least 1, received 0"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    diamond = lattice(5.43 * FCC, [[0, 0, 0], [0.25] * 3])
    with pytest.raises(ValueError, match=message):
        bond_order(diamond, **({"n_neighbors": 4} | changes))


def test_what_else_is_refused() -> None:
    pair = lattice(5.43 * FCC, [[0, 0, 0], [0.25] * 3])
    found = bond_order(pair, n_neighbors=4)
    assert repr(found) == (
        "BondOrder(degrees=[3, 4, 6], n_neighbors=4, selection='all atoms', n_frames=2, n_rows=1)"
    )
    with pytest.raises(ValueError, match=r"degree must be one of \[3, 4, 6\], received 5"):
        found.of(5)
    with pytest.raises(ValueError, match='kind must be "magnitude" or "correlation"'):
        found.of(3, "size")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="n_bins must be at least 1, received 0"):
        state_bond_order(pair, n_neighbors=4, n_bins=0)
    from kgdyn.frames import TargetGroups

    molecule = pair.with_targets(TargetGroups.from_groups([[0, 1]]))
    for function in (bond_order, state_bond_order):
        with pytest.raises(ValueError, match="targets must be of one atom each for bond order"):
            function(molecule, n_neighbors=4)
