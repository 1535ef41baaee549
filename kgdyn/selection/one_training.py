"""One training of a selection, and its held-out frames: done once, found again on disk."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn._atomic import replacing
from kgdyn.selection.folds import Fold
from kgdyn.selection.held_out import held_out_score
from kgdyn.selection.plan import SelectionPlan, Task
from kgdyn.training import ReportProgress, assign_states, train_restarts

__all__ = ["Outcome", "read_outcome", "run_task"]

_RECORD = "outcome.json"
_PROBABILITIES = "held_out.npy"

# Called with the batches done and the batches in all.
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Outcome:
    """What came of one training.

    Attributes
    ----------
    task : Task
    folder : Path
        With ``model.keras``.
    validation_score : float
        Of its best epoch.
    held_out_score : float
        VAMP-2 at the training lag time; NaN if the training gave no finite weights.
    segment_offsets : tuple of int
        Borders of the held-out segments in ``held_out.npy``.
    """

    task: Task
    folder: Path
    validation_score: float
    held_out_score: float
    segment_offsets: tuple[int, ...]

    def segments(self) -> list[NDArray[np.float32]]:
        """State probabilities of each held-out segment, (n_frames, n_targets, n_states)."""
        values = np.load(self.folder / _PROBABILITIES, mmap_mode="r", allow_pickle=False)
        borders = self.segment_offsets
        return [values[a:b] for a, b in itertools.pairwise(borders)]


def read_outcome(task: Task, root: Path) -> Outcome | None:
    """That of a finished training; None where it is not finished."""
    folder = root / task.folder
    files = [folder / name for name in (_RECORD, _PROBABILITIES, "model.keras")]
    if not all(path.is_file() for path in files):
        return None
    try:
        values = json.loads(files[0].read_text())
        validation, held_out = (
            math.nan if values[name] is None else float(values[name])
            for name in ("validation_score", "held_out_score")
        )
        offsets = tuple(int(border) for border in values["segment_offsets"])
    except (ValueError, KeyError, TypeError):
        return None  # damaged: the training is there, and only the record is made again
    return Outcome(task, folder, validation, held_out, offsets)


def run_task(
    plan: SelectionPlan, folds: Sequence[Fold], task: Task, root: Path, report: Report | None = None
) -> Outcome:
    """Train, from where its folder says that it stopped, and assign the held-out frames."""
    found = read_outcome(task, root)
    if found is not None:
        return found
    fold, folder = folds[task.fold - 1], root / task.folder

    def show(done: int, total: int, logs: dict[str, float]) -> None:
        if report is not None:
            report(done, total)

    model, restarts = train_restarts(
        fold.train,
        fold.validation,
        n_states=task.n_states,
        n_neighbors=plan.n_neighbors,
        lagtime=plan.train_lagtime,
        settings=plan.settings_of(task),
        model_options=plan.model_options,
        callbacks=[ReportProgress(show)],
        folder=folder,
    )
    segments: list[NDArray[Any]] = []
    for trajectory in fold.held_out:
        values, borders = assign_states(model, trajectory), trajectory.offsets
        segments += [values[a:b] for a, b in itertools.pairwise(borders)]
    score = math.nan
    if all(np.isfinite(segment).all() for segment in segments):
        score = held_out_score(segments, plan.train_lagtime)
    offsets = (0, *(int(border) for border in np.cumsum([len(part) for part in segments])))
    with replacing(folder / _PROBABILITIES) as partial:
        np.save(partial, np.concatenate(segments), allow_pickle=False)
    outcome = Outcome(task, folder, restarts[0].score, score, offsets)
    with replacing(folder / _RECORD) as partial:
        partial.write_text(
            json.dumps(
                {
                    "validation_score": _or_null(outcome.validation_score),
                    "held_out_score": _or_null(score),
                    "segment_offsets": offsets,
                },
                indent=2,
            )
            + "\n"
        )
    return outcome


def _or_null(value: float) -> float | None:
    return value if math.isfinite(value) else None
