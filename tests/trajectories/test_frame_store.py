"""The frame store: what goes in comes out, also after a crash, and damage is seen."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import kgdyn
from kgdyn.frames import TargetGroups
from kgdyn.trajectories import _store_arrays, _store_entries, _store_writer
from kgdyn.trajectories.frame_store import FrameStore
from kgdyn.trajectories.source import FrameChunk, FrameSource

TARGETS = TargetGroups.from_groups([[0, 1], [2]], "a pair and an ion")
TRICLINIC = np.array([[10.0, 0.0, 0.0], [2.0, 9.0, 0.0], [1.0, -1.5, 8.0]])


class ArraySource:
    """Frames from arrays, in chunks."""

    def __init__(
        self,
        positions,
        cell=TRICLINIC,
        *,
        pbc=(True, True, True),
        steps=None,
        times=None,
        images=None,
        promised="all",
        frame_interval=0.5,
        source="walk",
        seconds_per_chunk=0.0,
    ):
        self.positions = np.asarray(positions)
        self.cells = np.broadcast_to(np.asarray(cell, float), (len(self.positions), 3, 3))
        self.steps, self.times, self.images = steps, times, images
        self.species = np.array([3, 8, 17, 11, 1][: self.positions.shape[1]], np.int32)
        self.pbc = np.array(pbc)
        self.n_frames = len(self.positions) if promised == "all" else promised
        self.frame_interval = frame_interval
        self.source = source
        self.seconds_per_chunk = seconds_per_chunk

    def chunks(self, frames_per_chunk=64):
        return self._from(frames_per_chunk, 0)

    def _from(self, frames_per_chunk, start):
        arrays = (self.positions, self.cells, self.steps, self.times, self.images)
        for first in range(start, len(self.positions), frames_per_chunk):
            time.sleep(self.seconds_per_chunk)
            part = slice(first, first + frames_per_chunk)
            yield FrameChunk(*(None if array is None else array[part] for array in arrays))


class StartingSource(ArraySource):
    """One that need not read what is to be skipped."""

    started_at = None

    def chunks(self, frames_per_chunk=64, start=0):
        self.started_at = start
        return self._from(frames_per_chunk, start)


def walk(n_frames=100, n_atoms=5, seed=0, **options):
    """A source with everything a source may have, in float64."""
    rng = np.random.default_rng(seed)
    positions = rng.uniform(0.0, 8.0, (n_frames, n_atoms, 3))
    options.setdefault("steps", np.arange(n_frames) * 100)
    options.setdefault("times", np.arange(n_frames) * 0.5)
    options.setdefault("images", rng.integers(-3, 4, (n_frames, n_atoms, 3), dtype=np.int32))
    kind = options.pop("kind", ArraySource)
    return kind(positions, **options)


def contents(folder):
    """Every file of a store, by name."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def interrupted(path, source, after, **options):
    """A store whose conversion stops after ``after`` frames."""
    store = FrameStore.create(path)

    def stop(done, n_frames):
        if done >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.append(source, targets=TARGETS, progress=stop, frames_per_chunk=10, **options)


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


# --- crashes -----------------------------------------------------------------------------------

CHILD = """
import runpy, sys
tests = runpy.run_path(sys.argv[1])
source = tests["walk"](300, kind=tests[sys.argv[3]], seconds_per_chunk=0.02)
store = tests["FrameStore"].open(sys.argv[2], writable=True)
store.append(source, targets=tests["TARGETS"], frames_per_chunk=5, checkpoint_seconds=0.05)
"""


def start_child(script, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(Path(kgdyn.__file__).parents[1])}
    return subprocess.Popen([sys.executable, "-c", script, *arguments], env=environment)


