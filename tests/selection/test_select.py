"""Selections that really train: the right number of states, and going on after any end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgdyn.models import load_model
from kgdyn.selection import Selection, clear_selection, select_model
from kgdyn.selection._jobs import default_jobs
from kgdyn.toys import MarkovChain, SwitchingShell, four_state_chain
from kgdyn.training import TrainingSettings
from kgdyn.trajectories import Trajectory, trajectory_from_arrays

TINY: dict[str, Any] = {"n_convolutions": 1, "n_features": 4}
TWO = MarkovChain(np.array([[0.95, 0.05], [0.1, 0.9]]))


def shell(chain: MarkovChain, n_frames: int, seed: int = 0) -> Trajectory:
    toy = SwitchingShell(chain)
    positions, _ = toy.sample(n_frames, rng=np.random.default_rng(seed))
    return trajectory_from_arrays(
        positions, toy.cell, toy.species, frame_interval=1.0, targets=[0], source=f"shell {seed}"
    )


def select_two(folder: Path, **changes: Any) -> Selection:
    """Two states, or those asked for: two short trainings each."""
    arguments: dict[str, Any] = {
        "n_states": [2, 3],
        "lagtimes": [1, 4],
        "n_neighbors": 4,
        "restarts": 1,
        "folds": 2,
        "settings": TrainingSettings(
            epochs=4, batch_size=200, learning_rate=0.01, checkpoint_every=0.0
        ),
        "model_options": TINY,
    } | changes
    return select_model(shell(TWO, 6000), folder=folder, **arguments)


@pytest.mark.long
@pytest.mark.slow
def test_four_states_for_a_four_state_chain(tmp_path: Path) -> None:
    result = select_model(
        shell(four_state_chain(), 12_000),
        n_states=[3, 4],
        lagtimes=[1, 2, 5, 10],
        train_lagtime=5,
        n_neighbors=4,
        restarts=1,
        folds=2,
        settings=TrainingSettings(epochs=6, batch_size=500, learning_rate=0.01),
        model_options={"n_convolutions": 1},
        folder=tmp_path,
    )
    assert result.n_states == 4, result.verdict()
    by_states = {item.n_states: item for item in result.scores}
    assert by_states[4].gain > 5 * by_states[4].gain_error
    three = [
        reason
        for item, reason in zip(result.candidates, result.reasons, strict=True)
        if item.n_states == 3
    ]
    assert all("that 4 states resolve" in reason for reason in three)
    taken = result.recommended
    assert taken is not None
    np.testing.assert_allclose(taken.timescales, four_state_chain().timescales, rtol=0.5)
    assert result.model_path is not None
    model = load_model(result.model_path)
    assert (model.n_states, model.lagtime) == (4, result.lagtime)


@pytest.mark.slow
@pytest.mark.long
def test_side_by_side_is_the_same_and_other_plans_are_refused(tmp_path: Path) -> None:
    one = select_two(tmp_path / "one", n_states=[2])
    assert (one.n_states, one.lagtime) == (2, 1)
    notes: list[tuple[float, float]] = []
    two = select_two(
        tmp_path / "two",
        n_states=[2],
        jobs=2,
        progress=lambda done, total, note: notes.append((done, total)),
    )
    for left, right in zip(one.candidates, two.candidates, strict=True):
        assert left.score == pytest.approx(right.score, abs=1e-5)
    assert notes[0] == (0.0, 2.0)
    assert (2.0, 2.0) in notes
    assert not list((tmp_path / "two").glob(".worker-data-*"))
    with pytest.raises(ValueError, match=r"restarts: 1 there, 2 here"):
        select_two(tmp_path / "one", n_states=[2], restarts=2)
    (tmp_path / "one" / "mine.txt").write_text("mine")
    clear_selection(tmp_path / "one")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["mine.txt"]


SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {tests!r})
from pathlib import Path
import importlib.util
spec = importlib.util.spec_from_file_location("mine", {file!r})
mine = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mine)
mine.select_two(Path({folder!r}), jobs={jobs}, n_states=[2])
"""


def started(folder: Path, jobs: int) -> subprocess.Popen[str]:
    script = SCRIPT.format(
        tests=str(Path(__file__).parent), file=__file__, folder=str(folder), jobs=jobs
    )
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_checkpoints(process: subprocess.Popen[str], folder: Path, count: int) -> None:
    """Until trainings are under way, and none of those is finished."""
    while process.poll() is None:
        found = list(folder.glob("states-*/*/*/checkpoints/latest.h5"))
        running = [path for path in found if not (path.parents[1] / "outcome.json").exists()]
        if len(running) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"ended by itself: {process.communicate()}")


@pytest.mark.long
@pytest.mark.slow
def test_stopped_and_continued(tmp_path: Path) -> None:
    """By Ctrl-C, with two trainings side by side."""
    number, jobs = signal.SIGINT, 2
    process = started(tmp_path, jobs)
    wait_for_checkpoints(process, tmp_path, jobs)
    workers = workers_of(process.pid)
    assert len(workers) == jobs
    process.send_signal(number)
    out, err = process.communicate(timeout=600)
    assert process.returncode != 0, out + err
    deadline = time.monotonic() + 300.0
    while any(alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(worker) for worker in workers)
    assert not list(tmp_path.glob(".worker-data-*"))
    left = list(tmp_path.glob("states-*/*/*/checkpoints/latest.h5"))
    epochs = {path: path.stat().st_ino for path in left}
    assert epochs
    result = select_two(tmp_path, n_states=[2])
    assert (result.n_states, result.lagtime) == (2, 1)
    assert json.loads((tmp_path / "selection.json").read_text())["recommended"]


def workers_of(pid: int) -> list[int]:
    """Processes whose parent is this one."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            command = (entry / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if int(words[1]) == pid and b"kgdyn.selection._worker" in command:
            found.append(int(entry.name))
    return found


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (Path("/proc") / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.slow
def test_a_worker_says_what_is_wrong(tmp_path: Path) -> None:
    """An atom that moves to NaN after the checks: the message comes from the process."""
    run = shell(TWO, 3000)
    run.positions[2500] = np.nan
    with pytest.raises(ValueError, match="shell 0, frame 2500"):
        select_model(
            run,
            n_states=[2],
            lagtimes=[1],
            n_neighbors=4,
            folds=2,
            restarts=1,
            jobs=2,
            settings=TrainingSettings(epochs=1, batch_size=500),
            model_options=TINY,
            folder=tmp_path,
        )


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="jobs must be at least 1, or None, received 0"):
        select_two(tmp_path, jobs=0)
    with pytest.raises(ValueError, match="lagtimes: at least one value is needed"):
        select_two(tmp_path, lagtimes=[])
    with pytest.raises(ValueError, match=r"lagtimes must be shorter than 1/4 .* received 800"):
        select_two(tmp_path, lagtimes=[1, 800])
    (tmp_path / "model.keras").write_text("of somebody")
    with pytest.raises(ValueError, match=r"holds a model\.keras of something else"):
        select_two(tmp_path)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(ValueError, match=r"plan\.json: is damaged"):
        select_two(tmp_path)


def test_jobs_follow_the_cores() -> None:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert default_jobs(1) == 1
    assert 1 <= default_jobs(1000) <= max(1, (cores or 1) // 2)
