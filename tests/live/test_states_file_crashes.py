"""A writer in another process: read meanwhile, killed with SIGKILL, without room on the disk."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgdyn.koopman import RunningKoopman
from kgdyn.live import StatesFile, read_states

HELPER = Path(__file__).parent / "helpers" / "write_states.py"


def helper_names() -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "helper"}
    exec(compile(HELPER.read_text(), str(HELPER), "exec"), names)
    return names


@pytest.fixture(scope="module")
def helper() -> dict[str, Any]:
    return helper_names()


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HELPER), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_read_while_written_then_killed_then_gone_on_with(
    tmp_path: Path, helper: dict[str, Any]
) -> None:
    path = tmp_path / "states.h5"
    command = [sys.executable, str(HELPER), "endless", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        try:
            out: Any = writer.stdout
            seen = []
            for wanted in (0, 30, 60):
                told = -1
                while told < wanted:
                    told = int(out.readline())
                record = read_states(path)
                assert record.n_frames > told
                seen.append(record.n_frames)
            assert seen == sorted(set(seen))
            busy = RunningKoopman(2, 20, [1])
            with pytest.raises(OSError, match=rf"is being written by process {writer.pid} on "):
                StatesFile(path).open(helper["INFO"], 2, busy)
        finally:
            writer.send_signal(signal.SIGKILL)
            rest = out.read().split("\n")[:-1]
    last = int(rest[-1]) if rest else told
    record = read_states(path)
    assert record.n_frames > last
    for number in range(record.n_frames):
        expected = helper["states_of"](number)
        np.testing.assert_array_equal(
            record.state_probabilities[number], expected.state_probabilities
        )
    assert record.steps.tolist() == [10 * number for number in range(record.n_frames)]
    file, statistics = helper["opened"](path)
    assert statistics.n_frames == record.n_frames
    file.write(helper["states_of"](record.n_frames), None, statistics)
    file.close()
    assert read_states(path).n_frames == record.n_frames + 1


def test_no_room(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the same error of the same call."""
    path = tmp_path / "states.h5"
    done = run("limit", path, 300_000)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    number, text = done.stdout.split(maxsplit=1)
    assert int(number) > 10
    assert f"File too large; the {number} frames before are in the file and readable" in text
    assert read_states(path).n_frames == int(number)
    assert path.stat().st_size <= 300_000


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path: Path) -> None:
    done = run("storm", tmp_path / "states.h5", 12)
    assert done.returncode == 0, done.stderr
    assert "segments 1" in done.stdout
