"""``kgdyn report``: one page that tells what a training found, and whether to believe it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from kgdyn.cli import _options as options
from kgdyn.cli._console import load_tensorflow, progress_bar, say, set_quiet, user_errors
from kgdyn.cli._labels import atom_table, read_labels

if TYPE_CHECKING:
    from kgdyn.report import RunRecord

__all__ = ["report"]

_AXES = ("x", "y", "z")
# The network is asked again for every mask: of about so many frames, where the lag time has a
# divisor that allows it; else of the first so many.
_FRAMES_TO_MASK = 400
_MOST_FRAMES_TO_MASK = 4000


@user_errors
def report(
    run: Annotated[Path, typer.Argument(help="Folder of a finished `kgdyn train` or `demo`.")],
    trajectories: Annotated[
        list[Path] | None,
        typer.Argument(help="Other trajectories than those of the training, used whole."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for report.html, figures and tables."),
    ] = None,
    names: Annotated[
        str | None,
        typer.Option(help='What to call elements, such as "O=EO,S=TFSI" for coarse beads.'),
    ] = None,
    charges: Annotated[
        str | None,
        typer.Option(
            help='Elementary charges: "Li=1,S=-1", FILE.npy, or FILE.npz:NAME with one an atom; '
            "by default those of the topology file."
        ),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="In kelvin, for conductivities.")
    ] = None,
    charge_radius: Annotated[
        float | None,
        typer.Option(
            help="Radius in angstrom of the cluster that moves with a target; by default where the "
            "first shell of opposite charge ends."
        ),
    ] = None,
    axis: Annotated[
        str | None, typer.Option(help="x, y or z: a profile of the states along it.")
    ] = None,
    bond_order: Annotated[
        int | None,
        typer.Option(
            help="Local bond order q3, q4, q6 from so many nearest atoms: 4 in silicon, 12 in fcc."
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help="Known states or counts to compare with: FILE.npy, or FILE.npz:NAME, a row a "
            "frame of the whole trajectory."
        ),
    ] = None,
    molecules: Annotated[
        str | None,
        typer.Option(
            help="Molecule of each atom, for whole molecules in drawings: FILE.npy or FILE.npz:"
            "NAME; by default those of the topology file."
        ),
    ] = None,
    r_max: Annotated[float, typer.Option(help="Of radial distributions, angstrom.")] = 10.0,
    lagtime: Annotated[
        int | None, typer.Option(help="In frames; the model's own if not given.")
    ] = None,
    start: Annotated[
        float | None,
        typer.Option(
            help="Use each trajectory from this fraction on; by default what training left."
        ),
    ] = None,
    masking: Annotated[
        bool, typer.Option(help="Ask the network what it cannot do without.")
    ] = True,
    floor: Annotated[bool, typer.Option(help="Compare with a linear method.")] = True,
    quiet: options.Quiet = False,
) -> None:
    """Make a report of a training: one HTML file, with its figures and tables beside it.

    It says what was learned from what, how good the score is beside a linear method, the slow
    processes and their tests, what each state looks like, and what it does for transport. Numbers
    are of the frames that training did not see, with 95% intervals.
    """
    set_quiet(quiet)
    from kgdyn.report import Physics, read_run, study_states, write_report

    record = read_run(run)
    if axis is not None and axis not in _AXES:
        raise ValueError(f"axis must be x, y or z, received {axis!r}")
    load_tensorflow()
    from kgdyn.cli.assign import assign_with_progress
    from kgdyn.cli.validate import checked_lagtime
    from kgdyn.models import load_model
    from kgdyn.trajectories import split_by_time

    network = load_model(record.model)
    if network.pooling == "global":
        raise ValueError(
            f"{record.model}: gives states of whole frames, and a report is of targets; "
            "`kgdyn validate` tests such a model"
        )
    found = _trajectories(record, trajectories)
    if start is None:
        start = record.test_start if not trajectories and record.test_start < 1.0 else 0.0
    if not 0.0 <= start < 1.0:
        raise ValueError(f"start must be a fraction from 0 to below 1, received {start}")
    if start > 0.0:
        found = split_by_time(found, (start, 1.0 - start))[1]
    record = record.tested_on([part.source for part in found], start)
    lag = checked_lagtime(network, found, lagtime)
    known = None if labels is None else read_labels(labels, found)
    topology = record.topology_path()
    physics = Physics(
        charges=_charges(charges, topology, found[0].n_atoms),
        temperature=temperature,
        charge_radius=charge_radius,
    )
    whole = _molecules(molecules, topology, found[0].n_atoms)
    probabilities = [assign_with_progress(network, part) for part in found]
    attention = masks = None
    if masking:
        attention, masks = _deciding(network, found, probabilities, lag)
    with progress_bar("studying") as show:
        findings = study_states(
            found,
            probabilities,
            lagtime=lag,
            names=_names(names),
            physics=physics,
            axis=None if axis is None else _AXES.index(axis),
            bond_order_neighbors=bond_order,
            molecules=whole,
            labels=known,
            restart_scores=record.restart_scores,
            r_max=r_max,
            floor=floor,
            attention=attention,
            masking=masks,
            progress=show,
        )
    folder = run / "report" if output is None else output
    with progress_bar("drawing") as show:
        page = write_report(
            findings, record, folder, command=["kgdyn", *sys.argv[1:]], progress=show
        )
    for note in findings.notes:
        say(f"{note.piece}: {'left out, ' if note.kind == 'left out' else ''}{note.text}")
    say(f"report: {page}, {page.stat().st_size / 1e6:.1f} MB; figures and tables beside it")


def _trajectories(record: RunRecord, given: list[Path] | None) -> list[Any]:
    data = record.config.get("data", {})
    return options.read_trajectories(
        given or record.trajectory_paths(),
        targets=data.get("targets"),
        groupby=data.get("groupby", "atoms"),
        topology=record.topology_path(),
        elements=data.get("elements"),
        frame_interval=data.get("frame_interval"),
        timestep=data.get("timestep"),
    )


def _names(text: str | None) -> dict[int, str]:
    if text is None:
        return {}
    from kgdyn.elements import element_numbers

    found = options.elements_list(text)
    if not isinstance(found, dict):
        raise ValueError(f'names must be such as "O=EO,S=TFSI", received {text!r}')
    return {element_numbers([name])[0]: label for name, label in found.items()}


def _charges(text: str | None, topology: Path | None, n_atoms: int) -> Any:
    """A mapping, an array, or None where nothing is known of charges."""
    if text is None:
        return None if topology is None else _of_topology(topology, "charges", n_atoms)
    if "=" not in text:
        return atom_table("charges", text, n_atoms).astype(np.float64)
    found = options.elements_list(text)
    if not isinstance(found, dict):
        raise ValueError(f'charges must be such as "Li=1,S=-1", received {text!r}')
    try:
        return {name: float(value) for name, value in found.items()}
    except ValueError:
        raise ValueError(f'charges must be such as "Li=1,S=-1", received {text!r}') from None


def _molecules(text: str | None, topology: Path | None, n_atoms: int) -> Any:
    if text is not None:
        return atom_table("molecules", text, n_atoms).astype(np.int64)
    return None if topology is None else _of_topology(topology, "resindices", n_atoms)


def _of_topology(path: Path, name: str, n_atoms: int) -> Any:
    """An attribute of a topology's atoms if it says something: None if all atoms are alike."""
    from kgdyn.trajectories import read_topology

    try:
        found = getattr(read_topology(path).universe.atoms, name)
    except (AttributeError, ValueError):
        return None  # the file does not tell
    values = np.asarray(found)
    if len(values) != n_atoms or (values == values[0]).all():
        return None
    return values


