"""Paths across periodic borders: exact cases, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.observables import _unwrapped
from kgdyn.observables._unwrapped import center_pieces, check_unwrap
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

TRICLINIC = np.array([[8.0, 0.0, 0.0], [2.5, 7.0, 0.0], [-1.5, 2.0, 9.0]])


def trajectory_of(positions, cells, targets=None, pbc=True, images=None):
    n_atoms = positions.shape[1]
    targets = TargetGroups.from_indices(range(n_atoms)) if targets is None else targets
    made = trajectory_from_arrays(
        positions, cells, [3] * n_atoms, frame_interval=1.0, targets=targets, pbc=pbc
    )
    if images is None:
        return made
    return Trajectory(
        made.positions, made.cells, made.pbc, made.species, made.targets, 1.0, images=images
    )


def path_of(trajectory, **options):
    return np.concatenate(list(center_pieces(trajectory, 0, trajectory.n_frames, **options)))


def walk(rng, n_frames=60, n_atoms=5, size=0.7):
    """Begins inside of the cell."""
    start = rng.uniform(0.1, 0.9, size=(1, n_atoms, 3)) @ TRICLINIC
    return start + np.cumsum(rng.normal(scale=size, size=(n_frames, n_atoms, 3)), axis=0)


def breathing(rng, n_frames, cell=TRICLINIC):
    """(n_frames, 3, 3) cells whose size and shape change by about a percent."""
    return cell * (1.0 + 0.01 * rng.normal(size=(n_frames, 1, 1))) + 0.02 * rng.normal(
        size=(n_frames, 3, 3)
    )


def wrapped(positions, cells):
    cells = np.broadcast_to(cells, (len(positions), 3, 3))
    fractions = positions @ np.linalg.inv(cells)
    images = np.floor(fractions).astype(int)
    return (fractions - images) @ cells, images


def test_one_atom_by_hand() -> None:
    """0.9 -> 0.1 of a cell of 10 is a step of 2 forwards."""
    positions = np.array([9.0, 1.0, 3.0, 9.5])[:, None, None] * [1.0, 0.0, 0.0]
    trajectory = trajectory_of(positions, 10.0 * np.eye(3))
    assert path_of(trajectory)[:, 0, 0] == pytest.approx([0.0, 2.0, 4.0, 0.5])
    as_it_is = path_of(trajectory, unwrap="none")[:, 0, 0]
    assert as_it_is == pytest.approx([0.0, -8.0, -6.0, 0.5])


@pytest.mark.parametrize("cell", [np.diag([7.0, 8.0, 9.0]), TRICLINIC])
def test_wrapped_input_gives_the_path_that_was_wrapped(cell, rng) -> None:
    positions = walk(rng)
    folded, images = wrapped(positions, cell)
    assert np.abs(folded - positions).max() > 5.0
    expected = positions - positions[0]
    plain = path_of(trajectory_of(folded, cell))
    np.testing.assert_allclose(plain, expected, atol=1e-11)
    known = path_of(trajectory_of(folded, cell, images=images), unwrap="images")
    np.testing.assert_allclose(known, expected, atol=1e-11)
    untouched = path_of(trajectory_of(positions, cell), unwrap="none")
    np.testing.assert_allclose(untouched, expected, atol=1e-11)


def test_images_follow_steps_longer_than_half_a_cell(rng) -> None:
    positions = walk(rng, size=6.0)
    folded, images = wrapped(positions, TRICLINIC)
    trajectory = trajectory_of(folded, TRICLINIC, images=images)
    np.testing.assert_allclose(path_of(trajectory), positions - positions[0], atol=1e-10)


@pytest.mark.parametrize("remove_drift", [False, True])
def test_wrapping_does_not_matter_where_the_cell_changes(remove_drift, rng) -> None:
    cells = breathing(rng, 60)
    positions = walk(rng)
    folded, images = wrapped(positions, cells)
    options = {"remove_drift": remove_drift}
    one = path_of(trajectory_of(positions, cells), **options)
    np.testing.assert_allclose(path_of(trajectory_of(folded, cells), **options), one, atol=1e-11)
    two = path_of(trajectory_of(folded, cells, images=images), **options)
    np.testing.assert_allclose(two, one, atol=1e-11)


def test_any_frame_may_be_wrapped_once_the_drift_is_removed(rng) -> None:
    cells = breathing(rng, 60)
    positions = walk(rng)
    elsewhere = positions + rng.integers(-2, 3, size=(1, 5, 3)) @ cells
    one, two = (path_of(trajectory_of(p, cells), remove_drift=True) for p in (positions, elsewhere))
    np.testing.assert_allclose(two, one, atol=1e-11)


@pytest.mark.parametrize("remove_drift", [False, True])
@pytest.mark.parametrize("changes", [False, True])
def test_a_shift_of_all_coordinates_does_not_matter(changes, remove_drift, rng) -> None:
    positions = walk(rng)
    cells = breathing(rng, 60) if changes else TRICLINIC
    near, far = (
        path_of(trajectory_of(positions + shift, cells), remove_drift=remove_drift)
        for shift in (0.0, 1000.0)
    )
    np.testing.assert_allclose(far, near, atol=1e-10)


def test_a_box_that_only_breathes_moves_nothing(rng) -> None:
    """Atoms at rest in fractional coordinates, as many boxes away as they like, do not move."""
    cells = breathing(rng, 40)
    places = rng.uniform(-5.0, 5.0, size=(6, 3))
    positions = [3.0, -8.0, 2.0] + (places - places.mean(axis=0)) @ cells
    np.testing.assert_allclose(path_of(trajectory_of(positions, cells)), 0.0, atol=1e-10)


def test_a_path_read_backwards_is_the_same_path(rng) -> None:
    cells, positions = breathing(rng, 60), walk(rng)
    forth = path_of(trajectory_of(positions, cells), remove_drift=True)
    back = path_of(trajectory_of(positions[::-1], cells[::-1]), remove_drift=True)
    np.testing.assert_allclose(back[-1], -forth[-1], atol=1e-11)


@pytest.mark.parametrize("pbc", [(True, True, False), (False, False, True), (False, False, False)])
def test_directions_that_are_not_periodic(pbc, rng) -> None:
    cell = np.where(np.array(pbc)[:, None], TRICLINIC, 0.0)
    positions = walk(rng)
    folded = positions - np.floor(positions @ np.linalg.pinv(cell)) @ cell
    assert (np.abs(folded - positions).max() > 5.0) == any(pbc)
    found = path_of(trajectory_of(folded, cell, pbc=pbc))
    np.testing.assert_allclose(found, positions - positions[0], atol=1e-11)


def test_centres_of_molecules_and_drift(rng) -> None:
    positions = walk(rng, n_atoms=6)
    groups = TargetGroups.from_groups([[0, 3, 5], [1]])
    masses = np.array([1.0, 5.0, 2.0, 12.0, 7.0, 16.0])
    trajectory = trajectory_of(wrapped(positions, TRICLINIC)[0], TRICLINIC, groups)
    moved = positions - positions[0]
    plain = np.stack([moved[:, [0, 3, 5]].mean(axis=1), moved[:, 1]], axis=1)
    np.testing.assert_allclose(path_of(trajectory), plain, atol=1e-11)
    heavy = np.average(moved[:, [0, 3, 5]], axis=1, weights=masses[[0, 3, 5]])
    centre = np.average(moved, axis=1, weights=masses)
    found = path_of(trajectory, masses=masses, remove_drift=True)
    np.testing.assert_allclose(
        found, np.stack([heavy, moved[:, 1]], axis=1) - centre[:, None], atol=1e-11
    )
    found = path_of(trajectory, remove_drift=True)
    np.testing.assert_allclose(found, plain - moved.mean(axis=1)[:, None], atol=1e-11)


def test_pieces_do_not_matter(rng, monkeypatch) -> None:
    cells, positions = breathing(rng, 60), walk(rng)
    trajectory = trajectory_of(wrapped(positions, cells)[0], cells)
    whole = list(center_pieces(trajectory, 0, 60))
    assert len(whole) == 1
    monkeypatch.setattr(_unwrapped, "_NUMBERS_PER_PIECE", 7 * 15)
    pieces = list(center_pieces(trajectory, 0, 60))
    assert [len(piece) for piece in pieces] == [7] * 8 + [4]
    np.testing.assert_allclose(np.concatenate(pieces), whole[0], atol=1e-12)
    late = np.concatenate(list(center_pieces(trajectory, 20, 60)))
    np.testing.assert_allclose(late, whole[0][20:] - whole[0][20], atol=1e-12)


def test_too_long_a_step_is_told() -> None:
    positions = np.array([0.0, 1.0, 5.4, 6.0])[:, None, None] * [1.0, 0.0, 0.0]
    trajectory = trajectory_of(positions, 10.0 * np.eye(3))
    with pytest.warns(RuntimeWarning, match=r"frame 2: an atom moved by 0\.44 of the cell"):
        path_of(trajectory)
    path_of(trajectory, unwrap="none")


def test_what_is_refused(rng) -> None:
    positions = walk(rng, n_frames=8)
    trajectory = trajectory_of(positions, TRICLINIC)
    with pytest.raises(ValueError, match=r"unwrap must be .* received 'never'"):
        check_unwrap(trajectory, "never")
    with pytest.raises(ValueError, match='unwrap="images" needs images'):
        check_unwrap(trajectory, "images")
    broken = positions.copy()
    broken[5, 3, 1] = np.nan
    bad = Trajectory(
        broken, trajectory.cells, trajectory.pbc, trajectory.species, trajectory.targets, 1.0
    )
    with pytest.raises(ValueError, match=r"frame 5: positions must be finite, .* atom 3"):
        path_of(bad)
    cells = np.array(trajectory.cells)
    cells[4, 2] = 0.0
    flat = Trajectory(positions, cells, trajectory.pbc, trajectory.species, trajectory.targets, 1.0)
    with pytest.raises(ValueError, match="frame 4: the cell has zero volume"):
        path_of(flat)
