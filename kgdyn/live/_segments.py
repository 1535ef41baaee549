"""Which frames follow each other, and which are a restart's repetition."""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray

__all__ = ["Place", "SegmentTracker"]

# The same frame gives the same states but for the rounding of a dump; another one does not.
_SAME_STATES = 1e-3


class Place(Enum):
    """How a frame stands to those before."""

    FOLLOWS = "follows"
    NEW_SEGMENT = "new segment"
    REPEATED = "repeated"


class SegmentTracker:
    """Compare the step of each frame with the last.

    Parameters
    ----------
    steps_per_frame : int, optional
        The first distance between two frames, if not given.
    repeated : {"skip", "new_segment"}
        Of frames at or before the last step.
    """

    def __init__(self, steps_per_frame: int | None, repeated: str) -> None:
        self.steps_per_frame = steps_per_frame
        self.last_step: int | None = None
        self._last_states: NDArray[np.float32] | None = None
        self._skips = repeated == "skip"
        self._diverged = False

    def resume(self, step: int, states: NDArray[np.float32], steps_per_frame: int | None) -> None:
        """Go on after a frame that was recorded by an earlier run."""
        self.last_step, self._last_states = step, states
        self.steps_per_frame = self.steps_per_frame or steps_per_frame

    def place(self, step: int) -> Place:
        """Of the frame that comes next."""
        last = self.last_step
        if last is None:
            return Place.NEW_SEGMENT
        if step <= last:
            return Place.REPEATED if self._skips else Place.NEW_SEGMENT
        interval = self.steps_per_frame or step - last
        follows = step == last + interval and not self._diverged
        return Place.FOLLOWS if follows else Place.NEW_SEGMENT

    def is_last(self, step: int) -> bool:
        """Whether a repeated frame is the last one once more; then ``compare`` its states."""
        return step == self.last_step

    def compare(self, states: NDArray[np.float32]) -> None:
        """A simulation that went back may have come another way: what follows is then new."""
        if self._last_states is not None:
            difference = float(np.abs(states - self._last_states).max())
            self._diverged = difference > _SAME_STATES

    def record(self, step: int, states: NDArray[np.float32]) -> None:
        """The frame has been taken up."""
        last = self.last_step
        if self.steps_per_frame is None and last is not None and step > last:
            self.steps_per_frame = step - last
        self.last_step, self._last_states, self._diverged = step, states, False
