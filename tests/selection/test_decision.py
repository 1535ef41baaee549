"""The rule that chooses, on figures made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from kgdyn.selection import Candidate, Decision, Drift, Gain, decide

LAGTIMES = (5, 10, 20)
TRAINED = 10


def candidate(
    n_states: int,
    lagtime: int,
    times: Sequence[float],
    *,
    error: float = 0.02,
    inside: int = 100,
    interval: float = 1.0,
) -> Candidate:
    values = np.array(times, dtype=float)
    return Candidate(
        n_states, lagtime, lagtime * interval, 1.5, 0.01, values, error * values, inside, 100
    )


def judge(
    candidates: list[Candidate],
    gain: float = 0.5,
    drift: dict[tuple[int, int, int], Sequence[float]] | None = None,
) -> Decision:
    """All gains are ``gain`` ± 0.1 (one standard error); drifts are 0 ± 0.01 unless given."""
    states = sorted({item.n_states for item in candidates})
    gains = {(a, b): Gain(gain, 0.1) for a in states for b in states if a < b}
    drifts = {
        (n, a, b): Drift(np.zeros(n - 1), np.full(n - 1, 0.01))
        for n in states
        for a in LAGTIMES
        for b in LAGTIMES
        if a < b
    }
    for key, values in (drift or {}).items():
        drifts[key] = Drift(np.array(values, dtype=float), np.full(len(values), 0.01))
    return decide(candidates, gains, drifts, TRAINED)


def table(times: dict[int, Sequence[float]]) -> list[Candidate]:
    return [candidate(n, lag, values) for n, values in times.items() for lag in LAGTIMES]


def test_as_many_states_as_resolved_processes_and_one() -> None:
    found = judge(table({2: [100], 3: [100, 40], 4: [100, 40, 6]}))
    assert found.taken == 3  # three states at the shortest lag time
    assert found.reasons[0].startswith(
        "misses a process of 40 ps that 3 states resolve (score +0.500 ± 0.196)"
    )
    assert found.reasons[3].startswith("recommended")
    assert found.reasons[4] == "passes too, but so does a shorter lag time"
    assert "process 3 (6 ± 0.24 ps) is not resolved at the 10 ps" in found.reasons[6]


def test_a_slow_process_without_a_gain_is_no_miss() -> None:
    """An extra output can decay slowly by chance; without a score it explains nothing."""
    candidates = table({2: [100], 3: [100, 40]})
    found = judge(candidates, gain=0.19)  # below 1.96 * 0.1
    assert found.taken == 0
    assert found.reasons[3] == "passes too, but 2 states suffice"
    assert judge(candidates, gain=0.2).taken == 3


@pytest.mark.parametrize(("time", "taken"), [(10.3, 0), (10.5, 3)])
def test_a_gain_without_a_slow_process_is_no_miss(time: float, taken: int) -> None:
    """Resolved is: above the lag time of 10 ps by more than 1.96 * 2%."""
    candidates = [
        *table({2: [100]}),
        candidate(3, 5, [100, time]),
        candidate(3, 10, [100, time]),
        candidate(3, 20, [100, 21]),
    ]
    found = judge(candidates)
    assert found.taken == taken
    if taken == 0:
        assert f"process 2 ({time:.3g} ± 0.4 ps) is not resolved" in found.reasons[3]


def test_a_process_that_only_a_much_larger_model_finds() -> None:
    candidates = table({2: [100], 3: [100, 3], 4: [100, 50, 30]})
    found = judge(candidates)
    assert found.taken == 6
    assert found.reasons[0].startswith("misses a process of 50 ps that 4 states resolve")


def test_nothing_slow() -> None:
    found = judge(table({2: [4], 3: [4, 2]}))
    assert found.taken is None
    assert all("nothing slow is there" in reason for reason in found.reasons)
    found = judge(table({2: [np.nan]}))
    assert found.taken is None
    assert found.reasons[0].startswith("process 1 (undefined) is not resolved")


@pytest.mark.parametrize(("inside", "taken"), [(95, 0), (94, 1)])
def test_chapman_kolmogorov_needs_95_of_100(inside: int, taken: int) -> None:
    candidates = table({2: [100]})
    candidates[0] = candidate(2, 5, [100], inside=inside)
    found = judge(candidates)
    assert found.taken == taken
    if taken == 1:
        assert found.reasons[0] == "CK: only 94 of 100 predictions within error"


def test_timescales_must_stay() -> None:
    """5% of drift is nothing, as is one within its error of 1.96 * 0.01."""
    candidates = table({2: [100]})
    drifting: dict[tuple[int, int, int], Sequence[float]] = {(2, 5, 20): [np.log(1.06)]}
    found = judge(candidates, drift=drifting)
    assert found.taken == 1
    assert found.reasons[0] == "timescale 1 is not constant: +6.0 ± 2.0% at 20 ps"
    assert judge(candidates, drift={(2, 5, 20): [np.log(1.04)]}).taken == 0
    assert judge(candidates, drift={(2, 5, 20): [-np.log(1.06)]}).taken == 1
    assert judge(candidates, drift={(2, 5, 20): [np.nan]}).taken == 0
    sure = Drift(np.array([0.06]), np.array([0.0300]))
    unsure = Drift(np.array([0.06]), np.array([0.0310]))
    assert sure.matters[0]
    assert not unsure.matters[0]


def test_drift_past_the_timescale_does_not_count() -> None:
    candidates = [candidate(2, 5, [15]), candidate(2, 10, [15]), candidate(2, 20, [18])]
    found = judge(candidates, drift={(2, 5, 20): [0.2], (2, 10, 20): [0.2]})
    assert found.taken == 0
    assert found.reasons[2] == "timescale 1 (18 ps) is not above the lag time"


def test_lag_times_count_in_ps() -> None:
    slow = [candidate(2, lag, [30], interval=2.0) for lag in LAGTIMES]
    assert judge(slow).taken == 0
    fast = [candidate(2, lag, [30], interval=4.0) for lag in LAGTIMES]
    assert judge(fast).taken is None  # 40 ps at the training


def test_more_states_where_no_lag_time_passes_for_fewer() -> None:
    candidates = [candidate(2, lag, [100], inside=0) for lag in LAGTIMES]
    candidates += [candidate(3, lag, [100, 40]) for lag in LAGTIMES]
    found = judge(candidates, gain=0.0)
    assert found.taken == 3
