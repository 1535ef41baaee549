"""Li in fcc sulfur: the holes by brute force, their volumes, a real trajectory, the recipe."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from kgdyn.toys import LiInFccSulfur, site_labels, state_labels
from kgdyn.toys.li_fcc_s import LATTICE_CONSTANT

A = LATTICE_CONSTANT
TETRAHEDRAL = [np.array(c) / 4 for c in itertools.product([1, 3], repeat=3)]  # sites 4 to 11
OCTAHEDRAL = [np.array(c) / 2 for c in ([1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1])]
# All S points in and around the cell, in units of the lattice constant.
SULFUR = np.array(
    [
        np.array(cell) + basis
        for cell in itertools.product([-1, 0, 1, 2], repeat=3)
        for basis in ([0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5])
    ]
)


def images(site: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.array([site + shift for shift in itertools.product([-1, 0, 1], repeat=3)])


def plane_label(point: NDArray[np.float64]) -> int:
    """The nearest tetrahedral centre, and the planes through each three of its four S."""
    centers = np.concatenate([images(site) for site in TETRAHEDRAL])
    nearest = int(np.argmin(((centers - point) ** 2).sum(axis=1)))
    center = centers[nearest]
    corners = SULFUR[np.argsort(((SULFUR - center) ** 2).sum(axis=1))[:4]]
    inside = True
    for three in itertools.combinations(corners, 3):
        normal = np.cross(three[1] - three[0], three[2] - three[0])
        inside &= bool(np.dot(point - three[0], normal) * np.dot(center - three[0], normal) > 0)
    if inside:
        return 4 + nearest // 27
    distances = [((images(site) - point) ** 2).sum(axis=1).min() for site in OCTAHEDRAL]
    return int(np.argmin(distances))


def test_random_points_against_planes(rng: np.random.Generator) -> None:
    points = rng.random((500, 3))
    expected = [plane_label(point) for point in points]
    assert set(expected) == set(range(12))
    np.testing.assert_array_equal(site_labels(points * A), expected)


def test_random_points_against_a_triangulation(rng: np.random.Generator) -> None:
    """In which of the eight tetrahedra of S, by their barycentric coordinates."""
    points = rng.random((20_000, 3))
    expected = np.full(len(points), -1)
    for number, center in enumerate(TETRAHEDRAL):
        corners = SULFUR[np.argsort(((SULFUR - center) ** 2).sum(axis=1))[:4]]
        np.testing.assert_allclose(((corners - center) ** 2).sum(axis=1), 3 / 16, rtol=1e-12)
        expected[Delaunay(corners).find_simplex(points) >= 0] = 4 + number
    sites = site_labels(points * A)
    np.testing.assert_array_equal(np.where(sites >= 4, sites, -1), expected)
    np.testing.assert_array_equal(state_labels(points * A), expected >= 4)


def test_tetrahedral_holes_fill_a_third(rng: np.random.Generator) -> None:
    """Eight tetrahedra of edge a / sqrt(2): 8 a^3 / 24; the shares of a fine grid."""
    edge = A / np.sqrt(2)
    np.testing.assert_allclose(8 * edge**3 / (6 * np.sqrt(2)), A**3 / 3, rtol=1e-12)
    grid = (np.stack(np.meshgrid(*[np.arange(60)] * 3), axis=-1) + rng.random((60, 60, 60, 3))) / 60
    shares = np.bincount(site_labels(grid * A).ravel(), minlength=12) / 60**3
    np.testing.assert_allclose(shares[4:].sum(), 1 / 3, rtol=0, atol=1e-3)
    np.testing.assert_allclose(shares[4:], 1 / 24, rtol=0, atol=5e-4)
    np.testing.assert_allclose(shares[:4], 1 / 6, rtol=0, atol=5e-4)


def test_centers_and_windows() -> None:
    np.testing.assert_array_equal(site_labels(np.array(OCTAHEDRAL) * A), range(4))
    np.testing.assert_array_equal(site_labels(np.array(TETRAHEDRAL) * A), range(4, 12))
    # From a tetrahedral centre towards an octahedral one, the window is at a sqrt(3) / 12.
    start, end = TETRAHEDRAL[0] * A, OCTAHEDRAL[0] * A
    direction = (end - start) / np.linalg.norm(end - start)
    window = A * np.sqrt(3) / 12
    np.testing.assert_allclose(window, 0.938, rtol=0, atol=5e-4)
    assert site_labels(start + (window - 1e-6) * direction) == 4
    assert site_labels(start + (window + 1e-6) * direction) == 0
    # In the window, Li is as far from its three S as the paper's recipe says.
    distances = np.sort(np.linalg.norm(SULFUR * A - (start + window * direction), axis=1))
    np.testing.assert_allclose(distances[:3], LiInFccSulfur.contact, rtol=1e-12)


def test_periodic_images_and_shapes(rng: np.random.Generator) -> None:
    points = A * rng.random((7, 2, 3))
    sites = site_labels(points)
    assert sites.shape == (7, 2)
    assert sites.dtype == np.int8
    np.testing.assert_array_equal(site_labels(points + A * np.array([3, -2, 1])), sites)
    np.testing.assert_array_equal(site_labels(points.astype(np.float32)[0, 0]), sites[0, 0])
    edge = np.array([[-1e-18, 3.0, 3.0], [0.0, 3.0, 3.0], [A, 3.0, 3.0]])
    assert len(set(site_labels(edge).tolist())) == 1


def test_a_real_trajectory(shared_data: Callable[[str], Path]) -> None:
    with np.load(shared_data("li_fcc_s/LiS_fcc_clean_s1.npz")) as data:
        lithium = data["traj_coords"][:, 0]
        sites, states = data["site12"], data["state2"]
    found = site_labels(lithium)
    np.testing.assert_array_equal(found >= 4, states == 1)
    np.testing.assert_array_equal(state_labels(lithium), states)
    # The numbers of the sites may differ: each of theirs is one of ours.
    table = np.zeros((12, 12), dtype=int)
    np.add.at(table, (sites, found), 1)
    assert ((table > 0).sum(axis=0) == 1).all()
    assert ((table > 0).sum(axis=1) == 1).all()


def commands(system: LiInFccSulfur) -> dict[str, list[list[str]]]:
    """Words of each command of the input script, by its first word."""
    found: dict[str, list[list[str]]] = {}
    for line in system.input_script().splitlines():
        first, *words = line.split()
        found.setdefault(first, []).append(words)
    return found


def test_input_script() -> None:
    system = LiInFccSulfur(
        amplitude=0.002, damping=0.008, temperature=70.0, seed=7, frame_interval=0.2, duration=1.0
    )
    script = commands(system)
    assert script["units"] == [["metal"]]
    assert script["boundary"] == [["p", "p", "p"]]
    atoms = np.array([[float(x) for x in words[2:5]] for words in script["create_atoms"]])
    assert [words[0] for words in script["create_atoms"]] == ["1", "2", "2", "2", "2"]
    np.testing.assert_array_equal(site_labels(atoms[0]), 0)  # Li starts in an octahedral hole
    between = atoms[1:, None] - atoms[None, 1:]
    between -= A * np.round(between / A)
    distances = np.linalg.norm(between, axis=-1)[~np.eye(4, dtype=bool)]
    np.testing.assert_allclose(distances, A / np.sqrt(2), rtol=1e-12)  # fcc
    kinds = {tuple(words[:2]): [float(x) for x in words[2:]] for words in script["pair_coeff"]}
    assert kinds["*", "*"][0] == 0.0
    np.testing.assert_allclose(
        kinds["1", "2"], [0.002, 0.05, 2.6536140, 0.0, 0.0], rtol=1e-7, atol=0
    )
    fixes = {words[2]: words for words in script["fix"]}
    assert fixes["nve"][1] == "li"
    assert fixes["langevin"][1] == "li"
    assert [float(x) for x in fixes["langevin"][3:]] == [70.0, 70.0, 0.008, 7.0]
    assert script["timestep"] == [["0.001"]]
    assert (system.steps_per_frame, system.n_frames, system.n_steps) == (200, 5000, 1_000_000)


@pytest.mark.parametrize(("duration", "n_frames"), [(60.0, 600_000), (0.0003, 3), (0.0001, 1)])
def test_number_of_frames(duration: float, n_frames: int) -> None:
    system = LiInFccSulfur(duration=duration)
    assert system.n_frames == n_frames
    assert system.n_steps == 100 * n_frames


def test_refuses_a_duration_without_a_frame() -> None:
    with pytest.raises(ValueError, match=r"at least one frame of 0.1 ps, received 5e-05 ns"):
        LiInFccSulfur(duration=0.00005)


@pytest.mark.parametrize("interval", [0.0, -0.1, 0.0004, 0.0015])
def test_refuses_an_interval_that_is_no_number_of_steps(interval: float) -> None:
    match = f"frame_interval must be a multiple of the time step, 0.001 ps, received {interval}"
    with pytest.raises(ValueError, match=match):
        LiInFccSulfur(frame_interval=interval)


@pytest.mark.parametrize("seed", [0, -3, 900_000_001])
def test_refuses_a_seed_that_lammps_does_not_take(seed: int) -> None:
    with pytest.raises(
        ValueError, match=f"seed must be between 1 and 900,000,000, received {seed}"
    ):
        LiInFccSulfur(seed=seed)


@pytest.mark.lammps
def test_lammps_takes_the_script(new_lammps: Callable) -> None:
    """Li feels no force in the middle of a hole, and the S never move."""
    system = LiInFccSulfur()
    engine = new_lammps()
    try:
        engine.commands_string(system.input_script())
        before = np.array(engine.gather_atoms("x", 1, 3)).reshape(5, 3)
        engine.command("run 0")
        forces = np.array(engine.gather_atoms("f", 1, 3)).reshape(5, 3)
        assert np.abs(forces).max() < 1.0
        engine.command("run 200")
        after = np.array(engine.gather_atoms("x", 1, 3)).reshape(5, 3)
    finally:
        engine.close()
    np.testing.assert_array_equal(after[1:], before[1:])
    assert np.abs(after[0] - before[0]).max() > 0.0
    np.testing.assert_array_equal(site_labels(before[0]), 0)
