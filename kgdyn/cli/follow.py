"""``kgdyn follow``: the states of a simulation that another process runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from kgdyn.cli import _options as options
from kgdyn.cli._console import load_tensorflow, say, set_quiet, user_errors

__all__ = ["follow"]


@user_errors
def follow(
    source: Annotated[
        str,
        typer.Argument(
            help="A LAMMPS dump that is being written, plain or .gz; 'dump.*.lammpstrj' for one "
            "file a frame; or imd://host:port."
        ),
    ],
    model: Annotated[Path, typer.Option(help="A model.keras that kgdyn trained.")],
    targets: Annotated[
        str, typer.Option(help='What to follow: an MDAnalysis selection, such as "element Li".')
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="HDF5 file for the states; gone on with if there."),
    ],
    elements: options.Elements = None,
    groupby: options.GroupBy = "atoms",
    topology: Annotated[
        Path | None,
        typer.Option(help="Topology of the atoms; needed with imd://, instead of types in a dump."),
    ] = None,
    timestep: Annotated[float | None, typer.Option(help="Time of a simulation step in ps.")] = None,
    frame_interval: options.FrameInterval = None,
    units: Annotated[
        str | None, typer.Option(help="LAMMPS' units, where the dump does not tell, or of imd://.")
    ] = None,
    lagtimes: Annotated[str, typer.Option(help="In frames; the first is for --until.")] = (
        "1,2,5,10,20,50"
    ),
    until: Annotated[
        str | None, typer.Option(help='End when sure enough, such as "timescale 1 < 10%".')
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Table with a line a frame.")] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard.")] = None,
    novel: Annotated[
        Path | None,
        typer.Option(help="Extended XYZ for frames with surroundings that the model never saw."),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Read what is in the dump now, and end.")
    ] = False,
    idle_timeout: Annotated[
        float | None, typer.Option(help="End when nothing has come for so many seconds.")
    ] = None,
    poll: Annotated[float, typer.Option(help="Seconds between looks at the dump.")] = 0.5,
    log_every: Annotated[
        float, typer.Option(help="Seconds between lines where there is no terminal.")
    ] = 60.0,
    quiet: options.Quiet = False,
) -> None:
    """Show the states of a simulation that runs elsewhere, from its dump or over a socket.

    Waits for the dump, and follows it until Ctrl-C. The simulation is not touched. The same
    command with the same --output goes on where it ended.
    """
    set_quiet(quiet)
    from kgdyn.koopman import Convergence

    lags = _numbers(lagtimes)
    goal = None if until is None else Convergence.parse(until)
    if not model.is_file():
        raise FileNotFoundError(f"model: there is no file {model}")
    load_tensorflow()
    from kgdyn.models import load_model

    network = load_model(model)
    say(f"waiting for {source}")
    frames = _open(
        source,
        topology=topology,
        elements=elements,
        timestep=timestep,
        frame_interval=frame_interval,
        units=units,
        once=once,
        idle_timeout=idle_timeout,
        poll=poll,
    )
    with frames, _stopped_by_signals(frames.stop) as heard:
        try:
            info = _stream(frames, targets, groupby)
        except ValueError:
            if heard():
                say(f"{heard()} before a frame came")
                return
            raise
        screen = _screen(f"kgdyn follow {source}, {model}", lags, goal, log_every, quiet)
        analysis = _analysis(
            network, info, lags, goal, output, screen, csv=csv, tensorboard=tensorboard, novel=novel
        )
        reason = "ended by an error"
        try:
            _skip_recorded(frames, analysis)
            for chunk in frames:
                analysis.process(_live_frame(chunk))
                if analysis.converged:
                    break
            reason = _reason(frames, analysis, heard(), once)
        finally:
            screen.end(f"{reason}; states are in {output}")
            analysis.close()
        if analysis.n_frames == 0:
            say(f"{reason}: no new frame; states are in {output}")


def _open(source: str, *, topology: Path | None, elements: str | None, **settings: Any) -> Any:
    """A DumpTail, or IMDFrames: both have ``stop`` and are left with ``with``."""
    from kgdyn.trajectories import DumpTail, read_topology

    symbols = options.elements_list(elements)
    known = None if topology is None else read_topology(topology, symbols)
    if source.startswith("imd://"):
        if known is None:
            raise ValueError(
                f"{source}: a socket does not tell what the atoms are; pass --topology, such as "
                "the data file that LAMMPS' write_data makes"
            )
        if settings["once"]:
            raise ValueError(f"{source}: --once is for dumps")
        from kgdyn.integrations.lammps import IMDFrames

        idle = settings["idle_timeout"]
        return IMDFrames(
            source,
            topology=known,
            units=settings["units"] or "metal",
            timestep=settings["timestep"],
            frame_interval=settings["frame_interval"],
            **({} if idle is None else {"timeout": idle, "connect_timeout": idle}),
        )
    if known is not None:
        return DumpTail(source, topology=known, **settings)
    if isinstance(symbols, str):
        raise ValueError(f"elements must be those of the LAMMPS types, received {symbols!r}")
    return DumpTail(source, elements=symbols, **settings)


def _stream(frames: Any, targets: str, groupby: str) -> Any:
    """What is known from the first frames, for which this waits."""
    from kgdyn.live import StreamInfo
    from kgdyn.trajectories import select_targets

    groups = select_targets(frames, targets, groupby)
    return StreamInfo(
        source=frames.source,
        species=frames.species,
        pbc=frames.pbc,
        targets=groups,
        frame_interval=frames.frame_interval,
        steps_per_frame=frames.steps_per_frame,
    )


def _screen(title: str, lagtimes: list[int], until: Any, log_every: float, quiet: bool) -> Any:
    from kgdyn.cli._live_screen import LiveScreen

    return LiveScreen(title, lagtimes, until=until, log_every=log_every, quiet=quiet)


def _analysis(
    network: Any,
    info: Any,
    lagtimes: list[int],
    until: Any,
    output: Path,
    screen: Any,
    *,
    csv: Path | None,
    tensorboard: Path | None,
    novel: Path | None,
) -> Any:
    from kgdyn.live import LiveAnalysis, StatesFile, StatesTable, TensorBoardStates

    sinks: list[Any] = [StatesFile(output), screen]
    if csv is not None:
        sinks.append(StatesTable(csv))
    if tensorboard is not None:
        sinks.append(TensorBoardStates(tensorboard))
    saved: dict[str, Any] = {} if novel is None else {"on_novel": "save", "novel_file": novel}
    return LiveAnalysis(network, info, lagtimes=lagtimes, sinks=sinks, until=until, **saved)


def _skip_recorded(frames: Any, analysis: Any) -> None:
    """A dump is read from its start: what is in the output is passed over.

    Its last frame comes again: a run that was started again may have come another way to it.
    """
    if analysis.last_step is not None and hasattr(frames, "after_step"):
        frames.after_step = analysis.last_step - 1


def _live_frame(chunk: Any) -> Any:
    from kgdyn.live import LiveFrame

    return LiveFrame(
        positions=chunk.positions[0],
        cell=chunk.cells[0],
        step=int(chunk.steps[0]),
        time=None if chunk.times is None else float(chunk.times[0]),
        images=None if chunk.images is None else chunk.images[0],
    )


def _reason(frames: Any, analysis: Any, heard: str, once: bool) -> str:
    if analysis.converged:
        return "sure enough"
    if heard:
        return heard
    return getattr(frames, "ended_because", "") or (
        "read to its end" if once else "nothing more has come"
    )


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[Callable[[], str]]:
    """Ctrl-C and SIGTERM end the following between two frames; a second Ctrl-C at once.

    Yields a function that tells what was heard.
    """
    heard: list[str] = []

    def handle(number: int, _frame: Any) -> None:
        if heard and number == signal.SIGINT:
            raise KeyboardInterrupt
        heard.append("stopped by Ctrl-C" if number == signal.SIGINT else "stopped by SIGTERM")
        stop()

    if threading.current_thread() is not threading.main_thread():
        yield lambda: ""
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: heard[0] if heard else ""
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _numbers(text: str) -> list[int]:
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() for word in words):
        raise ValueError(f"lagtimes must be numbers of frames, received {text!r}")
    return [int(word) for word in words]
