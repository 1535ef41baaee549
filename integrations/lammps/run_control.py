"""Ending a LAMMPS run from Python, and keeping what went wrong until it can be raised."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from kgdyn.integrations.lammps.ranks import Ranks

__all__ = ["GO_ON", "STOP_AFTER", "STOP_NOW", "RunControl"]

GO_ON, STOP_AFTER, STOP_NOW = 0, 1, 2


class RunControl:
    """The first error, and whether the run that goes on should end.

    LAMMPS swallows what its callback raises: the error is kept here, the run ended by
    ``lammps_force_timeout`` at the step where it is, and the error raised after the run.

    Parameters
    ----------
    lmp : lammps.lammps
    ranks : Ranks

    Attributes
    ----------
    error : BaseException or None
    raised : bool
        The user has seen it.
    stop_reason : str or None
    """

    def __init__(self, lmp: Any, ranks: Ranks) -> None:
        self._lmp, self._ranks = lmp, ranks
        self._lock = threading.RLock()
        self._stop_pending = self._forced = False
        self._connected = True
        self.error: BaseException | None = None
        self.raised = False
        self.stop_reason: str | None = None

    @property
    def failed(self) -> bool:
        return self.error is not None

    def has_failed(self) -> bool:
        return self.error is not None

    def fail(self, error: BaseException) -> None:
        """Keep the first error and end the run; from any thread."""
        with self._lock:
            if self.error is None:
                self.error = error
            self._end_run()

    def stop(self, reason: str) -> None:
        """End the run that goes on, or the next one at its first frame; from any thread."""
        with self._lock:
            self.stop_reason = reason
            self._stop_pending = self._connected
            self._end_run()

    def disconnect(self) -> None:
        """No run is ended from now on."""
        with self._lock:
            self._connected = False

    def wanted(self) -> int:
        """GO_ON, STOP_AFTER this frame or STOP_NOW, on all ranks the same; collective."""
        return int(self._ranks.highest(STOP_NOW if self.failed else int(self._stop_pending)))

    def force_timeout(self) -> None:
        """LAMMPS ends its run at this step. With several ranks all must say so at the same."""
        with self._lock:
            self._lmp.force_timeout()
            self._forced = True

    def clear_timeout(self, command: Callable[[str], None]) -> None:
        """Let LAMMPS run again; between runs."""
        with self._lock:
            if self._forced:
                command("timer timeout off")
                self._forced = False

    def after_run(self, command: Callable[[str], None]) -> None:
        """Forget a stop that was heard."""
        with self._lock:
            if self._forced:
                self._stop_pending = False
                self.clear_timeout(command)

    def raise_new(self) -> None:
        """Raise, on all ranks, an error that was not raised yet; collective."""
        try:
            self._ranks.raise_together(None if self.raised else self.error)
        except BaseException as raised:
            self.error, self.raised = self.error or raised, True
            raise

    def _end_run(self) -> None:
        # Of several ranks each hears of it in its callback, at the next frame.
        if self._connected and self._ranks.size == 1 and self._lmp.is_running:
            self.force_timeout()
