"""The frame store: what goes in comes out, also after a crash, and damage is seen."""

import json
import tracemalloc

import numpy as np
import pytest
from array_sources import TARGETS, TRICLINIC, ArraySource, contents, walk

from kgdyn.frames import TargetGroups
from kgdyn.trajectories import _store_arrays
from kgdyn.trajectories.frame_store import FrameStore
from kgdyn.trajectories.source import FrameChunk, FrameSource


def test_what_goes_in_comes_out(tmp_path):
    source = walk()
    assert isinstance(source, FrameSource)
    calls = []
    store = FrameStore.create(tmp_path / "frames")
    store.append(
        source,
        targets=TARGETS,
        progress=lambda *counts: calls.append(counts),
        frames_per_chunk=40,
    )
    assert calls == [(40, 100), (80, 100), (100, 100)]
    store = FrameStore.open(tmp_path / "frames")
    assert len(store) == 1
    (trajectory,) = store.trajectories()
    assert isinstance(trajectory.positions, np.memmap)
    assert trajectory.positions.dtype == np.float32
    assert isinstance(trajectory.cells, np.memmap)
    assert trajectory.cells.dtype == np.float64
    assert not trajectory.positions.flags.writeable
    np.testing.assert_array_equal(trajectory.positions, source.positions.astype(np.float32))
    np.testing.assert_array_equal(trajectory.cells, source.cells)
    np.testing.assert_array_equal(trajectory.species, source.species)
    np.testing.assert_array_equal(trajectory.pbc, source.pbc)
    np.testing.assert_array_equal(trajectory.targets.atoms, TARGETS.atoms)
    np.testing.assert_array_equal(trajectory.targets.offsets, TARGETS.offsets)
    assert trajectory.targets.description == "a pair and an ion"
    assert trajectory.frame_interval == 0.5
    assert trajectory.offsets.tolist() == [0, 100]
    assert trajectory.source == "walk"
    np.testing.assert_array_equal(store.images(0), source.images)
    assert store.images(0).dtype == np.int16
    np.testing.assert_array_equal(store.steps(0), source.steps)
    np.testing.assert_array_equal(store.times(0), source.times)
    assert store.findings(0) == []
    store.verify()


def test_every_array_is_a_plain_npy_file(tmp_path):
    FrameStore.create(tmp_path / "frames").append(walk(), targets=TARGETS)
    folder = tmp_path / "frames" / "trajectory-0000"
    names = ["cells", "images", "positions", "species", "steps"]
    names += ["target_atoms", "target_offsets", "times"]
    assert sorted(path.name for path in folder.iterdir()) == [f"{name}.npy" for name in names]
    for path in folder.iterdir():
        assert len(np.load(path, mmap_mode="r", allow_pickle=False)) > 0


def test_the_manifest_says_what_is_in_the_store(tmp_path):
    file = tmp_path / "run.dump"
    file.write_bytes(b"content")
    store = FrameStore.create(tmp_path / "frames", creator="kgdyn 9.9")
    store.append(walk(source=str(file)), targets=TARGETS)
    text = (tmp_path / "frames" / "manifest.json").read_text()
    assert str(tmp_path) not in text
    manifest = json.loads(text)
    assert manifest["format_version"] == 1
    assert manifest["creator"] == "kgdyn 9.9"
    assert manifest["units"]["positions"] == "angstrom"
    (entry,) = manifest["trajectories"]
    assert entry["name"] == "run.dump"
    assert entry["complete"] is True
    assert (entry["n_frames"], entry["n_atoms"], entry["pbc"]) == (100, 5, [True] * 3)
    assert entry["segment_offsets"] == [0, 100]
    assert entry["targets"] == {"n_targets": 2, "description": "a pair and an ion"}
    (described,) = entry["source"]["files"]
    assert (described["name"], described["size"]) == ("run.dump", 7)
    assert described["sha256"].startswith("ed7002b4")  # of b"content"
    assert entry["arrays"]["positions.npy"]["shape"] == [100, 5, 3]
    assert manifest == store.manifest


