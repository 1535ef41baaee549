"""Follow the states of atoms in a LAMMPS that runs in the same process.

::

    monitor = StateMonitor("model.keras", "element Li", elements=["Li", "S"], every=100)
    with monitor.attach(lmp):
        lmp.command("run 1000000")
    print(monitor.statistics.koopman_model(10))

Every ``every`` steps LAMMPS calls back; positions, images and box are copied into a queue, which
takes some tenths of a millisecond for 4,000 atoms, and the simulation goes on. A thread beside it
builds the graph, applies the model and tells the sinks.

What goes wrong on any side ends the run at that step and is raised by the very call that ran it:
while a monitor is attached, ``lmp.command``, ``commands_string``, ``commands_list`` and ``file``
look after the error. Leaving the ``with`` block waits for the frames that are still in the queue.
"""

from __future__ import annotations

import atexit
import ctypes
import inspect
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from kgdyn.integrations.lammps.analysis_worker import AnalysisWorker
from kgdyn.integrations.lammps.command_watch import CommandWatch
from kgdyn.integrations.lammps.frame_capture import FrameCapture
from kgdyn.integrations.lammps.frame_queue import FrameQueue, QueueCounts, WhenFull
from kgdyn.integrations.lammps.ranks import Ranks, ranks_of
from kgdyn.integrations.lammps.run_control import STOP_AFTER, STOP_NOW, RunControl
from kgdyn.integrations.lammps.states_in_lammps import StatesInLAMMPS
from kgdyn.integrations.lammps.stream_of_lammps import (
    Targets,
    masses_by_type,
    molecules_by_row,
    stream_of_lammps,
)
from kgdyn.integrations.lammps.units import unit_scale

from kgdyn.live import LiveAnalysis, LiveStates, StreamInfo

if TYPE_CHECKING:
    from kgdyn.koopman import RunningKoopman
    from kgdyn.models import GDyNet

__all__ = ["StateMonitor"]

_FIX = "kgdyn_monitor"
# LAMMPS calls back in a minimization too, but its steps are no time.
_NOT_DYNAMICS = ("minimize", "minimize/kk")
_LEVELS = (
    "step {}: run_style respa cannot be followed from within, as LAMMPS calls no fix external in "
    "its steps: use run_style verlet, or write a dump and follow it with `kgdyn follow`"
)


