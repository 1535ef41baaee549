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
    trajectories: options.Trajectories,
    output: Annotated[Path, typer.Option(help="Folder for model.keras and what belongs to it.")],
    lagtime: Annotated[int, typer.Option(help="Lag time, in frames.")],
    n_states: Annotated[int, typer.Option(help="States to find.")],
    n_neighbors: Annotated[int, typer.Option(help="Neighbours of each atom in the graph.")],
    targets: options.Targets = None,
    groupby: options.GroupBy = "atoms",
    topology: options.Topology = None,
    elements: options.Elements = None,
    frame_interval: options.FrameInterval = None,
    timestep: options.Timestep = None,
    train_fraction: Annotated[
        float, typer.Option(help="Share of each trajectory, from its start.")
    ] = 0.7,
    validation_fraction: Annotated[
        float, typer.Option(help="Share that alternates with it.")
    ] = 0.15,
    epochs: Annotated[int, typer.Option()] = 10,
    batch_size: Annotated[int, typer.Option(help="Pairs of frames.")] = 1024,
    learning_rate: Annotated[float, typer.Option()] = 2e-3,
    stride: Annotated[int, typer.Option(help="Train on each n-th pair.")] = 1,
    seed: Annotated[int, typer.Option()] = 0,
    quiet: options.Quiet = False,
) -> None:
    """Train a model on the first part of trajectories, validating on blocks of the same part.

    What is left of each trajectory is for `kgdyn validate`.
    """
    set_quiet(quiet)
    load_tensorflow()
    from kgdyn.training import TrainingSettings

    found = options.read_trajectories(
        trajectories,
        targets=targets,
        groupby=groupby,
        topology=topology,
        elements=elements,
        frame_interval=frame_interval,
        timestep=timestep,
    )
    train_and_save(
        found,
        output,
        fractions=(train_fraction, validation_fraction),
        n_states=n_states,
        n_neighbors=n_neighbors,
        lagtime=lagtime,
        settings=TrainingSettings(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            stride=stride,
            seed=seed,
        ),
    )


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
) -> Any:
    """Train on the first fractions of trajectories; leave model, history and figure in a folder."""
    import kgdyn
    from kgdyn.cli._files import replacing, save_figure, write_csv, write_json
    from kgdyn.plots import plot_training_curve
    from kgdyn.training import ReportProgress, train_gdynet
    from kgdyn.trajectories import split_by_time

    in_use = split_by_time(trajectories, [sum(fractions)])[0]
    shares = [fraction / sum(fractions) for fraction in fractions]
    blocks = _alternating_blocks(in_use, shares[1], lagtime)
    parts, held_out = split_by_time(in_use, shares, n_blocks=blocks)
    with progress_bar("training") as report:

        def show(done: int, total: int, logs: dict[str, float]) -> None:
            score = logs.get("val_vamp2")
            report(done, total, "" if score is None else f"validation VAMP-2 {score:.3f}")

        model, history = train_gdynet(
            parts,
            held_out,
            n_states=n_states,
            n_neighbors=n_neighbors,
            lagtime=lagtime,
            settings=settings,
            callbacks=[ReportProgress(show)],
        )
    output.mkdir(parents=True, exist_ok=True)
    with replacing(output / "model.keras") as partial:
        model.save(partial)
    columns = list(history)
    rows = [
        [epoch + 1, *(history[name][epoch] for name in columns)]
        for epoch in range(len(history[columns[0]]))
    ]
    write_csv(output / "history.csv", ["epoch", *columns], rows)
    write_json(
        output / "training.json",
        {
            "kgdyn": kgdyn.__version__,
            "trajectories": [trajectory.source for trajectory in trajectories],
            "train_fraction": fractions[0],
            "validation_fraction": fractions[1],
            "test_start": fractions[0] + fractions[1],
            "settings": vars(settings),
            "validation_vamp2": max(history["val_vamp2"]),
        },
    )
    save_figure(output / "training.png", plot_training_curve(history, n_states=n_states))
    say(
        f"model: {output / 'model.keras'}, best validation VAMP-2 {max(history['val_vamp2']):.4f} "
        f"of at most {n_states}"
    )
    return model