def test_several_trajectories_of_different_make(tmp_path):
    store = FrameStore.create(tmp_path / "frames")
    store.append(walk(30, source="a"), targets=TARGETS)
    store.append(
        walk(7, 3, source="b", steps=None, times=None, images=None, frame_interval=None),
        targets=TargetGroups.from_indices([1]),
        frame_interval=2.0,
    )
    store.append(walk(1, source="c"), targets=TARGETS)
    store = FrameStore.open(tmp_path / "frames")
    shapes = [trajectory.positions.shape for trajectory in store.trajectories()]
    assert shapes == [(30, 5, 3), (7, 3, 3), (1, 5, 3)]
    assert [trajectory.frame_interval for trajectory in store.trajectories()] == [0.5, 2.0, 0.5]
    assert (store.images(1), store.steps(1), store.times(1)) == (None, None, None)
    assert repr(store).endswith("trajectories=['a', 'b', 'c'])")
    with pytest.raises(IndexError, match="trajectory 3 of 3"):
        store.images(3)


def test_bytes_do_not_depend_on_the_chunks(tmp_path):
    for name, size in (("one", 1), ("seven", 7), ("all", 1000)):
        far = walk()
        far.positions[40:, 1] += 5e4
        FrameStore.create(tmp_path / name).append(far, targets=TARGETS, frames_per_chunk=size)
    assert contents(tmp_path / "one") == contents(tmp_path / "seven") == contents(tmp_path / "all")


def test_segments_and_interval_come_from_steps_and_times(tmp_path):
    steps = np.array([0, 10, 20, 30, 20, 30, 40, 70])
    source = walk(8, steps=steps, times=steps * 0.002, frame_interval=None)
    FrameStore.create(tmp_path / "frames").append(source, targets=TARGETS)
    store = FrameStore.open(tmp_path / "frames")
    (trajectory,) = store.trajectories()
    assert trajectory.frame_interval == 0.02
    assert trajectory.offsets.tolist() == [0, 4, 7, 8]
    assert [(finding.kind, finding.frame) for finding in store.findings(0)] == [
        ("back", 4),
        ("gap", 7),
    ]


# --- precision ---------------------------------------------------------------------------------


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False), (False, True, False)])
@pytest.mark.parametrize("known", [True, False])
def test_far_atoms_are_wrapped_before_they_lose_precision(tmp_path, pbc, known):
    source = walk(20, pbc=pbc)
    shifts = np.where(pbc, [2345, -1234, 987], 0)
    source.positions[5:, 2] += shifts @ TRICLINIC
    true = source.positions + source.images @ TRICLINIC
    if not known:
        source.images = None
    store = FrameStore.create(tmp_path / "frames")
    store.append(source, targets=TARGETS)
    stored = store.trajectories()[0].positions.astype(np.float64)
    if known:
        unwrapped = stored + store.images(0) @ TRICLINIC
        assert np.abs(unwrapped - true).max() < 5e-5
    lattice = np.where(pbc, (stored - source.positions) @ np.linalg.inv(TRICLINIC), 0.0)
    np.testing.assert_allclose(
        stored - source.positions, np.round(lattice) @ TRICLINIC, rtol=0.0, atol=5e-5
    )
    assert np.abs(stored).max() < 1024.0
    near = np.delete(np.arange(5), 2)
    np.testing.assert_array_equal(stored[:, near], source.positions[:, near].astype(np.float32))
    assert store.manifest["trajectories"][0]["first_wrapped"] == 5


def test_float32_positions_are_kept_bit_for_bit(tmp_path):
    source = walk(images=None)
    source.positions = (source.positions + 5000.0).astype(np.float32)
    store = FrameStore.create(tmp_path / "frames")
    store.append(source, targets=TARGETS)
    np.testing.assert_array_equal(store.trajectories()[0].positions, source.positions)