@pytest.mark.parametrize("kind", [ArraySource, StartingSource])
def test_a_killed_conversion_is_recognised_and_resumed(tmp_path, kind):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    FrameStore.create(whole).append(walk(300), targets=TARGETS)
    FrameStore.create(broken)
    child = start_child(CHILD, __file__, str(broken), kind.__name__)
    try:
        n_frames = 0
        while n_frames < 50 and child.poll() is None:
            entries = json.loads((broken / "manifest.json").read_text())["trajectories"]
            n_frames = entries[0]["n_frames"] if entries else 0
            time.sleep(0.01)
    finally:
        child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    entry = json.loads((broken / "manifest.json").read_text())["trajectories"][0]
    assert not entry["complete"]
    assert 50 <= entry["n_frames"] < 300

    with pytest.raises(ValueError, match=r"conversion of 'walk' is not finished.*resume=True"):
        FrameStore.open(broken)
    store = FrameStore.open(broken, writable=True)
    with pytest.raises(ValueError, match="is not finished"):
        store.trajectories()
    source = walk(300, kind=kind)
    store.append(source, targets=TARGETS, resume=True)
    if kind is StartingSource:
        assert source.started_at == entry["n_frames"] - 1
    FrameStore.open(broken).verify()
    assert contents(broken) == contents(whole)


def test_frames_behind_the_last_checkpoint_are_cut_off(tmp_path):
    source = walk()
    source.positions[5:, 1] += 2000.0
    FrameStore.create(tmp_path / "whole").append(source, targets=TARGETS)
    interrupted(tmp_path / "frames", source, after=40)
    for path in (tmp_path / "frames" / "trajectory-0000").iterdir():
        with open(path, "ab") as file:
            file.write(bytes(100_001))
    store = FrameStore.open(tmp_path / "frames", writable=True)
    store.append(source, targets=TARGETS, resume=True)
    assert contents(tmp_path / "frames") == contents(tmp_path / "whole")


def test_arrays_are_on_disk_before_the_manifest_says_so(tmp_path, monkeypatch):
    events = []
    sync, write = _store_arrays.ArrayWriter.sync, _store_writer.write_manifest

    def sync_noted(array):
        events.append(array.path.stem)
        sync(array)

    def write_noted(store, manifest):
        events.append("manifest")
        write(store, manifest)

    monkeypatch.setattr(_store_arrays.ArrayWriter, "sync", sync_noted)
    monkeypatch.setattr(_store_writer, "write_manifest", write_noted)
    store = FrameStore.create(tmp_path / "frames")
    store.append(walk(10, steps=None, times=None, images=None), targets=TARGETS)
    assert events == [
        *("positions", "cells", "manifest"),
        *("positions", "cells", "species", "target_atoms", "target_offsets", "manifest"),
    ]


def test_a_manifest_that_fails_at_the_end_does_not_say_complete(tmp_path, monkeypatch):
    write, failed = _store_writer.write_manifest, []

    def fail_once(store, manifest):
        if manifest["trajectories"][0]["complete"] and not failed:
            failed.append(True)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(store, manifest)

    monkeypatch.setattr(_store_writer, "write_manifest", fail_once)
    store = FrameStore.create(tmp_path / "frames")
    with pytest.raises(OSError, match="100 frames of walk are kept"):
        store.append(walk(), targets=TARGETS)
    with pytest.raises(ValueError, match="is not finished"):
        FrameStore.open(tmp_path / "frames")
    store.append(walk(), targets=TARGETS, resume=True)
    FrameStore.create(tmp_path / "whole").append(walk(), targets=TARGETS)
    assert contents(tmp_path / "frames") == contents(tmp_path / "whole")


@pytest.mark.parametrize("after", [10, 100])
def test_resume_where_the_first_or_the_last_chunk_was_stored(tmp_path, after):
    FrameStore.create(tmp_path / "whole").append(walk(), targets=TARGETS)
    interrupted(tmp_path / "frames", walk(), after=after)
    store = FrameStore.open(tmp_path / "frames", writable=True)
    assert store.manifest["trajectories"][0]["n_frames"] == after
    store.append(walk(), targets=TARGETS, resume=True)
    assert contents(tmp_path / "frames") == contents(tmp_path / "whole")


