"""Graphs of frames, built when asked for or once for all: the same, and no more than needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgdyn.graphs import PackedGraphs, take_graphs
from kgdyn.training import graph_builder, pairs_dataset
from kgdyn.training.graph_builder import GraphBuilder
from kgdyn.trajectories import Trajectory

Signal = Callable[..., Trajectory]
WHICH = np.array([0, 1, 1, 0, 0], np.int32)
FRAMES = np.array([7, 0, 4, 7, 2])


@pytest.fixture
def two(signal: Signal) -> list[Trajectory]:
    return [signal(10), signal(5, start=100, source="b.dump")]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[int]]]:
    """Of which trajectory which frames were built, call by call."""
    calls: list[tuple[str, list[int]]] = []
    build = GraphBuilder._build

    def watched(self: GraphBuilder, trajectory: Trajectory, frames: Any) -> PackedGraphs:
        calls.append((trajectory.source, [int(frame) for frame in frames]))
        return build(self, trajectory, frames)

    monkeypatch.setattr(GraphBuilder, "_build", watched)
    return calls


def assert_equal(found: PackedGraphs, expected: PackedGraphs) -> None:
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), array, err_msg=name)
        assert getattr(found, name).dtype == array.dtype, name


@pytest.mark.parametrize("n_hops", [None, 1, 2])
@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_kept_graphs_are_those_built_on_the_fly(
    n_hops: int | None, at_once: int, two: list[Trajectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_builder, "_ATOMS_AT_ONCE", at_once)
    on_the_fly = GraphBuilder(two, 2, n_hops, cache=False)(WHICH, FRAMES)
    kept = GraphBuilder(two, 2, n_hops, cache=True)
    for _ in range(2):
        assert_equal(kept(WHICH, FRAMES), on_the_fly)
    assert on_the_fly.distances[0, 0] == pytest.approx(1.07)  # frame 7 of the first


def test_on_the_fly_each_distinct_frame_is_built_once(
    two: list[Trajectory], built: list[tuple[str, list[int]]]
) -> None:
    build = GraphBuilder(two, 2, cache=False)
    for _ in range(2):
        graphs, place = build.distinct(WHICH, FRAMES)
        assert graphs.n_frames == 4
        assert_equal(take_graphs(graphs, place), build(WHICH, FRAMES))
    assert built == [("a.dump", [2, 7]), ("b.dump", [0, 4])] * 4


def test_only_the_frames_of_pairs_are_built_and_only_once(
    two: list[Trajectory], built: list[tuple[str, list[int]]]
) -> None:
    dataset = pairs_dataset(two, lagtime=2, n_neighbors=2, stride=4, batch_size=2, cache=True)
    for _ in range(3):
        assert len(list(dataset)) == 2
    assert built == [("a.dump", [0, 2, 4, 6]), ("b.dump", [0, 2])]


def test_graphs_are_kept_where_all_of_them_are_few(
    two: list[Trajectory],
    built: list[tuple[str, list[int]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The limit is of all of them; a few frames of each file tell their size."""
    needed = GraphBuilder(two, 2)(np.repeat([0, 1], [10, 5]), np.r_[0:10, 0:5]).n_bytes
    for most, keeps in ((1.1 * needed, True), (0.9 * needed, False)):
        monkeypatch.setattr(graph_builder, "_MOST_BYTES", most)
        dataset = pairs_dataset(two, lagtime=1, n_neighbors=2, batch_size=100)
        assert len(list(dataset)) == 1
        built.clear()
        list(dataset)
        assert built == ([] if keeps else [("a.dump", [*range(10)]), ("b.dump", [*range(5)])])


def test_their_bytes_are_counted(two: list[Trajectory]) -> None:
    graphs = GraphBuilder(two, 2)(WHICH, FRAMES)
    assert graphs.n_bytes >= 5 * 3 * (8 * 2 + 8)
    assert graphs.n_bytes == sum(array.nbytes for array in vars(graphs).values())


def test_a_frame_that_was_not_told_is_refused(two: list[Trajectory]) -> None:
    build = GraphBuilder(two, 2, cache=True, frames=[np.array([2, 7]), np.array([0, 4])])
    assert build(WHICH, FRAMES).n_frames == 5
    with pytest.raises(ValueError, match="received frame 3 of trajectory 1"):
        build(np.array([0, 1, 1], np.int32), np.array([7, 3, 4]))


def test_large_systems_are_measured_by_one_frame(
    two: list[Trajectory],
    built: list[tuple[str, list[int]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And no further than it takes to know that they are too many."""
    monkeypatch.setattr(graph_builder, "_ATOMS_AT_ONCE", 2)
    monkeypatch.setattr(graph_builder, "_MOST_BYTES", 10)
    GraphBuilder(two, 2, cache=None)(WHICH, FRAMES)
    assert built == [("a.dump", [0]), ("a.dump", [2, 7]), ("b.dump", [0, 4])]
