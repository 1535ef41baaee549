"""What a trajectory holds, from one pass over all of its frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kgdyn.trajectories._frame_checks import check_frames
from kgdyn.trajectories.segments import Finding, interval_from_times, segment_offsets
from kgdyn.trajectories.source import FrameSource

__all__ = ["Inspection", "cell_parameters", "inspect_source"]


@dataclass(frozen=True)
class Inspection:
    """Facts of one trajectory.

    Attributes
    ----------
    source : str
    n_frames, n_atoms : int
    species : (n_atoms,) array of int32
    pbc : (3,) array of bool
    cell_lower, cell_upper : (6,) arrays
        Smallest and largest a, b, c (angstrom) and alpha, beta, gamma (degrees) of all frames.
    frame_interval : float or None, ps
    segment_offsets : (n_segments + 1,) array of int64
    findings : tuple of Finding
        Why segments begin where they do.
    first_step, last_step : int or None
    unwrapped : bool
        Whether displacements over many cells are known.
    """

    source: str
    n_frames: int
    n_atoms: int
    species: NDArray[np.int32]
    pbc: NDArray[np.bool_]
    cell_lower: NDArray[np.float64]
    cell_upper: NDArray[np.float64]
    frame_interval: float | None
    segment_offsets: NDArray[np.int64]
    findings: tuple[Finding, ...]
    first_step: int | None
    last_step: int | None
    unwrapped: bool

    @property
    def n_segments(self) -> int:
        return len(self.segment_offsets) - 1


def inspect_source(
    source: FrameSource,
    *,
    frame_interval: float | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Inspection:
    """Read every frame of a source, refuse what is broken, and say what there is.

    Parameters
    ----------
    source : FrameSource
    frame_interval : float, ps, optional
    progress : callable, optional
        Called with the frames read and the frames in all (None if not known).

    Raises
    ------
    ValueError
        Naming file, frame and row of what is broken.
    """
    steps: list[NDArray[np.int64]] = []
    times: list[NDArray[np.float64]] = []
    lower, upper = np.full(6, np.inf), np.full(6, -np.inf)
    n_frames, unwrapped = 0, True
    for chunk in source.chunks():
        check_frames(chunk.positions, chunk.cells, source.pbc, source.source, n_frames)
        parameters = np.array([cell_parameters(cell) for cell in _distinct(chunk.cells)])
        lower, upper = (
            np.minimum(lower, parameters.min(axis=0)),
            np.maximum(upper, parameters.max(axis=0)),
        )
        if chunk.steps is not None:
            steps.append(chunk.steps)
        if chunk.times is not None:
            times.append(chunk.times)
        unwrapped = unwrapped and chunk.images is not None
        n_frames += chunk.n_frames
        if progress is not None:
            progress(n_frames, source.n_frames)
    if n_frames == 0:
        raise ValueError(f"{source.source}: holds no frame")
    all_steps = np.concatenate(steps) if steps else None
    all_times = np.concatenate(times) if times else None
    offsets, findings = segment_offsets(
        all_steps, all_times, n_frames=n_frames, frame_interval=frame_interval
    )
    interval = frame_interval or source.frame_interval
    if interval is None and all_times is not None:
        interval = interval_from_times(all_times, offsets)
    return Inspection(
        source=source.source,
        n_frames=n_frames,
        n_atoms=len(source.species),
        species=source.species,
        pbc=source.pbc,
        cell_lower=lower,
        cell_upper=upper,
        frame_interval=interval,
        segment_offsets=offsets,
        findings=tuple(findings),
        first_step=None if all_steps is None else int(all_steps[0]),
        last_step=None if all_steps is None else int(all_steps[-1]),
        unwrapped=unwrapped,
    )


def cell_parameters(cell: NDArray[np.float64]) -> tuple[float, ...]:
    """a, b, c in angstrom and alpha, beta, gamma in degrees; zeros for missing vectors."""
    lengths = np.linalg.norm(cell, axis=1)
    angles = []
    for first, second in ((1, 2), (0, 2), (0, 1)):
        product = lengths[first] * lengths[second]
        cosine = cell[first] @ cell[second] / product if product > 0.0 else 0.0
        angles.append(float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))))
    return (*map(float, lengths), *angles)


def _distinct(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cells that differ from the one before."""
    changed = np.any(cells[1:] != cells[:-1], axis=(1, 2))
    result: NDArray[np.float64] = cells[np.concatenate([[True], changed])]
    return result
