"""The interval between frames, from times that a file keeps in float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["regular_times", "sampled_interval"]

_FLOAT32_EPS = float(np.finfo(np.float32).eps)


def regular_times(
    times: NDArray[np.float64], steps: NDArray[np.int64]
) -> tuple[float | None, NDArray[np.float64]]:
    """Interval in ps, and the times without their rounding where they are regular.

    In float32 a long run's times are coarse (0.06 ps at 1 microsecond), so neighbouring frames
    seem irregularly spaced. Where times and steps agree with one interval to that precision,
    the interval is the mean over all frames and the times are computed from it; elsewhere the
    interval is the median and the times are those of the file.

    Parameters
    ----------
    times : (n_frames,) array, ps.
    steps : (n_frames,) array of int.

    Returns
    -------
    interval : float, or None where there is but one frame or time does not pass.
    times : (n_frames,) array, ps.
    """
    if len(times) < 2 or not np.isfinite(times).all():
        return None, times
    rounding = _rounding(times)
    overall = float(times[-1] - times[0]) / (len(times) - 1)
    fitted = times[0] + overall * np.arange(len(times))
    regular_steps = len(np.unique(np.diff(steps))) == 1
    if overall > 0.0 and regular_steps and np.all(np.abs(times - fitted) <= 2.0 * rounding):
        interval = _shortest_decimal(overall, 2.0 * rounding / (len(times) - 1))
        return interval, times[0] + interval * np.arange(len(times))
    median = float(np.median(np.diff(times)))
    if median <= 0.0:
        return None, times
    return _shortest_decimal(median, 2.0 * rounding), times


def sampled_interval(first: float, second: float, last: float, n_frames: int) -> float | None:
    """Interval in ps from three times of ``n_frames`` frames; None where time does not pass.

    The mean over all frames, unless that contradicts the first interval, which then counts.
    """
    rounding = 2.0 * _rounding(np.array([first, second, last]))
    overall = (last - first) / (n_frames - 1)
    if overall > 0.0 and abs(second - first - overall) <= rounding:
        return _shortest_decimal(overall, rounding / (n_frames - 1))
    return _shortest_decimal(second - first, rounding) if second > first else None


def _rounding(times: NDArray[np.float64]) -> float:
    return _FLOAT32_EPS * float(np.abs(times).max())


def _shortest_decimal(value: float, tolerance: float) -> float:
    """The number with the fewest digits within ``tolerance``: 0.1, not 0.10000000149."""
    for digits in range(1, 17):
        candidate = float(f"{value:.{digits}g}")
        if abs(candidate - value) <= min(tolerance, 1e-3 * abs(value)):
            return candidate
    return value
