"""The M nearest neighbours on every path, against all images counted one by one."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest

from kgdyn.frames import Frame
from kgdyn.graphs import NeighborList, batch_nearest_neighbors, nearest_neighbors
from kgdyn.graphs._lattice import completed_cells, heights, image_shifts, wrap

RTOL = 1e-11  # of float64, for coordinates up to 1e5 times the distances


class System(NamedTuple):
    positions: Any  # (n_frames, n_atoms, 3)
    cells: Any  # (n_frames, 3, 3)
    pbc: Any  # (3,)
    n_neighbors: int


def system(positions: Any, cells: Any, pbc: str, n_neighbors: int) -> System:
    positions = np.asarray(positions, dtype=float)
    positions = positions[None] if positions.ndim == 2 else positions
    cells = np.broadcast_to(np.asarray(cells, dtype=float), (len(positions), 3, 3))
    return System(positions, cells, np.array([letter == "T" for letter in pbc]), n_neighbors)


def rotation(rng: np.random.Generator) -> Any:
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def random_system(seed: int) -> System:
    """Any number of atoms, any cell, any periodicity; atoms anywhere, some in one place."""
    rng = np.random.default_rng(1000 + seed)
    n_atoms = int(rng.integers(2, 41))
    pbc = "".join(rng.choice(["T", "F"], size=3, p=[0.7, 0.3]))
    cell = np.diag(rng.uniform(4.0, 12.0, size=3)) + rng.normal(size=(3, 3))
    cell[1] += rng.integers(-2, 3) * cell[0]
    if seed % 2:
        cell = cell @ rotation(rng)
    if seed % 3 == 0:
        cell = cell[[1, 0, 2]]  # left-handed
    periodic = np.array([letter == "T" for letter in pbc])
    if seed % 4 == 0:
        cell[~periodic] = 0.0
    n_frames = int(rng.integers(1, 4))
    positions = rng.normal(size=(n_frames, n_atoms, 3)) * 8.0
    if seed % 5 == 0:
        positions[:, -1] = positions[:, 0]
    most = n_atoms - 1 if not periodic.any() else 30
    return system(positions, cell, pbc, int(rng.integers(1, most + 1)))


def five_atoms(n_frames: int, noise: float, n_neighbors: int) -> System:
    sites = np.array([[0.45, 0.5, 0.5], [0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    moved = 6.5 * sites + np.random.default_rng(1).normal(size=(n_frames, 5, 3)) * noise
    return system(moved, 6.5 * np.eye(3), "TTT", n_neighbors)


@cache
def systems() -> dict[str, System]:
    rng = np.random.default_rng(4)
    triclinic = np.array([[8.0, 0, 0], [3, 7, 0], [-2, 3, 9]])
    sheared = triclinic + np.array([[0, 0, 0], [32.0, 0, 0], [-14, 21, 0]])
    cloud = rng.normal(size=(30, 3)) * 15
    turn = rotation(rng)
    slab = rng.uniform(size=(36, 3)) * [9, 9, 6]
    slab[:3] = [[1, 2, 40], [30, 4, -90], [5, 6, 41]]  # vapour
    pressure = np.diag([9.0, 10.0, 11.0]) + rng.normal(size=(4, 3, 3)) * [0.5, 1.0, 2.0]
    edge = np.concatenate([[[6.0, 6, 6], [0, 0, 3], [6, 0, 0]], rng.uniform(size=(25, 3)) * 6])
    grid = np.stack(np.meshgrid(*[np.arange(3.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    far = cloud + rng.integers(-9_000, 9_000, size=(30, 3)) @ triclinic
    named = {
        "five atoms": five_atoms(4, 0.1, 12),
        "five atoms, many neighbours": five_atoms(2, 0.1, 60),
        "five atoms, perfect": five_atoms(1, 0.0, 17),
        "one atom": system([[7.0, -8, 9]], 3 * np.eye(3), "TTT", 25),
        "one atom, sheared": system([[1.0, 2, 3]], sheared, "TTT", 40),
        "one atom in a row": system([[1.0, 2, 3]], np.diag([0, 3.0, 0]), "FTF", 12),
        "triclinic": system(cloud, triclinic, "TTT", 20),
        "strongly sheared": system(cloud, sheared, "TTT", 20),
        "rotated": system(cloud @ turn, triclinic @ turn, "TTT", 20),
        "left-handed": system(cloud, -triclinic, "TTT", 12),
        "slab with vapour": system(slab, np.diag([9.0, 9, 50]), "TTF", 20),
        "slab with vapour, zero row": system(slab, np.diag([9.0, 9, 0]), "TTF", 20),
        "sheared slab, zero row": system(cloud, sheared * [[1], [1], [0]], "TTF", 20),
        "one direction, zero rows": system(cloud, np.diag([0.0, 5, 0]), "FTF", 20),
        "one skew direction": system(cloud, [[0, 0, 0], [0, 0, 0], [3, 4, 5]], "FFT", 20),
        "no direction": system(cloud, np.zeros((3, 3)), "FFF", 29),
        "no direction, a cell all the same": system(cloud, triclinic, "FFF", 12),
        "other cell in each frame": System(
            rng.normal(size=(4, 30, 3)) * 40, pressure, np.ones(3, bool), 16
        ),
        "coincident": system(np.repeat(cloud[:10], 3, axis=0), triclinic, "TTT", 20),
        "all coincident": system(np.ones((30, 3)), 9 * np.eye(3), "TTT", 40),
        "unwrapped by many cells": system(far, triclinic, "TTT", 20),
        "atoms exactly at the far face": system(edge, 6 * np.eye(3), "TTT", 20),
        "crystal": system(grid * 3, 9 * np.eye(3), "TTT", 18),
        "crystal, shell cut": system(grid * 3, 9 * np.eye(3), "TTT", 10),
        "flat cell": system(cloud, np.diag([1.0, 20, 20]), "TTT", 30),
    }
    return named | {f"random {seed}": random_system(seed) for seed in range(20)}


def slow_search(case: System, frame: int) -> tuple[Any, Any, Any]:
    """Distances, indices and images of the M + 1 nearest, from one sorted list for each atom.

    Atoms are brought near the origin first, so that images up to n heights hold all that is
    nearer than (n - 1) heights.
    """
    positions, lattice = case.positions[frame], case.cells[frame][case.pbc]
    n_atoms, wanted = len(positions), case.n_neighbors + bool(case.pbc.any())
    inverse = np.linalg.pinv(lattice) if len(lattice) else np.zeros((3, 0))
    moved = np.floor(positions @ inverse).astype(int)
    wrapped = positions - moved @ lattice
    lattice_heights = 1.0 / np.linalg.norm(inverse, axis=0)
    reach = 2.0
    while True:
        counts = np.ceil(reach / lattice_heights).astype(int) + 1
        shifts = np.array([np.array(s) - counts for s in np.ndindex(*(2 * counts + 1))])
        vectors = wrapped[None, :, None] - wrapped[:, None, None] + shifts @ lattice
        lengths = np.sqrt((vectors**2).sum(axis=-1))  # (i, j, shift)
        zero = np.flatnonzero(~shifts.any(axis=1))
        lengths[np.arange(n_atoms), np.arange(n_atoms), zero] = np.inf
        flat = lengths.reshape(n_atoms, -1)
        if not len(lattice) or np.sort(flat, axis=1)[:, :wanted].max() <= reach:
            break
        reach *= 1.5
    order = np.argsort(flat, axis=1, kind="stable")[:, :wanted]
    indices, shift = order // len(shifts), shifts[order % len(shifts)]
    images = np.zeros((*indices.shape, 3), int)
    images[..., case.pbc] = shift - moved[indices] + moved[:, None]
    return np.take_along_axis(flat, order, axis=1), indices, images


@cache
def expected(name: str) -> list[tuple[Any, Any, Any]]:
    case = systems()[name]
    return [slow_search(case, frame) for frame in range(len(case.positions))]


def check(case: System, found: NeighborList, reference: list[tuple[Any, Any, Any]]) -> None:
    n_frames, n_atoms = case.positions.shape[:2]
    n_neighbors = case.n_neighbors
    assert found.indices.shape == found.distances.shape == (n_frames, n_atoms, n_neighbors)
    assert found.images.shape == (n_frames, n_atoms, n_neighbors, 3)
    dtypes = (found.indices.dtype, found.distances.dtype, found.images.dtype)
    assert dtypes == (np.int64, np.float64, np.int64)
    atol = RTOL * max(1.0, float(np.abs(case.positions).max()))
    for frame, (distances, indices, images) in enumerate(reference):
        nearest = distances[:, :n_neighbors]
        np.testing.assert_allclose(found.distances[frame], nearest, rtol=0.0, atol=atol)
        positions = case.positions[frame]
        vectors = (
            positions[found.indices[frame]]
            + found.images[frame] @ case.cells[frame]
            - positions[:, None]
        )
        lengths = np.linalg.norm(vectors, axis=-1)
        np.testing.assert_allclose(lengths, found.distances[frame], rtol=0.0, atol=atol)
        both = np.concatenate([found.indices[frame][..., None], found.images[frame]], axis=-1)
        for atom in range(n_atoms):
            assert len(np.unique(both[atom], axis=0)) == n_neighbors
            assert not (both[atom] == [atom, 0, 0, 0]).all(axis=-1).any()
        # Where no other atom is as far away, there is only one right answer.
        gaps = np.diff(distances, axis=1, prepend=-1.0, append=np.inf) > 10.0 * atol
        alone = (gaps[:, :-1] & gaps[:, 1:])[:, :n_neighbors]
        np.testing.assert_array_equal(found.indices[frame][alone], indices[:, :n_neighbors][alone])
        np.testing.assert_array_equal(found.images[frame][alone], images[:, :n_neighbors][alone])
    assert not found.images[..., ~case.pbc].any()
    step = np.diff(found.distances, axis=-1)
    assert np.all(step >= 0.0)
    assert np.all((step > 0.0) | (np.diff(found.indices, axis=-1) >= 0))


Choose = Callable[[str], None]


@pytest.fixture
def choose_path(monkeypatch: pytest.MonkeyPatch) -> Choose:
    """Function: let one of the searches answer, whatever the system."""

    def choose(path: str) -> None:
        if path == "default":
            return
        module = importlib.import_module("kgdyn.graphs.nearest_neighbors")
        monkeypatch.setattr(module, "compiled_available", lambda: False)
        limits = {"brute force": 10**9, "tree": 0}
        if path in limits:
            monkeypatch.setattr(module, "_BRUTE_FORCE_ATOMS", limits[path])

    return choose


@pytest.mark.parametrize("path", ["default", "interpreted", "brute force", "tree"])
@pytest.mark.parametrize("name", systems())
def test_every_kind_of_cell_against_all_images(name: str, path: str, choose_path: Choose) -> None:
    choose_path(path)
    case = systems()[name]
    found = batch_nearest_neighbors(case.positions, case.cells, case.pbc, case.n_neighbors)
    check(case, found, expected(name))


@pytest.mark.parametrize("share", [0.3, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0, 1.2])
@pytest.mark.parametrize("name", ["triclinic", "strongly sheared", "slab with vapour, zero row"])
def test_any_first_radius_of_the_tree_will_do(
    name: str, share: float, choose_path: Choose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one just below what some rows need: what lies beyond the ghosts is not missed."""
    choose_path("tree")
    case = systems()[name]
    needed = np.sort(expected(name)[0][0][:, case.n_neighbors - 1])
    radius = share * float(needed[len(needed) // 2])
    monkeypatch.setattr("kgdyn.graphs._cell_tree._first_radius", lambda *_: radius)
    found = batch_nearest_neighbors(case.positions, case.cells, case.pbc, case.n_neighbors)
    check(case, found, expected(name))


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize(("across", "inside"), [(0.995, 0.999), (1.001, 1.005)])
def test_the_tree_looks_as_far_as_it_says(
    across: float, inside: float, axis: int, choose_path: Choose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A neighbour across the face, and one inside that is farther by very little.

    The first lies just within the ghosts of radius 1, or just beyond: then one more pass is due.
    """
    choose_path("tree")
    monkeypatch.setattr("kgdyn.graphs._cell_tree._first_radius", lambda *_: 1.0)
    edge = 9.0
    positions = np.full((2, 3, 3), 4.0)
    positions[0, :, axis] = [0.0, inside, edge - across]
    positions[1, :, axis] = [edge - 1e-9, edge - inside, across - 1e-9]
    found = batch_nearest_neighbors(positions, [edge * np.eye(3)] * 2, True, 1)
    np.testing.assert_array_equal(found.indices[:, 0, 0], [2, 2])
    np.testing.assert_allclose(found.distances[:, 0, 0], across, rtol=0.0, atol=1e-8)


@pytest.mark.parametrize("path", ["default", "brute force", "tree"])
def test_three_atoms_by_hand(path: str, choose_path: Choose) -> None:
    """On a ring of 10 at 0, 1 and 14: distances 1, 3, 4 and the ways around 6, 7, 9."""
    choose_path(path)
    positions = np.array([[0.0, 0, 0], [1, 0, 0], [14, 0, 0]])
    frame = Frame(positions, np.diag([10.0, 0, 0]), [True, False, False], [1, 1, 1])
    found = nearest_neighbors(frame, 4)
    expected = [[1, 4, 6, 9], [1, 3, 7, 9], [3, 4, 6, 7]]
    np.testing.assert_allclose(found.distances, expected, rtol=1e-14)
    np.testing.assert_array_equal(found.indices, [[1, 2, 2, 1], [0, 2, 2, 0], [1, 0, 0, 1]])
    images = [[0, -1, -2, -1], [0, -1, -2, 1], [1, 1, 2, 2]]
    np.testing.assert_array_equal(found.images[..., 0], images)


@pytest.mark.parametrize("path", ["default", "brute force", "tree"])
def test_equal_distances_are_ordered_by_index(path: str, choose_path: Choose) -> None:
    choose_path(path)
    positions = np.array([[0.0, 0, 0], [0, 2, 0], [0, 0, 2], [2, 0, 0], [-2, 0, 0]])
    frame = Frame(positions, np.zeros((3, 3)), False, np.ones(5, int))
    found = nearest_neighbors(frame, 3)
    np.testing.assert_array_equal(found.indices[0], [1, 2, 3])


@pytest.mark.parametrize("path", ["default", "brute force", "tree"])
@pytest.mark.parametrize("rows", [[0], [4, 1], [3, 3, 0], []])
def test_some_rows_are_those_of_all(path: str, rows: list[int], choose_path: Choose) -> None:
    choose_path(path)
    case = systems()["five atoms"]
    every = batch_nearest_neighbors(case.positions, case.cells, True, 12)
    some = batch_nearest_neighbors(
        case.positions, case.cells, True, 12, rows=np.array(rows, dtype=np.int64)
    )
    for name in ("indices", "distances", "images"):
        np.testing.assert_array_equal(getattr(some, name), getattr(every, name)[:, rows])


def test_a_frame_and_a_batch_agree() -> None:
    case = systems()["other cell in each frame"]
    batch = batch_nearest_neighbors(case.positions, case.cells, case.pbc, 16, n_threads=2)
    for number, (positions, cell) in enumerate(zip(case.positions, case.cells, strict=True)):
        frame = Frame(positions, cell, case.pbc, np.ones(30, int))
        one = nearest_neighbors(frame, 16, rows=np.arange(5, 12))
        for name in ("indices", "distances", "images"):
            np.testing.assert_array_equal(getattr(one, name), getattr(batch, name)[number, 5:12])


def test_moving_turning_and_repeating_keep_distances() -> None:
    case = systems()["triclinic"]
    rng = np.random.default_rng(9)
    turn = rotation(rng)
    distances = batch_nearest_neighbors(case.positions, case.cells, True, 20).distances
    moved = (case.positions + np.array([70.0, -3.0, 11.0])) @ turn
    same = batch_nearest_neighbors(moved, case.cells @ turn, True, 20).distances
    np.testing.assert_allclose(same, distances, rtol=0.0, atol=1e-11)
    order = rng.permutation(30)
    same = batch_nearest_neighbors(case.positions[:, order], case.cells, True, 20).distances
    np.testing.assert_allclose(same, distances[:, order], rtol=0.0, atol=1e-11)
    double = np.concatenate([case.positions, case.positions + case.cells[0, 1]], axis=1)
    wide = case.cells * [[1.0], [2.0], [1.0]]
    same = batch_nearest_neighbors(double, wide, True, 20).distances
    np.testing.assert_allclose(same, np.tile(distances, (1, 2, 1)), rtol=0.0, atol=1e-11)


@pytest.mark.parametrize("path", ["default", "brute force", "tree"])
def test_too_few_atoms_without_periodicity(path: str, choose_path: Choose) -> None:
    choose_path(path)
    frame = Frame(np.eye(3), np.zeros((3, 3)), False, [1, 1, 1], where="run.xyz, frame 3")
    assert nearest_neighbors(frame, 2).indices.shape == (3, 2)
    message = (
        "^run.xyz, frame 3: n_neighbors=3 needs more than 3 atoms where no direction is periodic, "
        "received 3 atoms$"
    )
    with pytest.raises(ValueError, match=message):
        nearest_neighbors(frame, 3)


@pytest.mark.parametrize("n_neighbors", [0, -2])
def test_at_least_one_neighbour(n_neighbors: int) -> None:
    frame = Frame(np.eye(3), np.eye(3), True, [1, 1, 1])
    message = f"n_neighbors must be at least 1, received {n_neighbors}"
    with pytest.raises(ValueError, match=message):
        nearest_neighbors(frame, n_neighbors)


@pytest.mark.parametrize("path", ["default", "brute force", "tree"])
@pytest.mark.parametrize("rows", [[0, 3], [-1, 2]])
def test_rows_must_be_atoms(path: str, rows: list[int], choose_path: Choose) -> None:
    choose_path(path)
    frame = Frame(np.eye(3), np.eye(3), True, [1, 1, 1])
    message = f"^frame: rows must be from 0 to 2, received {min(rows)} to {max(rows)}$"
    with pytest.raises(ValueError, match=message):
        nearest_neighbors(frame, 2, rows=np.array(rows))


# --- wrapping and images -----------------------------------------------------------------------


@pytest.mark.parametrize("pbc", ["TTT", "TTF", "FTF", "FFF"])
def test_wrapping_moves_by_whole_lattice_vectors(pbc: str) -> None:
    case = systems()["unwrapped by many cells"]
    periodic = np.array([letter == "T" for letter in pbc])
    wrapped = wrap(case.positions, case.cells, periodic)
    moved = case.positions + wrapped.shifts @ case.cells
    np.testing.assert_allclose(wrapped.positions, moved, rtol=0.0, atol=1e-9)
    assert not wrapped.shifts[..., ~periodic].any()
    fractions = wrapped.fractions[..., periodic]
    assert fractions.min(initial=0.0) >= 0.0
    assert fractions.max(initial=0.0) < 1.0
    back = wrapped.fractions @ wrapped.cells
    np.testing.assert_allclose(back, wrapped.positions, rtol=0.0, atol=1e-8)


def test_a_tiny_negative_fraction_is_not_one() -> None:
    positions = np.array([[[-1e-18, 0.0, 4.0], [4.0, -4.0, 3.999]]])
    wrapped = wrap(positions, 4.0 * np.eye(3)[None], np.ones(3, bool))
    np.testing.assert_allclose(wrapped.fractions[0, 0], [0.0, 0.0, 0.0], rtol=0.0, atol=1e-15)
    assert wrapped.fractions.max() < 1.0
    np.testing.assert_array_equal(wrapped.shifts[0], [[0, 0, -1], [-1, 1, 0]])


@pytest.mark.parametrize("pbc", ["TTF", "TFF", "FFT", "FTF"])
def test_free_directions_get_unit_vectors_across(pbc: str) -> None:
    cells = systems()["other cell in each frame"].cells
    periodic = np.array([letter == "T" for letter in pbc])
    completed = completed_cells(cells, periodic)
    np.testing.assert_array_equal(completed[:, periodic], cells[:, periodic])
    free = completed[:, ~periodic]
    products = free @ free.transpose(0, 2, 1)
    unit = np.broadcast_to(np.eye(free.shape[1]), products.shape)
    np.testing.assert_allclose(products, unit, rtol=0.0, atol=1e-12)
    across = free @ cells[:, periodic].transpose(0, 2, 1)
    np.testing.assert_allclose(across, 0.0, rtol=0.0, atol=1e-11)


def test_heights_of_a_triclinic_cell() -> None:
    cell = np.array([[8.0, 0, 0], [3, 7, 0], [-2, 3, 9]])
    volume = 8.0 * 7.0 * 9.0
    areas = [np.linalg.norm(np.cross(cell[i - 2], cell[i - 1])) for i in range(3)]
    np.testing.assert_allclose(heights(np.linalg.inv(cell)), volume / np.array(areas), rtol=1e-12)


def test_image_shifts_are_all_and_begin_with_none() -> None:
    shifts = image_shifts(np.array([2, 0, 1]))
    assert shifts.shape == (15, 3)
    assert len(np.unique(shifts, axis=0)) == 15
    np.testing.assert_array_equal(shifts[0], [0, 0, 0])
    np.testing.assert_array_equal(np.abs(shifts).max(axis=0), [2, 0, 1])