def test_resume_needs_the_same_source(tmp_path):
    path = tmp_path / "frames"
    interrupted(path, walk(), after=40)
    store = FrameStore.open(path, writable=True)
    with pytest.raises(ValueError, match="conversion of 'walk' is not finished"):
        store.append(walk(), targets=TARGETS)
    with pytest.raises(ValueError, match=r"is of 'walk' and must go on .* received 'other'"):
        store.append(walk(source="other"), targets=TARGETS, resume=True)
    with pytest.raises(ValueError, match="walk, frame 39: positions differ from those stored"):
        store.append(walk(seed=1), targets=TARGETS, resume=True)
    with pytest.raises(ValueError, match=r"the 40 frames stored .* hold .*'images'"):
        store.append(walk(images=None), targets=TARGETS, resume=True)
    with pytest.raises(ValueError, match="walk: ended before frame 39, which was stored"):
        store.append(walk(20, promised=None), targets=TARGETS, resume=True)
    with pytest.raises(ValueError, match="must go on with the same content"):
        store.append(walk(pbc=(True, True, False)), targets=TARGETS, resume=True)
    (path / "trajectory-0000" / "cells.npy").write_bytes(
        (path / "trajectory-0000" / "cells.npy").read_bytes()[:500]
    )
    with pytest.raises(ValueError, match="holds less than the 40 frames"):
        store.append(walk(), targets=TARGETS, resume=True)


def test_resume_compares_the_content_of_files(tmp_path):
    file = tmp_path / "run.dump"
    file.write_bytes(b"one")
    interrupted(tmp_path / "frames", walk(source=str(file)), after=40)
    store = FrameStore.open(tmp_path / "frames", writable=True)
    file.write_bytes(b"other")
    with pytest.raises(ValueError, match=r"run.dump of 5 bytes; before: run.dump of 3 bytes"):
        store.append(walk(source=str(file)), targets=TARGETS, resume=True)
    file.write_bytes(b"one")
    os.utime(file, (0, 0))
    store.append(walk(source=str(file)), targets=TARGETS, resume=True)
    store.verify()


@pytest.mark.parametrize("between", [" and ", ", "])
def test_sources_of_several_files_name_all_of_them(tmp_path, between):
    paths = [tmp_path / "top.psf", tmp_path / "run.dcd"]
    for path in paths:
        path.write_text(path.name)
    source = walk(source=f"{paths[0]}{between}{paths[1]}")
    if between != ", ":
        source.files = paths
    store = FrameStore.create(tmp_path / "frames")
    store.append(source, targets=TARGETS)
    (entry,) = store.manifest["trajectories"]
    assert entry["name"] == entry["source"]["text"] == f"top.psf{between}run.dcd"
    assert [file["name"] for file in entry["source"]["files"]] == ["top.psf", "run.dcd"]


@pytest.mark.parametrize("place", [0, 50_000, -1])
def test_large_files_are_known_by_samples(tmp_path, monkeypatch, place):
    monkeypatch.setattr(_store_entries, "_WHOLE_BYTES", 1000)
    monkeypatch.setattr(_store_entries, "_BLOCK_BYTES", 5000)
    file = tmp_path / "run.dump"
    data = bytearray(100_000)
    file.write_bytes(data)
    source = walk(source=str(file))
    interrupted(tmp_path / "frames", source, after=40)
    store = FrameStore.open(tmp_path / "frames", writable=True)
    (described,) = store.manifest["trajectories"][0]["source"]["files"]
    assert described["sha256_of"] == "32 blocks of 5000 bytes"
    data[place] = 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match="must go on with the same content"):
        store.append(source, targets=TARGETS, resume=True)


