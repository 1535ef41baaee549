"""Choose number of states and lag time: train, test on held-out data, decide."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kgdyn._atomic import replacing
from kgdyn.models import load_model
from kgdyn.selection._jobs import default_jobs, run_side_by_side
from kgdyn.selection.decision import decide
from kgdyn.selection.folds import Fold, make_folds
from kgdyn.selection.held_out import evaluate_candidates, score_gains, timescale_drifts
from kgdyn.selection.one_training import Outcome, read_outcome, run_task
from kgdyn.selection.plan import SelectionPlan, Task
from kgdyn.selection.result import HeldOut, Selection, StatesScore, write_selection
from kgdyn.training import TrainingSettings
from kgdyn.training.description import differences
from kgdyn.trajectories import Trajectory
from kgdyn.trajectories.lagged_pairs import as_trajectories

__all__ = ["clear_selection", "select_model"]

_PLAN = "plan.json"
_FILES = (
    _PLAN, "selection.csv", "selection.json", "selection.png", "model.keras", "training.json",
    "config.toml",
)  # fmt: skip

# Called with what is done and what there is in all, and where it stands in words.
Report = Callable[[float, float, str], None]


def select_model(
    trajectories: Trajectory | Sequence[Trajectory],
    *,
    n_states: Sequence[int],
    lagtimes: Sequence[int],
    n_neighbors: int,
    folder: str | Path,
    train_lagtime: int | None = None,
    restarts: int = 3,
    folds: int = 3,
    validation_share: float = 0.15,
    settings: TrainingSettings | None = None,
    model_options: dict[str, Any] | None = None,
    jobs: int | None = 1,
    overwrite: bool = False,
    progress: Report | None = None,
) -> Selection:
    """Train models of several numbers of states and recommend one, and a lag time.

    For every number of states, fold and restart a model is trained at one lag time, on the frames
    that are not held out. In each fold the restart with the best validation score is tested on the
    held-out frames: VAMP-2, timescales and Chapman-Kolmogorov test at every lag time. (States that
    were found at one lag time serve at all others: a Koopman model is estimated anew for each.)
    The rule is told in :mod:`kgdyn.selection.decision`.

    Killed at any moment, the same call goes on where it was, within an unfinished training too.

    Parameters
    ----------
    trajectories : Trajectory or sequence of Trajectory
        All of them are used: keep back what the model taken is to be tested on in the end.
    n_states, lagtimes : sequence of int
        Candidates; lag times in frames.
    n_neighbors : int
    folder : path
        For all trainings, ``selection.csv``, ``selection.json`` and ``model.keras``: the model of
        the recommended number of states with the best held-out score. Its ``lagtime`` is the
        recommended one.
    train_lagtime : int, frames, optional
        One of ``lagtimes``; the middle one if not given. Processes faster than it do not count.
    restarts : int
        Trainings from other weights for each number of states and fold.
    folds : int
        At least 2, see :func:`kgdyn.selection.make_folds`.
    validation_share : float
        Of the frames that are not held out.
    settings : TrainingSettings, optional
    model_options : dict, optional
        Further arguments of :class:`kgdyn.models.GDyNet`.
    jobs : int or None
        Trainings side by side, in processes of their own, with as much of the cores each; 1 trains
        in this one; None takes one for each two cores and 3 GiB of free memory.
    overwrite : bool
        Start again, whatever selection the folder holds.
    progress : callable, optional
        Called with what is done, what there is in all, and a note.

    Raises
    ------
    ValueError
        For empty lists, fewer than two folds, lag times that are too long for a fold, a folder
        that holds another selection (naming what differs), or as
        :func:`kgdyn.training.train_gdynet`.
    """
    plan = SelectionPlan(
        lagtimes=tuple(lagtimes),
        n_states=tuple(n_states),
        n_neighbors=n_neighbors,
        train_lagtime=0 if train_lagtime is None else train_lagtime,
        n_restarts=restarts,
        n_folds=folds,
        validation_share=validation_share,
        settings=settings or TrainingSettings(),
        model_options=dict(model_options or {}),
    )
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs must be at least 1, or None, received {jobs}")
    parts, root = list(as_trajectories(trajectories)), Path(folder)
    divided = make_folds(
        parts,
        plan.n_folds,
        lagtimes=plan.lagtimes,
        train_lagtime=plan.train_lagtime,
        validation_share=plan.validation_share,
    )
    _claim_folder(root, plan.describe(parts), overwrite)
    tell = progress or (lambda done, total, note: None)
    _train_all(plan, parts, divided, root, jobs, tell)
    outcomes = [_finished(task, root) for task in plan.tasks()]
    tell(1.0, 1.0, "testing")
    result = _judge(plan, outcomes, divided, parts[0].frame_interval, root)
    write_selection(result, root)
    return result


def clear_selection(folder: str | Path) -> None:
    """Remove what a selection left in a folder, and nothing else."""
    folder = Path(folder)
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    for pattern in ("states-*", ".worker-data-*"):
        for path in folder.glob(pattern):
            shutil.rmtree(path)


def _claim_folder(root: Path, description: dict[str, Any], overwrite: bool) -> None:
    """Write the plan there, or refuse a folder with another."""
    if overwrite:
        clear_selection(root)
    path = root / _PLAN
    if path.is_file():
        try:
            found = json.loads(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path}: is damaged ({error}); overwrite the selection") from error
        wrong = differences(found, description)
        if wrong:
            raise ValueError(
                f"{root}: holds a selection with other settings ({'; '.join(wrong)}): give the "
                "same to go on with it, choose another folder, or overwrite it"
            )
        return
    if (root / "model.keras").exists():
        raise ValueError(f"{root}: holds a model.keras of something else: choose another folder")
    with replacing(path) as partial:
        partial.write_text(json.dumps(description, indent=2) + "\n")


def _train_all(
    plan: SelectionPlan,
    parts: list[Trajectory],
    divided: list[Fold],
    root: Path,
    jobs: int | None,
    tell: Report,
) -> None:
    tasks = list(plan.tasks())
    left = [task for task in tasks if read_outcome(task, root) is None]
    shares = {task: 1.0 for task in tasks if task not in left}
    if not left:
        return

    def report(task: Task, share: float) -> None:
        shares[task] = share
        tell(sum(shares.values()), float(len(tasks)), str(task))

    n_jobs = min(default_jobs(len(left)) if jobs is None else jobs, len(left))
    tell(float(len(tasks) - len(left)), float(len(tasks)), "")
    if n_jobs > 1:
        run_side_by_side(plan, parts, root, left, n_jobs, report)
        return
    for task in left:

        def show(done: int, total: int, task: Task = task) -> None:
            report(task, done / max(total, 1))

        run_task(plan, divided, task, root, show)


def _finished(task: Task, root: Path) -> Outcome:
    outcome = read_outcome(task, root)
    if outcome is None:
        raise ValueError(f"{root / task.folder}: the training is not finished")
    return outcome


def _judge(
    plan: SelectionPlan,
    outcomes: list[Outcome],
    divided: list[Fold],
    frame_interval: float,
    root: Path,
) -> Selection:
    notes: list[str] = []
    kept = {
        n: [_best_by_validation(outcomes, n, fold + 1) for fold in range(plan.n_folds)]
        for n in plan.n_states
    }
    data = {n: [outcome.segments() for outcome in best] for n, best in kept.items()}
    candidates = evaluate_candidates(data, plan.lagtimes, plan.train_lagtime, frame_interval, notes)
    gains = score_gains(data, plan.train_lagtime, notes)
    drifts = timescale_drifts(data, plan.lagtimes, plan.train_lagtime, notes)
    taken, reasons = decide(candidates, gains, drifts, plan.train_lagtime)
    scores = []
    for number, n_states in enumerate(plan.n_states):
        here = next(
            item
            for item in candidates
            if (item.n_states, item.lagtime) == (n_states, plan.train_lagtime)
        )
        gain = gains[plan.n_states[number - 1], n_states] if number else (np.nan, np.nan)
        scores.append(
            StatesScore(
                n_states,
                here.score,
                here.score_error,
                tuple(outcome.held_out_score for outcome in kept[n_states]),
                tuple(
                    tuple(
                        outcome.held_out_score
                        for outcome in outcomes
                        if (outcome.task.n_states, outcome.task.fold) == (n_states, fold + 1)
                    )
                    for fold in range(plan.n_folds)
                ),
                *(float(value) for value in gain),
            )
        )
    path = held_out = None
    if taken is not None:
        best = _best_held_out(outcomes, candidates[taken].n_states)
        path = _copy_model(best, candidates[taken].lagtime, root)
        held_out = HeldOut(divided[best.task.fold - 1].held_out, best.segments())
    return Selection(
        candidates=tuple(candidates),
        reasons=tuple(reasons),
        taken=taken,
        scores=tuple(scores),
        gains=gains,
        train_lagtime=plan.train_lagtime,
        frame_interval=frame_interval,
        n_folds=plan.n_folds,
        n_restarts=plan.n_restarts,
        by_trajectory=divided[0].by_trajectory,
        model_path=path,
        held_out=held_out,
        notes=tuple(notes),
    )


def _best_by_validation(outcomes: list[Outcome], n_states: int, fold: int) -> Outcome:
    """The choice of a restart must not look at what is held out, or its score would flatter."""
    usable = [
        outcome
        for outcome in outcomes
        if (outcome.task.n_states, outcome.task.fold) == (n_states, fold)
        and np.isfinite([outcome.validation_score, outcome.held_out_score]).all()
    ]
    if not usable:
        raise ValueError(
            f"no training with {n_states} states in fold {fold} has a finite score: change the "
            "settings (a lower learning_rate) or the seed"
        )
    return max(usable, key=lambda outcome: outcome.validation_score)


def _best_held_out(outcomes: list[Outcome], n_states: int) -> Outcome:
    """The best of all restarts and folds on what it never saw."""
    return max(
        (outcome for outcome in outcomes if outcome.task.n_states == n_states),
        key=lambda outcome: np.nan_to_num(outcome.held_out_score, nan=-np.inf),
    )


def _copy_model(best: Outcome, lagtime: int, root: Path) -> Path:
    """Set to the recommended lag time."""
    model = load_model(best.folder / "model.keras")
    model.lagtime = lagtime
    path = root / "model.keras"
    with replacing(path) as partial:
        model.save(partial)
    return path
