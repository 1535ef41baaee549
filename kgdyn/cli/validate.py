"""``kgdyn validate``: the Koopman model of held-out data, tested, with errors and figures."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import numpy as np
import typer

from kgdyn.cli import _options as options
from kgdyn.cli._console import console, load_tensorflow, say, set_quiet, user_errors
from kgdyn.cli._labels import read_labels

if TYPE_CHECKING:
    from kgdyn.cli._validation_files import Validation

__all__ = ["checked_lagtime", "validate", "validate_states"]


@user_errors
def validate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for tables and figures.")],
    trajectories: options.TrajectoriesOrNone = None,
    model: Annotated[
        Path | None, typer.Option(help="A model.keras that kgdyn trained. Needed for trajectories.")
    ] = None,
    states: Annotated[
        list[Path] | None,
        typer.Option(
            help="In place of trajectories: states that `kgdyn monitor` or `kgdyn follow` wrote."
        ),
    ] = None,
    targets: options.Targets = None,
    groupby: options.GroupBy = "atoms",
    topology: options.Topology = None,
    elements: options.Elements = None,
    frame_interval: options.FrameInterval = None,
    timestep: options.Timestep = None,
    lagtime: Annotated[
        int | None, typer.Option(help="In frames; the model's own if not given.")
    ] = None,
    start: Annotated[
        float | None,
        typer.Option(
            help="Use each trajectory from this fraction on; by default what training left."
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="True states to compare with: FILE.npy, or FILE.npz:NAME, a row a frame."
        ),
    ] = None,
    crosscheck: Annotated[
        bool,
        typer.Option(
            "--crosscheck",
            help="Compute K, scores, timescales and CK with deeptime as well; fail where they "
            "differ.",
        ),
    ] = False,
    estimator: Annotated[
        str,
        typer.Option(
            help='How K is estimated: "plain", "reversible" (data in equilibrium) or "stationary" '
            "(reweighted to it)."
        ),
    ] = "plain",
    floor: Annotated[
        bool, typer.Option(help="Compare with a linear method: was a slow process missed?")
    ] = True,
    quiet: options.Quiet = False,
) -> None:
    """Test a model on frames that training did not see, with 95% intervals.

    Gives the Koopman matrix K, populations, timescales over lag times, and the Chapman-Kolmogorov
    (CK) test: K at one lag time, repeated, against K counted at longer ones. Says whether a slow
    process was missed that a linear method finds.
    """
    set_quiet(quiet)
    _check_estimator(estimator, crosscheck)
    if (states is None) == (trajectories is None):
        raise ValueError("trajectories with --model, or --states: one of them is needed")
    if states is not None:
        if labels is not None or start is not None or model is not None:
            raise ValueError("--states is used whole, without --model, --labels and --start")
        recorded, lag, interval = _recorded(states, lagtime, frame_interval)
        validate_states(recorded, lag, interval, output, crosscheck=crosscheck, estimator=estimator)
        return
    if model is None or trajectories is None:
        raise ValueError("--model is needed to assign the states of trajectories")
    load_tensorflow()
    from kgdyn.cli.assign import assign_with_progress
    from kgdyn.models import load_model
    from kgdyn.trajectories import split_by_time

    network = load_model(model)
    found = options.read_trajectories(
        trajectories,
        targets=targets,
        groupby=groupby,
        topology=topology,
        elements=elements,
        frame_interval=frame_interval,
        timestep=timestep,
    )
    start = _default_start(model, found) if start is None else start
    if not 0.0 <= start < 1.0:
        raise ValueError(f"start must be a fraction from 0 to below 1, received {start}")
    if start > 0.0:
        found = split_by_time(found, (start, 1.0 - start))[1]
    lag = checked_lagtime(network, found, lagtime)
    probabilities = [
        part
        for trajectory in found
        for part in _segments(assign_with_progress(network, trajectory), trajectory)
    ]
    true = None
    if labels is not None:
        true = [
            part
            for values, trajectory in zip(read_labels(labels, found), found, strict=True)
            for part in _segments(values, trajectory)
        ]
    validate_states(
        probabilities,
        lag,
        found[0].frame_interval,
        output,
        labels=true,
        crosscheck=crosscheck,
        estimator=estimator,
    )
    if floor:
        from kgdyn.cli._missed_processes import report_missed_processes, restart_scores

        report_missed_processes(
            probabilities, found, lag, output / "koopman.json", restart_scores(model)
        )


def _recorded(
    paths: list[Path], lagtime: int | None, frame_interval: float | None
) -> tuple[list[Any], int, float]:
    """Segments, lag time in frames, and frame interval in ps of recorded states."""
    from kgdyn.live import read_states

    found = [read_states(path) for path in paths]
    if lagtime is None:
        raise ValueError("--lagtime is needed with --states, in frames")
    given = {part.frame_interval for part in found}
    if frame_interval is None and given == {None}:
        raise ValueError(f"{paths[0]}: does not know the time between frames: --frame-interval")
    if frame_interval is None and len(given) > 1:
        raise ValueError(f"--states must have the same frame interval, received {given} ps")
    interval = next(iter(given)) if frame_interval is None else frame_interval
    return [segment for part in found for segment in part.segments], lagtime, float(interval or 0.0)


def validate_states(
    probabilities: list[Any],
    lagtime: int,
    frame_interval: float,
    output: Path,
    labels: list[Any] | None = None,
    crosscheck: bool = False,
    estimator: str = "plain",
) -> Validation:
    """Estimate, test, print a table, and leave tables and figures in a folder.

    Parameters
    ----------
    probabilities : list of (n_frames, n_targets, n_states) arrays, one a segment.
    lagtime : int, frames.
    frame_interval : float, ps.
    output : Path
    labels : list of (n_frames, n_targets) arrays of int, optional
        True states, in the order of the learned ones.
    crosscheck : bool
        Compare the results with those of deeptime's estimators.
    estimator : {"plain", "reversible", "stationary"}
        As for :func:`kgdyn.koopman.estimate_koopman_model`.

    Raises
    ------
    ValueError
        For an unknown estimator, or a crosscheck of another than "plain"; if a quantity of the
        crosscheck exceeds its bound; all files are written by then.
    """
    from kgdyn.cli._validation_files import Validation, print_table, write_validation
    from kgdyn.koopman import (
        crispness,
        implied_timescales,
        label_markov_model,
        one_hot,
        validate_koopman,
    )

    _check_estimator(estimator, crosscheck)
    found = validate_koopman(
        probabilities,
        lagtime=lagtime,
        frame_interval=frame_interval,
        estimator=cast(Any, estimator),
    )
    model, times, ck = found.model, found.timescales, found.ck
    assigned = true_model = true_times = None
    if labels is not None:
        n_states = model.n_states
        assigned = _assigned(probabilities, labels, n_states)
        true_model = label_markov_model(labels, lagtime)
        true_times = implied_timescales(
            [one_hot(part, n_states) for part in labels],
            lagtimes=times.lagtimes.tolist(),
            frame_interval=frame_interval,
            estimator=cast(Any, estimator),
        )
    result = Validation(model, times, ck, found.transitions, assigned, true_model, true_times)
    write_validation(result, output)
    print_table(result, console)
    for doubt in (crispness(probabilities).note, found.transitions.note):
        if doubt:
            console.print(doubt, highlight=False)
    if crosscheck:
        _crosscheck(probabilities, result, output)
    say(f"tables and figures: {output}")
    return result


def _check_estimator(estimator: str, crosscheck: bool) -> None:
    from kgdyn.koopman.reversible import ESTIMATORS

    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator must be one of {ESTIMATORS}, received {estimator!r}")
    if crosscheck and estimator != "plain":
        raise ValueError(
            f'crosscheck is of the estimator "plain" only, received estimator {estimator!r}'
        )


def _crosscheck(probabilities: list[Any], result: Validation, output: Path) -> None:
    """The figures of a validation beside deeptime's."""
    from kgdyn.cli._validation_files import print_crosscheck, write_crosscheck
    from kgdyn.koopman import crosscheck_results

    check = crosscheck_results(probabilities, result.model, result.timescales, result.ck)
    write_crosscheck(check, output)
    print_crosscheck(check, console)
    if not check.ok:
        failed = "; ".join(
            f"{item.quantity} by {item.difference:.1e}, at most {item.bound:.1e} is allowed"
            for item in check.failed
        )
        raise ValueError(f"crosscheck: kgdyn and deeptime differ in {failed}")


