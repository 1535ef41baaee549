"""Sources made of arrays, and frame stores of them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.trajectories.frame_store import FrameStore
from kgdyn.trajectories.source import FrameChunk

TARGETS = TargetGroups.from_groups([[0, 1], [2]], "a pair and an ion")
TRICLINIC = np.array([[10.0, 0.0, 0.0], [2.0, 9.0, 0.0], [1.0, -1.5, 8.0]])


class ArraySource:
    """Frames from arrays, in chunks."""

    def __init__(
        self,
        positions,
        cell=TRICLINIC,
        *,
        pbc=(True, True, True),
        steps=None,
        times=None,
        images=None,
        promised="all",
        frame_interval=0.5,
        source="walk",
        seconds_per_chunk=0.0,
    ):
        self.positions = np.asarray(positions)
        self.cells = np.broadcast_to(np.asarray(cell, float), (len(self.positions), 3, 3))
        self.steps, self.times, self.images = steps, times, images
        self.species = np.array([3, 8, 17, 11, 1][: self.positions.shape[1]], np.int32)
        self.pbc = np.array(pbc)
        self.n_frames = len(self.positions) if promised == "all" else promised
        self.frame_interval = frame_interval
        self.source = source
        self.seconds_per_chunk = seconds_per_chunk

    def chunks(self, frames_per_chunk=64):
        return self._from(frames_per_chunk, 0)

    def _from(self, frames_per_chunk, start):
        arrays = (self.positions, self.cells, self.steps, self.times, self.images)
        for first in range(start, len(self.positions), frames_per_chunk):
            time.sleep(self.seconds_per_chunk)
            part = slice(first, first + frames_per_chunk)
            yield FrameChunk(*(None if array is None else array[part] for array in arrays))


class StartingSource(ArraySource):
    """One that need not read what is to be skipped."""

    started_at = None

    def chunks(self, frames_per_chunk=64, start=0):
        self.started_at = start
        return self._from(frames_per_chunk, start)


def walk(n_frames=100, n_atoms=5, seed=0, **options):
    """A source with everything a source may have, in float64."""
    rng = np.random.default_rng(seed)
    positions = rng.uniform(0.0, 8.0, (n_frames, n_atoms, 3))
    options.setdefault("steps", np.arange(n_frames) * 100)
    options.setdefault("times", np.arange(n_frames) * 0.5)
    options.setdefault("images", rng.integers(-3, 4, (n_frames, n_atoms, 3), dtype=np.int32))
    kind = options.pop("kind", ArraySource)
    return kind(positions, **options)


def contents(folder):
    """Every file of a store, by name."""
    paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def interrupted(path, source, after, **options):
    """A store whose conversion stops after ``after`` frames."""
    store = FrameStore.create(path)

    def stop(done, n_frames):
        if done >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.append(source, targets=TARGETS, progress=stop, frames_per_chunk=10, **options)