def test_what_cannot_be_wrapped_is_warned_of(tmp_path):
    source = walk(pbc=(True, True, False))
    source.positions[3, 1, 2] = 40000.0
    store = FrameStore.create(tmp_path / "frames")
    message = r"walk, frame 3: a coordinate of 40000 angstrom .* is stored to 0.004 angstrom"
    with pytest.warns(UserWarning, match=message):
        store.append(source, targets=TARGETS)


@pytest.mark.parametrize("known_before", [0, 30])
def test_images_widen_when_they_outgrow_16_bits(tmp_path, known_before):
    source = walk()
    source.images[known_before + 5, 4, 2] = -40000
    store = FrameStore.create(tmp_path / "frames")
    store.append(source, targets=TARGETS, frames_per_chunk=10)
    assert store.images(0).dtype == np.int32
    np.testing.assert_array_equal(store.images(0), source.images)
    store.verify()
    FrameStore.create(tmp_path / "once").append(source, targets=TARGETS)
    assert contents(tmp_path / "once") == contents(tmp_path / "frames")


def test_a_crash_just_after_widening_is_recovered(tmp_path, monkeypatch):
    source = walk()
    source.images[50, 4, 2] = 40000
    widen = _store_arrays.ArrayWriter.widen

    def widen_and_die(array, dtype):
        widen(array, dtype)
        raise KeyboardInterrupt

    store = FrameStore.create(tmp_path / "frames")
    with monkeypatch.context() as patch:
        patch.setattr(_store_arrays.ArrayWriter, "widen", widen_and_die)
        with pytest.raises(KeyboardInterrupt):
            store.append(source, targets=TARGETS, frames_per_chunk=10)
    entry = store.manifest["trajectories"][0]
    assert (entry["n_frames"], entry["arrays"]["images.npy"]["dtype"]) == (50, "<i2")
    store.append(source, targets=TARGETS, resume=True)
    store.verify()
    np.testing.assert_array_equal(store.images(0), source.images)


# --- damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["first", "last", "header"])
@pytest.mark.parametrize("name", ["positions.npy", "images.npy", "target_atoms.npy"])
def test_verify_names_the_file_with_one_wrong_byte(tmp_path, name, place):
    FrameStore.create(tmp_path / "frames").append(walk(), targets=TARGETS)
    path = tmp_path / "frames" / "trajectory-0000" / name
    data = bytearray(path.read_bytes())
    data[{"first": 256, "last": -1, "header": 20}[place]] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=f"is damaged: trajectory-0000/{name}: (checksum|the he)"):
        FrameStore.open(tmp_path / "frames").verify()


def test_verify_sees_a_manifest_that_was_edited(tmp_path):
    FrameStore.create(tmp_path / "frames").append(walk(), targets=TARGETS)
    manifest = tmp_path / "frames" / "manifest.json"
    manifest.write_text(
        manifest.read_text().replace('"frame_interval": 0.5', '"frame_interval": 5')
    )
    with pytest.raises(ValueError, match=r"manifest.json: was changed by hand or damaged"):
        FrameStore.open(tmp_path / "frames").verify()


def test_files_that_are_missing_or_cut_are_named(tmp_path):
    FrameStore.create(tmp_path / "frames").append(walk(), targets=TARGETS)
    store = FrameStore.open(tmp_path / "frames")
    path = tmp_path / "frames" / "trajectory-0000" / "cells.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"cells.npy: the file must have 7456 bytes, received 745"):
        store.trajectories()
    path.unlink()
    with pytest.raises(ValueError, match=r"cells.npy: the file is missing"):
        store.trajectories()


# --- refusals ----------------------------------------------------------------------------------


def bad_positions(value):
    source = walk()
    source.positions[70, 3, 1] = value
    return source


def bad_cell(cell):
    source = walk()
    source.cells = np.array(source.cells)
    source.cells[33] = cell
    return source


