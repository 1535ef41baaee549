"""States on disk: written, read while written, gone on with, refused."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from kgdyn.koopman import estimate_koopman_model
from kgdyn.live import StatesFile, read_states
from kgdyn.live._hdf5_flags import _lookup3

Recorder = Any


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "states.h5"


def written(path: Path, recorder: Recorder, *numbers: int, **options: Any) -> Any:
    made = recorder(**options)
    file = made.open(StatesFile(path))
    made.write(file, *numbers)
    file.close()
    return made


def test_round_trip(path: Path, recorder: Recorder) -> None:
    made = recorder(targets="name LI")
    file = made.open(StatesFile(path))
    made.write(file, 0, 1, 2)
    made.write(file, 5, new_segment=True, time=None)
    made.write(file, 6, novelty=np.array([0.1, 2.0, np.nan], np.float32))
    made.write(file, 7)
    file.close()
    file.close()
    found = read_states(path)
    expected = [made.states(number).state_probabilities for number in (0, 1, 2, 5, 6, 7)]
    np.testing.assert_array_equal(found.state_probabilities, expected)
    assert found.state_probabilities.dtype == np.float32
    assert found.steps.tolist() == [0, 10, 20, 50, 60, 70]
    np.testing.assert_array_equal(found.times, [0.0, 0.1, 0.2, np.nan, 0.1 * 6, 0.1 * 7])
    assert found.segment_starts.tolist() == [True, False, False, True, False, False]
    assert found.segment_offsets.tolist() == [0, 3, 6]
    assert [len(segment) for segment in found.segments] == [3, 3]
    assert found.novelty is not None
    np.testing.assert_array_equal(found.novelty[4], np.array([0.1, 2.0, np.nan], np.float32))
    assert np.isnan(found.novelty[[0, 1, 2, 3, 5]]).all()
    assert (found.source, found.model_digest) == ("made up", "ab12")
    assert (found.frame_interval, found.steps_per_frame) == (0.1, 10)
    assert found.targets.description == "name LI"
    assert found.targets.atoms.tolist() == [0, 1, 2]
    assert found.species.tolist() == [3] * 5
    assert repr(found) == (
        "RecordedStates(n_frames=6, n_segments=2, n_targets=3, source='made up')"
    )
    assert sorted(p.name for p in path.parent.iterdir()) == ["states.h5"]


def test_without_frames_and_without_numbers(path: Path, recorder: Recorder) -> None:
    written(path, recorder, frame_interval=None, steps_per_frame=None)
    found = read_states(path)
    assert found.state_probabilities.shape == (0, 3, 2)
    assert found.segments == []
    assert found.novelty is None
    assert found.frame_interval is found.steps_per_frame is None


def test_read_while_it_is_written(path: Path, recorder: Recorder) -> None:
    made = recorder()
    file = made.open(StatesFile(path))
    assert read_states(path).n_frames == 0
    made.write(file, 0, 1)
    with h5py.File(path, "r", libver="latest", swmr=True, locking=False) as other:
        assert other["step"][:].tolist() == [0, 10]
        made.write(file, 2)
        other["step"].refresh()
        assert other["step"][:].tolist() == [0, 10, 20]
    assert read_states(path).n_frames == 3
    file.close()


def test_flush_interval(path: Path, recorder: Recorder) -> None:
    made = recorder()
    file = made.open(StatesFile(path, flush_interval_ms=1e9))
    made.write(file, 0, 1, 2)
    assert read_states(path).n_frames == 0
    file.flush()
    made.write(file, 3)
    assert read_states(path).n_frames == 3
    file.close()
    assert read_states(path).steps.tolist() == [0, 10, 20, 30]


def test_goes_on_with_the_statistics(path: Path, recorder: Recorder) -> None:
    first = recorder()
    file = first.open(StatesFile(path))
    for number in range(60):
        first.write(file, number, new_segment=number in (0, 17, 18, 40))
    file.close()
    second = recorder()
    file = second.open(StatesFile(path))
    assert file.last_states.step == 590
    np.testing.assert_array_equal(
        file.last_states.state_probabilities, first.states(59).state_probabilities
    )
    assert second.statistics.n_frames == 60
    assert second.statistics.n_segments == 4
    second.write(file, *range(60, 90))
    file.close()
    segments = read_states(path).segments
    assert [len(segment) for segment in segments] == [17, 1, 22, 50]
    for lagtime in (1, 2, 5):
        offline = estimate_koopman_model(segments, lagtime=lagtime, frame_interval=0.1)
        live = second.statistics.koopman_model(lagtime)
        assert live.n_pairs == offline.n_pairs
        for name in ("koopman_matrix", "populations", "vamp2_score"):
            np.testing.assert_allclose(
                getattr(live, name), getattr(offline, name), rtol=0.0, atol=1e-10
            )


def test_steps_per_frame_are_found_again(path: Path, recorder: Recorder) -> None:
    made = recorder(steps_per_frame=None)
    file = made.open(StatesFile(path))
    made.write(file, 0)
    made.write(file, 2, new_segment=True)
    made.write(file, 3)
    file.close()
    again = recorder(steps_per_frame=None)
    file = again.open(StatesFile(path))
    assert file.steps_per_frame == 10
    file.close()


def test_a_half_written_row_is_cut(path: Path, recorder: Recorder) -> None:
    written(path, recorder, 0, 1, 2)
    with h5py.File(path, "r+", libver="latest") as file:
        for name in ("time", "segment_start", "state_probabilities", "step"):
            file[name].resize(5, axis=0)  # the step of row 3 was never written
        file["state_probabilities"][3] = 0.25
        file["step"][4] = 40
    assert read_states(path).n_frames == 3
    made = recorder()
    file = made.open(StatesFile(path))
    assert made.statistics.n_frames == 3
    assert file.last_states.step == 20
    made.write(file, 3)
    file.close()
    found = read_states(path)
    assert found.steps.tolist() == [0, 10, 20, 30]
    np.testing.assert_array_equal(found.state_probabilities[3], made.states(3).state_probabilities)


@pytest.mark.parametrize(
    ("flags", "missing"),
    [(1, 0), (5, 0), (1, 20_000), (5, 20_000)],
    ids=["write", "write and SWMR", "write, stale end", "write and SWMR, stale end"],
)
def test_the_mark_of_a_killed_writer(
    flags: int, missing: int, path: Path, recorder: Recorder
) -> None:
    """``missing``: bytes at the end that the superblock did not know of yet."""
    written(path, recorder, 0, 1, 2)
    marked = bytearray(path.read_bytes())
    marked[11] = flags
    end = int.from_bytes(marked[28:36], "little")
    assert end == len(marked) > 30_000
    marked[28:36] = (end - missing).to_bytes(8, "little")
    marked[44:48] = _lookup3(bytes(marked[:44])).to_bytes(4, "little")
    path.write_bytes(marked)
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(path, "r")
    assert read_states(path).steps.tolist() == [0, 10, 20]
    assert path.read_bytes() == marked
    made = recorder()
    file = made.open(StatesFile(path, flush_interval_ms=1e9))
    made.write(file, *range(3, 1100))  # new chunks of all columns
    file.close()
    found = read_states(path)
    assert found.steps.tolist() == list(range(0, 11_000, 10))
    expected = [made.states(number).state_probabilities for number in range(1100)]
    np.testing.assert_array_equal(found.state_probabilities, expected)
    with h5py.File(path, "r") as plain:
        assert plain["step"].shape == (1100,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_states": 3}, r"a model with n_states = 2, received 3"),
        ({"species": np.full(6, 3)}, r"a system with n_atoms = 5, received 6"),
        ({"species": [3, 3, 16, 3, 3]}, r"elements differ: atom 2 .* is Li, received S"),
        ({"n_targets": 2, "species": [3] * 5}, r"targets 'the Li' \(3 targets\), received 'the Li"),
        ({"model_digest": "cd34"}, r"the model with digest ab12, received cd34"),
        ({"frame_interval": 0.2}, r"frame_interval 0\.1 ps, received 0\.2 ps"),
        ({"frame_interval": None}, r"frame_interval 0\.1 ps, received nan ps"),
        ({"steps_per_frame": 20}, r"steps_per_frame 10, received 20"),
    ],
)
def test_another_run_is_refused(
    options: dict[str, Any], message: str, path: Path, recorder: Recorder
) -> None:
    written(path, recorder, 0, 1, 2)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=rf"states\.h5: holds states of .*{message}"):
        recorder(**options).open(StatesFile(path))
    assert path.read_bytes() == before
    written(path, recorder, 3)  # and it is free


def test_other_files_are_refused(path: Path, recorder: Recorder) -> None:
    path.parent.mkdir()
    path.write_text("step,time\n")
    for use in (lambda: read_states(path), lambda: recorder().open(StatesFile(path))):
        with pytest.raises(ValueError, match=r"states\.h5: is not an HDF5 file, or damaged"):
            use()
    assert path.read_text() == "step,time\n"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(ValueError, match=r"states\.h5: is no file of states"):
        read_states(path)
    with h5py.File(path, "r+") as file:
        file.attrs.update({"format": "kgdyn live states", "format_version": 9})
    with pytest.raises(ValueError, match=r"format version 9; this kgdyn reads version 1"):
        read_states(path)
    with pytest.raises(FileNotFoundError, match="there is no such file of states"):
        read_states(path.with_name("none.h5"))


def test_two_writers(path: Path, recorder: Recorder) -> None:
    first = recorder()
    file = first.open(StatesFile(path))
    with pytest.raises(OSError, match=rf"is being written by process {os.getpid()} on "):
        recorder().open(StatesFile(path))
    with pytest.raises(ValueError, match="is open already"):
        first.open(file)
    first.write(file, 0, 1)
    file.close()
    assert written(path, recorder, 2).statistics.n_frames == 3


def test_two_files_would_count_twice(path: Path, recorder: Recorder) -> None:
    written(path, recorder, 0, 1)
    written(path.with_name("b.h5"), recorder, 0, 1)
    made = recorder()
    file = made.open(StatesFile(path))
    with pytest.raises(ValueError, match="the statistics have 2 already: give one StatesFile"):
        made.open(StatesFile(path.with_name("b.h5")))
    file.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_no_space(
    number: int, path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recorder()
    file = made.open(StatesFile(path))
    made.write(file, 0, 1)

    def full(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        patch.setattr(os, "fstat", lambda _: os.stat_result((0,) * 10))
        reason = "the disk is full" if number == errno.ENOSPC else "quota exceeded"
        with pytest.raises(OSError, match=rf"{reason}; the 2 frames .* readable, 1 are") as caught:
            made.write(file, 2)
    assert caught.value.errno == number
    assert read_states(path).n_frames == 2
    with pytest.raises(OSError, match="is not open"):
        made.write(file, 2)
    file.close()
    assert written(path, recorder, 2).statistics.n_frames == 3


def test_bad_arguments(path: Path, recorder: Recorder) -> None:
    with pytest.raises(ValueError, match="flush_interval_ms must not be negative, received -1"):
        StatesFile(path, flush_interval_ms=-1)
    made = recorder()
    with pytest.raises(OSError, match="is not open"):
        made.write(StatesFile(path), 0)
    file = made.open(StatesFile(path))
    with pytest.raises(ValueError, match="step must not be negative, received -10"):
        file.write(replace(made.states(1), step=-10), None, made.statistics)
    file.close()
