"""Pairs and frames: which, in what order, and never across a border."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from kgdyn.graphs import pack_graphs
from kgdyn.training import Position, frames_dataset, pairs_dataset, to_ragged
from kgdyn.trajectories import Trajectory

Signal = Callable[..., Trajectory]
Reader = Callable[[Any], list[int]]


@pytest.fixture
def three_pieces(signal: Signal) -> list[Trajectory]:
    """Segments of frames 0-9 and 100-106 in one file, 200-204 in another, 300-302 in a third."""
    first = signal(17, offsets=[0, 10, 17])
    positions = first.positions.copy()
    positions[10:, 1, 0] += 0.01 * 90
    return [
        replace(first, positions=positions),
        signal(5, start=200, source="b.dump"),
        signal(3, start=300, source="c.dump"),
    ]


def pairs_in(dataset: Any, numbers_of: Reader) -> list[list[tuple[int, int]]]:
    """One epoch, a list a batch."""
    return [
        list(zip(numbers_of(pair["t"]), numbers_of(pair["lag"]), strict=True))
        for (pair,) in dataset
    ]


def expected_pairs(lagtime: int) -> list[tuple[int, int]]:
    pieces = (range(10), range(100, 107), range(200, 205), range(300, 303))
    return [(t, t + lagtime) for piece in pieces for t in piece if t + lagtime in piece]


OPTIONS: dict[str, dict[str, Any]] = {
    "shuffled": {},
    "in order": {"shuffle": False},
    "windows": {"window": 3},
    "windows in order": {"window": 4, "shuffle": False},
    "cached": {"cache": True},
    "on the fly": {"cache": False},
    "cut down": {"n_hops": 2},
    "everything": {"cache": True, "window": 2, "n_hops": 1},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
@pytest.mark.parametrize("lagtime", [1, 3, 4, 9])
def test_every_pair_once_and_none_across_a_border(
    lagtime: int, options: dict[str, Any], three_pieces: list[Trajectory], numbers_of: Reader
) -> None:
    dataset = pairs_dataset(three_pieces, lagtime=lagtime, n_neighbors=2, batch_size=4, **options)
    for _ in range(2):
        batches = pairs_in(dataset, numbers_of)
        found = [pair for batch in batches for pair in batch]
        assert sorted(found) == expected_pairs(lagtime)
        assert len(batches) == len(dataset) == -(-len(found) // 4)
        assert [len(batch) for batch in batches[:-1]] == [4] * (len(batches) - 1)
        if options == {"shuffle": False}:
            assert found == expected_pairs(lagtime)


def test_windows_keep_pairs_that_share_frames_together(signal: Signal, numbers_of: Reader) -> None:
    dataset = pairs_dataset(signal(41), lagtime=2, n_neighbors=2, batch_size=1000, window=4, seed=1)
    (found,) = pairs_in(dataset, numbers_of)
    followed = sum(a[1] == b[0] for a, b in itertools.pairwise(found))
    assert followed >= 0.7 * (len(found) - 1)
    assert found != sorted(found)


def test_another_order_each_epoch(signal: Signal, numbers_of: Reader) -> None:
    dataset = pairs_dataset(signal(40), lagtime=1, n_neighbors=1, batch_size=39)
    epochs = [pairs_in(dataset, numbers_of)[0] for _ in range(3)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(epochs[2])
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert tuple(sorted(epochs[0])) not in {tuple(epoch) for epoch in epochs}


def test_same_seed_same_epochs(signal: Signal, numbers_of: Reader) -> None:
    def epochs(seed: int) -> list[Any]:
        dataset = pairs_dataset(signal(30), lagtime=1, n_neighbors=1, batch_size=8, seed=seed)
        return [pairs_in(dataset, numbers_of) for _ in range(2)]

    assert epochs(7) == epochs(7)
    assert epochs(7) != epochs(8)


@pytest.mark.parametrize("epoch", [0, 3])
@pytest.mark.parametrize("batch", [0, 2])
def test_a_pass_from_a_position(epoch: int, batch: int, signal: Signal, numbers_of: Reader) -> None:
    """The rest of that epoch, as often as it is read, and another when the position moves."""
    options: dict[str, Any] = {"lagtime": 1, "n_neighbors": 1, "batch_size": 8, "seed": 5}
    counting = pairs_dataset(signal(30), **options)
    epochs = [pairs_in(counting, numbers_of) for _ in range(5)]
    position = Position(epoch, batch)
    dataset = pairs_dataset(signal(30), position=position, **options)
    assert len(dataset) == 4 - batch
    for _ in range(2):
        assert pairs_in(dataset, numbers_of) == epochs[epoch][batch:]
    position.epoch = epoch + 1
    assert pairs_in(dataset, numbers_of) == epochs[epoch + 1][batch:]


@pytest.mark.parametrize("batch", [-1, 4])
def test_a_position_that_is_not_there(batch: int, signal: Signal) -> None:
    with pytest.raises(ValueError, match=r"within the 4 batches of an epoch, received Position"):
        pairs_dataset(
            signal(30), lagtime=1, n_neighbors=1, batch_size=8, position=Position(0, batch)
        )


@pytest.mark.parametrize(("stride", "firsts"), [(1, [*range(9)]), (4, [0, 4, 8]), (99, [0])])
def test_stride(stride: int, firsts: list[int], signal: Signal, numbers_of: Reader) -> None:
    dataset = pairs_dataset(signal(10), lagtime=1, n_neighbors=1, stride=stride, shuffle=False)
    (found,) = pairs_in(dataset, numbers_of)
    assert found == [(first, first + 1) for first in firsts]
    assert len(dataset) == 1


def test_frames_in_order(three_pieces: list[Trajectory], numbers_of: Reader) -> None:
    dataset = frames_dataset(three_pieces, n_neighbors=2, batch_size=7)
    batches = [numbers_of(graphs) for (graphs,) in dataset]
    assert [len(batch) for batch in batches] == [7, 7, 7, 4]
    assert len(dataset) == 4
    assert [*itertools.chain(*batches)] == [
        *range(10),
        *range(100, 107),
        *range(200, 205),
        *range(300, 303),
    ]
    assert [numbers_of(graphs) for (graphs,) in dataset] == batches


def test_graphs_are_those_of_pack_graphs(rng: np.random.Generator, signal: Signal) -> None:
    trajectory = replace(signal(6), positions=rng.normal(size=(6, 3, 3)))
    expected = to_ragged(
        pack_graphs(
            trajectory.positions,
            trajectory.cells,
            trajectory.pbc,
            trajectory.species,
            trajectory.targets,
            2,
        )
    )
    ((graphs,),) = frames_dataset(trajectory, n_neighbors=2)
    assert sorted(graphs) == ["distances", "neighbors", "species", "targets"]
    for name, values in graphs.items():
        assert values.to_list() == expected[name].to_list()
    assert graphs["neighbors"].to_list()[0][0] in ([1, 2], [2, 1])


def test_trajectories_of_different_size_in_one_batch(signal: Signal, numbers_of: Reader) -> None:
    wide = signal(4, start=100)
    larger = replace(
        wide,
        positions=np.concatenate(
            [wide.positions, wide.positions[:, :1] + [0.0, 0.0, 70.0]], axis=1
        ),
        species=np.array([3, 16, 16, 8], np.int32),
    )
    dataset = pairs_dataset([signal(5), larger], lagtime=1, n_neighbors=2, shuffle=False)
    ((pair,),) = dataset
    assert pair["t"]["species"].row_lengths().numpy().tolist() == [3] * 4 + [4] * 3
    assert numbers_of(pair["lag"]) == [1, 2, 3, 4, 101, 102, 103]


def bad_frame(signal: Signal) -> list[Trajectory]:
    bad = signal(30, source="b.dump")
    bad.positions[17, 1, 2] = np.nan
    return [signal(30), bad[5:]]


@pytest.mark.parametrize("batch_size", [4, 1000])
@pytest.mark.parametrize("cache", [None, False, True])
def test_a_bad_frame_is_named(cache: bool | None, batch_size: int, signal: Signal) -> None:
    """tf.data hands a ValueError on under its own name."""
    dataset = pairs_dataset(
        bad_frame(signal), lagtime=1, n_neighbors=2, batch_size=batch_size, cache=cache
    )
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"ValueError: b\.dump, frame 17: positions must be finite, .*nan.* for atom 1",
    ):
        list(dataset)


def test_a_bad_frame_is_named_among_frames(signal: Signal) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"ValueError: b\.dump, frame 17: "):
        list(frames_dataset(bad_frame(signal), n_neighbors=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lagtime": 0}, "lagtime must be at least 1 frame, received 0"),
        ({"lagtime": 20}, r"lagtime must be shorter .* 20 frames \(a.dump\), received 20"),
        ({"batch_size": 0}, "batch_size must be at least 1, received 0"),
        ({"stride": 0}, "stride must be at least 1, received 0"),
        ({"window": 0}, "window must be at least 1, received 0"),
        ({"n_neighbors": 0}, "n_neighbors must be at least 1, received 0"),
        ({"n_hops": 0}, "n_hops must be at least 1, received 0"),
        ({"seed": -1}, "seed must not be negative, received -1"),
    ],
)
def test_bad_argument_of_pairs(options: dict[str, Any], message: str, signal: Signal) -> None:
    with pytest.raises(ValueError, match=message):
        pairs_dataset(signal(20), **{"lagtime": 1, "n_neighbors": 2, **options})


@pytest.mark.parametrize("name", ["batch_size", "n_neighbors", "n_hops"])
def test_bad_argument_of_frames(name: str, signal: Signal) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, received 0"):
        frames_dataset(signal(20), **{"n_neighbors": 2, name: 0})


def test_no_trajectory() -> None:
    with pytest.raises(ValueError, match="at least one trajectory is needed, received none"):
        pairs_dataset([], lagtime=1, n_neighbors=2)


@pytest.mark.parametrize(
    ("n_frames", "batch"),
    [
        (60_002, 1024),  # 60,000 pairs: the largest
        (1_002, 1000),  # no batch has fewer than 1,024 targets, unless there are no more
        (44_002, 1024),
    ],
)
def test_a_batch_size_that_suits_the_data(n_frames: int, batch: int) -> None:
    from kgdyn.training.datasets import _usual_batch_size

    assert min(_usual_batch_size(n_frames - 2, 1), n_frames - 2) == batch
    # With many targets a batch of few frames has enough of them: an epoch has 40 batches.
    assert _usual_batch_size(800, 332) == 20
    assert _usual_batch_size(100, 332) == 4
    assert _usual_batch_size(10, 4096) == 1


def test_without_a_batch_size_all_pairs_come(signal: Signal, numbers_of: Reader) -> None:
    found = pairs_in(pairs_dataset(signal(20), lagtime=2, n_neighbors=1), numbers_of)
    assert sorted(pair for batch in found for pair in batch) == [(t, t + 2) for t in range(18)]
    assert len(found) == 1