def mixed_chunks():
    """A source whose chunks differ in what they know."""
    source = walk()
    with_steps, without = walk(10), walk(10, steps=None)
    source.chunks = lambda size=64: (
        chunk for part in (with_steps, without) for chunk in part.chunks(size)
    )
    return source


def wrong_atoms():
    source = walk()
    source.chunks = walk(10, 4).chunks
    return source


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (bad_positions(np.nan), r"walk, frame 70: positions must be finite .* for atom 3 "),
        (bad_positions(-np.inf), r"walk, frame 70: positions must be finite .* for atom 3 "),
        (bad_positions(2e9), r"walk, frame 70: .* within 1e\+09 angstrom, .* for atom 3 "),
        (bad_cell(np.zeros((3, 3))), "walk, frame 33: the cell has zero volume"),
        (bad_cell(np.full((3, 3), np.nan)), "walk, frame 33: the cell must be finite"),
        (walk(times=np.full(100, np.nan)), "walk, frame 0: the time must be finite"),
        (walk(promised=101), "walk: gave 100 frames, expected 101"),
        (walk(0, promised=None), "walk: holds no frame"),
        (mixed_chunks(), r"walk, frame 10: steps, times and images must each be known for all"),
        (wrong_atoms(), r"walk, frame 0: positions must be .* with 5 atoms, .* \(10, 4, 3\)"),
        (walk(steps=np.zeros((100, 2))), r"walk, frame 0: steps must have shape \(64,\), received"),
        (walk(frame_interval=None, times=None), "cannot tell the time between frames"),
        (
            walk(frame_interval=None, times=np.zeros(100)),
            r"walk: the times of its 100 frames do not tell the frame interval",
        ),
    ],
)
def test_broken_sources(tmp_path, source, message):
    store = FrameStore.create(tmp_path / "frames")
    with pytest.raises(ValueError, match=message):
        store.append(source, targets=TARGETS)


def test_a_source_without_one_good_frame_leaves_the_store_as_it_was(tmp_path):
    store = FrameStore.create(tmp_path / "frames")
    source = walk()
    source.positions[0] = np.nan
    with pytest.raises(ValueError, match="frame 0"):
        store.append(source, targets=TARGETS)
    FrameStore.open(tmp_path / "frames").verify()
    store.append(walk(), targets=TARGETS)
    assert len(FrameStore.open(tmp_path / "frames")) == 1


def test_an_interval_that_was_missing_at_the_end_can_be_given_later(tmp_path):
    source = walk(frame_interval=None, times=np.zeros(100))
    store = FrameStore.create(tmp_path / "frames")
    with pytest.raises(ValueError, match=r"frame_interval=..., resume=True"):
        store.append(source, targets=TARGETS)
    store.append(source, targets=TARGETS, frame_interval=2.0, resume=True)
    assert store.trajectories()[0].frame_interval == 2.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_interval": 0.0}, "frame_interval must be a positive time in ps, received 0"),
        ({"frame_interval": np.nan}, "frame_interval must be a positive time in ps, received nan"),
        ({"frames_per_chunk": 0}, "frames_per_chunk must be at least 1, received 0"),
        ({"targets": TargetGroups.from_indices([5])}, "index 5 is outside of a frame of 5 atoms"),
    ],
)
def test_bad_requests(tmp_path, options, message):
    store = FrameStore.create(tmp_path / "frames")
    with pytest.raises(ValueError, match=message):
        store.append(walk(), **{"targets": TARGETS, **options})
    assert len(FrameStore.open(tmp_path / "frames")) == 0


def test_targets_must_be_target_groups_and_species_positive(tmp_path):
    store = FrameStore.create(tmp_path / "frames")
    with pytest.raises(TypeError, match="targets must be TargetGroups, received list"):
        store.append(walk(), targets=[0])
    source = walk()
    source.species = np.array([0, 1, 1, 1, 1])
    with pytest.raises(ValueError, match="walk: species must be positive"):
        store.append(source, targets=TARGETS)


