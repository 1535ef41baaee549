"""``kgdyn train``: from trajectories to a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kgdyn.cli import _options as options
from kgdyn.cli._console import load_tensorflow, progress_bar, say, set_quiet, user_errors

__all__ = ["train", "train_and_save"]


@user_errors
def train(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for model.keras and what belongs to it.")
    ],
    trajectories: Annotated[
        list[Path] | None, typer.Argument(help="Trajectory files or frame stores, as `inspect`.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with tables data, model and training; options here override it."
        ),
    ] = None,
    lagtime: Annotated[
        int | None, typer.Option(help="Lag time, in frames: what is slower is learned. Needed.")
    ] = None,
    n_states: Annotated[int | None, typer.Option(help="States to find. Needed.")] = None,
    n_neighbors: Annotated[
        int | None, typer.Option(help="How many nearest atoms each atom of the graph has. Needed.")
    ] = None,
    targets: options.Targets = None,
    groupby: Annotated[
        str | None,
        typer.Option(help="One target each: atoms, residues or molecules.", show_default="atoms"),
    ] = None,
    topology: options.Topology = None,
    elements: options.Elements = None,
    frame_interval: options.FrameInterval = None,
    timestep: options.Timestep = None,
    train_fraction: Annotated[
        float | None,
        typer.Option(help="Share of each trajectory to train on.", show_default="0.7"),
    ] = None,
    validation_fraction: Annotated[
        float | None, typer.Option(help="Share to validate on.", show_default="0.15")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs at most.", show_default="10")] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Pairs of frames in a batch.", show_default="by the data, at most 1,024"),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="The highest of the training.", show_default="0.002")
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="Train on each n-th pair.", show_default="1")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="End after so many epochs without a better validation score.", show_default="10"
        ),
    ] = None,
    restarts: Annotated[
        int | None,
        typer.Option(help="Train so often, from other weights; keep the best.", show_default="1"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of weights and order of pairs.", show_default="0")
    ] = None,
    checkpoint_every: Annotated[
        float | None,
        typer.Option(help="Seconds between checkpoints within an epoch.", show_default="120"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="TABLE.KEY=VALUE",
            help="Any other setting, such as model.n_features=32 or training.warmup=1.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start again, whatever the folder holds.")
    ] = False,
    quiet: options.Quiet = False,
) -> None:
    """Learn states from the first part of each trajectory; the rest is kept for the test.

    Training and validation alternate in blocks of that part; what is left of each trajectory is
    for `kgdyn validate`. A training that was interrupted, in any way, goes on where it was with
    the same command, or with `kgdyn train --output FOLDER`. Every setting is written to
    FOLDER/config.toml.
    """
    set_quiet(quiet)
    _refuse_finished(output, overwrite)
    load_tensorflow()
    from kgdyn.cli._train_config import complete_config, parse_settings, read_config
    from kgdyn.training import TrainingSettings

    if config is None and not trajectories and (output / "config.toml").is_file():
        config = output / "config.toml"
    given: dict[str, dict[str, Any]] = {
        "data": {
            "trajectories": [str(path) for path in trajectories or []],
            "targets": targets,
            "groupby": groupby,
            "topology": None if topology is None else str(topology),
            "elements": elements,
            "frame_interval": frame_interval,
            "timestep": timestep,
            "train_fraction": train_fraction,
            "validation_fraction": validation_fraction,
        },
        "model": {"lagtime": lagtime, "n_states": n_states, "n_neighbors": n_neighbors},
        "training": {
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "stride": stride,
            "patience": patience,
            "restarts": restarts,
            "seed": seed,
            "checkpoint_every": checkpoint_every,
        },
    }
    settings = complete_config(
        {} if config is None else read_config(config),
        parse_settings(set_ or []),
        given,
    )
    data, model_options = dict(settings["data"]), dict(settings["model"])
    fractions = data.pop("train_fraction"), data.pop("validation_fraction")
    paths, place = [Path(path) for path in data.pop("trajectories")], data.pop("topology")
    how = TrainingSettings(**settings["training"])
    found = options.read_trajectories(
        paths, topology=None if place is None else Path(place), **data
    )
    try:
        train_and_save(
            found,
            output,
            fractions=fractions,
            n_states=model_options.pop("n_states"),
            n_neighbors=model_options.pop("n_neighbors"),
            lagtime=model_options.pop("lagtime"),
            settings=how,
            model_options=model_options,
            config=settings,
            overwrite=overwrite,
        )
    except (KeyboardInterrupt, SystemExit):
        say(f"stopped {_where(output)}: `kgdyn train --output {output}` goes on from there")
        raise


def _refuse_finished(output: Path, overwrite: bool) -> None:
    if (output / "training.json").exists() and not overwrite:
        raise ValueError(
            f"{output}: holds a finished training; choose another --output, or --overwrite it"
        )


def _where(output: Path) -> str:
    """Where the training in a folder stands, in words."""
    from kgdyn.training import checkpoints_in
    from kgdyn.training.checkpoint import read_checkpoint

    found = checkpoints_in(output)
    if not found:
        return "before the first checkpoint"
    latest = max(found, key=lambda path: path.stat().st_mtime_ns)
    position = read_checkpoint(latest).state.position
    part = latest.parent.parent.name
    name = f"{part}, " if part.startswith("restart-") else ""
    return f"at {name}epoch {position.epoch + 1}, batch {position.batch + 1}"


def _alternating_blocks(trajectories: list[Any], validation_share: float, lagtime: int) -> int:
    """How often training and validation alternate: up to ten times, each ten lag times long."""
    shortest = min(trajectory.n_frames for trajectory in trajectories)
    return max(1, min(10, int(shortest * validation_share / (10 * lagtime))))


def train_and_save(
    trajectories: list[Any],
    output: Path,
    *,
    fractions: tuple[float, float],
    n_states: int,
    n_neighbors: int,
    lagtime: int,
    settings: Any,
    model_options: dict[str, Any] | None = None,
    config: dict[str, dict[str, Any]] | None = None,
    overwrite: bool = False,
) -> Any:
    """Train on the first fractions of trajectories; leave model, history and figure in a folder.

    An unfinished training in the folder goes on. ``config`` is written there before a new one.
    """
    from kgdyn.cli._files import save_figure
    from kgdyn.cli._train_config import write_config
    from kgdyn.plots import plot_training_curve
    from kgdyn.training import (
        ReportProgress,
        best_restart,
        checkpoints_in,
        clear_run,
        train_restarts,
    )
    from kgdyn.training.objectives import score_name
    from kgdyn.trajectories import split_by_time

    in_use = split_by_time(trajectories, [sum(fractions)])[0]
    shares = [fraction / sum(fractions) for fraction in fractions]
    blocks = _alternating_blocks(in_use, shares[1], lagtime)
    parts, held_out = split_by_time(in_use, shares, n_blocks=blocks)
    if overwrite:
        clear_run(output)
    if checkpoints_in(output):
        say(f"{output}: going on {_where(output)}")
    elif config is not None:
        write_config(output / "config.toml", config)
    metric = score_name(settings.score, settings.reversible)
    title = f"{settings.score[:4]}-{settings.score[4:]}"
    with progress_bar("training") as report:

        def show(done: int, total: int, logs: dict[str, float]) -> None:
            notes = []
            if settings.restarts > 1:
                number = (done - 1) * settings.restarts // total + 1
                notes.append(f"restart {number} of {settings.restarts}")
            if f"val_{metric}" in logs:
                notes.append(f"validation {title} {logs[f'val_{metric}']:.3f}")
            report(done, total, ", ".join(notes))

        model, restarts = train_restarts(
            parts,
            held_out,
            n_states=n_states,
            n_neighbors=n_neighbors,
            lagtime=lagtime,
            settings=settings,
            model_options=model_options,
            callbacks=[ReportProgress(show)],
            folder=output,
        )
    best = best_restart(restarts)
    figure = plot_training_curve(best.history, n_states=n_states, score=metric)
    save_figure(output / "training.png", figure)
    _write_record(output / "training.json", trajectories, fractions, settings, restarts)
    for restart in restarts if len(restarts) > 1 else []:
        say(
            f"restart {restart.number}: validation {title} {restart.score:.4f} in epoch "
            f"{restart.best_epoch} of {len(restart.history[metric])}"
            + (", kept" if restart is best else "")
        )
    say(
        f"model: {output / 'model.keras'}, best validation {title} {best.score:.4f} of at most "
        f"{n_states}"
    )
    return model


def _write_record(
    path: Path,
    trajectories: list[Any],
    fractions: tuple[float, float],
    settings: Any,
    restarts: Any,
) -> None:
    """Written last: a folder with it holds a finished training."""
    import kgdyn
    from kgdyn.cli._files import write_json
    from kgdyn.training import best_restart
    from kgdyn.training.objectives import score_name

    best = best_restart(restarts)
    name = f"validation_{score_name(settings.score, settings.reversible)}"
    write_json(
        path,
        {
            "kgdyn": kgdyn.__version__,
            "trajectories": [trajectory.source for trajectory in trajectories],
            "train_fraction": fractions[0],
            "validation_fraction": fractions[1],
            "test_start": fractions[0] + fractions[1],
            "settings": vars(settings),
            name: best.score,
            "best_restart": best.number,
            "restarts": [
                {
                    "restart": restart.number,
                    "seed": restart.seed,
                    name: restart.score,
                    "best_epoch": restart.best_epoch,
                    "epochs": len(restart.history["loss"]),
                }
                for restart in restarts
            ],
        },
    )