class StateMonitor:
    """States, transitions and a running Koopman model of a simulation while it runs.

    Parameters
    ----------
    model : GDyNet, or path of a ``.keras`` file
    targets : str, sequence of int, or TargetGroups
        An MDAnalysis selection by ``element``, ``type`` (LAMMPS' own) or ``index``; or ``"id 5 7
        20:30"``, LAMMPS' atom ids; or indices, or groups of them. Indices count from 0 in
        ascending order of ids, as in :func:`kgdyn.open_trajectory`.
    elements : sequence of str or int, mapping, or "masses"
        The symbol of each LAMMPS type, type 1 first; or ``{type: symbol}`` of all types that atoms
        have; positive integers for beads. Symbols are checked against LAMMPS' masses. "masses":
        the elements that have these masses.
    every : int
        Steps from frame to frame: those that ``dump all custom every ...`` would write.
    groupby : "atoms" or "molecules"
        A target for each selected atom, or for each whole molecule, by LAMMPS' molecule ids, of
        which an atom is selected.
    queue_size : int
        Frames that wait at most.
    when_full : "block" or "drop_oldest"
        What then: let the simulation wait, or forget the oldest frame. Dropped frames are counted
        and split the statistics: no pair spans them.
    write_back : bool or "wait"
        Give LAMMPS' atoms their states, see :class:`StatesInLAMMPS`. They are those of the last
        frame done, usually the one before; ``"wait"``: the simulation waits, at each frame, for
        that frame's own.
    n_threads : int, optional
        Cores that the analysis may use, on Linux; if not given, the search for neighbours uses
        one, and TensorFlow as many as it likes. TensorFlow heeds it only if this process has not
        used TensorFlow before.
    check_masses : bool
        False if LAMMPS' masses are not those of the elements: deuterium, repartitioned hydrogen.
    length_unit, time_unit : float, optional, angstrom and ps
        Of sigma and tau, with ``units lj``.
    source : str
        How messages call this simulation.
    **analysis_options
        Of :class:`kgdyn.live.LiveAnalysis`: ``lagtimes``, ``sinks`` (told of every frame, in the
        thread of the analysis), ``until`` (ends the run by itself, once, for example at
        ``"timescale 1 < 10%"``), ``on_novel``, ``repeated`` and others.

    Attributes
    ----------
    newest : LiveStates or None
        Of the last frame done.
    stop_reason : str or None
        Why a run was ended, if it was asked to.
    handover_seconds : float
        Wall time spent in LAMMPS' callback so far, waiting for room in the queue included.

    Raises
    ------
    ValueError, TypeError
        If an argument breaks its rule.

    Notes
    -----
    - With several MPI ranks all of them make a monitor and attach it; the analysis is on rank 0.
      A stop or an error is heard at the next frame.
    - After an error was raised no more frames are taken: LAMMPS goes on without the monitor.
    - Ctrl-C and :meth:`stop` end a run at the next step. A run that was ended leaves LAMMPS fit
      for the next; of a script run with ``lmp.file``, all later runs end at once. ``timer
      timeout`` is used for this: a limit set by you is lost then.
    - Frames are taken when forces are computed: fixes that move the box or atoms after that
      (``deform``, ``press/berendsen``) put one step's motion into a dump that a frame lacks.
    - Under ``run_style respa`` LAMMPS calls no fix external in its steps: such a run is refused.
    - Attach after minimizing, or minimize by ``lmp.command("minimize ...")``, which is left out.
    """

    def __init__(
        self,
        model: GDyNet | str | Path,
        targets: Targets,
        elements: Sequence[str | int] | Mapping[Any, str | int] | str,
        every: int,
        *,
        groupby: str = "atoms",
        queue_size: int = 16,
        when_full: WhenFull = "block",
        write_back: bool | Literal["wait"] = False,
        n_threads: int | None = None,
        check_masses: bool = True,
        length_unit: float | None = None,
        time_unit: float | None = None,
        source: str = "LAMMPS",
        **analysis_options: Any,
    ) -> None:
        for name, value in (("every", every), ("n_threads", n_threads)):
            wrong = isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1
            if wrong and not (name == "n_threads" and value is None):
                raise ValueError(f"{name} must be an integer of at least 1, received {value!r}")
        if write_back not in (False, True, "wait"):
            raise ValueError(f"write_back must be False, True or 'wait', received {write_back!r}")
        known = set(inspect.signature(LiveAnalysis).parameters) - {"model", "info", "n_threads"}
        for name in analysis_options:
            if name not in known:
                raise TypeError(
                    f"StateMonitor has no argument {name!r}; those of the analysis are "
                    f"{sorted(known)}"
                )
        self._queue = FrameQueue(queue_size, when_full)
        self._model, self._targets, self._elements = model, targets, elements
        self.every = int(every)
        self._groupby, self._analysis_options = groupby, analysis_options
        self._may_go_back = analysis_options.get("repeated") == "new_segment"
        self._write_back, self._n_threads = write_back, n_threads
        self._check_masses, self.source = check_masses, source
        self._length_unit, self._time_unit = length_unit, time_unit

        self._lmp: Any = None
        self._control = RunControl(None, Ranks())
        self._attached = False
        self._ranks = Ranks()
        self._capture: FrameCapture | None = None
        self._worker: AnalysisWorker | None = None
        self._watch: CommandWatch | None = None
        self._states: StatesInLAMMPS | None = None
        self._callback: Any = None
        self._info: StreamInfo | None = None

        self._converged = self._paused = False
        self._last_step: int | None = None
        self.handover_seconds = 0.0

    # --- what the user asks -----------------------------------------------------------------

    def attach(self, lmp: Any) -> Self:
        """Follow a LAMMPS instance that has its box and atoms.

        Leaving ``with monitor.attach(lmp):`` detaches.

        Raises
        ------
        TypeError, ValueError
            If ``lmp`` is no ``lammps.lammps``, is closed, has no atoms or another monitor; for
            elements, masses or targets that do not fit.
        RuntimeError
            If this monitor was attached before: each has one simulation and its statistics.
        ImportError
            If LAMMPS has several ranks and mpi4py is missing.
        """
        if self._lmp is not None:
            raise RuntimeError("this monitor was attached before: make a new StateMonitor")
        if not hasattr(lmp, "set_fix_external_callback"):
            raise TypeError(f"lmp must be a lammps.lammps, received {type(lmp).__name__}")
        if not lmp.lmp:
            raise ValueError("lmp must be running, received a LAMMPS instance that is closed")
        if not lmp.extract_setting("box_exist") or lmp.get_natoms() == 0:
            raise ValueError("lmp must have a box and atoms: attach after read_data or the like")
        if lmp.has_id("fix", _FIX):
            raise ValueError("a monitor is attached to this LAMMPS already: detach it first")
        self._ranks = ranks_of(lmp)
        self._control = RunControl(lmp, self._ranks)
        self._lmp = lmp
        try:
            self._prepare(lmp)
            self._connect(lmp)
        except BaseException:
            self._queue.close()
            self._lmp = None
            raise
        self._attached = True
        atexit.register(self.detach)
        return self

    def detach(self) -> None:
        """Leave LAMMPS alone, finish the frames that wait, close the sinks.

        The states of ``write_back`` stay with the atoms until ``unfix kgdyn_states``. Does
        nothing if not attached.

        Raises
        ------
        Exception
            What went wrong and was not raised yet.
        """
        if self._attached:
            self._attached = False
            self._disconnect()
        self._queue.close()
        if self._worker is not None:
            self._worker.join()
        atexit.unregister(self.detach)
        if self._lmp is not None and self._lmp.lmp and self._states is not None:
            states, self._states = self._states, None
            if self._control.wanted() != STOP_NOW:
                states.show(self.newest, self._lmp.extract_setting("nlocal"))
        self._control.raise_new()

    def run(self, n_steps: int) -> None:
        """``lmp.command("run n_steps")``; raises what went wrong."""
        if not self._attached:
            raise RuntimeError("the monitor must be attached to run: use monitor.attach(lmp)")
        if isinstance(n_steps, bool) or not isinstance(n_steps, (int, np.integer)) or n_steps < 0:
            raise ValueError(f"n_steps must be an integer of at least 0, received {n_steps!r}")
        self._lmp.command(f"run {n_steps}")

    def stop(self, reason: str = "stop() was called") -> None:
        """End the run that goes on, or the next one at its first frame; from any thread."""
        if self._attached:
            self._control.stop(reason)

    def check(self) -> None:
        """Raise what went wrong so far, if anything did."""
        if self._control.error is not None:
            raise self._control.error

    def __enter__(self) -> Self:
        if not self._attached:
            raise RuntimeError("with needs an attached monitor: with monitor.attach(lmp):")
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is None:
            self.detach()
            return
        try:
            self.detach()
        except BaseException as mine:
            if mine is error:
                return
            raise mine from error

    @property
    def analysis(self) -> LiveAnalysis:
        """Raises RuntimeError before :meth:`attach` and on ranks other than 0."""
        if self._worker is None or self._worker.analysis is None:
            raise RuntimeError("there is no analysis before attach(), nor on ranks other than 0")
        analysis: LiveAnalysis = self._worker.analysis
        return analysis

    @property
    def info(self) -> StreamInfo:
        """What is known of the simulation. Raises RuntimeError as :attr:`analysis`."""
        return self.analysis.info

    @property
    def statistics(self) -> RunningKoopman:
        """The running Koopman model; waits for the frames that were handed over by now.

        Raises
        ------
        RuntimeError
            As :attr:`analysis`.
        Exception
            What went wrong and was not raised yet.
        """
        analysis = self.analysis
        if threading.current_thread() is not self._worker:
            self._queue.wait_for_taken()
            if not self._control.raised:
                self.check()
        return analysis.statistics

    @property
    def counts(self) -> QueueCounts:
        """Frames taken, done, dropped and waiting."""
        return self._queue.counts

    @property
    def newest(self) -> LiveStates | None:
        return None if self._worker is None else self._worker.newest

    @property
    def stop_reason(self) -> str | None:
        reason: str | None = self._control.stop_reason
        return reason

    @property
    def attached(self) -> bool:
        return self._attached

    def __repr__(self) -> str:
        counts = self.counts
        return (
            f"StateMonitor({self.source!r}, every={self.every}, attached={self._attached}, "
            f"done={counts.done}, dropped={counts.dropped}, waiting={counts.waiting})"
        )

    # --- to and from LAMMPS -----------------------------------------------------------------

    def _prepare(self, lmp: Any) -> None:
        """Read what LAMMPS knows and start the analysis; all ranks raise if one does."""
        error: BaseException | None = None
        n_states = 0
        try:
            scale = unit_scale(lmp.extract_global("units"), self._length_unit, self._time_unit)
            self._capture = capture = FrameCapture(lmp, self._ranks, scale)
            molecules = molecules_by_row(lmp, capture, self._ranks)
            if self._ranks.rank == 0:
                self._info = info = stream_of_lammps(
                    capture,
                    scale,
                    source=self.source,
                    every=self.every,
                    targets=self._targets,
                    groupby=self._groupby,
                    elements=self._elements,
                    n_types=lmp.extract_setting("ntypes"),
                    masses=masses_by_type(lmp, scale),
                    check_masses=self._check_masses,
                    molecules=molecules,
                )
                n_states = self._start_worker(info)
        except Exception as failed:
            error = failed
        self._ranks.raise_together(error)
        shared = self._ranks.share(np.array([n_states], np.float64))
        if self._write_back and shared is not None and self._capture is not None:
            targets = None if self._info is None else self._info.targets
            self._states = StatesInLAMMPS(lmp, self._capture, self._ranks, targets, int(shared[0]))

    def _start_worker(self, info: StreamInfo) -> int:
        """Number of states of the model, once the analysis is ready."""

        def make_analysis() -> LiveAnalysis:
            if isinstance(self._model, (str, Path)):
                from kgdyn.models import load_model

                self._model = load_model(self._model)
            n_threads = 1 if self._n_threads is None else self._n_threads
            return LiveAnalysis(self._model, info, n_threads=n_threads, **self._analysis_options)

        self._worker = AnalysisWorker(
            make_analysis, self._queue, self._after_states, self._control.fail, self._n_threads
        )
        self._worker.start()
        self._worker.wait_until_ready()
        return int(self._model.n_states)  # type: ignore[union-attr]

    def _connect(self, lmp: Any) -> None:
        def called(_caller: Any, step: int, n_local: int, _ids: Any, _x: Any, forces: Any) -> None:
            # LAMMPS adds what this holds to the forces on atoms, and does not promise zeros.
            if n_local > 0:
                ctypes.memset(forces[0], 0, 3 * n_local * ctypes.sizeof(ctypes.c_double))
            self._on_step(step, n_local)

        lmp.command(f"fix {_FIX} all external pf/callback {self.every} {self.every}")
        # Nor what it would add to energy and pressure, which nobody sets.
        lmp.command(f"fix_modify {_FIX} energy no virial no")
        # Not lmp.set_fix_external_callback, which wraps arrays that are not needed.
        self._callback = lmp.FIX_EXTERNAL_CALLBACK_FUNC(called)
        lmp.lib.lammps_set_fix_external_callback(lmp.lmp, _FIX.encode(), self._callback, None)
        self._watch = CommandWatch(
            lmp,
            self._before_command,
            self._after_command,
            on_interrupt=lambda: self._control.fail(KeyboardInterrupt()),
        )

    def _disconnect(self) -> None:
        lmp = self._lmp
        if self._watch is not None:
            self._watch.remove()
        if not lmp.lmp:
            return  # closed by the user
        try:
            self._control.disconnect()
            self._control.clear_timeout(lmp.command)
            if lmp.has_id("fix", _FIX):
                lmp.command(f"unfix {_FIX}")
        except Exception as error:
            self._control.fail(error)

    def _on_step(self, step: int, n_local: int) -> None:
        """LAMMPS' callback: in its thread, on every rank. What it raises would be swallowed."""
        if self._paused or self._control.raised:
            return
        if self._capture is not None and self._capture.memory.has_levels():
            self._control.fail(ValueError(_LEVELS.format(step)))
            return
        # The set-up of each run calls too, off the grid or again for the last step.
        if step % self.every or step == self._last_step:
            return
        start = time.perf_counter()
        try:
            before, self._last_step = self._last_step, step
            if before is not None and step < before and not self._may_go_back:
                raise ValueError(
                    f"step {step} came after step {before}: where steps are set back on purpose "
                    "(reset_timestep), pass repeated='new_segment', or attach afterwards"
                )
            self._take(step, n_local)
        except BaseException as error:
            self._control.fail(error)
        self.handover_seconds += time.perf_counter() - start

    def _take(self, step: int, n_local: int) -> None:
        control = self._control
        wanted = control.wanted()
        if wanted == STOP_NOW:
            control.force_timeout()
            return
        frame = None
        try:
            frame = self._capture.take(step, n_local) if self._capture is not None else None
        except Exception as error:
            control.fail(error)  # other ranks hear of it at the next frame
        if frame is not None:
            self._queue.put(frame, control.has_failed)
        if self._states is not None:
            if self._write_back == "wait" and self._ranks.rank == 0:
                self._queue.wait_for_taken(control.has_failed)
            self._states.show(self.newest, n_local)
        if wanted == STOP_AFTER:
            control.force_timeout()

    def _before_command(self, word: str) -> None:
        self._paused = word in _NOT_DYNAMICS
        if self._watch is not None:
            self._control.clear_timeout(self._watch.command)

    def _after_command(self, error: Exception | None) -> None:
        self._paused = False
        control = self._control
        if error is None:
            if self._watch is not None:
                control.after_run(self._watch.command)
            control.raise_new()
        elif control.error is not None and not control.raised:
            control.raised = True
            raise control.error from error

    def _after_states(self, analysis: LiveAnalysis) -> None:
        if not self._converged and analysis.converged and analysis.until is not None:
            self._converged = True
            self._control.stop(f"converged: {analysis.until.describe(analysis.statistics)}")