def test_names_must_be_new(tmp_path):
    for folder, text in (("a", "one"), ("b", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "run.dump").write_text(text)
    store = FrameStore.create(tmp_path / "frames")
    store.append(walk(source=str(tmp_path / "a" / "run.dump")), targets=TARGETS)
    again = walk(source=str(tmp_path / "a" / "run.dump"))
    with pytest.raises(ValueError, match=r"holds a trajectory 'run.dump', with the same content"):
        store.append(again, targets=TARGETS)
    other = walk(source=str(tmp_path / "b" / "run.dump"))
    for resume in (False, True):
        with pytest.raises(ValueError, match=r"'run.dump', with another content; name= must give"):
            store.append(other, targets=TARGETS, resume=resume)
    store.append(other, targets=TARGETS, name="b/run.dump")
    assert [trajectory.source for trajectory in store.trajectories()] == ["run.dump", "b/run.dump"]


def test_create_needs_a_free_place(tmp_path):
    FrameStore.create(tmp_path / "frames")
    with pytest.raises(ValueError, match="already holds a frame store"):
        FrameStore.create(tmp_path / "frames")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="must be an empty folder or not exist"):
        FrameStore.create(tmp_path / "file")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(ValueError, match="must be an empty folder or not exist"):
        FrameStore.create(tmp_path / "full")


def test_open_refuses_what_is_no_store(tmp_path):
    with pytest.raises(ValueError, match=r"nothing: is no frame store, it must be a folder with"):
        FrameStore.open(tmp_path / "nothing")
    FrameStore.create(tmp_path / "frames")
    manifest = tmp_path / "frames" / "manifest.json"
    good = manifest.read_text()
    manifest.write_text(good.replace('"format_version": 1', '"format_version": 2'))
    with pytest.raises(ValueError, match="of format version 2, this kgdyn reads version 1"):
        FrameStore.open(tmp_path / "frames")
    manifest.write_text('{"format": "something"}')
    with pytest.raises(ValueError, match="must say 'kgdyn frame store'"):
        FrameStore.open(tmp_path / "frames")
    manifest.write_text(good[:-10])
    with pytest.raises(ValueError, match=r"is not valid JSON .* the store is damaged"):
        FrameStore.open(tmp_path / "frames")


def test_a_store_open_to_read_takes_no_trajectory(tmp_path):
    FrameStore.create(tmp_path / "frames")
    with pytest.raises(ValueError, match="is open to read"):
        FrameStore.open(tmp_path / "frames").append(walk(), targets=TARGETS)


def test_one_process_at_a_time_writes(tmp_path):
    FrameStore.create(tmp_path / "frames")

    def second(done, n_frames):
        FrameStore.open(tmp_path / "frames", writable=True).append(walk(), targets=TARGETS)

    with pytest.raises(ValueError, match="another process is writing to this store"):
        FrameStore.open(tmp_path / "frames", writable=True).append(
            walk(), targets=TARGETS, progress=second
        )


# --- memory ------------------------------------------------------------------------------------


class LongSource(ArraySource):
    """Frames made as they are asked for."""

    def __init__(self, n_frames):
        super().__init__(np.zeros((1, 5, 3)), source="long")
        self.n_frames = n_frames
        self.species = np.full(1000, 18, np.int32)

    def chunks(self, frames_per_chunk=64):
        for first in range(0, self.n_frames, frames_per_chunk):
            count = min(frames_per_chunk, self.n_frames - first)
            positions = np.random.default_rng(first).uniform(0.0, 8.0, (count, 1000, 3))
            yield FrameChunk(positions, np.broadcast_to(TRICLINIC, (count, 3, 3)))


def test_memory_does_not_grow_with_the_trajectory(tmp_path):
    peaks = []
    for n_frames in (128, 1280):
        tracemalloc.start()
        store = FrameStore.create(tmp_path / str(n_frames))
        store.append(LongSource(n_frames), targets=TARGETS, checkpoint_seconds=0.0)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]
