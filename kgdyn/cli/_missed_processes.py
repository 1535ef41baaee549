"""The verdict on missed processes in ``kgdyn validate`` and ``kgdyn select``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kgdyn.cli._console import console, progress_bar, say

__all__ = ["report_missed_processes", "restart_scores"]


def report_missed_processes(
    probabilities: list[Any],
    trajectories: list[Any],
    lagtime: int,
    record: Path,
    scores: list[float] | None = None,
) -> Any:
    """Print the verdict, and add it to a JSON file as ``missed_process``.

    Parameters
    ----------
    probabilities : list of (n_frames, n_targets, n_states) arrays, one a segment.
    trajectories : list of Trajectory, the frames they are of.
    lagtime : int, frames.
    record : Path
        A JSON file that is there: ``koopman.json``, ``selection.json``.
    scores : list of float, optional
        Validation scores of restarts.

    Returns
    -------
    MissedProcessVerdict, or None where a linear method has nothing to compare: the reason is said.
    """
    from kgdyn.baselines import missed_process_verdict

    if any(len(part[0]) != trajectories[0].n_targets for part in probabilities):
        say("missed processes: not checked, the states are those of whole frames")
        return None
    with progress_bar("linear") as report:
        try:
            verdict = missed_process_verdict(
                probabilities,
                trajectories,
                lagtime=lagtime,
                restart_scores=scores,
                progress=report,
            )
        except ValueError as error:
            say(f"missed processes: not checked, {error}")
            return None
    title, *rest = verdict.words
    console.print(f"[bold]Missed processes:[/] {_escaped(title)}", highlight=False)
    for line in rest:
        console.print(_escaped(line), highlight=False)
    _add_to_json(record, verdict)
    return verdict


def restart_scores(model: Path) -> list[float] | None:
    """Validation scores of the restarts that a model is the best of; None for a single one."""
    record = model.parent / "training.json"
    try:
        values = json.loads(record.read_text())
        known = [restart["validation_vamp2"] for restart in values["restarts"]]
        scores = [float(score) for score in known if score is not None]
    except (OSError, json.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
    return scores if len(scores) > 1 else None


def _add_to_json(path: Path, verdict: Any) -> None:
    from kgdyn.cli._files import write_json

    values = json.loads(path.read_text())
    values["missed_process"] = {
        "status": verdict.status,
        "words": list(verdict.words),
        "missing": [_process(process) for process in verdict.missing],
        "linear_processes": [_process(process) for process in verdict.floor],
        "explained_by_states": verdict.explained,
        "singular_values": verdict.singular_values,
        "vamp2_score": verdict.vamp2_score,
        "vamp2_score_interval": _bounds(verdict.score_interval),
        "linear_floor": verdict.floor_score,
        "linear_floor_interval": _bounds(verdict.floor_interval),
        "difference_interval": _bounds(verdict.difference_interval),
        "restart_scores": None if verdict.restarts is None else verdict.restarts.scores,
        "restarts_agree": None if verdict.restarts is None else verdict.restarts.agree,
        "intervals": verdict.blocks,
    }
    write_json(path, values)


def _process(process: Any) -> dict[str, Any]:
    return {
        "singular_value": process.singular_value,
        "singular_value_interval": _bounds(process.interval),
        "timescale_ps": process.timescale_ps,
        "timescale_interval_ps": list(process.timescale_interval_ps),
        "features": [{"name": name, "correlation": value} for name, value in process.features],
    }


def _bounds(interval: Any) -> list[float]:
    return [float(interval.lower), float(interval.upper)]


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
