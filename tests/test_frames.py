"""The vocabulary: what a frame and its targets may be, and every refusal by its message."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kgdyn.frames import Frame, TargetGroups, cell_volume, check_cell, readonly

TRICLINIC = np.array([[10.0, 0.0, 0.0], [2.0, 9.0, 0.0], [1.0, -1.5, 8.0]])


def arguments(**changes: Any) -> dict[str, Any]:
    positions = np.arange(12.0).reshape(4, 3)
    return {"positions": positions, "cell": TRICLINIC, "pbc": True, "species": [3, 16, 16, 8]} | (
        changes
    )


def test_a_frame_holds_what_it_was_given() -> None:
    frame = Frame(**arguments(step=7, time=0.5, where="run.dcd, frame 12"))
    assert frame.n_atoms == 4
    np.testing.assert_array_equal(frame.positions, np.arange(12.0).reshape(4, 3))
    np.testing.assert_array_equal(frame.cell, TRICLINIC)
    np.testing.assert_array_equal(frame.pbc, [True, True, True])
    np.testing.assert_array_equal(frame.species, [3, 16, 16, 8])
    dtypes = [array.dtype for array in (frame.positions, frame.cell, frame.pbc, frame.species)]
    assert dtypes == [np.float64, np.float64, np.bool_, np.int32]
    assert repr(frame) == "Frame(n_atoms=4, pbc=[True, True, True], step=7, time=0.5)"


@pytest.mark.parametrize("name", ["positions", "cell", "pbc", "species"])
def test_arrays_of_a_frame_are_read_only(name: str) -> None:
    frame = Frame(**arguments())
    with pytest.raises(ValueError, match="read-only"):
        getattr(frame, name)[0] = 1
    with pytest.raises(AttributeError, match="cannot assign"):
        setattr(frame, name, None)


def test_readonly_leaves_the_array_itself_writable() -> None:
    own = np.zeros(3)
    view = readonly(own)
    own[0] = 2.0
    assert view[0] == 2.0
    assert own.flags.writeable


def test_frames_are_compared_as_objects() -> None:
    frame = Frame(**arguments())
    assert frame == frame
    assert frame != Frame(**arguments())
    assert len({frame, frame}) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"positions": np.zeros((4, 2))},
            r"^frame: positions must have shape \(n_atoms, 3\), received \(4, 2\)$",
        ),
        (
            {"positions": np.zeros((1, 4, 3))},
            r"positions must have shape \(n_atoms, 3\), received \(1, 4, 3\)",
        ),
        ({"cell": np.eye(3)[:2]}, r"cell must have shape \(3, 3\), received \(2, 3\)"),
        ({"cell": [10.0, 10.0, 10.0]}, r"cell must have shape \(3, 3\), received \(3,\)"),
        ({"pbc": [True, False]}, r"^frame: pbc must be one bool or three, received shape \(2,\)"),
        (
            {"species": [3, 16]},
            r"species must have shape \(n_atoms,\) = \(4,\), received \(2,\)",
        ),
        (
            {"positions": [[0, 0, 0], [1, 2, 3], [4, np.nan, 6], [0, 0, np.inf]]},
            r"positions must be finite, received \[4.0, nan, 6.0\] for atom 2 \(counted from 0\)",
        ),
        (
            {"positions": np.full((4, 3), np.inf), "where": "x.dump, frame 8"},
            r"^x.dump, frame 8: positions must be finite, .* for atom 0 ",
        ),
        ({"cell": np.full((3, 3), np.nan)}, r"the cell must be finite, received \[\[nan"),
        ({"cell": np.full((3, 3), np.nan), "pbc": False}, "the cell must be finite"),
    ],
)
def test_frames_that_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Frame(**arguments(**changes))


FLAT = [[1.0, 0, 0], [0, 1, 0], [1, 1, 1e-7]]


@pytest.mark.parametrize(
    ("cell", "pbc", "good"),
    [
        (np.zeros((3, 3)), "FFF", True),
        (FLAT, "FFF", True),
        (FLAT, "TTF", True),
        (FLAT, "TTT", False),
        (FLAT, "TFT", True),
        ([[1.0, 0, 0], [0, 1, 0], [1, 1, 1e-5]], "TTT", True),
        (np.diag([5.0, 5.0, 0.0]), "TTF", True),
        (np.diag([5.0, 5.0, 0.0]), "TTT", False),
        (np.diag([5.0, 5.0, 0.0]), "FFT", False),
        (np.diag([0.0, 5.0, 0.0]), "FTF", True),
        ([[5.0, 0, 0], [10.0, 0, 0], [0, 0, 5]], "TTF", False),
        ([[5.0, 0, 0], [10.0, 0, 0], [0, 0, 5]], "TFT", True),
        (-TRICLINIC, "TTT", True),  # left-handed
        (np.diag([1e-4, 1e-4, 1e-4]), "TTT", True),  # small, but not flat
        (np.diag([1e6, 1e6, 1e6]), "TTT", True),
    ],
)
def test_cells_need_volume_along_periodic_directions(cell: Any, pbc: str, good: bool) -> None:
    periodic = np.array([letter == "T" for letter in pbc])
    cell = np.array(cell, dtype=float)
    if good:
        check_cell(cell, periodic, "here")
        return
    message = r"^here: the cell has zero volume along its periodic directions \(pbc=\["
    with pytest.raises(ValueError, match=message):
        check_cell(cell, periodic, "here")


def test_volume_of_a_cell() -> None:
    np.testing.assert_allclose(cell_volume(TRICLINIC), 720.0, rtol=1e-12)
    np.testing.assert_allclose(cell_volume(-TRICLINIC[[1, 0, 2]]), 720.0, rtol=1e-12)


def test_one_target_for_each_index() -> None:
    targets = TargetGroups.from_indices(iter([4, 1, 7]))
    np.testing.assert_array_equal(targets.atoms, [4, 1, 7])
    np.testing.assert_array_equal(targets.offsets, [0, 1, 2, 3])
    assert targets.n_targets == 3
    assert targets.description == "atoms by index"
    assert TargetGroups.from_indices([1], "element Li").description == "element Li"


def test_one_target_for_each_group() -> None:
    targets = TargetGroups.from_groups([[0, 1, 2], (5, 4), range(6, 7)])
    np.testing.assert_array_equal(targets.atoms, [0, 1, 2, 5, 4, 6])
    np.testing.assert_array_equal(targets.offsets, [0, 3, 5, 6])
    expected = "TargetGroups(n_targets=3, n_atoms=6, description='groups of atoms')"
    assert repr(targets) == expected
    for array in (targets.atoms, targets.offsets):
        assert array.dtype == np.int64
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_an_atom_may_be_in_two_targets() -> None:
    assert TargetGroups.from_groups([[0, 1], [1, 2]]).n_targets == 2


@pytest.mark.parametrize(
    ("atoms", "offsets", "message"),
    [
        ([], [0], r"^targets: at least one target is needed, received atoms \(0,\) and offsets"),
        ([[0]], [0, 1], r"at least one target is needed, received atoms \(1, 1\)"),
        ([0, 1], [0, 1, 1, 2], r"each target needs at least one atom, and offsets must rise from"),
        ([0, 1], [1, 2], r"must rise from 0 to 2, received \[1, 2\]"),
        ([0, 1], [0, 1], r"must rise from 0 to 2, received \[0, 1\]"),
        ([0, 1], [0, 3], r"must rise from 0 to 2, received \[0, 3\]"),
        ([0, 1, 2], [0, 2, 1, 3], "offsets must rise from 0 to 3"),
        ([0, -1], [0, 2], r"^targets: indices must not be negative, received -1$"),
        ([0, 3, 3], [0, 1, 3], r"^targets: an atom may stand only once in one target$"),
    ],
)
def test_targets_that_are_refused(atoms: Any, offsets: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TargetGroups(atoms, offsets)


@pytest.mark.parametrize("groups", [[], [[]], [[0], []]])
def test_empty_groups_are_refused(groups: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        TargetGroups.from_groups(groups)


def test_targets_outside_of_the_frame() -> None:
    targets = TargetGroups.from_indices([2, 5])
    targets.check_within(6)
    message = r"index 5 is outside of a frame of 5 atoms \(indices count from 0\)"
    with pytest.raises(ValueError, match=message):
        targets.check_within(5)
