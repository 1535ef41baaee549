"""Which frames stand for a state: the most probable ones, apart from each other, and samples."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kgdyn.observables._inputs import checked_rows
from kgdyn.trajectories import Trajectory

__all__ = ["Choice", "choose_highest", "sample_states"]

Float = NDArray[np.float64]

_WINDOWS = 20
_ALMOST = 0.95
_ROWS_AT_ONCE = 2**16


class Choice(NamedTuple):
    """A target in a frame; windows are twentieths of a trajectory."""

    trajectory: int
    frame: int
    target: int
    probability: float
    window: int = 0


def choose_highest(
    runs: Sequence[Trajectory], states: Sequence[NDArray[Any]], n_per_state: int
) -> list[list[Choice]]:
    """The most probable frames of each state, of several targets and times, by probability.

    Candidates are the best frame of each target in each twentieth of each trajectory, where the
    probability is positive.
    """
    n_states = states[0].shape[2]
    pools: list[list[Choice]] = [[] for _ in range(n_states)]
    for number, (run, array) in enumerate(zip(runs, states, strict=True)):
        edges = np.linspace(0, run.n_frames, min(_WINDOWS, run.n_frames) + 1).astype(int).tolist()
        for window in range(len(edges) - 1):
            best = np.zeros((run.n_targets, n_states))
            frames = np.zeros((run.n_targets, n_states), np.int64)
            for start, rows in _chunks(run, array, edges[window], edges[window + 1]):
                here = rows.max(axis=0)
                better = here > best
                frames[better] = (start + rows.argmax(axis=0))[better]
                best[better] = here[better]
            for state, pool in enumerate(pools):
                # More of one window than are wanted would never be taken.
                some = heapq.nsmallest(
                    4 * n_per_state,
                    np.flatnonzero(best[:, state] > 0.0).tolist(),
                    key=lambda target: (-best[target, state], target),
                )
                pool += [
                    Choice(number, int(frames[t, state]), t, float(best[t, state]), window)
                    for t in some
                ]
    return [_spread_out(pool, states, state, n_per_state) for state, pool in enumerate(pools)]


def sample_states(
    runs: Sequence[Trajectory],
    states: Sequence[NDArray[Any]],
    n_sample: int,
    rng: np.random.Generator,
) -> tuple[Float, list[list[Choice]]]:
    """Mean probabilities, and random frames and targets of each state.

    Drawn without replacement with the probability of the state, where it is the most probable one;
    where there are too few of those, others follow. In one pass: the largest of log p + Gumbel
    noise are such a draw (Efraimidis and Spirakis, Inf. Process. Lett. 97, 181 (2006)).
    """
    n_states = states[0].shape[2]
    total = np.zeros(n_states)
    kept: list[list[tuple[float, Choice]]] = [[] for _ in range(n_states)]
    for number, (run, array) in enumerate(zip(runs, states, strict=True)):
        for start, rows in _chunks(run, array, 0, run.n_frames):
            total += rows.sum(axis=(0, 1))
            if n_sample == 0:
                continue
            first = rows.argmax(axis=2)
            with np.errstate(divide="ignore", invalid="ignore"):
                keys = np.log(np.maximum(rows, 0.0)) + rng.gumbel(size=rows.shape)
            for state in range(n_states):
                mine = (keys[..., state] - 1e6 * (first != state)).reshape(-1)
                count = min(n_sample, len(mine))
                for place in np.argpartition(-mine, count - 1)[:count].tolist():
                    frame, target = divmod(place, run.n_targets)
                    if np.isfinite(mine[place]):
                        chance = float(rows[frame, target, state])
                        choice = Choice(number, start + frame, target, chance)
                        kept[state].append((float(mine[place]), choice))
                kept[state] = heapq.nlargest(n_sample, kept[state])
    samples = []
    for pool in kept:
        assigned = [item for item in pool if item[0] > -5e5]
        samples.append(sorted(choice for _, choice in (assigned or pool)))
    return total / total.sum(), samples


def _chunks(
    run: Trajectory, array: NDArray[Any], start: int, stop: int
) -> Iterator[tuple[int, Float]]:
    step = max(1, _ROWS_AT_ONCE // run.n_targets)
    for low in range(start, stop, step):
        yield low, checked_rows(run, array, low, min(low + step, stop))


def _spread_out(
    pool: list[Choice], states: Sequence[NDArray[Any]], state: int, count: int
) -> list[Choice]:
    taken: list[Choice] = []
    targets: Counter[tuple[int, int]] = Counter()
    windows: Counter[tuple[int, int]] = Counter()
    used: Counter[int] = Counter()
    left = sorted(pool, key=lambda item: (-item.probability, item.trajectory, item.frame))
    bound = _ALMOST * left[0].probability if left else 0.0
    while left and len(taken) < count:

        def rank(item: Choice) -> tuple[float, ...]:
            return (
                item.probability < bound,
                any(_same_visit(item, other, states, state) for other in taken),
                targets[item.trajectory, item.target],
                used[item.trajectory],
                windows[item.trajectory, item.window],
                -item.probability,
            )

        best = min(left, key=rank)
        left.remove(best)
        taken.append(best)
        targets[best.trajectory, best.target] += 1
        windows[best.trajectory, best.window] += 1
        used[best.trajectory] += 1
    return sorted(taken, key=lambda item: -item.probability)


def _same_visit(a: Choice, b: Choice, states: Sequence[NDArray[Any]], state: int) -> bool:
    """Whether a target stays in the state between two frames."""
    if a[0] != b[0] or a.target != b.target:
        return False
    low, high = sorted((a.frame, b.frame))
    between = np.asarray(states[a.trajectory][low : high + 1, a.target])
    return bool((between.argmax(axis=1) == state).all())
