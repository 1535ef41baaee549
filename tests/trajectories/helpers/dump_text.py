"""A dump of five atoms in four frames, written by hand, and what it must be read as."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import kgdyn.trajectories.lammps_dump as lammps_dump
from kgdyn.trajectories.lammps_dump import LAMMPSDump
from kgdyn.trajectories.source import FrameChunk

Write = Callable[..., Path]


def read(path: Path, per_chunk: int = 64, start: int = 0, **options: Any) -> FrameChunk:
    """All frames of a dump as one chunk."""
    options.setdefault("elements", ["Li", "S"])
    parts = list(LAMMPSDump(path, **options).chunks(per_chunk, start))
    assert all(part.n_frames <= per_chunk for part in parts)
    return lammps_dump._joined(parts)


def array(values: Any) -> Any:
    """What a chunk may lack, but must have here."""
    assert values is not None
    return values


def unwrapped(chunk: FrameChunk) -> Any:
    assert chunk.images is not None
    return chunk.positions + chunk.images @ chunk.cells


N_ATOMS, N_FRAMES = 5, 4
PATHS = np.random.default_rng(7).normal(4.0, 9.0, (N_FRAMES, N_ATOMS, 3)).round(4)
TYPES = [1, 2, 1, 1, 2]


def frame_text(
    frame: int,
    columns: str = "id type xu yu zu",
    box: str = "ITEM: BOX BOUNDS pp pp pp\n-1 9\n0 12\n2 13\n",
    step: int | None = None,
    preamble: str = "",
) -> str:
    rows = []
    for atom in np.random.default_rng(frame).permutation(N_ATOMS):
        values = {"id": atom + 1, "type": TYPES[atom], "q": "junk"}
        values |= dict(zip(("xu", "yu", "zu"), PATHS[frame, atom], strict=True))
        values |= dict(zip(("x", "y", "z"), PATHS[frame, atom], strict=True))
        rows.append(" ".join(str(values[name]) for name in columns.split()))
    step = 100 * frame if step is None else step
    header = f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{N_ATOMS}\n{box}"
    return "\n".join([f"{preamble}{header}ITEM: ATOMS {columns}", *rows, ""])


TEXT = "".join(frame_text(frame) for frame in range(N_FRAMES))
LINES_OF_FRAME = 9 + N_ATOMS
EXPECTED = PATHS - [-1, 0, 2]
