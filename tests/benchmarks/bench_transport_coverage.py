"""How often do 95% intervals of transport numbers hold the truth? Walks that are known exactly.

    python tests/benchmarks/bench_transport_coverage.py [--quick | --runs N] [--only X] [--seed S]

Walkers whose diffusion coefficient depends on a hidden state, wrapped into a box. Each of many runs
gets its own block length (``resampling_for``), diffusion coefficients and conductivities. A table
gives, for each quantity, the share of runs whose interval holds the truth (the mean over elements,
and the least and the largest of one element), the median half width relative to the truth, and the
median error, likewise; beneath, how the intervals were made. Wanted is 92 to 98% in 200 runs, for
which the share itself is uncertain by 1.5%, one standard error, and more for single elements. Truth
is exact for the lag time and the window of the slope. Nothing here fails.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))  # also where kgdyn is not installed

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman import one_hot
from kgdyn.observables import transition_conductivity, transition_diffusion
from kgdyn.toys import MarkovChain
from kgdyn.toys.switching_walk import SwitchingWalk
from kgdyn.trajectories import trajectory_from_arrays

Float = NDArray[np.float64]

EDGE = 25.0
INTERVAL = 0.5  # ps a frame
CHARGES = np.array([0.9, 0.3, -0.2])
TEMPERATURE = 363.0
WALK = SwitchingWalk(
    MarkovChain(np.array([[0.95, 0.04, 0.01], [0.05, 0.9, 0.05], [0.02, 0.08, 0.9]])),
    np.array([0.01, 0.05, 0.2]),
)
SLOW = SwitchingWalk(
    MarkovChain(np.array([[0.99, 0.008, 0.002], [0.01, 0.98, 0.01], [0.004, 0.016, 0.98]])),
    np.array([0.01, 0.05, 0.2]),
)
QUANTITIES = (
    "diffusion", "state_diffusion", "total_diffusion", "msd", "koopman_matrix", "populations",
    "conductivity", "percentages", "total_conductivity",
)  # fmt: skip


class Case(NamedTuple):
    """A walk, and how much of it."""

    name: str
    walk: SwitchingWalk
    n_frames: int
    n_walkers: int
    lagtime: int


CASES = [
    Case("20 walkers, 4,000 frames", WALK, 4000, 20, 8),
    Case("1 walker, 20,000 frames", WALK, 20000, 1, 8),
    Case("60 walkers, short: blocks of time and targets", SLOW, 1200, 60, 10),
]


def exact(case: Case, window: int) -> dict[str, Float]:
    """Truth of all quantities, in their units."""
    walk, lag = case.walk, case.lagtime
    truth: dict[str, Float] = {}
    for name, msd in (
        ("diffusion", walk.transition_msd),
        ("state_diffusion", walk.state_msd),
        ("total_diffusion", walk.total_msd),
    ):
        step = np.subtract(msd(lag + window), msd(lag - window))
        truth[name] = step / (12.0 * window * INTERVAL)
    truth["msd"] = walk.transition_msd(lag)
    truth["populations"] = walk.chain.stationary_distribution
    truth["koopman_matrix"] = np.linalg.matrix_power(walk.chain.transition_matrix, lag)
    shares = truth["populations"][:, None] * truth["koopman_matrix"]
    parts = 0.5 * (CHARGES[:, None] + CHARGES) * shares * truth["diffusion"]
    factor = 1.602176634e-19**2 * case.n_walkers / EDGE**3 * 1e22 / (1.380649e-23 * TEMPERATURE)
    truth["conductivity"] = factor * parts
    truth["total_conductivity"] = np.asarray(factor * parts.sum())
    truth["percentages"] = 100.0 * parts / parts.sum()
    return truth


def run(case: Case, n_runs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    found: dict[str, list[tuple[Float, Float, Float]]] = {name: [] for name in QUANTITIES}
    schemes: Counter[str] = Counter()
    window = 0
    start = time.perf_counter()
    for _ in range(n_runs):
        positions, states = case.walk.sample(case.n_frames, case.n_walkers, rng=rng)
        trajectory = trajectory_from_arrays(
            np.mod(positions, EDGE), EDGE * np.eye(3), [3] * case.n_walkers,
            frame_interval=INTERVAL, targets=range(case.n_walkers),
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            one = transition_diffusion(
                trajectory, one_hot(states, case.walk.chain.n_states), lagtime=case.lagtime
            )
            two = transition_conductivity(one, charges=CHARGES, temperature=TEMPERATURE)
        window = one.half_window
        schemes[one.resampling.describe()] += 1
        for name in QUANTITIES:
            source = one if hasattr(one, name) else two
            interval = getattr(source, f"{name}_interval")
            value = np.asarray(getattr(source, name))
            found[name].append((interval.lower, interval.upper, value))
    seconds = time.perf_counter() - start
    print(f"\n{case.name}; lag time {case.lagtime} frames, window {window}; {n_runs} runs of "
          f"{seconds / n_runs:.2f} s")  # fmt: skip
    print(
        f"{'quantity':<20}{'coverage':>9}{'least':>8}{'largest':>8}{'half width':>12}{'error':>9}"
    )
    truth = exact(case, window)
    for name in QUANTITIES:
        lower, upper, value = (np.array(part) for part in zip(*found[name], strict=True))
        inside = (lower <= truth[name]) & (truth[name] <= upper)
        held = inside.mean(axis=0)
        scale = np.abs(truth[name])
        width = np.median(0.5 * (upper - lower) / scale)
        error = np.median(np.abs(value - truth[name]) / scale)
        print(f"{name:<20}{100 * held.mean():>8.1f}%{100 * held.min():>7.1f}%"
              f"{100 * held.max():>7.1f}%{width:>12.4f}{error:>9.4f}")  # fmt: skip
    for text, count in schemes.most_common(3):
        print(f"    {count:4d} runs: {text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--quick", action="store_true", help="20 runs")
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for case in CASES:
        if options.only in case.name:
            run(case, 20 if options.quick else options.runs, options.seed)


if __name__ == "__main__":
    main()
