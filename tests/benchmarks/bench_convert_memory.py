"""Peak memory of a conversion into a frame store, for trajectories of growing length.

Each length runs in a process of its own. Printed are the peak of anonymous memory (what the
program itself holds) and of all resident memory, and the ratio to the shortest trajectory.

    python tests/benchmarks/bench_convert_memory.py [n_frames ...]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kgdyn.frames import TargetGroups
from kgdyn.trajectories.frame_store import FrameStore
from kgdyn.trajectories.source import FrameChunk

N_ATOMS = 4000
EDGE = 40.0


class SyntheticSource:
    """A random walk that exists one chunk at a time, with all a source may offer."""

    source = "synthetic"
    species = np.full(N_ATOMS, 18, np.int32)
    pbc = np.ones(3, dtype=bool)
    frame_interval = 1.0

    def __init__(self, n_frames: int) -> None:
        self.n_frames: int | None = n_frames
        self._n_frames = n_frames

    def chunks(self, frames_per_chunk: int = 64) -> Iterator[FrameChunk]:
        rng = np.random.default_rng(0)
        for first in range(0, self._n_frames, frames_per_chunk):
            count = min(frames_per_chunk, self._n_frames - first)
            positions = rng.uniform(0.0, EDGE, (count, N_ATOMS, 3))
            cells = np.broadcast_to(EDGE * np.eye(3), (count, 3, 3))
            frames = np.arange(first, first + count)
            images = np.zeros((count, N_ATOMS, 3), np.int32)
            yield FrameChunk(positions, cells, frames * 1000, frames * 1.0, images)


def anonymous_kilobytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise RuntimeError("/proc/self/status names no RssAnon")


def convert(n_frames: int) -> None:
    """Convert in this process; print its two peaks in kB."""
    peak = 0

    def watch(done: int, total: int | None) -> None:
        nonlocal peak
        peak = max(peak, anonymous_kilobytes())

    with tempfile.TemporaryDirectory() as folder:
        store = FrameStore.create(Path(folder) / "frames")
        targets = TargetGroups.from_indices(range(10))
        store.append(SyntheticSource(n_frames), targets=targets, progress=watch)
        peak = max(peak, anonymous_kilobytes())
    print(peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main(lengths: list[int]) -> None:
    print(f"{'frames':>8} {'anonymous MB':>13} {'resident MB':>12} {'ratio':>6}")
    first = 0
    for n_frames in lengths:
        child = [sys.executable, __file__, "--one", str(n_frames)]
        output = subprocess.run(child, check=True, capture_output=True, text=True).stdout
        anonymous, resident = (int(number) for number in output.split())
        first = first or anonymous
        print(
            f"{n_frames:8d} {anonymous / 1024:13.1f} {resident / 1024:12.1f} "
            f"{anonymous / first:6.3f}"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        convert(int(sys.argv[2]))
    else:
        main([int(argument) for argument in sys.argv[1:]] or [500, 2000, 8000])