def _assigned(probabilities: list[Any], labels: list[Any], n_states: int) -> np.ndarray[Any, Any]:
    """(n_true, n_states) share of each true state's frames that each learned state gets."""
    counts = np.zeros((n_states, n_states))
    for part, true in zip(probabilities, labels, strict=True):
        np.add.at(counts, (np.asarray(true).ravel(), np.asarray(part).argmax(axis=-1).ravel()), 1)
    with np.errstate(invalid="ignore"):
        result: np.ndarray[Any, Any] = counts / counts.sum(axis=1, keepdims=True)
    return result


def _segments(values: Any, trajectory: Any) -> list[Any]:
    borders = trajectory.offsets
    return [values[a:b] for a, b in itertools.pairwise(borders)]


def checked_lagtime(model: Any, trajectories: list[Any], lagtime: int | None) -> int:
    """The lag time in frames of these trajectories, which may have another interval."""
    from kgdyn.trajectories import lagged_pairs

    interval = trajectories[0].frame_interval
    if lagtime is None:
        exact = model.lagtime * (model.frame_interval or interval) / interval
        lagtime = max(1, round(exact))
        if abs(lagtime - exact) > 1e-3 * exact:
            raise ValueError(
                f"lagtime: the model's {model.lagtime * model.frame_interval:g} ps is no whole "
                f"number of frames of {interval:g} ps; give --lagtime in frames"
            )
    lagged_pairs(trajectories, lagtime)  # refuses one that is too long
    return lagtime


def _default_start(model: Path, trajectories: list[Any]) -> float:
    """Where training stopped using a trajectory, if the model's folder says so of these.

    By the source that a trajectory names: a frame store knows the file that it was made from.
    """
    record = model.parent / "training.json"
    if not record.is_file():
        return 0.0
    try:
        values = json.loads(record.read_text())
        known = {Path(name).name for name in values["trajectories"]}
        test_start = float(values["test_start"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):
        return 0.0
    used = {Path(trajectory.source).name for trajectory in trajectories}
    if test_start < 1.0 and used <= known:
        say(f"using frames after the first {100 * test_start:g}%: training left those")
        return test_start
    if used & known:
        say("using all frames: training saw some or all of them")
    return 0.0
