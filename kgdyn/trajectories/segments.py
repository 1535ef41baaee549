"""Where a trajectory is interrupted: segments within which frames follow at one interval.

A lagged pair is two frames of one segment, so a border must stand at everything that breaks
the rhythm of steps or times: a gap, a frame out of turn, and a restart that goes back or writes
a frame again. Example: steps 0, 10, 20, 20, 30 give the segments (0, 10, 20) and (20, 30).

The regular difference is the modal one, the smaller of two that are equally frequent. A file
whose interval changes half way therefore keeps the longer half; the other becomes segments of
one frame each, which hold no lagged pair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Finding", "interval_from_times", "segment_offsets"]

# Times may be off by this share of the interval, or by the rounding of the numbers themselves.
_TIME_TOLERANCE = 1e-3
_ROUNDINGS = 2.0

Kind = Literal["gap", "short", "repeat", "back", "interval"]
_WORDS = {
    "gap": "jumps",
    "short": "advances by less than usual,",
    "repeat": "repeats,",
    "back": "goes back",
}


@dataclass(frozen=True)
class Finding:
    """One irregularity of a trajectory.

    Attributes
    ----------
    kind : str
        ``"gap"``, ``"short"`` (less than the regular difference), ``"repeat"`` or ``"back"`` (a
        restart), each of which starts a segment at ``frame``; or ``"interval"``: the times of
        the file do not advance by the frame interval that was given.
    frame : int
        The first frame of the new segment, counted from 0.
    quantity : str
        ``"step"``, or ``"time"`` (ps).
    before, after : float
        The quantity in the frame before and in this one. For ``"interval"``: the interval
        given, and the one found.
    expected : float
        The regular difference.
    """

    kind: Kind
    frame: int
    quantity: Literal["step", "time"]
    before: float
    after: float
    expected: float

    def __str__(self) -> str:
        if self.kind == "interval":
            return (
                f"the times advance by {self.after:.10g} ps a frame, "
                f"frame_interval is {self.before:.10g} ps"
            )
        unit = " ps" if self.quantity == "time" else ""
        return (
            f"frame {self.frame}: the {self.quantity} {_WORDS[self.kind]} from "
            f"{self.before:.15g} to {self.after:.15g}{unit} (regular: {self.expected:+.10g}{unit})"
        )


def segment_offsets(
    steps: ArrayLike | None = None,
    times: ArrayLike | None = None,
    *,
    n_frames: int | None = None,
    frame_interval: float | None = None,
) -> tuple[NDArray[np.int64], list[Finding]]:
    """Split frames wherever steps or times do not advance by their regular difference.

    Parameters
    ----------
    steps : (n_frames,) array of int, optional
    times : (n_frames,) array of float, ps, optional
        May be off by 1e-3 of the interval, or by their own rounding: that of float32 where all
        of them are float32 numbers (as XTC has them), but never by half an interval.
    n_frames : int, optional
        Needed where neither steps nor times are known: one segment.
    frame_interval : float, ps, optional
        The regular difference of times. Where no two frames are that far apart the modal
        difference is taken, and a finding of kind ``"interval"`` says so.

    Returns
    -------
    offsets : (n_segments + 1,) array of int64
        Segment ``i`` holds frames ``offsets[i]`` to ``offsets[i + 1] - 1``, at least one.
    findings : list of Finding, by frame; one for each border.

    Raises
    ------
    ValueError
        For lengths that differ, no frame, or a time that is not finite.
    """
    step_array = None if steps is None else np.asarray(steps, dtype=np.int64)
    time_array = None if times is None else np.asarray(times, dtype=np.float64)
    n_frames = _checked_length(step_array, time_array, n_frames)
    borders: dict[int, Finding] = {}
    notes: list[Finding] = []
    on_time = np.ones(n_frames - 1, dtype=bool)
    if time_array is not None and n_frames > 1:
        interval, on_time = _regular_time(time_array, frame_interval)
        if frame_interval is not None and interval != frame_interval:
            notes.append(Finding("interval", 0, "time", frame_interval, interval, interval))
        borders.update(_describe("time", time_array, interval, on_time))
    if step_array is not None and n_frames > 1:
        differences = np.diff(step_array)
        forward = differences > 0
        # The step that belongs to the regular time, where both are known.
        timely = forward & on_time
        regular = _mode(differences[timely if timely.any() else forward])
        borders.update(_describe("step", step_array, regular, differences == regular))
    frames = sorted(borders)
    offsets = np.array([0, *frames, n_frames], dtype=np.int64)
    return offsets, notes + [borders[frame] for frame in frames]


def interval_from_times(times: ArrayLike, offsets: ArrayLike) -> float | None:
    """The frame interval in ps that the times tell, or None if no segment has two frames.

    The mean over the longest segment, rounded as far as the precision of the times leaves open:
    float32 times that advance by 0.1 give 0.1.

    Parameters
    ----------
    times : (n_frames,) array of float, ps.
    offsets : (n_segments + 1,) array of int, from ``segment_offsets``.
    """
    times = np.asarray(times, dtype=np.float64)
    offsets = np.asarray(offsets, dtype=np.int64)
    longest = int(np.argmax(np.diff(offsets)))
    first, last = int(offsets[longest]), int(offsets[longest + 1]) - 1
    if last == first:
        return None
    interval = float(times[last] - times[first]) / (last - first)
    largest = float(np.abs(times[[first, last]]).max())
    error = _ROUNDINGS * _rounding(times) * largest / (last - first)
    for digits in range(1, 17):
        rounded = float(f"{interval:.{digits}g}")
        if abs(rounded - interval) <= error:
            return rounded
    return interval


def _checked_length(
    steps: NDArray[np.int64] | None, times: NDArray[np.float64] | None, n_frames: int | None
) -> int:
    given: list[tuple[str, NDArray[Any] | None]] = [("steps", steps), ("times", times)]
    for name, values in given:
        if values is None:
            continue
        n_frames = len(values) if n_frames is None else n_frames
        if values.shape != (n_frames,):
            raise ValueError(
                f"{name} must have shape (n_frames,) = ({n_frames},), received {values.shape}"
            )
    if n_frames is None or n_frames < 1:
        raise ValueError(f"n_frames must be at least 1, received {n_frames}")
    if times is not None and not np.isfinite(times).all():
        frame = int(np.argmin(np.isfinite(times)))
        raise ValueError(f"times must be finite, received {times[frame]} for frame {frame}")
    return n_frames


def _rounding(times: NDArray[np.float64]) -> float:
    """The relative rounding of the numbers: float32 times stay float32 numbers in float64."""
    with np.errstate(over="ignore"):
        single = bool(np.all(times == times.astype(np.float32)))
    return float(np.finfo(np.float32 if single else np.float64).eps)


def _regular_time(
    times: NDArray[np.float64], frame_interval: float | None
) -> tuple[float, NDArray[np.bool_]]:
    """The regular difference of times, and which of the (n_frames - 1,) differences are it."""
    differences = np.diff(times)
    size = np.maximum(np.abs(times[1:]), np.abs(times[:-1]))
    noise = _ROUNDINGS * _rounding(times) * size

    def matches(interval: float) -> NDArray[np.bool_]:
        tolerance = np.minimum(np.maximum(_TIME_TOLERANCE * interval, noise), 0.5 * interval)
        result: NDArray[np.bool_] = np.abs(differences - interval) < tolerance
        return result

    if frame_interval is not None:
        matched = matches(frame_interval)
        if matched.any():
            return frame_interval, matched
    forward = np.sort(differences[differences > 0.0])
    if not len(forward):
        return 0.0, np.zeros(len(differences), dtype=bool)
    # The fullest window of differences that are equal within the tolerance.
    top = forward * (1.0 + _TIME_TOLERANCE) + float(noise.max())
    counts = np.searchsorted(forward, top, side="right") - np.arange(len(forward))
    fullest = int(np.argmax(counts))
    interval = float(forward[fullest : fullest + int(counts[fullest])].mean())
    return interval, matches(interval)


def _mode(differences: NDArray[np.int64]) -> int:
    """The most frequent value, the smaller one in a tie; 0 if there is none."""
    if not len(differences):
        return 0
    values, counts = np.unique(differences, return_counts=True)
    return int(values[np.argmax(counts)])


def _describe(
    quantity: Literal["step", "time"],
    values: NDArray[Any],
    regular: float,
    matched: NDArray[np.bool_],
) -> dict[int, Finding]:
    """A finding for each frame that does not follow its predecessor regularly."""
    findings = {}
    # Where nothing advances, regular is 0 and a repeat is still a border.
    for index in np.flatnonzero(~matched | (np.diff(values) <= 0)):
        before, after = values[index].item(), values[index + 1].item()
        kind: Kind = "gap" if after - before > regular else "short"
        if after <= before:
            kind = "repeat" if after == before else "back"
        frame = int(index) + 1
        findings[frame] = Finding(kind, frame, quantity, before, after, regular)
    return findings
