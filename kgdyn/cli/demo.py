"""``kgdyn demo``: from a LAMMPS run to a validated two-state model, with the truth beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kgdyn.cli import _options as options
from kgdyn.cli._console import load_tensorflow, progress_bar, say, set_quiet, user_errors

__all__ = ["demo"]

_N_NEIGHBORS = 12
_LAG = 10.0  # ps
_FRACTIONS = (0.4, 0.1)  # train, validation; the second half is for the test


@user_errors
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for all that the demo leaves.")
    ],
    duration: Annotated[float, typer.Option(help="Simulated time in ns.")] = 60.0,
    epochs: Annotated[int, typer.Option(help="Epochs of training.")] = 8,
    seed: Annotated[int, typer.Option(help="Of the simulation and the training.")] = 0,
    quiet: options.Quiet = False,
) -> None:
    """Simulate Li in a frozen fcc sulfur lattice, learn its two states and test them.

    The first half of the run trains and validates, the second half tests. The truth is known by
    geometry: whether Li stands in an octahedral or a tetrahedral hole. A finished simulation is
    not run again.
    """
    set_quiet(quiet)
    load_tensorflow()
    from kgdyn.toys import LiInFccSulfur

    system = LiInFccSulfur(duration=duration, seed=seed + 1)
    topology, trajectory_file = _simulate(system, output)
    data: dict[str, Any] = {
        "targets": "type 1",
        "groupby": "atoms",
        "elements": "Li,S",
        "frame_interval": system.frame_interval,
    }
    found = options.read_trajectories([trajectory_file], topology=topology, **data)[0]
    settings: dict[str, dict[str, Any]] = {
        "data": {"trajectories": [str(trajectory_file)], "topology": str(topology), **data},
        "model": {
            "n_states": 2,
            "n_neighbors": _N_NEIGHBORS,
            "lagtime": round(_LAG / system.frame_interval),
        },
        "training": {"epochs": epochs, "stride": 5, "seed": seed},
    }
    _learn_and_test(found, output, settings)


def _simulate(system: Any, output: Path) -> tuple[Path, Path]:
    """Run the simulation, or take the one that this folder holds already."""
    from kgdyn.integrations.lammps import simulate_li_fcc_s

    folder = output / "trajectory"
    complete = folder / "li_fcc_s.dcd"
    files: tuple[Path, Path]
    if complete.is_file():
        files = simulate_li_fcc_s(system, folder)
        say(f"simulation: taking {complete}, which is complete")
        return files
    with progress_bar("simulating") as report:
        files = simulate_li_fcc_s(system, folder, progress=report)
    return files


def _learn_and_test(trajectory: Any, output: Path, settings: dict[str, dict[str, Any]]) -> None:
    from kgdyn.cli._files import write_array
    from kgdyn.cli._train_config import complete_config
    from kgdyn.cli.assign import assign_with_progress
    from kgdyn.cli.train import train_and_save
    from kgdyn.cli.validate import validate_states
    from kgdyn.toys import state_labels
    from kgdyn.training import TrainingSettings

    shares = {"train_fraction": _FRACTIONS[0], "validation_fraction": _FRACTIONS[1]}
    model = train_and_save(
        [trajectory],
        output,
        fractions=_FRACTIONS,
        **settings["model"],
        settings=TrainingSettings(**settings["training"]),
        config=complete_config(settings, {"data": shares}),
        overwrite=True,
    )
    probabilities = assign_with_progress(model, trajectory)
    attributes = {"frame_interval_ps": trajectory.frame_interval, "targets": "Li"}
    write_array(output / "state_probabilities.npy", probabilities, attributes)
    half = trajectory.n_frames // 2
    labels = state_labels(trajectory.positions[half:, 0])[:, None]
    validate_states(
        [probabilities[half:]],
        settings["model"]["lagtime"],
        trajectory.frame_interval,
        output,
        labels=[labels],
    )
