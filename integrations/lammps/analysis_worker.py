"""The thread that analyses frames while the simulation goes on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from kgdyn.integrations.lammps.frame_queue import FrameQueue

from kgdyn.live import LiveAnalysis, LiveStates

__all__ = ["AnalysisWorker"]


class AnalysisWorker(threading.Thread):
    """Takes frames from a queue until it is closed and empty, or something goes wrong.

    The analysis is made, used and closed in this thread, and so are the sinks.

    Parameters
    ----------
    make_analysis : callable
    queue : FrameQueue
    on_states : callable
        Called after each frame.
    on_error : callable
        Called with what was raised. Nothing is raised here.
    n_threads : int, optional
        Cores that this thread, and those it starts, may use.

    Attributes
    ----------
    analysis : LiveAnalysis, once :meth:`wait_until_ready` has returned.
    newest : LiveStates or None
    """

    def __init__(
        self,
        make_analysis: Callable[[], LiveAnalysis],
        queue: FrameQueue,
        on_states: Callable[[LiveAnalysis], None],
        on_error: Callable[[BaseException], None],
        n_threads: int | None = None,
    ) -> None:
        super().__init__(name="kgdyn-analysis", daemon=True)
        self._make_analysis, self._queue = make_analysis, queue
        self._on_states, self._on_error = on_states, on_error
        self._n_threads = n_threads
        self._ready = threading.Event()
        self._failed_at_start: BaseException | None = None
        self.analysis: LiveAnalysis | None = None
        self.newest: LiveStates | None = None

    def wait_until_ready(self) -> LiveAnalysis:
        """The analysis; raises what making it raised."""
        self._ready.wait()
        if self._failed_at_start is not None:
            raise self._failed_at_start
        if self.analysis is None:
            raise RuntimeError("the analysis was not made")
        return self.analysis

    def run(self) -> None:
        try:
            self._use_cores()
            self.analysis = self._make_analysis()
        except BaseException as error:
            self._failed_at_start = error
            self._queue.give_up()
            return
        finally:
            self._ready.set()
        try:
            self._analyse(self.analysis)
        except BaseException as error:
            self._on_error(error)
            self._queue.give_up()
        finally:
            try:
                self.analysis.close()
            except BaseException as error:
                self._on_error(error)

    def _analyse(self, analysis: LiveAnalysis) -> None:
        while (frame := self._queue.get()) is not None:
            try:
                self.newest = analysis.process(frame) or self.newest  # None of a repetition
                self._on_states(analysis)
            except BaseException as error:
                error.add_note(f"kgdyn: while step {frame.step} of the simulation was analysed")
                raise
            self._queue.frame_done()

    def _use_cores(self) -> None:
        """Keep this thread to some cores; on Linux. Threads started here inherit them."""
        if self._n_threads is not None and hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, cores[-self._n_threads :])
