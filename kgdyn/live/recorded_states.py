"""Reading the states that a live analysis has written, or is writing."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn.frames import TargetGroups, readonly
from kgdyn.live._hdf5_flags import open_to_read
from kgdyn.live._states_layout import check_layout, whole_rows

__all__ = ["RecordedStates", "read_states"]


@dataclass(frozen=True, eq=False)
class RecordedStates:
    """What a file of states holds.

    Attributes
    ----------
    state_probabilities : (n_frames, n_targets, n_states) array of float32
        One row a frame, (n_frames, 1, n_states), of models with ``pooling="global"``.
    steps : (n_frames,) array of int64.
    times : (n_frames,) array of float64, ps; NaN where it is not known.
    segment_starts : (n_frames,) array of bool
        True where frames are missing before this one.
    novelty : (n_frames, n_targets) array of float32, or None if the model did not know it.
    targets : TargetGroups
    species : (n_atoms,) array of int32.
    pbc : (3,) array of bool.
    frame_interval : float, ps, or None
    steps_per_frame : int, or None
    source, model_digest, kgdyn_version : str
        What the frames came from, the model that made the states, and the kgdyn that wrote them.
    """

    state_probabilities: NDArray[np.float32]
    steps: NDArray[np.int64]
    times: NDArray[np.float64]
    segment_starts: NDArray[np.bool_]
    novelty: NDArray[np.float32] | None
    targets: TargetGroups
    species: NDArray[np.int32]
    pbc: NDArray[np.bool_]
    frame_interval: float | None
    steps_per_frame: int | None
    source: str
    model_digest: str
    kgdyn_version: str

    @property
    def n_frames(self) -> int:
        return len(self.steps)

    @property
    def segment_offsets(self) -> NDArray[np.int64]:
        """(n_segments + 1,) segment ``i`` holds frames ``offsets[i]`` to ``offsets[i + 1] - 1``."""
        starts = np.flatnonzero(self.segment_starts[1:]) + 1
        ends = [0, *starts, self.n_frames] if self.n_frames else [0]
        return readonly(ends, np.int64)

    @property
    def segments(self) -> list[NDArray[np.float32]]:
        """The probabilities of each gap-free segment, for kgdyn.estimate_koopman_model."""
        borders = itertools.pairwise(self.segment_offsets)
        return [self.state_probabilities[first:last] for first, last in borders]

    def __repr__(self) -> str:
        return (
            f"RecordedStates(n_frames={self.n_frames}, n_segments={len(self.segment_offsets) - 1}, "
            f"n_targets={self.targets.n_targets}, source={self.source!r})"
        )


def read_states(path: str | PathLike[str]) -> RecordedStates:
    """What :class:`kgdyn.live.StatesFile` has written, also while it writes or was killed.

    The file is not changed. Frames that were not written as a whole are left out.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no such file, of another format version, or damaged.
    """
    path = Path(path)
    with open_to_read(path) as file:
        check_layout(file, path)
        n_frames = whole_rows(file)  # first: what is written meanwhile is not read

        def column(name: str) -> NDArray[Any]:
            return readonly(file[name][:n_frames])

        novelty: NDArray[np.float32] | None = None
        found = file["novelty"][:n_frames]
        if len(found):  # the last frames may be without
            novelty = np.full((n_frames, found.shape[1]), np.nan, np.float32)
            novelty[: len(found)] = found
            novelty = readonly(novelty)
        attributes = dict(file.attrs)
        interval = float(attributes["frame_interval"])
        return RecordedStates(
            column("state_probabilities"),
            column("step"),
            column("time"),
            column("segment_start"),
            novelty,
            TargetGroups(
                file["target_atoms"][:], file["target_offsets"][:], str(attributes["targets"])
            ),
            readonly(file["species"][:]),
            readonly(attributes["pbc"]),
            None if np.isnan(interval) else interval,
            int(attributes["steps_per_frame"]) or None,
            str(attributes["source"]),
            str(attributes["model_digest"]),
            str(attributes["kgdyn_version"]),
        )
