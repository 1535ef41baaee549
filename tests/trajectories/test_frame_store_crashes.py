"""A conversion that is killed, interrupted or runs out of disk goes on where it stopped."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import array_sources
import pytest
from array_sources import TARGETS, ArraySource, StartingSource, contents, interrupted, walk

import kgdyn
from kgdyn.frames import TargetGroups
from kgdyn.trajectories import _store_arrays, _store_entries, _store_writer
from kgdyn.trajectories.frame_store import FrameStore

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
    child = start_child(CHILD, array_sources.__file__, str(broken), kind.__name__)
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
    assert start_child(FULL_DISK, array_sources.__file__, str(tmp_path / "frames")).wait() == 0
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
