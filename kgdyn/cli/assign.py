"""``kgdyn assign``: the states of every target in every frame."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from kgdyn.cli import _options as options
from kgdyn.cli._console import load_tensorflow, progress_bar, say, set_quiet, user_errors

__all__ = ["assign", "assign_with_progress"]


@user_errors
def assign(
    trajectories: options.Trajectories,
    model: Annotated[Path, typer.Option(help="A model.keras that kgdyn trained.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .npy or .h5 file.")],
    novelty: Annotated[
        Path | None,
        typer.Option(
            help="A .npy file for how far surroundings are from those of the training, shape "
            "(n_frames, n_targets); above 1 the training has hardly any."
        ),
    ] = None,
    targets: options.Targets = None,
    groupby: options.GroupBy = "atoms",
    topology: options.Topology = None,
    elements: options.Elements = None,
    frame_interval: options.FrameInterval = None,
    timestep: options.Timestep = None,
    quiet: options.Quiet = False,
) -> None:
    """Write the probability of each state, for each target in each frame, as one array.

    Its shape is (n_frames, n_targets, n_states). Several trajectories of the same targets follow
    each other in the file.
    """
    set_quiet(quiet)
    load_tensorflow()
    from kgdyn.cli._files import write_array
    from kgdyn.models import load_model

    if output.suffix not in (".npy", ".h5", ".hdf5"):
        raise ValueError(f"output must end in .npy, .h5 or .hdf5, received {output}")
    if novelty is not None and novelty.suffix != ".npy":
        raise ValueError(f"novelty must end in .npy, received {novelty}")
    network = load_model(model)
    if novelty is not None and network.novelty is None:
        raise ValueError(
            f"{model}: does not know the surroundings that it was trained on; "
            "kgdyn.training.fit_novelty(model, trajectories) tells it"
        )
    found = options.read_trajectories(
        trajectories,
        targets=targets,
        groupby=groupby,
        topology=topology,
        elements=elements,
        frame_interval=frame_interval,
        timestep=timestep,
    )
    counts = sorted({trajectory.n_targets for trajectory in found})
    if len(counts) > 1:
        raise ValueError(
            "trajectories must have the same number of targets to share an output, "
            f"received {counts}; assign them one by one"
        )
    values = np.concatenate([assign_with_progress(network, part) for part in found])
    attributes = {
        "frame_interval_ps": found[0].frame_interval,
        "targets": found[0].targets.description,
        "model": str(model),
    }
    write_array(output, values, attributes)
    shares = ", ".join(f"{100 * share:.2f}%" for share in values.mean(axis=(0, 1)))
    say(f"{output}: {values.shape[0]} frames, {values.shape[1]} targets; mean of states {shares}")
    if novelty is not None:
        _write_novelty(network, found, novelty)


def assign_with_progress(model: Any, trajectory: Any) -> np.ndarray[Any, Any]:
    """State probabilities of a trajectory, with a progress bar."""
    from kgdyn.training import assign_states

    with progress_bar("assigning") as report:
        return assign_states(model, trajectory, progress=report)


def _write_novelty(model: Any, trajectories: list[Any], path: Path) -> None:
    """Write the distances from the training; name the farthest."""
    from kgdyn.cli._files import write_array
    from kgdyn.training import assign_novelty
    from kgdyn.training.graph_builder import GraphBuilder

    parts = []
    for trajectory in trajectories:
        with progress_bar("comparing") as report:
            parts.append(assign_novelty(model, trajectory, progress=report))
    values = np.concatenate(parts)
    write_array(path, values, {})
    number = int(np.argmax([part.max() for part in parts]))
    frame, target = np.unravel_index(int(parts[number].argmax()), parts[number].shape)
    build = GraphBuilder([trajectories[number]], model.n_neighbors, n_hops=1)
    graphs = build(np.zeros(1, np.int32), np.array([frame]))
    say(
        f"{path}: {100.0 * float((values > 1.0).mean()):.2f}% beyond what the training has; "
        f"farthest {values.max():.2f}, {trajectories[number].where(int(frame))}, target {target} "
        f"(counted from 0): {model.novelty.explain(graphs, int(target))}"
    )
