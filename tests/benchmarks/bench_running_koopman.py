"""What running statistics cost: a frame, a reading, memory; and many lag times at once offline.

    python tests/benchmarks/bench_running_koopman.py [--quick]

Processor time of ``RunningKoopman.update`` and ``extend`` in microseconds a frame (with the sums
that wait), of single readings in milliseconds, and the memory that is held, for targets and states
as in a liquid of 4,000 atoms. Then ``implied_timescales`` and ``ck_test``: the sums of ten lag
times in one pass over the data, beside one pass for each. Nothing here fails.
"""

from __future__ import annotations

import argparse
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # also where kgdyn is not installed

import numpy as np
from numpy.typing import NDArray

from kgdyn.koopman import RunningKoopman, block_covariances
from kgdyn.koopman.covariances import many_block_covariances

LAGTIMES = (1, 2, 5, 10, 20, 50)
OFFLINE_LAGTIMES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def seconds(work: Callable[[], Any], repeats: int = 1) -> float:
    """Processor time, the least of some repeats."""
    best = np.inf
    for _ in range(repeats):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return float(best)


def probabilities(
    n_frames: int, n_targets: int, n_states: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """States that change now and then, and are soft."""
    states = rng.integers(0, n_states, (n_frames, n_targets))
    stays = rng.random((n_frames, n_targets)) > 0.02
    last = np.maximum.accumulate(np.where(stays, 0, np.arange(n_frames)[:, None]), axis=0)
    labels = np.take_along_axis(states, last, axis=0)
    result: NDArray[np.float64] = 0.9 * np.eye(n_states)[labels] + 0.1 / n_states
    return result


def running(n_targets: int, n_states: int, n_frames: int, rng: np.random.Generator) -> None:
    chi = probabilities(500, n_targets, n_states, rng).astype(np.float32)
    tracemalloc.start()
    statistics = RunningKoopman(n_states, n_targets, LAGTIMES, frame_interval=0.1)

    def update() -> None:
        for frame in range(n_frames):
            statistics.update(chi[frame % len(chi)])
        statistics.n_transitions  # noqa: B018

    def extend() -> None:
        for _ in range(n_frames // len(chi)):
            statistics.extend(chi)
        statistics.n_transitions  # noqa: B018

    update()
    held = tracemalloc.get_traced_memory()[0]
    update()
    grown = tracemalloc.get_traced_memory()[0] - held
    tracemalloc.stop()
    frame = 1e6 * seconds(update) / n_frames
    replay = 1e6 * seconds(extend) / n_frames
    readings = [
        1e3 * seconds(read)
        for read in (
            statistics.populations,
            statistics.koopman_model,
            statistics.implied_timescales,
            statistics.ck_test,
        )
    ]
    print(
        f"{n_targets:7d} {n_states:6d} {frame:10.0f} {replay:10.0f}   "
        + " ".join(f"{value:11.1f}" for value in readings)
        + f" {held / 2**20:8.1f} {grown / 2**20:+8.2f}",
        flush=True,
    )


def offline(n_frames: int, n_targets: int, n_states: int, rng: np.random.Generator) -> None:
    chi = probabilities(n_frames, n_targets, n_states, rng)
    length = n_frames // 50

    def each() -> None:
        for lagtime in OFFLINE_LAGTIMES:
            block_covariances([chi], lagtime, length)

    def together() -> None:
        many_block_covariances([chi], OFFLINE_LAGTIMES, length)

    slow, fast = seconds(each, 3), seconds(together, 3)
    tracemalloc.start()
    together()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(
        f"{n_frames:8d} x {n_targets} x {n_states}: {slow:6.2f} s one by one, {fast:6.2f} s at "
        f"once ({slow / fast:.1f} times faster), peak {peak / 2**20:.1f} MiB beside the data's "
        f"{chi.nbytes / 2**20:.0f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer frames")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    print(f"lag times {LAGTIMES}")
    print(
        "targets states  update/us  extend/us   populations       model  timescales     ck_test  "
        "held/MiB grown/MiB"
    )
    for n_targets, n_states in ((1, 2), (50, 2), (50, 5), (500, 2), (500, 5)):
        running(n_targets, n_states, 1500 if options.quick else 10_000, rng)
    print(f"\nlag times {OFFLINE_LAGTIMES}, 50 blocks of time")
    for shape in ((600_001, 1, 2), (20_000, 50, 4)):
        offline(shape[0] // (10 if options.quick else 1), *shape[1:], rng)


if __name__ == "__main__":
    main()
