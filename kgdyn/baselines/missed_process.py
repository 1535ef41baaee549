"""Did the states miss a slow process? A verdict in words.

A straight timescale plot and a good Chapman-Kolmogorov test hold for any set of processes that is
closed in itself, so neither shows that a slower one was missed. A linear VAMP model on neighbour
distances cannot find every process, but what it does find on held-out frames is there.

Two comparisons, both on the same blocks of held-out frames:

1. What the states leave over. Distances are freed of the states (linear regression, at t and at
   t + lagtime), and the slowest linear functions of the rest are fitted on four fifths of the
   blocks and evaluated on the fifth. They are uncorrelated with the states, so each is a process
   that the states do not hold; if its singular value exceeds the smallest of the states, putting
   it in the other's place would raise the score. This is the sharper test.
2. The score of the states against that of as many linear functions, cross-fitted likewise. It
   catches states that mix two processes and hold neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kgdyn.baselines._cross_fitting import Statistics, cross_fit
from kgdyn.baselines._held_out_blocks import blocks_for, held_out_sums
from kgdyn.baselines._lagged_sums import Progress, segments_of
from kgdyn.baselines._processes import LinearProcess, describe_processes, process_time
from kgdyn.baselines._restarts import Restarts, compare_restarts
from kgdyn.baselines._sums import bootstrap_weights, interval_of
from kgdyn.baselines._verdict_words import words_of
from kgdyn.baselines.neighbor_distances import neighbor_distances_for
from kgdyn.koopman import Interval, as_segments
from kgdyn.trajectories import Trajectory, as_trajectories, lagged_pairs

__all__ = ["MissedProcessVerdict", "missed_process_verdict"]

Float = NDArray[np.float64]

# A process is slow if its singular value surely is that of a timescale of so many lag times.
_SLOW = 2.0
# States hold a linear process if they explain at least this share of its variance.
_HELD = 2.0 / 3.0
_RESIDUAL_PROCESSES = 2


@dataclass(frozen=True)
class MissedProcessVerdict:
    """What a linear method finds in held-out frames that the states do not hold.

    Attributes
    ----------
    status : str
        ``"missed"``: a process is missing that would raise the score of as many states;
        ``"more states"``: the states hold the slowest processes, and a further slow one exists;
        ``"below floor"``: nothing is missing that as many states could hold, but a linear method
        resolves it more sharply;
        ``"nothing slow"``: neither states nor linear method show a slow process;
        ``"complete"``: no process found by the linear method is missing.
    words : tuple of str
        The verdict, a sentence or two; then what it rests on.
    missing : tuple of LinearProcess
        Slow processes that the states do not hold, slowest first.
    floor : tuple of LinearProcess
        The n_states - 1 slowest of the linear method.
    explained : (n_states - 1,) array
        Share of the variance of each of these that the states explain.
    vamp2_score, floor_score : float
        Of the states and of the linear method on the same pairs; the constant counts 1.
    score_interval, floor_interval, difference_interval : Interval
        Of both, and of states minus floor, paired over blocks.
    singular_values : (n_states - 1,) array
        Of the states, descending.
    singular_values_interval : Interval
    slower_than_ps : float
        No process slower than this was found; NaN unless the status is ``"nothing slow"``.
    restarts : Restarts or None
        Whether the scores of several trainings agree.
    lagtime : int, frames.
    frame_interval : float, ps.
    blocks : str
        What the intervals rest on.
    """

    status: str
    words: tuple[str, ...]
    missing: tuple[LinearProcess, ...]
    floor: tuple[LinearProcess, ...]
    explained: Float
    vamp2_score: float
    score_interval: Interval
    floor_score: float
    floor_interval: Interval
    difference_interval: Interval
    singular_values: Float
    singular_values_interval: Interval
    slower_than_ps: float
    restarts: Restarts | None
    lagtime: int
    frame_interval: float
    blocks: str

    @property
    def ok(self) -> bool:
        """False where a process was missed, or restarts disagree."""
        return self.status != "missed" and (self.restarts is None or self.restarts.agree)

    def __str__(self) -> str:
        return "\n".join(self.words)


def missed_process_verdict(
    state_probabilities: ArrayLike | Sequence[ArrayLike],
    trajectories: Trajectory | Sequence[Trajectory],
    *,
    lagtime: int,
    restart_scores: Sequence[float] | None = None,
    n_neighbors_per_element: int = 8,
    transform: str = "distance",
    ridge: float = 1e-3,
    by_target: bool | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> MissedProcessVerdict:
    """Compare state probabilities with a linear method, on frames that training did not see.

    Parameters
    ----------
    state_probabilities : array (n_frames, n_targets, n_states) or a sequence of such arrays
        One array a gap-free segment of the trajectories, in order.
    trajectories : Trajectory or sequence of Trajectory
        The same frames and targets. They are read once, in chunks.
    lagtime : int, frames.
    restart_scores : sequence of float, optional
        VAMP-2 scores of several trainings on the same validation frames, this one's among them.
    n_neighbors_per_element, transform
        As in :func:`neighbor_distances_for`.
    ridge : float
        As in :func:`fit_linear_vamp`.
    by_target : bool, optional
        Whether errors come from groups of targets or from 20 blocks of time. If not given, from
        time, unless these blocks prove to be shorter than two relaxation times and there are 20
        targets (the trajectories are then read twice).
    seed : int
        Of the bootstrap.
    progress : callable, optional
        Called with the frames done and the frames in all.

    Returns
    -------
    MissedProcessVerdict

    Raises
    ------
    ValueError
        If probabilities and trajectories do not fit together, no segment is longer than
        ``lagtime``, or there is only one block of data.
    """
    found = as_trajectories(trajectories)
    segments = as_segments(state_probabilities)
    _check_same_frames(segments, found)
    lagged_pairs(found, lagtime)
    features = neighbor_distances_for(found, n_neighbors_per_element, transform)
    n_columns = segments[0].shape[2] - 1
    blocks = blocks_for(found, 0.0, by_target)
    while True:
        sums = held_out_sums(found, features, lagtime, blocks, segments, progress)
        held_out = cross_fit(sums, n_columns, n_columns, _RESIDUAL_PROCESSES, ridge)
        estimate = held_out.statistics()
        slowest = _slowest(estimate, lagtime)
        better = blocks_for(found, slowest, by_target)
        if better == blocks or blocks.by_target:
            break
        blocks = better  # blocks of time proved to be too short
    samples = held_out.statistics(bootstrap_weights(sums[0].n_blocks, seed))
    lag_ps = lagtime * found[0].frame_interval
    told: dict[str, Any] = {"lag_ps": lag_ps, "covariance": sums[0], "names": features.names}
    floor = describe_processes(
        (estimate.floor_values[0], samples.floor_values),
        (estimate.floor_decays[0], samples.floor_decays),
        functions=held_out.floor.left,
        **told,
    )
    residual: tuple[LinearProcess, ...] = ()
    if held_out.residual is not None:
        residual = describe_processes(
            (estimate.residual_values[0], samples.residual_values),
            (estimate.residual_decays[0], samples.residual_decays),
            functions=held_out.residual.left,
            **told,
        )
    slow = [_surely_slow(process, lag_ps) for process in residual]
    missing = tuple(process for process, is_slow in zip(residual, slow, strict=True) if is_slow)
    difference = interval_of(samples.score - samples.floor_score)
    gains = interval_of(samples.residual_values - samples.values[:, -1:]).lower > 0.0
    surpassed = any(is_slow and gain for is_slow, gain in zip(slow, gains, strict=True))
    status = _status(estimate, samples, floor, slow, surpassed, difference, lag_ps)
    if status == "missed" and not surpassed:
        # The states mix it with another: the linear process that they explain least.
        missing = (floor[_least_explained(estimate, floor, lag_ps)],)
    state_values = interval_of(samples.values)
    times = [*state_values.upper, *(float(p.interval.upper) for p in (*floor, *residual))]
    bound = max(_SLOW * lag_ps, max(process_time(float(v), lag_ps) for v in times))
    verdict = MissedProcessVerdict(
        status=status,
        words=(),
        missing=tuple(sorted(missing, key=lambda process: -process.singular_value)),
        floor=floor,
        explained=estimate.explained[0],
        vamp2_score=float(estimate.score[0]),
        score_interval=interval_of(samples.score),
        floor_score=float(estimate.floor_score[0]),
        floor_interval=interval_of(samples.floor_score),
        difference_interval=difference,
        singular_values=estimate.values[0],
        singular_values_interval=state_values,
        slower_than_ps=bound if status == "nothing slow" else float("nan"),
        restarts=None,
        lagtime=lagtime,
        frame_interval=found[0].frame_interval,
        blocks=blocks.describe(sums[0].n_blocks, slowest),
    )
    if restart_scores is not None:
        error = float(np.std(samples.score, ddof=1))
        object.__setattr__(verdict, "restarts", compare_restarts(restart_scores, error))
    object.__setattr__(verdict, "words", words_of(verdict))
    return verdict


def _status(
    estimate: Statistics,
    samples: Statistics,
    floor: Sequence[LinearProcess],
    slow: Sequence[bool],
    surpassed: bool,
    difference: Interval,
    lag_ps: float,
) -> str:
    values = [*estimate.values[0], *estimate.floor_values[0], *estimate.residual_values[0]]
    if all(process_time(float(value), lag_ps) < _SLOW * lag_ps for value in values):
        return "nothing slow"
    if surpassed:
        return "missed"
    if difference.upper < 0.0:
        least = _least_explained(estimate, floor, lag_ps)
        held = interval_of(samples.explained).upper[least] >= _HELD
        return "below floor" if held or not _surely_slow(floor[least], lag_ps) else "missed"
    return "more states" if any(slow) else "complete"


def _slowest(estimate: Statistics, lagtime: int) -> float:
    """The longest relaxation time among states and linear functions, in frames."""
    values = [*estimate.values[0], *estimate.floor_values[0], *estimate.residual_values[0]]
    decays = [*estimate.floor_decays[0], *estimate.residual_decays[0]]
    # The ratio of two small numbers says nothing.
    seen = [
        decay
        for value, decay in zip(values[-len(decays) :], decays, strict=True)
        if value > 0.5 and decay < 1.0
    ]
    return max(process_time(float(value), float(lagtime)) for value in [*values, *seen])


def _least_explained(estimate: Statistics, floor: Sequence[LinearProcess], lag_ps: float) -> int:
    """The slow linear process of which the states explain least; any, if none is slow."""
    shares = [
        share + (0.0 if _surely_slow(process, lag_ps) else 1.0)
        for share, process in zip(estimate.explained[0], floor, strict=True)
    ]
    return int(np.argmin(shares))


def _surely_slow(process: LinearProcess, lag_ps: float) -> bool:
    return process_time(float(process.interval.lower), lag_ps) > _SLOW * lag_ps


def _check_same_frames(segments: Sequence[Float], trajectories: Sequence[Trajectory]) -> None:
    expected = [
        (stop - start, trajectory.n_targets)
        for trajectory, start, stop in segments_of(trajectories)
    ]
    received = [segment.shape[:2] for segment in segments]
    if expected != received:
        raise ValueError(
            "state_probabilities must have the frames and targets of the trajectories' segments, "
            f"{expected[:5]}, received {received[:5]}"
        )
