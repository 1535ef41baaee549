"""The rule: which number of states and which lag time to take, and why not the others.

Numbers of states are compared at one lag time, that of the training: only there are their VAMP-2
scores comparable, and it says which processes count, namely those slower than it.

1. A process is *resolved* if its timescale is above the lag time by more than its 95% error.
2. ``n`` states *miss* a process if some larger number of states has a held-out score that is
   higher by more than the 95% error of the difference, and its process ``n`` is resolved. Both are
   asked: with long data a gain may be sure and yet belong to motion faster than the lag time, and
   an extra output may by chance decay slowly without explaining anything.
3. ``n`` states are *too many* if not all of their ``n - 1`` processes are resolved.
4. A lag time *passes* for ``n`` states if all their processes are slower than it; the
   Chapman-Kolmogorov test holds, that is at least 95% of the predictions K(lagtime)^k, k >= 2, over
   all elements and folds, lie in the 95% intervals of K(k lagtime), or are off by less than 0.01;
   and timescales are constant from it on: none changes, up to any longer lag time that it is
   resolved at, by more than the 95% error of the change and by more than 5%.
5. Taken are the fewest states that miss nothing, are not too many, and for which a lag time passes,
   and the shortest such lag time. Where no process is slower than the lag time, nothing is taken.

No states of a real system are perfectly Markovian, and with enough data every test would fail: the
0.01 and 5% of rule 4 are what does not matter, however sure it is. The error of a change is made
of the same blocks of data at both lag times: what two timescales share cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Candidate", "Decision", "Drift", "Gain", "decide"]

_NORMAL_95 = 1.96
_CK_SHARE = 0.95
_DRIFT_MATTERS = float(np.log(1.05))


@dataclass(frozen=True)
class Candidate:
    """A number of states at a lag time, on held-out data: means over folds.

    Attributes
    ----------
    n_states : int
    lagtime : int, frames.
    lagtime_ps : float
    score, score_error : float
        VAMP-2 at this lag time, the constant counted, and its standard error.
    timescales, timescales_error : (n_states - 1,) arrays of float64, ps
        And standard errors; NaN where there is none.
    ck_inside, ck_elements : int
        Predictions of the Chapman-Kolmogorov test that agree (rule 4), and all of them, k >= 2.
    ck_largest_difference : float
    """

    n_states: int
    lagtime: int
    lagtime_ps: float
    score: float
    score_error: float
    timescales: NDArray[np.float64]
    timescales_error: NDArray[np.float64]
    ck_inside: int
    ck_elements: int
    ck_largest_difference: float = float("nan")

    @property
    def ck_passes(self) -> bool:
        return self.ck_elements > 0 and self.ck_inside >= _CK_SHARE * self.ck_elements

    @property
    def timescales_bounds(self) -> NDArray[np.float64]:
        """(2, n_states - 1) ends of the 95% interval, ps."""
        width = _NORMAL_95 * self.timescales_error
        result: NDArray[np.float64] = np.stack([self.timescales - width, self.timescales + width])
        return result

    @property
    def resolved(self) -> NDArray[np.bool_]:
        """(n_states - 1,) slower than the lag time, beyond error."""
        result: NDArray[np.bool_] = self.timescales_bounds[0] > self.lagtime_ps  # NaN is not
        return result


class Gain(NamedTuple):
    """Held-out score of more states minus that of fewer, and the standard error of it."""

    value: float
    error: float

    @property
    def beyond_error(self) -> bool:
        return self.value > _NORMAL_95 * self.error


class Drift(NamedTuple):
    """Change of ln(timescale) from one lag time to a longer one, and the standard error of it.

    Two (n_states - 1,) arrays; NaN where either timescale does not exist.
    """

    value: NDArray[np.float64]
    error: NDArray[np.float64]

    @property
    def matters(self) -> NDArray[np.bool_]:
        """(n_states - 1,) beyond error, and by more than 5%."""
        size = np.abs(self.value)
        result: NDArray[np.bool_] = (size > _NORMAL_95 * self.error) & (size > _DRIFT_MATTERS)
        return result


class Decision(NamedTuple):
    """The candidate taken, or None, and for each candidate why it was not (or was) taken."""

    taken: int | None
    reasons: list[str]


def decide(
    candidates: Sequence[Candidate],
    gains: Mapping[tuple[int, int], Gain],
    drifts: Mapping[tuple[int, int, int], Drift],
    train_lagtime: int,
) -> Decision:
    """Apply the rule of this module.

    Parameters
    ----------
    candidates : sequence of Candidate
        Every number of states at every lag time.
    gains : mapping
        From (fewer, more) states, at the training lag time.
    drifts : mapping
        From the number of states, a lag time and a longer one.
    train_lagtime : int, frames
    """
    at_training = {item.n_states: item for item in candidates if item.lagtime == train_lagtime}
    missed = {n: _missed(n, at_training, gains) for n in at_training}
    own = [
        [
            *missed[item.n_states],
            *_faults_of_lagtime(item, at_training[item.n_states], candidates, drifts),
        ]
        for item in candidates
    ]
    order = sorted(
        range(len(candidates)), key=lambda i: (candidates[i].n_states, candidates[i].lagtime)
    )
    taken = next((index for index in order if not own[index]), None)
    reasons = []
    for index, faults in enumerate(own):
        if index == taken:
            reasons.append(_why(candidates[index]))
        elif faults:
            reasons.append("; ".join(faults))
        elif taken is not None and candidates[index].n_states > candidates[taken].n_states:
            reasons.append(f"passes too, but {candidates[taken].n_states} states suffice")
        else:
            reasons.append("passes too, but so does a shorter lag time")
    return Decision(taken, reasons)


def _missed(
    n_states: int, at_training: Mapping[int, Candidate], gains: Mapping[tuple[int, int], Gain]
) -> list[str]:
    """What larger numbers of states find beyond these."""
    for more in sorted(number for number in at_training if number > n_states):
        other, gain = at_training[more], gains[n_states, more]
        if gain.beyond_error and other.resolved[n_states - 1]:
            time = other.timescales[n_states - 1]
            return [
                f"misses a process of {time:.3g} ps that {more} states resolve (score "
                f"+{gain.value:.3f} ± {_NORMAL_95 * gain.error:.3f})"
            ]
    return []


def _faults_of_lagtime(
    item: Candidate,
    trained: Candidate,
    candidates: Sequence[Candidate],
    drifts: Mapping[tuple[int, int, int], Drift],
) -> list[str]:
    """Why this lag time does not pass for its number of states."""
    if not trained.resolved.all():
        process = int(np.argmin(trained.resolved))
        time, error = trained.timescales[process], _NORMAL_95 * trained.timescales_error[process]
        found = f"{time:.3g} ± {error:.2g} ps" if np.isfinite(time) else "undefined"
        few = "nothing slow is there" if process == 0 else "there are fewer states"
        return [
            f"process {process + 1} ({found}) is not resolved at the {trained.lagtime_ps:g} ps of "
            f"the training: {few}"
        ]
    faults = []
    for process in range(item.n_states - 1):
        time = item.timescales[process]
        if not time > item.lagtime_ps:
            what = f"{time:.3g} ps" if np.isfinite(time) else "undefined"
            faults.append(f"timescale {process + 1} ({what}) is not above the lag time")
    if not item.ck_passes:
        faults.append(f"CK: only {item.ck_inside} of {item.ck_elements} predictions within error")
    longer = [
        other
        for other in candidates
        if other.n_states == item.n_states and other.lagtime > item.lagtime
    ]
    for process in range(item.n_states - 1):
        for other in sorted(longer, key=lambda other: other.lagtime):
            # Past its own timescale an estimate is noise.
            if other.resolved[process] and drifts[_key(item, other)].matters[process]:
                change = 100.0 * np.expm1(drifts[_key(item, other)].value[process])
                error = 100.0 * _NORMAL_95 * drifts[_key(item, other)].error[process]
                faults.append(
                    f"timescale {process + 1} is not constant: {change:+.1f} ± {error:.1f}% at "
                    f"{other.lagtime_ps:g} ps"
                )
                break
    return faults


def _key(item: Candidate, longer: Candidate) -> tuple[int, int, int]:
    return item.n_states, item.lagtime, longer.lagtime


def _why(item: Candidate) -> str:
    times = ", ".join(f"{time:.3g}" for time in item.timescales)
    return (
        f"recommended: as many states as the resolved processes ({times} ps) ask for, and the "
        "shortest lag time at which timescales are constant and CK holds"
    )
