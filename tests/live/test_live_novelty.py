"""Surroundings that the model never saw: alarms, and the frames that are kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgdyn import open_trajectory
from kgdyn.live import LiveAnalysis, LiveFrame
from kgdyn.models import GDyNet
from kgdyn.training import fit_novelty
from kgdyn.training.graph_builder import GraphBuilder
from kgdyn.trajectories import Trajectory

Make = Callable[..., Any]


def followed(analysis: LiveAnalysis, frames: list[LiveFrame]) -> list[Any]:
    return [analysis.process(frame) for frame in frames]


class Distances:
    """Novelty that is prescribed: a row a frame."""

    def __init__(self, *rows: list[float]) -> None:
        self.rows = list(rows)

    def distances(self, graphs: Any) -> np.ndarray[Any, Any]:
        assert graphs.n_frames == 1
        return np.array(self.rows.pop(0), np.float32)

    def explain(self, graphs: Any, row: int) -> str:
        return f"row {row} is far away"


@pytest.fixture
def novel(model_of: Make, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Function: a model with this novelty."""

    def make(*rows: list[float]) -> GDyNet:
        monkeypatch.setattr(GDyNet, "novelty", Distances(*rows))
        return model_of()

    return make


ROWS = ([0.5, 2.0, 3.0], [2.0, 2.0, 0.1], [0.9, 5.0, 1.5], [1.5, 1.1, 1.2], [0.1, 0.2, 0.3])


def test_alarm_after_several_frames(
    novel: Make, liquid: Trajectory, analysis_of: Make, frame_of: Make
) -> None:
    analysis = analysis_of(model=novel(*ROWS), novel_frames=2)
    frames = [frame_of(liquid, i) for i in range(5)]
    message = (
        r"liquid, step 10: for 2 frames the surroundings of 1 of .* \(counted from 0: 1\) .* "
        r"Target 1: row 1 is far away"
    )
    with pytest.warns(RuntimeWarning, match=message):
        found = followed(analysis, frames)
    assert [states.alarms for states in found] == [(), (1,), (1,), (1, 2), ()]
    np.testing.assert_array_equal(found[3].novelty, np.float32(ROWS[3]))


def test_a_gap_ends_an_alarm(
    novel: Make, liquid: Trajectory, analysis_of: Make, frame_of: Make
) -> None:
    analysis = analysis_of(model=novel([2, 2, 2], [2, 2, 2]), novel_frames=2, on_novel="ignore")
    found = followed(analysis, [frame_of(liquid, 0), frame_of(liquid, 2)])
    assert [states.alarms for states in found] == [(), ()]


@pytest.mark.filterwarnings("ignore:liquid, step:RuntimeWarning")
def test_novel_frames_are_saved_for_retraining(
    novel: Make, liquid: Trajectory, analysis_of: Make, frame_of: Make, tmp_path: Path
) -> None:
    path = tmp_path / "novel.extxyz"
    options = {"novel_frames": 2, "on_novel": "save", "novel_file": path, "most_novel_frames": 3}
    frames = [frame_of(liquid, i) for i in range(4)]
    with analysis_of(model=novel(*ROWS[:3]), **options) as first:
        followed(first, frames[:3])
        assert first.n_novel_saved == 2
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:600])  # killed while it wrote
    rows = [[2.0, 2.0, 2.0]] * 4
    with analysis_of(model=novel(*rows), **options) as second:
        followed(second, frames)
        assert second.n_novel_saved == 3
    read = open_trajectory(path, frame_interval=0.5, targets="element Li")
    assert read.n_frames == 3
    assert read.species.tolist() == liquid.species.tolist()
    kept = liquid.positions[[1, 2, 1]].astype(np.float32)
    np.testing.assert_array_equal(read.positions, kept)
    np.testing.assert_array_equal(read.cells, liquid.cells[[1, 2, 1]])
    assert 'novel_targets="1"' in path.read_text().splitlines()[1]


def test_novel_file_of_another_system(novel: Make, tmp_path: Path, analysis_of: Make) -> None:
    path = tmp_path / "novel.extxyz"
    path.write_text("2\n\nLi 0 0 0\nLi 1 1 1\n")
    with pytest.raises(ValueError, match=r"row 1: expected a frame of 30 atoms .* b'2'"):
        analysis_of(model=novel(), on_novel="save", novel_file=path)


def test_the_novelty_of_a_model(
    liquid: Trajectory, model_of: Make, stream_of: Make, frame_of: Make
) -> None:
    model = model_of()
    novelty = fit_novelty(model, liquid)
    analysis = LiveAnalysis(model, stream_of(liquid), novel_frames=1)
    good = frame_of(liquid, 4)
    found = analysis.process(good)
    expected = GraphBuilder([liquid], 5, 1)(np.zeros(1, np.int32), np.array([4]))
    np.testing.assert_allclose(found.novelty, novelty.distances(expected), rtol=1e-5, atol=1e-5)
    positions = good.positions.copy()
    positions[9] = positions[10] + [0.05, 0.0, 0.0]
    with pytest.warns(RuntimeWarning, match=r"step 50: .* Target 2: .* in the training"):
        found = analysis.process(replace(good, positions=positions, step=50))
    assert 2 in found.alarms
    assert found.alarms == tuple(np.flatnonzero(found.novelty > 1.0))
