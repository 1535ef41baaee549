"""LAMMPS' command methods, with something done before and after each."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["CommandWatch"]

_METHODS = ("command", "commands_string", "commands_list", "file")


class CommandWatch:
    """Stands in for the command methods of one LAMMPS instance, until removed.

    Parameters
    ----------
    lmp : lammps.lammps
    before : callable
        Called with the first word of the command ("" of several).
    after : callable
        Called with the exception that LAMMPS raised, or None; raises what should be raised.
    on_interrupt : callable
        Called for Ctrl-C while LAMMPS is at work, from another thread.
    """

    def __init__(
        self,
        lmp: Any,
        before: Callable[[str], None],
        after: Callable[[Exception | None], None],
        on_interrupt: Callable[[], None],
    ) -> None:
        self._lmp, self._before, self._after = lmp, before, after
        self._interrupts = _Interrupts(on_interrupt)
        self._inside = False
        self._hidden = {name: vars(lmp).get(name) for name in _METHODS}
        self.command = lmp.command  # as it was
        for name in _METHODS:
            setattr(lmp, name, self._watched(getattr(lmp, name)))

    def remove(self) -> None:
        """Give the instance its own methods back."""
        for name, hidden in self._hidden.items():
            if hidden is not None:
                setattr(self._lmp, name, hidden)
            elif name in vars(self._lmp):
                delattr(self._lmp, name)
        self._interrupts.close()

    def _watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def call(*args: Any, **options: Any) -> Any:
            if self._inside:
                return method(*args, **options)
            first = args[0] if args and isinstance(args[0], str) else ""
            words = first.split(maxsplit=1) if method.__name__ == "command" else []
            self._inside = True
            try:
                self._before(words[0] if words else "")
                try:
                    with self._interrupts.told() as told:
                        result = method(*args, **options)
                except Exception as error:
                    self._after(error)
                    raise
                self._after(None)
                if told:  # and nothing was raised for it
                    raise KeyboardInterrupt
                return result
            finally:
                self._inside = False

        return call


class _Interrupts:
    """Calls a function for SIGINT while LAMMPS is at work, and at once.

    Python's handlers run only between its own instructions: in a long run at the next callback,
    and there KeyboardInterrupt would be lost. So a thread listens to Python's wake-up pipe, which
    is written when the signal comes.
    """

    def __init__(self, on_interrupt: Callable[[], None]) -> None:
        self._on_interrupt = on_interrupt
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._listener: threading.Thread | None = None

    @contextmanager
    def told(self) -> Iterator[list[int]]:
        """Within, SIGINT raises nothing; yields the signals that came."""
        came: list[int] = []
        usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if not usual or threading.current_thread() is not threading.main_thread():
            yield came
            return
        if self._listener is None:
            self._listener = threading.Thread(target=self._listen, daemon=True)
            self._listener.start()
        signal.signal(signal.SIGINT, lambda number, _: came.append(number))
        before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        try:
            yield came
        finally:
            signal.set_wakeup_fd(before)
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def close(self) -> None:
        os.close(self._write)
        if self._listener is not None:
            self._listener.join()
        os.close(self._read)

    def _listen(self) -> None:
        while numbers := os.read(self._read, 64):
            if signal.SIGINT in numbers:
                self._on_interrupt()
