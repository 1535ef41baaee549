"""Writes made-up states in a process of its own, to be killed, or to fill its disk.

python write_states.py endless FILE       until killed; prints each frame that is written
python write_states.py limit FILE BYTES   until the file would be larger; prints the error
python write_states.py storm FILE KILLS   children that are killed at any moment, and checks
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np

from kgdyn.frames import TargetGroups
from kgdyn.koopman import RunningKoopman
from kgdyn.live import LiveStates, StatesFile, StreamInfo, read_states

N_TARGETS = 20
INFO = StreamInfo(
    "made up",
    np.full(25, 3),
    np.ones(3, bool),
    TargetGroups.from_indices(range(N_TARGETS), "the Li"),
    frame_interval=0.1,
    steps_per_frame=10,
    model_digest="ab12",
)


def states_of(number: int) -> LiveStates:
    """Those of frame ``number``: always the same."""
    rng = np.random.default_rng([7, number])
    probabilities = rng.dirichlet(np.ones(2), N_TARGETS).astype(np.float32)
    return LiveStates(probabilities, 10 * number, 0.1 * number, number == 0)


def opened(path: Path) -> tuple[StatesFile, RunningKoopman]:
    file, statistics = StatesFile(path), RunningKoopman(2, N_TARGETS, [1, 2])
    file.open(INFO, 2, statistics)
    return file, statistics


def endless(path: Path) -> None:
    file, statistics = opened(path)
    for number in range(statistics.n_frames, 1_000_000):
        file.write(states_of(number), None, statistics)  # type: ignore[arg-type]
        print(number, flush=True)


def limit(path: Path, n_bytes: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
    file, statistics = opened(path)
    number = 0
    try:
        while True:
            file.write(states_of(number), None, statistics)  # type: ignore[arg-type]
            number += 1
    except OSError as error:
        print(number, error)
    file.close()


def storm(path: Path, n_kills: int) -> None:
    rng = np.random.default_rng(3)
    before = 0
    for _ in range(n_kills):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(write, 1)
            endless(path)
        os.close(write)
        with os.fdopen(read) as reports:
            reports.readline()  # it has begun
            time.sleep(float(rng.random()) * 0.02)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            lines = reports.read().split("\n")[:-1]
        told = int(lines[-1]) if lines else before
        record = read_states(path)
        if record.n_frames <= told or record.n_frames <= before:
            sys.exit(f"{told} was reported, {record.n_frames} frames are in the file")
        before = record.n_frames
    for number in range(before):
        expected = states_of(number)
        same = np.array_equal(record.state_probabilities[number], expected.state_probabilities)
        if not same or record.steps[number] != expected.step:
            sys.exit(f"frame {number} is not what was written")
    print("frames", before, "segments", len(record.segments))


if __name__ == "__main__":
    mode, name, *numbers = sys.argv[1:]
    {"endless": endless, "limit": limit, "storm": storm}[mode](Path(name), *map(int, numbers))
