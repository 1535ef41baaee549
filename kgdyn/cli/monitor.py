"""``kgdyn monitor``: the states of a LAMMPS run while it runs."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from kgdyn.cli import _options as options
from kgdyn.cli._console import load_tensorflow, say, set_quiet, user_errors

if TYPE_CHECKING:
    from kgdyn.cli._live_screen import LiveScreen, SourceStatus

__all__ = ["monitor"]

_OF_MPI = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MPI_LOCALRANKID")


@user_errors
def monitor(
    script: Annotated[Path, typer.Argument(help="A LAMMPS input script.")],
    model: Annotated[Path, typer.Option(help="A model.keras that kgdyn trained.")],
    targets: Annotated[
        str,
        typer.Option(help='What to follow: "element Li", "type 1", or LAMMPS ids "id 5 20:30".'),
    ],
    elements: Annotated[
        str,
        typer.Option(
            help='Elements in the order of LAMMPS types, such as "Li,S", or "masses".',
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="HDF5 file for the states; gone on with if there."),
    ],
    every: Annotated[int, typer.Option(help="Steps between frames.")] = 100,
    groupby: Annotated[str, typer.Option(help="One target each: atoms or molecules.")] = "atoms",
    lagtimes: Annotated[str, typer.Option(help="In frames; the first is for --until.")] = (
        "1,2,5,10,20,50"
    ),
    until: Annotated[
        str | None,
        typer.Option(help='End the run when sure enough, such as "timescale 1 < 10%".'),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Table with a line a frame.")] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard.")] = None,
    novel: Annotated[
        Path | None,
        typer.Option(help="Extended XYZ for frames with surroundings that the model never saw."),
    ] = None,
    write_back: Annotated[
        bool,
        typer.Option("--write-back", help="Give LAMMPS' atoms their states: i_kgdyn_state."),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="With --write-back: for the states of this very frame.")
    ] = False,
    policy: Annotated[
        str, typer.Option(help="If the analysis is slower: block, or drop_oldest frames.")
    ] = "block",
    queue_size: Annotated[int, typer.Option(help="Frames that wait at most.")] = 16,
    length_unit: Annotated[
        float | None, typer.Option(help="Of sigma in angstrom, with units lj.")
    ] = None,
    time_unit: Annotated[float | None, typer.Option(help="Of tau in ps, with units lj.")] = None,
    check_masses: Annotated[
        bool, typer.Option(help="Whether LAMMPS' masses must be those of the elements.")
    ] = True,
    var: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Variable of the script, as lmp -var."),
    ] = None,
    log: Annotated[Path, typer.Option(help="LAMMPS' own log.")] = Path("log.lammps"),
    log_every: Annotated[
        float, typer.Option(help="Seconds between lines where there is no terminal.")
    ] = 60.0,
    lammps_arguments: Annotated[
        list[str] | None,
        typer.Argument(help="Others of LAMMPS, after two dashes, such as: -- -sf omp"),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Run a LAMMPS input script, and show the states of its atoms while it runs.

    Frames of each `run` are followed; minimizations are left out. The same command with the same
    --output goes on with the states there. With MPI: mpiexec -n 4 kgdyn monitor ...
    """
    set_quiet(quiet)
    from kgdyn.koopman import Convergence

    if policy not in ("block", "drop_oldest"):
        raise ValueError(f"policy must be block or drop_oldest, received {policy!r}")
    if wait and not write_back:
        raise ValueError("wait is for --write-back")
    for name, path in (("script", script), ("model", model)):
        if not path.is_file():
            raise FileNotFoundError(f"{name}: there is no file {path}")
    lags = _numbers(lagtimes)
    goal = None if until is None else Convergence.parse(until)
    symbols = options.elements_list(elements)
    if symbols is None:
        raise ValueError(f"elements must be those of the LAMMPS types, received {elements!r}")
    arguments = ["-log", str(log), "-screen", "none", *_variables(var or [])]
    lmp = _start_lammps([*arguments, *(lammps_arguments or [])])
    try:
        first = lmp.extract_setting("world_rank") == 0
        if first:
            load_tensorflow()
        run = _Run(
            lmp,
            script,
            output,
            _screen(script, model, lags, goal, log_every, quiet) if first else None,
            csv=csv,
            tensorboard=tensorboard,
            settings={
                "model": model,
                "targets": targets,
                "elements": symbols,
                "every": every,
                "groupby": groupby,
                "queue_size": queue_size,
                "when_full": cast(Literal["block", "drop_oldest"], policy),
                "write_back": "wait" if write_back and wait else write_back,
                "check_masses": check_masses,
                "length_unit": length_unit,
                "time_unit": time_unit,
                "source": str(script),
                "lagtimes": lags,
                "until": goal,
                **({"on_novel": "save", "novel_file": novel} if novel is not None else {}),
            },
        )
        run.execute()
    finally:
        lmp.close()


