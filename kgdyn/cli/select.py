"""``kgdyn select``: number of states and lag time, chosen on held-out data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kgdyn.cli import _options as options
from kgdyn.cli._console import (
    console,
    load_tensorflow,
    progress_bar,
    say,
    set_quiet,
    user_errors,
)

__all__ = ["select"]


@user_errors
def select(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for all trainings and the result.")
    ],
    lagtimes: Annotated[
        str,
        typer.Option(help="Lag times to try, in frames, such as 1,2,5,10.", metavar="N,N,..."),
    ],
    n_states: Annotated[
        str,
        typer.Option(help="Numbers of states to try.", metavar="N,N,..."),
    ],
    trajectories: Annotated[
        list[Path] | None, typer.Argument(help="Trajectory files or frame stores, as `inspect`.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="TOML file of `kgdyn train`; options here override it. Its lagtime, n_states "
            "and restarts are not used."
        ),
    ] = None,
    train_lagtime: Annotated[
        int | None,
        typer.Option(
            help="The candidate that models are trained at; faster processes do not count.",
            show_default="the middle one",
        ),
    ] = None,
    restarts: Annotated[
        int, typer.Option(help="Trainings from other weights for each fold and number of states.")
    ] = 3,
    folds: Annotated[
        int,
        typer.Option(help="Parts of the data, each held out once."),
    ] = 3,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Trainings side by side.", show_default="one for 2 cores and 3 GiB of memory"
        ),
    ] = None,
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
    epochs: Annotated[int | None, typer.Option(help="Epochs at most.", show_default="10")] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Pairs of frames in a batch.", show_default="by the data, at most 1,024"),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="The highest of each training.", show_default="0.002")
    ] = None,
    stride: Annotated[
        int | None, typer.Option(help="Train on each n-th pair.", show_default="1")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of weights and order of pairs.", show_default="0")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="TABLE.KEY=VALUE", help="Any other setting, as for `kgdyn train`."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start again, whatever the folder holds.")
    ] = False,
    floor: Annotated[
        bool,
        typer.Option(
            "--floor/--no-floor",
            help="Compare the recommended model with a linear method on the frames that it never "
            "saw, and say which slow process it missed.",
        ),
    ] = True,
    quiet: options.Quiet = False,
) -> None:
    """Choose number of states and lag time by training and testing on held-out data.

    Recommends the fewest states that miss no slow process, and the shortest lag time at which
    timescales are constant and the Chapman-Kolmogorov test holds; the table says why not the
    others. What `kgdyn train` would keep for the test (the last 15%) is not touched: `kgdyn
    validate` finds it. Interrupted, in any way, it goes on with the same command. Exit code 1 if
    nothing passes.
    """
    set_quiet(quiet)
    lags, numbers = _numbers("lagtimes", lagtimes), _numbers("n_states", n_states)
    load_tensorflow()
    from kgdyn.cli._train_config import complete_config, parse_settings, read_config, write_config
    from kgdyn.selection import SelectionPlan, select_model
    from kgdyn.training import TrainingSettings
    from kgdyn.trajectories import split_by_time

    given: dict[str, dict[str, Any]] = {
        "data": {
            "trajectories": [str(path) for path in trajectories or []],
            "targets": targets,
            "groupby": groupby,
            "topology": None if topology is None else str(topology),
            "elements": elements,
            "frame_interval": frame_interval,
            "timestep": timestep,
        },
        "model": {"n_neighbors": n_neighbors, "lagtime": lags[0], "n_states": numbers[0]},
        "training": {
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "stride": stride,
            "seed": seed,
            "restarts": restarts,
        },
    }
    settings = complete_config(
        {} if config is None else read_config(config), parse_settings(set_ or []), given
    )
    data, model_options = dict(settings["data"]), dict(settings["model"])
    fractions = data.pop("train_fraction"), data.pop("validation_fraction")
    paths, place = [Path(path) for path in data.pop("trajectories")], data.pop("topology")
    how = TrainingSettings(**settings["training"])
    arguments: dict[str, Any] = {
        "lagtimes": lags,
        "n_states": numbers,
        "n_neighbors": model_options.pop("n_neighbors"),
        "train_lagtime": train_lagtime,
        "restarts": restarts,
        "folds": folds,
    }
    # Before the files are read, which may take long.
    SelectionPlan(
        tuple(lags), tuple(numbers), arguments["n_neighbors"], train_lagtime or 0, restarts, folds
    )
    for name in ("lagtime", "n_states"):
        model_options.pop(name)
    found = options.read_trajectories(
        paths, topology=None if place is None else Path(place), **data
    )
    in_use = split_by_time(found, [sum(fractions)])[0]
    try:
        with progress_bar("training") as report:
            result = select_model(
                in_use,
                folder=output,
                validation_share=fractions[1] / sum(fractions),
                settings=how,
                model_options=model_options,
                jobs=jobs,
                overwrite=overwrite,
                progress=report,
                **arguments,
            )
    except (KeyboardInterrupt, SystemExit):
        say(f"stopped: the same command goes on with {output} where it was")
        raise
    from kgdyn.cli._selection_files import print_selection, write_figure, write_record

    write_figure(result, output)
    print_selection(result, console)
    if result.recommended is None:
        raise typer.Exit(1)
    if floor and result.held_out is not None:
        from kgdyn.cli._missed_processes import report_missed_processes

        report_missed_processes(
            result.held_out.state_probabilities,
            result.held_out.trajectories,
            result.recommended.lagtime,
            output / "selection.json",
        )
    settings["model"].update(n_states=result.n_states, lagtime=result.lagtime)
    write_config(output / "config.toml", settings)
    write_record(result, output, found, fractions, how)
    say(
        f"model: {output / 'model.keras'}; to train on all of these frames: kgdyn train --config "
        f"{output / 'config.toml'} --output FOLDER"
    )


def _numbers(name: str, text: str) -> list[int]:
    """ "1,2,5" as [1, 2, 5]."""
    words = text.replace(",", " ").split()
    if not words:
        raise ValueError(f"{name}: at least one value is needed, such as 1,2,5, received {text!r}")
    if not all(word.lstrip("-").isdigit() for word in words):
        raise ValueError(
            f"{name} must be whole numbers with commas between, such as 1,2,5, received {text!r}"
        )
    return [int(word) for word in words]