def test_a_script_of_several_sources_can_be_run_again(tmp_path):
    files = [tmp_path / name for name in ("a", "b", "c")]
    for file in files:
        file.write_text(file.name)
    store = FrameStore.create(tmp_path / "frames")
    store.append(walk(source=str(files[0])), targets=TARGETS, resume=True)
    with pytest.raises(KeyboardInterrupt):
        store.append(walk(source=str(files[1])), targets=TARGETS, progress=stop_at_once)
    store = FrameStore.open(tmp_path / "frames", writable=True)
    for file in files:
        store.append(walk(source=str(file)), targets=TARGETS, resume=True)
    names = [
        entry["name"] for entry in FrameStore.open(tmp_path / "frames").manifest["trajectories"]
    ]
    assert names == ["a", "b", "c"]
    other = TargetGroups.from_indices([3])
    with pytest.raises(ValueError, match="already holds 'a' with other targets"):
        store.append(walk(source=str(files[0])), targets=other, resume=True)


def stop_at_once(done, n_frames):
    raise KeyboardInterrupt


def test_discard_incomplete(tmp_path):
    interrupted(tmp_path / "frames", walk(), after=40)
    FrameStore.open(tmp_path / "frames", writable=True).discard_incomplete()
    store = FrameStore.open(tmp_path / "frames")
    assert len(store) == 0
    assert not (tmp_path / "frames" / "trajectory-0000").exists()
    with pytest.raises(ValueError, match="is open to read"):
        store.discard_incomplete()
    store = FrameStore.open(tmp_path / "frames", writable=True)
    store.discard_incomplete()
    store.append(walk(), targets=TARGETS)


FULL_DISK = """
import resource, runpy, sys
tests = runpy.run_path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
store = tests["FrameStore"].open(sys.argv[2], writable=True)
try:
    store.append(tests["walk"](), targets=tests["TARGETS"], frames_per_chunk=10)
except OSError as error:
    sys.exit(0 if "frames of walk are kept; make room" in str(error) else str(error))
sys.exit("no error")
"""


def test_a_file_that_cannot_grow(tmp_path):
    # The system's own refusal in the middle of a chunk: a limit on the size of files.
    FrameStore.create(tmp_path / "whole").append(walk(), targets=TARGETS)
    FrameStore.create(tmp_path / "frames")
    assert start_child(FULL_DISK, __file__, str(tmp_path / "frames")).wait() == 0
    with pytest.raises(ValueError, match="is not finished"):
        FrameStore.open(tmp_path / "frames")
    store = FrameStore.open(tmp_path / "frames", writable=True)
    assert store.manifest["trajectories"][0]["n_frames"] > 0
    store.append(walk(), targets=TARGETS, resume=True)
    assert contents(tmp_path / "frames") == contents(tmp_path / "whole")


@pytest.mark.parametrize("failing", range(1, 30, 3))
def test_a_full_disk_at_any_write(tmp_path, monkeypatch, failing):
    FrameStore.create(tmp_path / "whole").append(walk(20), targets=TARGETS)
    write, count = _store_arrays.ArrayWriter._write, 0

    def full(array, data):
        nonlocal count
        count += 1
        if count >= failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(array, data)

    store = FrameStore.create(tmp_path / "frames")
    with monkeypatch.context() as patch:
        patch.setattr(_store_arrays.ArrayWriter, "_write", full)
        with pytest.raises(
            OSError, match=r"No space left on device\. The store is incomplete"
        ) as info:
            store.append(walk(20), targets=TARGETS, frames_per_chunk=10)
    assert info.value.errno == errno.ENOSPC
    with pytest.raises(ValueError, match="is not finished"):
        FrameStore.open(tmp_path / "frames")
    store = FrameStore.open(tmp_path / "frames", writable=True)
    store.append(walk(20), targets=TARGETS, resume=True)
    FrameStore.open(tmp_path / "frames").verify()
    assert contents(tmp_path / "frames") == contents(tmp_path / "whole")


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