class _Run:
    """One execution of a script: monitors are put on and taken off as it asks for it."""

    def __init__(
        self,
        lmp: Any,
        script: Path,
        output: Path,
        screen: LiveScreen | None,
        *,
        csv: Path | None,
        tensorboard: Path | None,
        settings: dict[str, Any],
    ) -> None:
        self.lmp, self.script, self.output, self.screen = lmp, script, output, screen
        self.csv, self.tensorboard = csv, tensorboard
        self.settings = settings
        self.monitor: Any = None
        self._before_attach: Callable[[], None] = lambda: None
        self._n_attached = 0
        self._n_dropped = 0
        self._seconds = self._handover = 0.0
        self._began = time.perf_counter()
        if screen is not None:
            screen.status = self._status

    def execute(self) -> None:
        """Raises one ValueError in words for what goes wrong in LAMMPS."""
        from kgdyn.cli._live_script import MarkedScript, run_script

        error: BaseException | None = None
        try:
            with tempfile.TemporaryDirectory(prefix="kgdyn") as folder, _ended_by_ctrl_c() as heard:
                marked = MarkedScript(self.script, Path(folder))
                self._before_attach = heard
                run_script(self.lmp, marked, self._attach, self._detach, self._is_over)
            self._detach()
            if self._n_attached == 0:
                raise ValueError(f"{self.script}: came to its end without a run of dynamics")
        except BaseException as failed:
            error = failed
        if error is None:
            self._say_end()
        else:
            self._end(error)

    def _attach(self) -> None:
        from kgdyn.integrations.lammps import StateMonitor

        self._before_attach()
        if self.settings["write_back"] and self.lmp.has_id("fix", "kgdyn_states"):
            raise ValueError(
                "write_back: once the atoms have states, the script may not minimize or change "
                "its atoms; do so before the first command that uses kgdyn's states, or a run"
            )
        self.monitor = StateMonitor(**self.settings, sinks=self._sinks())
        self.monitor.attach(self.lmp)
        if self.screen is not None:
            self.settings["model"] = self.monitor.analysis.model  # read once
        self._n_attached += 1
        self._began = time.perf_counter()

    def _detach(self) -> None:
        monitor = self.monitor
        if monitor is None or not monitor.attached:
            return
        self._seconds += time.perf_counter() - self._began
        monitor.detach()
        self._handover += monitor.handover_seconds
        self._n_dropped += monitor.counts.dropped

    def _is_over(self) -> bool:
        """The run was ended on purpose: nothing more is simulated."""
        return self.monitor is not None and self.monitor.stop_reason is not None

    def _sinks(self) -> list[Any]:
        if self.screen is None:
            return []
        from kgdyn.live import StatesFile, StatesTable, TensorBoardStates

        states = StatesFile(self.output) if self._n_attached == 0 else _apart(self.output)
        sinks: list[Any] = [states, _StaysOpen(self.screen)]
        if self.csv is not None:
            sinks.append(StatesTable(self.csv))
        if self.tensorboard is not None:
            sinks.append(TensorBoardStates(self.tensorboard))
        return sinks

    def _status(self) -> SourceStatus:
        from kgdyn.cli._live_screen import SourceStatus

        monitor = self.monitor
        if monitor is None:
            return SourceStatus()
        counts, seconds, handover = monitor.counts, self._seconds, self._handover
        dropped = self._n_dropped
        if monitor.attached:
            seconds += time.perf_counter() - self._began
            handover += monitor.handover_seconds
            dropped += counts.dropped
        return SourceStatus(
            counts.waiting, self.settings["queue_size"], dropped, handover / max(seconds, 1e-9)
        )

    def _say_end(self) -> None:
        if self.screen is None:
            return
        reason = self.monitor.stop_reason
        step = int(self.lmp.extract_global("ntimestep"))
        ended = f"{reason}, at step {step:,}" if reason else f"done at step {step:,}"
        self.screen.end(f"{ended}; states are in {self.output}")
        self.screen.close()

    def _end(self, error: BaseException) -> None:
        """After an error: what was handed over is written, then it is said what happened."""
        alone = self.lmp.extract_setting("world_size") == 1
        in_words = _in_words(error, self.script)
        if not alone and type(error).__name__ == "MPIAbortException":
            _abort_all(str(in_words))
        try:
            self._detach()
        except BaseException as second:
            if second is not error:
                say(f"and then: {second}")
        if self.screen is None:
            # Rank 0 says it; others wait for it in MPI's own end.
            raise typer.Exit(0)
        self.screen.end(
            "interrupted" if isinstance(error, KeyboardInterrupt) else "ended by an error"
        )
        self.screen.close()
        raise in_words.with_traceback(error.__traceback__)


