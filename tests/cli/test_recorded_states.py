"""``kgdyn validate --states``: what a live analysis wrote, tested as any other states."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from kgdyn.frames import TargetGroups
from kgdyn.koopman import RunningKoopman, count_transitions, estimate_koopman_model, one_hot
from kgdyn.live import LiveFrame, LiveStates, StatesFile, StreamInfo
from kgdyn.toys import MarkovChain

Command = Callable[..., Result]
CHAIN = MarkovChain(np.array([[0.95, 0.05], [0.1, 0.9]]))
GAP = 700  # the first frame after it


@pytest.fixture(scope="module")
def chi() -> np.ndarray:
    labels = CHAIN.sample(1500, 3, rng=np.random.default_rng(1))
    chi: np.ndarray = (0.9 * one_hot(labels, 2) + 0.05).astype(np.float32)
    return chi


def written(chi: np.ndarray, path: Path, frame_interval: float | None) -> Path:
    targets = TargetGroups.from_indices([0, 1, 2])
    info = StreamInfo(
        "a run", np.full(3, 3), True, targets, frame_interval=frame_interval, steps_per_frame=10
    )
    sink, statistics = StatesFile(path), RunningKoopman(2, 3, [1])
    sink.open(info, 2, statistics)
    for number, values in enumerate(chi):
        step = 10 * number + (50 if number >= GAP else 0)
        frame = LiveFrame(np.zeros((3, 3)), np.eye(3), step)
        sink.write(LiveStates(values, step, None, number in (0, GAP)), frame, statistics)
    sink.close()
    return path


def test_as_other_states_and_no_pair_spans_a_gap(
    chi: np.ndarray, kgdyn_command: Command, tmp_path: Path
) -> None:
    path = written(chi, tmp_path / "live.h5", 0.5)
    result = kgdyn_command(
        "validate", "--states", path, "--lagtime", 4, "--output", tmp_path / "v", "-q"
    )
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "v" / "koopman.json").read_text())
    expected = estimate_koopman_model([chi[:GAP], chi[GAP:]], lagtime=4, frame_interval=0.5)
    np.testing.assert_allclose(found["koopman_matrix"], expected.koopman_matrix, rtol=1e-12)
    assert found["lagtime_ps"] == 2.0
    expected_counts = count_transitions([chi[:GAP], chi[GAP:]])
    assert found["transition_counts"] == expected_counts.counts.tolist()
    assert found["visitors"] == [3, 3]
    assert "tell a rate" not in result.output


@pytest.mark.filterwarnings("ignore:the data hold only")
def test_few_events_are_said(kgdyn_command: Command, tmp_path: Path) -> None:
    labels = np.zeros((200, 3), int)
    labels[20:60, 1] = labels[80:150, 2] = 1
    path = written(one_hot(labels, 2), tmp_path / "live.h5", 0.5)
    result = kgdyn_command(
        "validate", "--states", path, "--lagtime", 4, "--output", tmp_path / "v", "-q"
    )
    assert result.exit_code == 0, result.output
    assert (
        "state 2 (2 of 3 targets) was entered 2 times and left 2 times: fewer than 10 events "
        "tell a rate to no better than a third"
    ) in " ".join(result.output.split())


def test_refusals(chi: np.ndarray, kgdyn_command: Command, tmp_path: Path) -> None:
    path = written(chi[:50], tmp_path / "live.h5", None)
    output = ["--output", tmp_path / "v"]
    for arguments, message in (
        ([], "trajectories with --model, or --states: one of them is needed"),
        (["--states", path], "--lagtime is needed with --states"),
        (["--states", path, "--lagtime", 1], "does not know the time between frames"),
        (["--states", path, "--start", 0.5], "--states is used whole"),
        (["a.npz"], "--model is needed"),
    ):
        result = kgdyn_command("validate", *arguments, *output)
        assert result.exit_code == 1
        assert message in " ".join(result.output.split())
