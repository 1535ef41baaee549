"""What a selection found, and the files that keep it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn._atomic import replacing
from kgdyn.selection.decision import Candidate, Gain
from kgdyn.trajectories import Trajectory

__all__ = ["HeldOut", "Selection", "StatesScore", "write_selection"]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Frames that a model never saw.

    Attributes
    ----------
    trajectories : list of Trajectory
    state_probabilities : list of (n_frames, n_targets, n_states) arrays, one a segment.
    """

    trajectories: list[Trajectory]
    state_probabilities: list[NDArray[np.float32]]


@dataclass(frozen=True)
class StatesScore:
    """How well a number of states does at the training lag time.

    Attributes
    ----------
    n_states : int
    score, score_error : float
        Held-out VAMP-2, the constant counted: mean over folds and its standard error.
    fold_scores : tuple of float
        Of each fold, from the restart with the best validation score.
    restart_scores : tuple of tuples of float
        Held-out scores of all restarts, a tuple for each fold.
    gain, gain_error : float
        Of the mean over that of the next smaller number; NaN for the smallest.
    """

    n_states: int
    score: float
    score_error: float
    fold_scores: tuple[float, ...]
    restart_scores: tuple[tuple[float, ...], ...]
    gain: float = float("nan")
    gain_error: float = float("nan")


@dataclass(frozen=True)
class Selection:
    """Every number of states at every lag time, tested on held-out data, and what to take.

    Attributes
    ----------
    candidates : tuple of Candidate
    reasons : tuple of str
        Why each candidate was not taken, or was.
    taken : int or None
        Index of the one taken; None if none passes.
    scores : tuple of StatesScore
        By number of states.
    gains : mapping
        From (fewer, more) states to the gain in held-out score.
    train_lagtime : int, frames
    frame_interval : float, ps
    n_folds, n_restarts : int
    by_trajectory : bool
        Whole trajectories were held out; else blocks of time.
    model_path : Path or None
        The best model of the recommendation.
    notes : tuple of str
        What to keep in mind about the data.
    held_out : HeldOut or None
        The frames that the best model of the recommendation never saw, and its states there.
    """

    candidates: tuple[Candidate, ...]
    reasons: tuple[str, ...]
    taken: int | None
    scores: tuple[StatesScore, ...]
    gains: Mapping[tuple[int, int], Gain] = field(repr=False)
    train_lagtime: int
    frame_interval: float
    n_folds: int
    n_restarts: int
    by_trajectory: bool
    model_path: Path | None = None
    notes: tuple[str, ...] = ()
    held_out: HeldOut | None = field(default=None, repr=False)

    @property
    def recommended(self) -> Candidate | None:
        """The candidate taken."""
        return None if self.taken is None else self.candidates[self.taken]

    @property
    def n_states(self) -> int | None:
        """Recommended."""
        return None if self.recommended is None else self.recommended.n_states

    @property
    def lagtime(self) -> int | None:
        """Recommended, in frames."""
        return None if self.recommended is None else self.recommended.lagtime

    def verdict(self) -> str:
        """The recommendation in a sentence or two."""
        best, held_out = self.recommended, "trajectories" if self.by_trajectory else "blocks"
        if best is None:
            return (
                "no number of states passes at any of these lag times; the table says what is "
                "wrong with each"
            )
        times = ", ".join(f"{time:.3g}" for time in best.timescales)
        text = (
            f"{best.n_states} states at a lag time of {best.lagtime} frames "
            f"({best.lagtime_ps:g} ps); timescales on held-out {held_out}: {times} ps"
        )
        if best.n_states == max(item.n_states for item in self.scores):
            text += f". No more than {best.n_states} were tried: there may be more"
        return text


_COLUMNS = (
    "n_states", "lagtime_frames", "lagtime_ps", "vamp2", "vamp2_error", "timescales_ps",
    "timescales_error_ps", "ck_inside", "ck_elements", "ck_largest_difference", "ck_passes",
    "recommended", "reason",
)  # fmt: skip


def write_selection(result: Selection, folder: Path) -> None:
    """``selection.csv`` with a row a candidate, and ``selection.json`` with all there is."""
    with (
        replacing(folder / "selection.csv") as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for index, (item, reason) in enumerate(zip(result.candidates, result.reasons, strict=True)):
            writer.writerow(
                [
                    item.n_states,
                    item.lagtime,
                    f"{item.lagtime_ps:g}",
                    f"{item.score:.6f}",
                    f"{item.score_error:.6f}",
                    " ".join(f"{value:.6g}" for value in item.timescales),
                    " ".join(f"{value:.6g}" for value in item.timescales_error),
                    item.ck_inside,
                    item.ck_elements,
                    f"{item.ck_largest_difference:.6g}",
                    item.ck_passes,
                    index == result.taken,
                    reason,
                ]
            )
    with replacing(folder / "selection.json") as partial:
        text = json.dumps(_plain(_summary(result)), indent=2)
        partial.write_text(text + "\n", encoding="utf-8")


def _summary(result: Selection) -> dict[str, Any]:
    return {
        "recommended": None
        if result.recommended is None
        else {"n_states": result.n_states, "lagtime": result.lagtime},
        "verdict": result.verdict(),
        "notes": result.notes,
        "train_lagtime": result.train_lagtime,
        "frame_interval_ps": result.frame_interval,
        "folds": result.n_folds,
        "restarts": result.n_restarts,
        "held_out": "trajectories" if result.by_trajectory else "blocks of time",
        "scores": [vars(item) for item in result.scores],
        "gains": [
            {"fewer": fewer, "more": more, "gain": gain.value, "error": gain.error}
            for (fewer, more), gain in result.gains.items()
        ],
        "candidates": [
            {**vars(item), "ck_passes": item.ck_passes, "taken": index == result.taken,
             "reason": reason}
            for index, (item, reason) in enumerate(
                zip(result.candidates, result.reasons, strict=True)
            )
        ],
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """As JSON has it: NaN is null."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
