"""The queue between the simulation and the analysis: nothing lost, nobody left waiting."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from kgdyn.integrations.lammps.frame_queue import FrameQueue, QueueCounts

from kgdyn.live import LiveFrame

LONG = 60.0


def frame(step: int) -> LiveFrame:
    return LiveFrame(np.zeros((1, 3)), np.eye(3), step)


def started(function: object, *args: object) -> threading.Thread:
    thread = threading.Thread(target=function, args=args, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def test_frames_come_out_in_order_and_are_counted() -> None:
    queue = FrameQueue(3)
    for step in range(3):
        assert queue.put(frame(step))
    first = queue.get()
    assert first is not None
    assert first.step == 0
    assert queue.counts == QueueCounts(taken=3, done=0, dropped=0, waiting=2)
    queue.frame_done()
    queue.close()
    assert not queue.put(frame(9))
    rest = [queue.get(), queue.get(), queue.get()]
    assert [None if one is None else one.step for one in rest] == [1, 2, None]
    assert queue.counts == QueueCounts(taken=3, done=1, dropped=0, waiting=0)


def test_block_waits_for_room() -> None:
    queue = FrameQueue(1)
    queue.put(frame(0))
    thread = started(queue.put, frame(1))
    time.sleep(0.1)
    assert thread.is_alive()
    assert queue.counts.taken == 1
    assert queue.get() is not None
    thread.join(LONG)
    assert queue.counts == QueueCounts(taken=2, done=0, dropped=0, waiting=1)


def test_drop_oldest_never_waits() -> None:
    queue = FrameQueue(2, "drop_oldest")
    for step in range(5):
        assert queue.put(frame(step))
    assert queue.counts == QueueCounts(taken=5, done=0, dropped=3, waiting=2)
    first = queue.get()
    assert first is not None
    assert first.step == 3


def test_a_dead_consumer_lets_everyone_go() -> None:
    queue = FrameQueue(1)
    queue.put(frame(0))
    queue.get()  # and never done
    queue.put(frame(1))
    putting = started(queue.put, frame(2))
    waiting = started(queue.wait_for_taken)
    queue.give_up()
    putting.join(LONG)
    waiting.join(LONG)
    assert not putting.is_alive()
    assert not waiting.is_alive()
    assert not queue.wait_for_taken()
    assert queue.counts == QueueCounts(taken=2, done=0, dropped=1, waiting=0)


def test_someone_who_should_no_longer_wait_does_not() -> None:
    queue = FrameQueue(1)
    queue.put(frame(0))
    assert not queue.put(frame(1), unless=lambda: True)
    assert not queue.wait_for_taken(unless=lambda: True)
    assert queue.counts.taken == 1


def test_waiting_for_what_was_taken() -> None:
    queue = FrameQueue(4)
    queue.put(frame(0))
    thread = started(queue.wait_for_taken)
    time.sleep(0.05)
    assert thread.is_alive()
    queue.get()
    queue.frame_done()
    thread.join(LONG)
    assert not thread.is_alive()


@pytest.mark.parametrize("size", [0, 1.5, True])
def test_refusals(size: int) -> None:
    with pytest.raises(ValueError, match="queue_size must be an integer of at least 1, received"):
        FrameQueue(size)
    with pytest.raises(ValueError, match=r"when_full must be one of .*block.*'drop_newest'"):
        FrameQueue(2, "drop_newest")  # type: ignore[arg-type]
