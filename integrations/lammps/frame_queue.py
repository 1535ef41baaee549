"""Frames on their way from the simulation to the analysis: a queue with a bound."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from kgdyn.live import LiveFrame

__all__ = ["FrameQueue", "QueueCounts", "WhenFull"]

WhenFull = Literal["block", "drop_oldest"]

_LOOK_UP = 0.2  # s; how often a thread that waits asks whether it still should


def _never() -> bool:
    return False


@dataclass(frozen=True)
class QueueCounts:
    """How many frames went where.

    Attributes
    ----------
    taken : int
        Handed over by the simulation: those done, dropped, waiting and the one at work.
    done, dropped, waiting : int
    """

    taken: int
    done: int
    dropped: int
    waiting: int


class FrameQueue:
    """A bounded queue between two threads.

    Parameters
    ----------
    size : int
        Frames that wait at most.
    when_full : "block" or "drop_oldest"
        Let the simulation wait, so that no frame is lost; or forget the frame that waited
        longest, so that the simulation never waits.

    Raises
    ------
    ValueError
        For a size below 1 or an unknown policy.
    """

    def __init__(self, size: int, when_full: WhenFull = "block") -> None:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"queue_size must be an integer of at least 1, received {size!r}")
        if when_full not in get_args(WhenFull):
            raise ValueError(f"when_full must be one of {get_args(WhenFull)}, got {when_full!r}")
        self.size, self.when_full = size, when_full
        self._frames: deque[LiveFrame] = deque()
        self._changed = threading.Condition()
        self._taken = self._done = self._dropped = 0
        self._closed = self._broken = False

    @property
    def counts(self) -> QueueCounts:
        with self._changed:
            return QueueCounts(self._taken, self._done, self._dropped, len(self._frames))

    def put(self, frame: LiveFrame, unless: Callable[[], bool] = _never) -> bool:
        """Add a frame; False if the queue is closed, or there was no room until ``unless()``."""
        with self._changed:
            while not self._closed and len(self._frames) >= self.size:
                if self.when_full == "drop_oldest":
                    self._frames.popleft()
                    self._dropped += 1
                elif unless():
                    return False
                else:
                    self._changed.wait(_LOOK_UP)
            if self._closed:
                return False
            self._frames.append(frame)
            self._taken += 1
            self._changed.notify_all()
            return True

    def get(self) -> LiveFrame | None:
        """The oldest frame, waited for; None once the queue is closed and empty."""
        with self._changed:
            while not self._frames and not self._closed:
                self._changed.wait()
            if not self._frames:
                return None
            frame = self._frames.popleft()
            self._changed.notify_all()
            return frame

    def frame_done(self) -> None:
        """The consumer is done with the frame that it got last."""
        with self._changed:
            self._done += 1
            self._changed.notify_all()

    def wait_for_taken(self, unless: Callable[[], bool] = _never) -> bool:
        """Wait until every frame taken by now is done or dropped; False if that cannot be."""
        with self._changed:
            wanted = self._taken
            while self._done + self._dropped < wanted and not self._broken and not unless():
                self._changed.wait(_LOOK_UP)
            return self._done + self._dropped >= wanted

    def close(self) -> None:
        """No more frames come; those that wait can still be got."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def give_up(self) -> None:
        """The consumer died: frames that wait are dropped, and nobody waits for it any more."""
        with self._changed:
            self._closed = self._broken = True
            self._dropped += len(self._frames)
            self._frames.clear()
            self._changed.notify_all()