def _deciding(
    network: Any, trajectories: list[Any], probabilities: list[Any], lagtime: int
) -> tuple[Any, Any]:
    """Attention and masking of a part of the frames; what cannot be done is said."""
    from kgdyn.explain import masking_importance, neighbor_attention

    n_frames = sum(trajectory.n_frames for trajectory in trajectories)
    wanted = max(1, n_frames // _FRAMES_TO_MASK)
    # Pairs of used frames are a lag time apart, so that it has to be a multiple.
    stride = max(step for step in range(1, wanted + 1) if lagtime % step == 0)
    most = max(_MOST_FRAMES_TO_MASK * stride // len(trajectories), 2 * lagtime + 1)
    trajectories = [trajectory[:most] for trajectory in trajectories]
    probabilities = [part[:most] for part in probabilities]
    found: list[Any] = []
    for title, compute in (
        (
            "attention",
            lambda show: neighbor_attention(
                network, trajectories, probabilities, stride=stride, progress=show
            ),
        ),
        (
            "masking",
            lambda show: masking_importance(
                network, trajectories, lagtime=lagtime, stride=stride, progress=show
            ),
        ),
    ):
        with progress_bar(title) as show:
            try:
                found.append(compute(show))
            except ValueError as error:
                say(f"{title}: left out, {error}")
                found.append(None)
    return found[0], found[1]
