"""How often do 95% intervals hold the truth? Chains whose exact answers are known.

    python tests/benchmarks/bench_interval_coverage.py [--quick | --runs N] [--methods] [--only X]

For each chain many runs are drawn at once. Each run gets a block length of its own, by
``resampling_for``, and a Koopman model. A table gives, for each quantity, the share of runs whose
interval holds the truth (the mean over elements, and the least and the largest of one element), and
its median width; and the number of blocks, in the median. Elements of K that are exactly 0 are left
out. ``--methods`` does the same with percentiles of a bootstrap. Nothing here fails.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))  # also where kgdyn is not installed

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman import estimate_koopman_model, one_hot, resampling_for
from kgdyn.toys import MarkovChain

Labels = NDArray[np.int8]

TWO = np.array([[0.95, 0.05], [0.1, 0.9]])
# A cycle, 1 -> 2 -> 3 -> 1, whose eigenvalues are real and apart: 16.7 and 7.3 steps.
CYCLE = np.array([[0.974, 0.024, 0.002], [0.004, 0.944, 0.052], [0.059, 0.045, 0.896]])
# The same, 9.8 and 7.2 steps.
NEARLY_EQUAL = np.array([[293, 16, 0], [4, 102, 12], [12, 0, 298]], dtype=float)
NEARLY_EQUAL /= NEARLY_EQUAL.sum(axis=1, keepdims=True)
# What a hidden variable, common to all targets, changes between; it stays for 50 steps.
MODES = np.array([[[0.98, 0.02], [0.15, 0.85]], [[0.9, 0.1], [0.02, 0.98]]])
STAY = 0.98


def five_states() -> NDArray[np.float64]:
    """Reversible and metastable: relaxation times of 68, 27, 14 and 11 steps, a state of 5%."""
    shares = np.array([0.35, 0.25, 0.2, 0.15, 0.05])
    flux = np.zeros((5, 5))
    for i, j, value in [
        (0, 1, 9e-3), (0, 2, 1.2e-3), (0, 3, 6e-4), (1, 2, 1.2e-3), (1, 4, 6e-4), (2, 3, 6e-3),
        (3, 4, 1.2e-3),
    ]:  # fmt: skip
        flux[i, j] = flux[j, i] = value
    matrix = flux / shares[:, None]
    matrix[np.arange(5), np.arange(5)] = 1.0 - matrix.sum(axis=1)
    return matrix


def chains(
    matrix: NDArray[np.float64],
    shape: tuple[int, int, int],
    rng: np.random.Generator,
    together: float = 0.0,
) -> Labels:
    """(n_frames, n_runs, n_targets). In a share of the steps, ``together``, one random number moves
    all targets of a run: each is a chain of the same matrix, but they meet and go together."""
    chain = MarkovChain(matrix)
    bounds = np.cumsum(matrix, axis=1)[:, :-1]
    states = rng.choice(len(matrix), p=chain.stationary_distribution, size=shape[1:])
    found = np.empty(shape, dtype=np.int8)
    found[0] = states
    for frame in range(1, shape[0]):
        draws = rng.random(shape[1:])
        if together:
            shared = rng.random((shape[1], 1)) < together
            draws = np.where(shared, draws[:, :1], draws)
        states = (draws[..., None] >= bounds[states]).sum(axis=-1)
        found[frame] = states
    return found


def modulated(shape: tuple[int, int, int], rng: np.random.Generator) -> Labels:
    """Two states whose matrix a hidden variable changes, at once for all targets of a run."""
    mode = rng.integers(0, 2, size=shape[1])
    states = rng.integers(0, 2, size=shape[1:])
    found = np.empty(shape, dtype=np.int8)
    for frame in range(-500, shape[0]):
        states = (rng.random(shape[1:]) >= MODES[mode[:, None], states, 0]).astype(np.int64)
        mode = np.where(rng.random(shape[1]) < STAY, mode, 1 - mode)
        if frame >= 0:
            found[frame] = states
    return found


def modulated_matrix() -> NDArray[np.float64]:
    """The exact K of the states alone, one step, from the chain of mode and state together."""
    switch = np.array([[STAY, 1 - STAY], [1 - STAY, STAY]])
    # The step is made in the old mode.
    joint = np.einsum("axy,ab->axby", MODES, switch).reshape(4, 4)
    shares = MarkovChain(joint).stationary_distribution.reshape(2, 2)
    pairs = np.einsum("ax,axy->xy", shares, MODES)
    result: NDArray[np.float64] = pairs / pairs.sum(axis=1, keepdims=True)
    return result


class Case(NamedTuple):
    """A chain, how it is drawn, and how much of it."""

    name: str
    matrix: NDArray[np.float64]
    n_frames: int
    n_targets: int
    draw: Callable[[tuple[int, int, int], np.random.Generator], Labels]


def independent(matrix: NDArray[np.float64], together: float = 0.0) -> Any:
    return lambda shape, rng: chains(matrix, shape, rng, together)


FIVE = five_states()
CASES = [
    Case("two states", TWO, 4000, 1, independent(TWO)),
    Case("three states, irreversible", CYCLE, 16_000, 1, independent(CYCLE)),
    Case("five states, metastable", FIVE, 30_000, 1, independent(FIVE)),
    Case("two states, 8 targets move together", TWO, 6000, 8, independent(TWO, 0.6)),
    Case("two states, 6 targets modulated", modulated_matrix(), 30_000, 6, modulated),
    # Beyond what is promised: fewer blocks, rare events, close timescales.
    Case("short: two states, 15 blocks", TWO, 920, 1, independent(TWO)),
    Case("short: five states, 12 blocks", FIVE, 8200, 1, independent(FIVE)),
    Case("short, 40 targets", TWO, 250, 40, independent(TWO)),
    Case("short, 40 targets move together", TWO, 250, 40, independent(TWO, 0.6)),
    Case("rare: five states, 20 blocks", FIVE, 14_000, 1, independent(FIVE)),
    Case("timescales nearly equal", NEARLY_EQUAL, 12_000, 1, independent(NEARLY_EQUAL)),
]
PROMISED = CASES[:5]


class Coverage(NamedTuple):
    """Of one quantity, over runs: which hold the truth, how wide; (n_runs, n_elements) each.

    NaN where there is no interval: of the timescale of a complex eigenvalue.
    """

    quantity: str
    held: NDArray[np.float64]
    width: NDArray[np.float64]


def coverage(
    case: Case,
    n_runs: int,
    rng: np.random.Generator,
    method: Any = "jackknife",
) -> tuple[list[Coverage], NDArray[np.int64]]:
    """Coverage of each quantity, and the number of blocks of each run."""
    labels = case.draw((case.n_frames, n_runs, case.n_targets), rng)
    chain = MarkovChain(case.matrix)
    matrix = case.matrix.ravel()
    truth = {
        "K": matrix,
        "timescales": chain.timescales,
        "populations": chain.stationary_distribution,
    }
    held: dict[str, list[Any]] = {name: [] for name in truth}
    width: dict[str, list[Any]] = {name: [] for name in truth}
    blocks = []
    for run in range(n_runs):
        chi = one_hot(labels[:, run], chain.n_states)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            resampling = replace(resampling_for(chi, 1, seed=run), method=method)
            model = estimate_koopman_model(chi, lagtime=1, resampling=resampling)
        blocks.append(round((case.n_frames - 1) / resampling.block_length))
        for name, interval in (
            ("K", model.koopman_matrix_interval),
            ("timescales", model.timescales_interval),
            ("populations", model.populations_interval),
        ):
            lower, upper = interval.lower.ravel(), interval.upper.ravel()
            used = truth[name] > 0.0
            inside = ((lower <= truth[name]) & (truth[name] <= upper)).astype(float)
            held[name].append(np.where(np.isfinite(upper - lower), inside, np.nan)[used])
            width[name].append((upper - lower)[used])
    found = [Coverage(name, np.array(held[name]), np.array(width[name])) for name in truth]
    return found, np.array(blocks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="40 runs")
    parser.add_argument("--methods", action="store_true", help="percentiles of a bootstrap too")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--runs", type=int, default=200)
    options = parser.parse_args()
    n_runs = 40 if options.quick else options.runs
    error = 100 * np.sqrt(0.95 * 0.05 / n_runs)
    print(f"{n_runs} runs; the error of a single 95% is {error:.1f}%")
    head = f"{'chain':<36} {'method':<11} {'blocks':>6}  {'quantity':<12}"
    print(f"{head} {'held':>6}  {'elements':>15} {'width':>9}")
    for case in CASES:
        if options.only not in case.name:
            continue
        for method in ("jackknife", "percentile") if options.methods else ("jackknife",):
            started = time.perf_counter()
            found, blocks = coverage(case, n_runs, np.random.default_rng(7), method)
            for row in found:
                shares = 100 * np.nanmean(row.held, axis=0)
                none = 100 * np.isnan(row.held).mean()
                note = f"  ({none:.0f}% without an interval)" if none else ""
                print(
                    f"{case.name:<36} {method:<11} {np.median(blocks):6.0f}  {row.quantity:<12} "
                    f"{shares.mean():5.1f}%  {shares.min():5.1f} to {shares.max():5.1f} "
                    f"{np.nanmedian(row.width):9.3g}{note}"
                )
            print(f"{'':<36} {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
