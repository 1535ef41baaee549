"""The compiled neighbour search against a slow loop, and against the two paths without numba."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np
import pytest

from kgdyn.graphs import _compiled_bins
from kgdyn.graphs._brute_force import brute_force
from kgdyn.graphs._cell_tree import tree_search
from kgdyn.graphs._compiled import (
    compiled_available,
    compiled_search,
    compiled_search_selected,
)
from kgdyn.graphs._compiled_kernels import search_frames
from kgdyn.graphs._lattice import Wrapped, wrap

TOLERANCE = 1e-10


class System(NamedTuple):
    positions: Any
    cells: Any
    pbc: Any
    n_neighbors: int

    def wrapped(self) -> Wrapped:
        return wrap(self.positions, self.cells, self.pbc)


def system(positions: Any, cell: Any, pbc: str, n_neighbors: int) -> System:
    positions = np.asarray(positions, dtype=float)
    positions = positions[None] if positions.ndim == 2 else positions
    cells = np.broadcast_to(np.asarray(cell, dtype=float), (len(positions), 3, 3))
    return System(positions, cells, np.array([flag == "T" for flag in pbc]), n_neighbors)


def five_atoms(n_frames: int, noise: float, n_neighbors: int) -> System:
    """Li in fcc S."""
    sites = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5], [0.25, 0.25, 0.25]])
    moved = 6.5 * sites + np.random.default_rng(1).normal(size=(n_frames, 5, 3)) * noise
    return system(moved, 6.5 * np.eye(3), "TTT", n_neighbors)


def rotation() -> Any:
    q, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def npt(n_neighbors: int) -> System:
    rng = np.random.default_rng(3)
    cells = np.diag([9.0, 10.0, 11.0]) + rng.normal(size=(6, 3, 3)) * np.array([0.5, 1.0, 2.0])
    return System(rng.normal(size=(6, 50, 3)) * 40, cells, np.ones(3, bool), n_neighbors)


def systems() -> dict[str, System]:
    rng = np.random.default_rng(4)
    triclinic = np.array([[8.0, 0, 0], [3, 7, 0], [-2, 3, 9]])
    sheared = triclinic + np.array([[0, 0, 0], [80.0, 0, 0], [-21, 35, 0]])
    cloud = rng.normal(size=(60, 3)) * 15
    slab = rng.uniform(size=(400, 3)) * [20, 20, 15]
    slab[:4] = np.array([[1, 2, 60], [30, 4, -700], [5, 6, 61], [2, 2, 4e4]])
    grid = np.stack(np.meshgrid(*[np.arange(4.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    half = np.repeat(rng.uniform(size=(20, 3)) * 6, 2, axis=0)
    return {
        "five atoms": five_atoms(7, 0.1, 12),
        "five atoms, M=60": five_atoms(2, 0.1, 60),
        "five atoms, perfect": five_atoms(1, 0.0, 17),
        "one atom": system([[7.0, -8, 9]], 3 * np.eye(3), "TTT", 25),
        "one atom, sheared": system([[1.0, 2, 3]], sheared, "TTT", 60),
        "one atom in a row": system([[1.0, 2, 3]], 3 * np.eye(3), "FTF", 60),
        "triclinic": system(cloud, triclinic, "TTT", 20),
        "sheared": system(cloud, sheared, "TTT", 20),
        "rotated": system(cloud @ rotation(), sheared @ rotation(), "TTT", 20),
        "left-handed": system(cloud, -triclinic, "TTT", 12),
        "sheared slab": system(cloud, sheared, "TTF", 20),
        "two odd directions": system(cloud, sheared, "TFT", 20),
        "slab with vapour": system(slab, np.diag([20.0, 20, 0]), "TTF", 20),
        "one direction": system(cloud, np.diag([0.0, 5, 0]), "FTF", 20),
        "one skew direction": system(cloud, [[0, 0, 0], [0, 0, 0], [3, 4, 5]], "FFT", 20),
        "no direction": system(cloud, np.zeros((3, 3)), "FFF", 59),
        "far pair": system([[0, 0, 0], [0, 0, 1e6], [0, 0, 2e6]], np.zeros((3, 3)), "FFF", 2),
        "coincident": system(half, 6 * np.eye(3), "TTT", 20),
        "all coincident": system(np.zeros((300, 3)), 9 * np.eye(3), "TTT", 299),
        "all coincident, few": system(np.ones((50, 3)), 9 * np.eye(3), "TTF", 99),
        "crystal": system(grid * 3, 12 * np.eye(3), "TTT", 18),
        "crystal, shell cut": system(grid * 3, 12 * np.eye(3), "TTT", 10),
        "cluster in a large cell": system(slab[4:], 3e3 * np.eye(3), "TTT", 20),
        "flat cell": system(cloud, np.diag([1.0, 20, 20]), "TTT", 30),
        "variable cells": npt(16),
    }


def slow_distances(system: System, wrapped: Wrapped, reach: float) -> Any:
    """(n_frames, n_atoms, M): one loop over the images that can hold an atom within ``reach``."""
    result = np.empty((*wrapped.positions.shape[:2], system.n_neighbors))
    for frame, (positions, cell) in enumerate(zip(wrapped.positions, wrapped.cells, strict=True)):
        inverse = np.linalg.inv(cell)
        # Wrapped atoms differ by less than one lattice vector in each periodic direction.
        bounds = np.ceil(reach * np.linalg.norm(inverse, axis=0)).astype(int) * system.pbc
        nearest = np.full((len(positions), system.n_neighbors), np.inf)
        for shift in np.ndindex(*(2 * bounds + 1)):
            image = np.array(shift) - bounds
            offsets = positions[None] + image @ cell - positions[:, None]
            lengths = np.linalg.norm(offsets, axis=-1)
            if not image.any():
                np.fill_diagonal(lengths, np.inf)
            both = np.concatenate([nearest, lengths], axis=1)
            nearest = np.sort(both, axis=1)[:, : system.n_neighbors]
        result[frame] = nearest
    return result


def check(system: System, wrapped: Wrapped, found: tuple[Any, Any, Any], expected: Any) -> None:
    """Right distances; indices and images that give them; each neighbour once, and in order."""
    indices, distances, images = found
    n_frames, n_rows, n_neighbors = distances.shape
    assert distances.dtype == np.float64
    assert images.shape == (n_frames, n_rows, n_neighbors, 3)
    scale = max(1.0, float(expected.max()))
    np.testing.assert_allclose(distances, expected, rtol=0.0, atol=TOLERANCE * scale)
    for frame in range(n_frames):
        positions = wrapped.positions[frame]
        vectors = (
            positions[indices[frame]] + images[frame] @ wrapped.cells[frame] - positions[:, None]
        )
        lengths = np.linalg.norm(vectors, axis=-1)
        np.testing.assert_allclose(lengths, distances[frame], rtol=0.0, atol=TOLERANCE * scale)
        for row in range(n_rows):
            both = np.column_stack([indices[frame, row], images[frame, row]])
            keys = [tuple(key) for key in both.tolist()]
            assert len(set(keys)) == n_neighbors
            assert (row, 0, 0, 0) not in keys
    assert not images[..., ~system.pbc].any()
    step = np.diff(distances, axis=-1)
    assert np.all(step >= 0.0)
    assert np.all((step > 0.0) | (np.diff(indices, axis=-1) >= 0))


@pytest.mark.parametrize("name", systems())
def test_every_kind_of_cell_against_a_slow_loop(name: str) -> None:
    case = systems()[name]
    wrapped = case.wrapped()
    rows = np.arange(case.positions.shape[1])
    found = compiled_search(wrapped, case.pbc, case.n_neighbors, rows)
    # Distances too long would ask for images enough to be found out; too short ones cannot exist.
    expected = slow_distances(case, wrapped, float(found[1].max()))
    check(case, wrapped, found, expected)


@pytest.mark.parametrize(
    "name", ["triclinic", "slab with vapour", "no direction", "variable cells"]
)
def test_the_same_neighbours_as_without_numba(name: str) -> None:
    """Where no two distances of a row are equal, indices and images agree one by one."""
    case = systems()[name]
    wrapped = case.wrapped()
    rows = np.arange(case.positions.shape[1])
    found = compiled_search(wrapped, case.pbc, case.n_neighbors, rows)
    for frame in range(len(case.positions)):
        reference = tree_search(
            wrapped.positions[frame],
            wrapped.fractions[frame],
            wrapped.cells[frame],
            wrapped.heights[frame],
            case.pbc,
            case.n_neighbors,
            rows,
        )
        np.testing.assert_allclose(found[1][frame], reference[1], rtol=0.0, atol=TOLERANCE)
        distinct = np.all(np.diff(reference[1], axis=1) > 1e-9, axis=1)
        assert distinct.sum() > len(rows) // 2
        np.testing.assert_array_equal(found[0][frame][distinct], reference[0][distinct])
        np.testing.assert_array_equal(found[2][frame][distinct], reference[2][distinct])


def test_many_small_frames_against_brute_force() -> None:
    case = five_atoms(500, 0.2, 12)
    wrapped = case.wrapped()
    found: Any = compiled_search(wrapped, case.pbc, 12, np.arange(5), n_threads=2)
    for part, reference in zip(found, brute_force(wrapped, case.pbc, 12), strict=True):
        np.testing.assert_allclose(part, reference, rtol=0.0, atol=TOLERANCE)


def test_what_the_bins_cover_is_not_taken_too_large() -> None:
    """Rings of atoms about as far apart as the bins are wide: a nearer atom one bin too far.

    Taking the cover 1% larger changes a few of these 480,000 rows.
    """
    gaps = np.random.default_rng(7).uniform(0.80, 0.92, size=(30_000, 16))
    positions = np.zeros((30_000, 16, 3))
    positions[..., 0] = np.cumsum(gaps, axis=1) - gaps
    cells = np.zeros((30_000, 3, 3))
    cells[:, 0, 0] = gaps.sum(axis=1)
    pbc = np.array([True, False, False])
    _, distances, _ = compiled_search(wrap(positions, cells, pbc), pbc, 1, np.arange(16))
    nearest = np.minimum(gaps, np.roll(gaps, 1, axis=1))
    np.testing.assert_allclose(distances[..., 0], nearest, rtol=0.0, atol=TOLERANCE)


def liquid(n_atoms: int) -> System:
    rng = np.random.default_rng(5)
    edge = int(np.ceil(np.cbrt(n_atoms)))
    grid = np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing="ij"), -1).reshape(-1, 3)
    sites = grid[rng.permutation(len(grid))[:n_atoms]] + rng.normal(size=(n_atoms, 3)) * 0.2
    return system(sites * 2.6, 2.6 * edge * np.eye(3), "TTT", 20)


def test_a_liquid_against_the_tree() -> None:
    case = liquid(2000)
    wrapped = case.wrapped()
    rows = np.arange(2000)
    found = compiled_search(wrapped, case.pbc, 20, rows)
    reference = tree_search(
        wrapped.positions[0],
        wrapped.fractions[0],
        wrapped.cells[0],
        wrapped.heights[0],
        case.pbc,
        20,
        rows,
    )
    np.testing.assert_array_equal(found[0][0], reference[0])
    np.testing.assert_allclose(found[1][0], reference[1], rtol=0.0, atol=TOLERANCE)
    np.testing.assert_array_equal(found[2][0], reference[2])


@pytest.mark.parametrize("n_frames", [1, 9])
@pytest.mark.parametrize("n_threads", [2, 3, 16])
def test_threads_change_nothing(n_frames: int, n_threads: int) -> None:
    case = liquid(1100)
    moved = case.positions + np.random.default_rng(6).normal(size=(n_frames, 1100, 3))
    sheared = case.cells[0] + np.array([[0, 0, 0], [100.0, 0, 0], [0, 0, 0]])  # is reduced inside
    wrapped = wrap(moved, np.broadcast_to(sheared, (n_frames, 3, 3)), case.pbc)
    rows = np.arange(0, 1100)
    alone = compiled_search(wrapped, case.pbc, 20, rows)
    shared = compiled_search(wrapped, case.pbc, 20, rows, n_threads=n_threads)
    for part, reference in zip(shared, alone, strict=True):
        np.testing.assert_array_equal(part, reference)


def test_the_kernel_releases_the_gil() -> None:
    options = vars(search_frames)["targetoptions"]
    assert options["nogil"] is True
    assert options["fastmath"] is False


@pytest.mark.parametrize("rows", [[3], [40, 2, 17], [5, 5, 0, 5], []])
def test_only_some_rows(rows: list[int]) -> None:
    case = npt(16)
    wrapped = case.wrapped()
    every: Any = compiled_search(wrapped, case.pbc, 16, np.arange(50))
    some = compiled_search(wrapped, case.pbc, 16, np.array(rows, dtype=np.int64))
    for part, reference in zip(some, every, strict=True):
        np.testing.assert_array_equal(part, reference[:, rows])


def test_other_rows_in_each_frame() -> None:
    case = npt(16)
    wrapped = case.wrapped()
    every: Any = compiled_search(wrapped, case.pbc, 16, np.arange(50))
    chosen = [[4, 9], [], [30], list(range(50)), [0], [49, 1]]
    offsets = np.cumsum([0] + [len(rows) for rows in chosen])
    rows = np.concatenate(chosen).astype(np.int64)
    some = compiled_search_selected(wrapped, case.pbc, 16, rows, offsets, n_threads=2)
    frame_of_row = np.repeat(np.arange(6), np.diff(offsets))
    for part, reference in zip(some, every, strict=True):
        np.testing.assert_array_equal(part, reference[frame_of_row, rows])


def test_moving_and_turning_a_system_keeps_its_distances() -> None:
    case = systems()["triclinic"]
    rows = np.arange(60)
    turn = rotation()
    _, before, _ = compiled_search(case.wrapped(), case.pbc, 20, rows)
    moved = System(
        (case.positions + np.array([7.0, -30, 100])) @ turn, case.cells @ turn, case.pbc, 20
    )
    _, after, _ = compiled_search(moved.wrapped(), case.pbc, 20, rows)
    np.testing.assert_allclose(after, before, rtol=0.0, atol=1e-9)


def test_three_atoms_by_hand() -> None:
    """On a ring of 10 at 0, 1 and 4: distances 1, 3, 4 and the ways around 6, 7, 9."""
    case = system([[0.0, 0, 0], [1, 0, 0], [4, 0, 0]], np.diag([10.0, 0, 0]), "TFF", 4)
    indices, distances, images = compiled_search(case.wrapped(), case.pbc, 4, np.arange(3))
    np.testing.assert_allclose(distances[0], [[1, 4, 6, 9], [1, 3, 7, 9], [3, 4, 6, 7]])
    np.testing.assert_array_equal(indices[0], [[1, 2, 2, 1], [0, 2, 2, 0], [1, 0, 0, 1]])
    np.testing.assert_array_equal(images[0, :, :, 0], [[0, 0, -1, -1], [0, 0, -1, 1], [0, 0, 1, 1]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_neighbors": 0}, "n_neighbors must be at least 1, received 0"),
        ({"n_threads": 0}, "n_threads must be at least 1, received 0"),
        ({"rows": np.array([0, 60])}, "rows must be from 0 to 59, received 0 to 60"),
        ({"rows": np.array([-1])}, "rows must be from 0 to 59, received -1 to -1"),
        ({"n_neighbors": 60}, "n_neighbors=60 needs more than 60 atoms .* received 60 atoms"),
    ],
)
def test_arguments_that_are_refused(changes: dict[str, Any], message: str) -> None:
    case = systems()["no direction"]
    arguments: dict[str, Any] = {"n_neighbors": 5, "rows": np.arange(60)} | changes
    with pytest.raises(ValueError, match=message):
        compiled_search(case.wrapped(), case.pbc, **arguments)


@pytest.mark.parametrize("offsets", [[0, 1], [1, 3], [0, 2], [0, 4, 3]])
def test_offsets_that_are_refused(offsets: list[int]) -> None:
    case = five_atoms(1 if len(offsets) == 2 else 2, 0.1, 4)
    with pytest.raises(ValueError, match=r"offsets must rise from 0 to 3 in \d steps, received"):
        compiled_search_selected(
            case.wrapped(), case.pbc, 4, np.arange(3), np.array(offsets, dtype=np.int64)
        )


def test_an_atom_without_a_place_is_refused() -> None:
    wrapped = five_atoms(3, 0.1, 4).wrapped()
    wrapped.positions[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match="positions must be finite, received others in frame 1"):
        compiled_search(wrapped, np.ones(3, bool), 4, np.arange(5))
    wrapped = Wrapped(
        np.zeros((1, 1, 3)), np.zeros((1, 1, 3)), np.zeros((1, 1, 3), np.int64),
        np.full((1, 3, 3), np.inf), np.ones((1, 3)),
    )  # fmt: skip
    with pytest.raises(ValueError, match="cells must be finite, received others in frame 0"):
        compiled_search(wrapped, np.ones(3, bool), 4, np.arange(1))


def test_without_a_place_for_machine_code_kernels_still_compile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    njit = _compiled_bins._njit

    def refuse_to_cache(**options: Any) -> Any:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(_compiled_bins, "_njit", refuse_to_cache)

    def double(value: float) -> float:
        return 2.0 * value

    assert _compiled_bins.compiled(double)(1.5) == 3.0


def test_numba_is_only_imported_when_it_is_needed() -> None:
    assert compiled_available()
    script = (
        "import sys; import kgdyn.graphs._compiled as c; print('numba' in sys.modules);"
        "sys.modules['numba'] = None; print(c.compiled_available())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", "False"]
