"""A Koopman model that grows frame by frame, readable at any moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.frames import readonly
from kgdyn.koopman._running_estimates import RunningEstimates
from kgdyn.koopman._running_sums import RunningSums
from kgdyn.koopman.ck_test import ChapmanKolmogorovTest
from kgdyn.koopman.implied_timescales import ImpliedTimescales
from kgdyn.koopman.intervals import Interval
from kgdyn.koopman.koopman_model import KoopmanModel
from kgdyn.koopman.reversible import Estimator

__all__ = ["RunningKoopman"]

Float = NDArray[np.float64]
# Numbers that are read from a recording at once.
_SLICE = 2**18


class RunningKoopman:
    """Koopman models at several lag times, updated frame by frame.

    Covariances are sums in float64, mean not removed, over the pairs of frames of gap-free
    segments. Point estimates are those of :func:`kgdyn.koopman.estimate_koopman_model` for the
    same segments, to rounding. Intervals are the same jackknife over blocks of time, or over blocks
    of time and targets where data are few and targets at least 20, whose block length follows from
    the data by the rules of :func:`kgdyn.koopman.resampling_for`.

    Memory does not grow with the number of frames. Blocks of time are joined two by two when there
    are 1024, so that there are always between 512 and 1024 of them. Over both time and targets,
    there are at most 64 blocks of time and 60 groups of targets: up to 60 targets are kept apart,
    more are put into 60 groups of neighbours, as offline. A block goes on over a gap: the system is
    the same on its other side. (Offline, a segment shorter than a block is a block of its own.)
    So borders of blocks differ, and with them the width of intervals: from that offline by less
    than 20% in nine of ten runs with 30 blocks, by less than 55% with 12. They hold the truth as
    often.

    All numbers can be read at any moment. Reading them costs some tens of milliseconds once for
    each number of frames: see ``tests/benchmarks/bench_running_koopman.py``. What is not defined
    yet is said by a ValueError, or is NaN, as each method says. Reading never warns: see
    :meth:`doubt`. Other threads may read while one updates.

    Parameters
    ----------
    n_states : int, at least 2
    n_targets : int
    lagtimes : sequence of int, frames
        The first is what methods take if none is given.
    frame_interval : float, optional, ps
        Time between two frames. Times are in frames if it is not known.

    Raises
    ------
    ValueError
        For fewer than two states, no target, lag times that are not positive, doubled or none, or
        a ``frame_interval`` that is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from kgdyn.koopman import RunningKoopman
    >>> statistics = RunningKoopman(2, 1, [1, 2], frame_interval=0.5)
    >>> for state in (0, 0, 1, 1, 0, 0, 0, 1):
    ...     statistics.update(np.eye(2)[[state]])
    >>> statistics.n_frames, statistics.n_transitions
    (8, 3)
    >>> statistics.koopman_model(1).koopman_matrix.round(2).tolist()
    [[0.6, 0.4], [0.5, 0.5]]
    """

    def __init__(
        self,
        n_states: int,
        n_targets: int,
        lagtimes: Sequence[int],
        *,
        frame_interval: float | None = None,
    ) -> None:
        if n_states < 2:
            raise ValueError(f"n_states must be at least 2, received {n_states}")
        if n_targets < 1:
            raise ValueError(f"n_targets must be at least 1, received {n_targets}")
        lags = [int(lagtime) for lagtime in lagtimes]
        if not lags or min(lags) < 1 or len(set(lags)) < len(lags):
            raise ValueError(
                "lagtimes must be different numbers of frames, at least one of them and each at "
                f"least 1, received {list(lagtimes)}"
            )
        if frame_interval is not None and not frame_interval > 0:
            raise ValueError(f"frame_interval must be positive, received {frame_interval}")
        self.n_states, self.n_targets = int(n_states), int(n_targets)
        self.lagtimes = tuple(lags)
        self.frame_interval = frame_interval
        self._sums = RunningSums(self.n_states, self.n_targets, lags)
        self._now = RunningEstimates(self._sums, float(frame_interval or 1.0))
        self._n_segments = 0

    def update(self, state_probabilities: ArrayLike, new_segment: bool = False) -> None:
        """Add one frame.

        Parameters
        ----------
        state_probabilities : (n_targets, n_states) array
        new_segment : bool
            Frames are missing before this one: it is paired with none that came before.

        Raises
        ------
        ValueError
            For another shape, values that are not finite, or rows that do not sum to 1. Nothing is
            added then.
        """
        values = np.asarray(state_probabilities, dtype=np.float64)
        if values.shape != (self.n_targets, self.n_states):
            raise ValueError(
                "state_probabilities must have shape (n_targets, n_states) = "
                f"({self.n_targets}, {self.n_states}), received {values.shape}"
            )
        self._add(values[None], new_segment)

    def extend(self, segments: ArrayLike | Iterable[ArrayLike]) -> None:
        """Add recorded frames: the same result as :meth:`update` of each, but much faster.

        Parameters
        ----------
        segments : array (n_frames, n_targets, n_states), or an iterable of such arrays
            One a gap-free segment; each begins a new one. Arrays that are read piece by piece (of
            HDF5) are never read as a whole.

        Raises
        ------
        ValueError
            As :meth:`update`. The frames of the pieces before are added then.
        """
        parts: Iterable[Any] = [segments] if hasattr(segments, "shape") else segments  # type: ignore[assignment]
        for number, part in enumerate(parts):
            data: Any = part if hasattr(part, "shape") else np.asarray(part, dtype=np.float64)
            if len(data.shape) != 3 or data.shape[1:] != (self.n_targets, self.n_states):
                raise ValueError(
                    f"segments: segment {number} must have shape (n_frames, n_targets, n_states) = "
                    f"(n_frames, {self.n_targets}, {self.n_states}), received {data.shape}"
                )
            step = max(1, _SLICE // (self.n_targets * self.n_states))
            for start in range(0, data.shape[0], step):
                values = np.asarray(data[start : start + step], dtype=np.float64)
                self._add(values, new_segment=start == 0)

    @property
    def n_frames(self) -> int:
        return self._sums.n_frames

    @property
    def n_segments(self) -> int:
        return self._n_segments

    @property
    def n_transitions(self) -> int:
        """Changes of the most probable state between successive frames, over all targets."""
        return int(self.transitions_by_target.sum())

    @property
    def transitions_by_target(self) -> NDArray[np.int64]:
        """(n_targets,) the same of each target."""
        return self._now.once(("changes",), lambda: readonly(self._sums.changes.copy()))

    @property
    def transitions_per_ns(self) -> float:
        """Of a target, in the mean. NaN without two successive frames, or ``frame_interval``."""
        changes, n_steps = self._now.once(
            ("rate",), lambda: (int(self._sums.changes.sum()), self._sums.n_steps)
        )
        if self.frame_interval is None or n_steps == 0:
            return float("nan")
        return 1000.0 * changes / (n_steps * self.n_targets * self.frame_interval)

    @property
    def mean_probabilities(self) -> Float:
        """(n_states,) mean over all frames and targets: the populations; NaN without a frame."""
        return self._now.once(("mean",), lambda: readonly(self._now.mean_probabilities()))

    def n_pairs(self, lagtime: int | None = None) -> int:
        """Pairs of frames times targets that are ``lagtime`` frames apart."""
        return round(float(self._now.total(self._index(lagtime)).n_pairs[0]))

    def correlation_time(self, lagtime: int | None = None) -> float:
        """As :func:`kgdyn.koopman.correlation_time`, in frames; from block means, never shorter
        than ``lagtime``. NaN without a pair of frames."""
        index = self._index(lagtime)
        if self.n_pairs(self.lagtimes[index]) == 0:
            return float("nan")
        return self._now.scheme(index).correlation_time

    def populations(self) -> Interval:
        """(n_states,) 95% bounds of :attr:`mean_probabilities`.

        NaN as long as there are not two blocks of data (of a frame each, at first) that differ.
        """
        return self._now.once(("populations",), self._now.populations)

    def koopman_model(
        self, lagtime: int | None = None, *, estimator: Estimator = "plain"
    ) -> KoopmanModel:
        """The model of one lag time, with intervals.

        Parameters
        ----------
        lagtime : int, optional, frames
            One of ``lagtimes``; the first if not given.
        estimator : {"plain", "reversible"}
            As for :func:`kgdyn.koopman.estimate_koopman_model`.

        Returns
        -------
        KoopmanModel
            Bounds are NaN as long as there are not two blocks of data. Times are in ps, or in
            frames where ``frame_interval`` is not known.

        Raises
        ------
        ValueError
            For a lag time that is not kept, another estimator, no pair of frames yet, or states
            that have not all been seen yet (C00 singular).
        """
        index = self._index(lagtime)
        _check_estimator(estimator)
        return self._now.once(
            ("model", index, estimator), lambda: self._now.model(index, estimator)
        )

    def implied_timescales(self, *, estimator: Estimator = "plain") -> ImpliedTimescales:
        """At all lag times; NaN where there is no model yet, or no relaxation time."""
        _check_estimator(estimator)
        return self._now.once(("timescales", estimator), lambda: self._now.timescales(estimator))

    def ck_test(
        self,
        lagtime: int | None = None,
        n_steps: int | None = None,
        *,
        estimator: Estimator = "plain",
    ) -> ChapmanKolmogorovTest:
        """K(lagtime)^n against K(n lagtime) for those n for which n lagtime is a kept lag time.

        Parameters
        ----------
        lagtime : int, optional, frames
            One of ``lagtimes``; the first if not given.
        n_steps : int, optional
            The largest n; all that the lag times allow if not given.
        estimator
            As for :meth:`koopman_model`.

        Raises
        ------
        ValueError
            As :meth:`koopman_model`, or if there is no multiple of ``lagtime`` (other than itself)
            among the lag times up to ``n_steps`` that has pairs of frames yet.
        """
        index = self._index(lagtime)
        _check_estimator(estimator)
        return self._now.once(
            ("ck", index, n_steps, estimator),
            lambda: self._now.ck_test(index, n_steps, estimator),
        )

    def independent_blocks(
        self, name: str, lagtime: int | None = None, *, estimator: Estimator = "plain"
    ) -> Float:
        """On how many independent blocks of data the interval of each element rests.

        Parameters
        ----------
        name : {"koopman_matrix", "timescales", "populations", "stationary_distribution", \
"eigenvalues", "mean_first_passage_times", "residence_times"}
        lagtime, estimator
            As for :meth:`koopman_model`.

        Returns
        -------
        Array of the quantity's shape: degrees of freedom of its error; 0 without two blocks.

        Raises
        ------
        ValueError
            As :meth:`koopman_model`, or for another name.
        """
        index = self._index(lagtime)
        _check_estimator(estimator)
        found = self._now.once(
            ("independent", index, estimator),
            lambda: self._now.independent_blocks(index, estimator),
        )
        if name not in found:
            raise ValueError(f"name must be one of {sorted(found)}, received {name!r}")
        return found[name]

    def doubt(self, lagtime: int | None = None, independent: float | None = None) -> str | None:
        """Why intervals are not to be trusted yet, in words; None if there is no reason.

        Parameters
        ----------
        lagtime : int, optional, frames
        independent : float, optional
            Of :meth:`independent_blocks`, for one number; the fewest of K, the timescales and the
            populations if not given.

        Raises
        ------
        ValueError
            As :meth:`koopman_model`.
        """
        index = self._index(lagtime)
        with self._now.lock:
            return self._now.doubt(index, independent)

    def __repr__(self) -> str:
        return (
            f"RunningKoopman(n_states={self.n_states}, n_targets={self.n_targets}, "
            f"lagtimes={list(self.lagtimes)}: {self.n_frames} frames in {self.n_segments} segments)"
        )

    def _add(self, values: Float, new_segment: bool) -> None:
        off = np.abs(values.sum(axis=-1) - 1.0)
        if not (off <= 1e-4).all():  # also where it is NaN
            frame, target = np.argwhere(~(off <= 1e-4))[0]
            row = values[frame, target]
            number = self.n_frames + int(frame)
            if not np.isfinite(row).all():
                raise ValueError(
                    "state_probabilities must be finite, received NaN or infinity in frame "
                    f"{number}, target {target}"
                )
            raise ValueError(
                f"rows of state_probabilities must sum to 1, received a sum of {row.sum():.6g} in "
                f"frame {number}, target {target}"
            )
        with self._now.lock:
            if new_segment or self._n_segments == 0:
                self._sums.begin_segment()
                self._n_segments += 1
            self._sums.append(values)

    def _index(self, lagtime: int | None) -> int:
        if lagtime is None:
            return 0
        if lagtime not in self.lagtimes:
            raise ValueError(f"lagtime must be one of {list(self.lagtimes)}, received {lagtime}")
        return self.lagtimes.index(lagtime)


def _check_estimator(estimator: str) -> None:
    if estimator not in ("plain", "reversible"):
        raise ValueError(f'estimator must be "plain" or "reversible", received {estimator!r}')