class _StaysOpen:
    """The screen outlives the monitors of a script with several."""

    def __init__(self, screen: LiveScreen) -> None:
        self.open, self.write = screen.open, screen.write

    def close(self) -> None:
        """Done at the end of the script."""


def _apart(path: Path) -> Any:
    """A StatesFile to go on with in a new segment, whatever the steps are.

    Between two monitors of a script there was a minimization, or the system was changed.
    """
    from kgdyn.live import StatesFile

    class Apart(StatesFile):
        def open(self, *stream: Any) -> None:
            super().open(*stream)
            self.last_states = None

    return Apart(path)


def _screen(
    script: Path, model: Path, lagtimes: list[int], until: Any, log_every: float, quiet: bool
) -> LiveScreen:
    from kgdyn.cli._live_screen import LiveScreen

    title = f"kgdyn monitor {script}, {model}"
    return LiveScreen(title, lagtimes, until=until, log_every=log_every, quiet=quiet)


def _start_lammps(arguments: list[str]) -> Any:
    from kgdyn.integrations.lammps import new_lammps

    if any(name in os.environ for name in _OF_MPI):
        try:
            # Before LAMMPS, which then shares its communicator.
            from mpi4py import MPI
        except ImportError as error:
            raise ImportError(
                f"several MPI ranks need mpi4py: pip install mpi4py ({error})"
            ) from error
        del MPI
    try:
        return new_lammps(arguments)
    except RuntimeError as error:
        raise ValueError(
            "LAMMPS does not start: an argument that it does not know, or a log that cannot be "
            f"written? Its arguments are {' '.join(arguments)}"
        ) from error


def _variables(given: list[str]) -> list[str]:
    """``["T=300", "s=1 2"]`` -> ``["-var", "T", "300", "-var", "s", "1", "2"]``."""
    words = []
    for text in given:
        name, _, value = text.partition("=")
        if not name.strip() or not value.split():
            raise ValueError(f"var must be NAME=VALUE, received {text!r}")
        words += ["-var", name.strip(), *value.split()]
    return words


def _numbers(text: str) -> list[int]:
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() for word in words):
        raise ValueError(f"lagtimes must be numbers of frames, received {text!r}")
    return [int(word) for word in words]


def _in_words(error: BaseException, script: Path) -> BaseException:
    """LAMMPS raises plain exceptions of several lines; here one, with the line of the script."""
    if type(error) is Exception or type(error).__name__ == "MPIAbortException":
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return ValueError(f"{script}: LAMMPS: {'; '.join(lines)}")
    unnamed = isinstance(error, ValueError) and str(script) not in str(error)
    if isinstance(error, RuntimeError) or unnamed:
        return ValueError(f"{script}: {error}")
    return error


def _abort_all(message: str) -> None:
    """An error of one rank alone: the others wait for it for ever."""
    from mpi4py import MPI

    say(f"error: {message}")
    MPI.COMM_WORLD.Abort(1)


@contextmanager
def _ended_by_ctrl_c() -> Iterator[Callable[[], None]]:
    """Ctrl-C ends the process at once, until the function that is yielded is called.

    While LAMMPS sets up, Python would hear it only after LAMMPS' return. A monitor hears it.
    """
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def restore() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield restore
    finally:
        restore()
