"""CSV, TensorBoard and callbacks."""

from __future__ import annotations

import csv
import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgdyn.live import CallbackSink, StatesTable, TensorBoardStates

Recorder = Any
HEADER = "step,time_ps,new_segment,population_1,population_2,novelty_max"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_table(tmp_path: Path, recorder: Recorder) -> None:
    path = tmp_path / "new" / "states.csv"
    made = recorder()
    table = made.open(StatesTable(path))
    made.write(table, 0)
    assert path.read_text().count("\n") == 2  # on disk at once
    made.write(table, 4, new_segment=True, time=None, novelty=np.array([0.5, 1.25, 0.1]))
    table.close()
    assert path.read_text().splitlines()[0] == HEADER
    first, second = rows(path)
    shares = made.states(0).state_probabilities.astype(np.float64).mean(axis=0)
    assert [first["step"], first["time_ps"], first["new_segment"]] == ["0", "0", "1"]
    np.testing.assert_allclose(
        [float(first["population_1"]), float(first["population_2"])], shares, rtol=0.0, atol=1e-7
    )
    assert first["novelty_max"] == ""
    assert [second[k] for k in ("step", "time_ps", "new_segment", "novelty_max")] == [
        "40", "", "1", "1.25",
    ]  # fmt: skip


@pytest.mark.parametrize("half", ["", "30,0.3", "30,0.3,0,0.4,0.6,", "3"])
def test_table_is_appended_to(half: str, tmp_path: Path, recorder: Recorder) -> None:
    path = tmp_path / "states.csv"
    made = recorder()
    table = made.open(StatesTable(path))
    made.write(table, 0, 1, 2)
    table.close()
    whole = path.read_text()
    path.write_text(whole + half)
    table = made.open(StatesTable(path))
    assert path.read_text() == whole
    made.write(table, 1, 2, 3)  # an analysis that begins again
    made.write(table, 1)  # steps that were set back on purpose
    table.close()
    assert path.read_text().startswith(whole)
    assert [row["step"] for row in rows(path)] == ["0", "10", "20", "30", "10"]


@pytest.mark.parametrize("text", ["", "step,ti", HEADER, HEADER + "\n", HEADER + "\n10,0."])
def test_table_that_was_hardly_begun(text: str, tmp_path: Path, recorder: Recorder) -> None:
    path = tmp_path / "states.csv"
    path.write_text(text)
    made = recorder()
    table = made.open(StatesTable(path))
    made.write(table, 1)
    table.close()
    assert [row["step"] for row in rows(path)] == ["10"]


def test_another_table(tmp_path: Path, recorder: Recorder) -> None:
    path = tmp_path / "states.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"states\.csv: holds another table: .* received 'a,b'"):
        recorder().open(StatesTable(path))
    path.write_text(HEADER + "\nnone,2\n")
    with pytest.raises(ValueError, match="the last line has no step"):
        recorder().open(StatesTable(path))
    assert path.read_text() == HEADER + "\nnone,2\n"
    with pytest.raises(OSError, match="is not open"):
        recorder().write(StatesTable(path), 1)


def test_a_table_on_a_full_disk(tmp_path: Path, recorder: Recorder) -> None:
    made = recorder()
    table = made.open(StatesTable(tmp_path / "states.csv"))
    made.write(table, 0)
    with Path("/dev/full").open("ab", buffering=0) as full:
        file, table._file._file = table._file._file, full
        with pytest.raises(
            OSError, match=r"states\.csv: cannot be written: No space left"
        ) as caught:
            made.write(table, 1)
        table._file._file = file
    assert caught.value.errno == errno.ENOSPC
    made.write(table, 1)
    table.close()
    assert [row["step"] for row in rows(tmp_path / "states.csv")] == ["0", "10"]


def scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Tag -> step -> value of all event files."""
    import tensorflow as tf

    found: dict[str, dict[int, float]] = {}
    for path in folder.rglob("events.*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                number = float(tf.make_ndarray(value.tensor))
                found.setdefault(value.tag, {})[event.step] = number
    return found


def test_tensorboard(tmp_path: Path, recorder: Recorder) -> None:
    made = recorder()
    sink = made.open(TensorBoardStates(tmp_path, every_seconds=1e9))
    made.write(sink, *range(39))
    made.write(sink, 39, novelty=np.array([0.5, 1.25, 0.1], np.float32))
    sink.close()
    sink.close()
    found = scalars(tmp_path)
    shares = made.states(0).state_probabilities.mean(axis=0)
    # The first frame, and the last one at the end.
    assert found["population/1"].keys() == {0, 390}
    assert found["population/1"][0] == pytest.approx(shares[0], abs=1e-6)
    assert found["novelty_max"] == {390: 1.25}
    assert found["transitions"][390] == made.statistics.n_transitions
    assert found["latency_s"][390] == pytest.approx(0.01, rel=1e-6)
    times = made.statistics.koopman_model(2).timescales_ps()
    assert found["timescale/1_lag_2"][390] == pytest.approx(times[0], rel=1e-5)
    total = made.statistics.mean_probabilities
    assert found["mean_population/2"][390] == pytest.approx(total[1], rel=1e-5)


def test_tensorboard_writes_every_frame_if_told(tmp_path: Path, recorder: Recorder) -> None:
    made = recorder()
    sink = made.open(TensorBoardStates(tmp_path, every_seconds=0.0))
    made.write(sink, 0, 1, 2)
    assert scalars(tmp_path)["population/2"].keys() == {0, 10, 20}  # flushed
    sink.close()
    with pytest.raises(ValueError, match="every_seconds must not be negative, received -1"):
        TensorBoardStates(tmp_path, every_seconds=-1)
    TensorBoardStates(tmp_path).close()


def test_callback(recorder: Recorder) -> None:
    seen: list[tuple[int, int]] = []
    made = recorder()
    sink = CallbackSink(lambda s, f, statistics: seen.append((s.step, statistics.n_frames)), 2)
    made.write(made.open(sink), 0, 1, 2, 3, 4)
    sink.close()
    assert seen == [(0, 1), (20, 3), (40, 5)]
    with pytest.raises(TypeError, match="function must be callable, received 3"):
        CallbackSink(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="every must be at least 1, received 0"):
        CallbackSink(print, every=0)
