"""Training from a frame store: what on-the-fly graphs cost, and whether memory stays constant.

Speed: epochs of ``model.fit`` on a store of 4,000 atoms, graphs built on the fly, in alternation
with the same epochs on graphs kept in memory. Memory: one whole epoch in a process of its own for
stores of growing length; the peak of anonymous memory (pages of the store's files can be dropped
at any time and do not count).

    python tests/benchmarks/bench_training_pipeline.py [--quick]
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import importlib.metadata
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kgdyn.frames import TargetGroups
from kgdyn.trajectories import FrameChunk, FrameStore

N_ATOMS, EDGE, N_NEIGHBORS, N_FEATURES = 4000, 40.0, 20, 16
PAIRS = 4


class Liquid:
    """Atoms that jitter about a disordered lattice, a chunk at a time."""

    source = "liquid"
    species = np.tile(np.array([3, 8], np.int32), N_ATOMS // 2)
    pbc = np.ones(3, dtype=bool)
    frame_interval = 1.0

    def __init__(self, n_frames: int) -> None:
        self.n_frames: int | None = n_frames
        self._n_frames = n_frames

    def chunks(self, frames_per_chunk: int = 64) -> Iterator[FrameChunk]:
        rng = np.random.default_rng(0)
        side = round(N_ATOMS ** (1 / 3)) + 1
        grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), -1).reshape(-1, 3)
        places = rng.permutation(grid)[:N_ATOMS] * (EDGE / side)
        for first in range(0, self._n_frames, frames_per_chunk):
            count = min(frames_per_chunk, self._n_frames - first)
            shape = (count, N_ATOMS, 3)
            positions = (places + rng.normal(0.0, 0.5, shape)).astype(np.float32)
            yield FrameChunk(positions, np.tile(EDGE * np.eye(3), (count, 1, 1)))


def make_store(folder: Path, n_frames: int, n_targets: int) -> Any:
    store = FrameStore.create(folder)
    targets = TargetGroups.from_indices(range(0, 2 * n_targets, 2))
    store.append(Liquid(n_frames), targets=targets)
    return FrameStore.open(folder).trajectories()[0]


def new_model() -> Any:
    import keras

    import kgdyn

    keras.utils.set_random_seed(0)
    model = kgdyn.GDyNet(2, [3, 8], N_NEIGHBORS, n_features=N_FEATURES)
    model.compile(
        keras.optimizers.Adam(1e-3), loss=kgdyn.VAMP2Loss(), metrics=[kgdyn.VAMP2Score(2)]
    )
    return model


def compare_speed(n_frames: int, rounds: int) -> None:
    import kgdyn

    with tempfile.TemporaryDirectory() as folder:
        for n_targets, n_hops in ((N_ATOMS // 2, None), (50, 3)):
            trajectory = make_store(Path(folder) / f"store{n_targets}", n_frames, n_targets)
            options: dict[str, Any] = {
                "lagtime": 1,
                "n_neighbors": N_NEIGHBORS,
                "batch_size": PAIRS,
                "n_hops": n_hops,
            }
            ways = {
                "in memory": kgdyn.pairs_dataset(trajectory, cache=True, **options),
                "on the fly": kgdyn.pairs_dataset(trajectory, cache=False, **options),
            }
            model = new_model()
            seconds: dict[str, list[float]] = {name: [] for name in ways}
            for round_ in range(rounds + 1):
                for name, pairs in ways.items():
                    start = time.perf_counter()
                    model.fit(pairs, verbose=0, fix_states=False)
                    if round_ > 0:  # the first compiles, and fills the cache
                        seconds[name].append(time.perf_counter() - start)
            ratios = np.array(seconds["on the fly"]) / np.array(seconds["in memory"])
            steps = len(ways["on the fly"])
            what = "all atoms" if n_hops is None else "cut down to the receptive field"
            print(
                f"{n_targets:5d} targets, {what}: "
                f"{1e3 * np.median(seconds['in memory']) / steps:.0f} ms a step in memory, "
                f"{1e3 * np.median(seconds['on the fly']) / steps:.0f} on the fly; ratio "
                f"{np.median(ratios):.3f} (lowest {ratios.min():.3f}, highest {ratios.max():.3f})"
            )


def peak_of_an_epoch(folder: str) -> None:
    """Train one epoch in this process; print its peak of anonymous memory in kB."""
    import kgdyn

    trajectory = FrameStore.open(folder).trajectories()[0]
    peak, done = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("RssAnon:"):
                    peak = max(peak, int(line.split()[1]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    pairs = kgdyn.pairs_dataset(
        trajectory, lagtime=1, n_neighbors=N_NEIGHBORS, batch_size=8, n_hops=3
    )
    new_model().fit(pairs, verbose=0, fix_states=False)
    done.set()
    watcher.join()
    print(peak)


def compare_memory(lengths: list[int]) -> None:
    first = None
    for n_frames in lengths:
        with tempfile.TemporaryDirectory() as folder:
            make_store(Path(folder) / "store", n_frames, 10)
            output = subprocess.run(
                [sys.executable, __file__, "--peak-of", str(Path(folder) / "store")],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        peak = int(output.split()[-1])
        first = first or peak
        print(f"{n_frames:5d} frames: peak {peak / 1024:.0f} MiB, ratio {peak / first:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few frames and rounds")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak_of:
        peak_of_an_epoch(arguments.peak_of)
        return
    packages = ("kgdyn", "keras", "tensorflow", "numpy", "numba")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    print(f"Python {platform.python_version()}, {versions}, {os.cpu_count()} cores")
    print(f"{N_ATOMS} atoms, M = {N_NEIGHBORS}, {N_FEATURES} features, {PAIRS} pairs a batch")
    compare_speed(41, 2 if arguments.quick else 5)
    compare_memory([100, 200] if arguments.quick else [500, 2000, 8000])


if __name__ == "__main__":
    main()
