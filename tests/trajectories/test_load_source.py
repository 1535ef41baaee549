"""A source into memory: as precise as a frame store, split where it must be, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from array_sources import TARGETS, TRICLINIC, ArraySource, walk

from kgdyn.frames import TargetGroups
from kgdyn.trajectories import FrameStore, load_source, open_trajectory


def plain(n_frames: int = 10, **options: Any) -> ArraySource:
    """A source that knows positions and cells, and what is said here."""
    nothing = {"steps": None, "times": None, "images": None, "frame_interval": None}
    return walk(n_frames, **(nothing | options))


def test_what_a_source_knows_arrives() -> None:
    source = walk(150)
    calls: list[tuple[int, int | None]] = []
    trajectory = load_source(
        source, TARGETS, progress=lambda done, total: calls.append((done, total))
    )
    assert trajectory.positions.dtype == np.float32
    np.testing.assert_array_equal(trajectory.positions, source.positions.astype(np.float32))
    np.testing.assert_array_equal(trajectory.cells, source.cells)
    np.testing.assert_array_equal(trajectory.images, source.images)
    np.testing.assert_array_equal(trajectory.species, source.species)
    assert trajectory.targets is TARGETS
    assert (trajectory.frame_interval, trajectory.source) == (0.5, "walk")
    assert calls == [(64, 150), (128, 150), (150, 150)]
    assert load_source(plain(), TARGETS, frame_interval=1.0).images is None


@pytest.mark.parametrize("known", [True, False])
def test_atoms_far_from_the_origin_keep_their_precision(known: bool) -> None:
    """float32 at 5000 angstrom is good to 5e-4 only: such atoms are wrapped first."""
    source = walk(100)
    source.positions[40:, 1] += np.array([400, -300, 600]) @ TRICLINIC
    assert np.abs(source.positions).max() > 4000.0
    true = source.positions + source.images @ TRICLINIC
    if not known:
        source.images = None
    trajectory = load_source(source, TARGETS)
    assert np.abs(trajectory.positions).max() < 1024.0
    moved = (trajectory.positions - source.positions) @ np.linalg.inv(TRICLINIC)
    error = (moved - np.round(moved)) @ TRICLINIC
    np.testing.assert_allclose(error, 0.0, rtol=0.0, atol=1e-5)
    np.testing.assert_array_equal(np.delete(np.round(moved), 1, axis=1), 0.0)
    if known:
        assert trajectory.images is not None
        unwrapped = trajectory.positions + trajectory.images @ TRICLINIC
        np.testing.assert_allclose(unwrapped, true, rtol=0.0, atol=1e-5)
    else:
        assert trajectory.images is None


def test_a_store_and_the_memory_hold_the_same(tmp_path: Path) -> None:
    source = walk(100)
    source.positions[70, 0] += 3000.0 * TRICLINIC[1]
    FrameStore.create(tmp_path / "store").append(source, targets=TARGETS)
    stored, loaded = open_trajectory(tmp_path / "store"), load_source(source, TARGETS)
    for name in ("positions", "cells", "images", "offsets", "species", "pbc"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(stored, name))
    assert loaded.frame_interval == stored.frame_interval


def test_what_cannot_be_wrapped_is_warned_of() -> None:
    source = plain(pbc=(True, True, False))
    source.positions[3, 1, 2] = 40000.0
    with pytest.warns(UserWarning, match=r"^walk, frame 3: a coordinate of 40000 angstrom"):
        load_source(source, TARGETS, frame_interval=1.0)


def test_irregular_steps_split() -> None:
    steps = np.array([0, 10, 20, 30, 20, 30, 40, 70, 80, 90])
    trajectory = load_source(plain(steps=steps, times=steps * 0.002), TARGETS)
    np.testing.assert_array_equal(trajectory.offsets, [0, 4, 7, 10])
    assert trajectory.frame_interval == 0.02


def test_the_interval_that_is_given_counts_most() -> None:
    source = plain(frame_interval=0.25)
    assert load_source(source, TARGETS).frame_interval == 0.25
    assert load_source(source, TARGETS, frame_interval=2.0).frame_interval == 2.0
    with pytest.raises(ValueError, match=r"^walk: frame_interval must be a positive time in ps"):
        load_source(source, TARGETS, frame_interval=0.0)
    with pytest.raises(ValueError, match=r"^walk: frame_interval must be given in ps: the file"):
        load_source(plain(), TARGETS)


def test_borders_are_found_by_the_interval_of_the_source() -> None:
    """The source's own interval finds the borders, as it does for a frame store."""
    times = np.array([0.0, 1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5])
    trajectory = load_source(plain(times=times, frame_interval=1.0), TARGETS)
    assert trajectory.frame_interval == 1.0
    np.testing.assert_array_equal(trajectory.offsets, [0, 3, *range(4, 11)])


def test_sources_that_break_their_word() -> None:
    with pytest.raises(ValueError, match=r"^walk: gave 10 frames, expected 12; the file may be"):
        load_source(plain(promised=12), TARGETS, frame_interval=1.0)
    assert load_source(plain(promised=None), TARGETS, frame_interval=1.0).n_frames == 10


def test_broken_frames_are_named() -> None:
    source = plain(100)
    source.positions[80, 2, 1] = np.nan
    message = r"^walk, frame 80: positions must be finite .* for atom 2 \(counted from 0\)$"
    with pytest.raises(ValueError, match=message):
        load_source(source, TARGETS, frame_interval=1.0)
    with pytest.raises(ValueError, match=r"^walk, frame 0: the cell has zero volume"):
        load_source(plain(cell=np.zeros((3, 3))), TARGETS, frame_interval=1.0)
    with pytest.raises(ValueError, match=r"^walk: holds no frame$"):
        load_source(plain(0), TARGETS, frame_interval=1.0)
    with pytest.raises(ValueError, match="index 5 is outside of a frame of 5 atoms"):
        load_source(plain(), TargetGroups.from_indices([5]), frame_interval=1.0)
