"""Ctrl-C and SIGTERM wait for the end of a batch, so that a checkpoint can be written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["StopRequest", "signals_wait"]


class StopRequest:
    """The signal that asked a training to stop, if any."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def __bool__(self) -> bool:
        return self.signal is not None

    def raise_it(self) -> None:
        """What the signal would have raised: KeyboardInterrupt, or SystemExit for SIGTERM."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise SystemExit(128 + self.signal)


@contextmanager
def signals_wait() -> Iterator[StopRequest]:
    """Note the first SIGINT or SIGTERM; a second one acts at once.

    Only the main thread can: elsewhere signals stay as they are.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            # None: a handler that was not set from Python, and cannot be.
            if handler is not None:
                signal.signal(number, handler)

    def note(number: int, frame: Any) -> None:
        request.signal = number
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
