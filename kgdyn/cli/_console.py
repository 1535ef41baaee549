"""What the command prints: progress with a time left, messages, errors without tracebacks."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["console", "load_tensorflow", "progress_bar", "say", "set_quiet", "user_errors"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

console = Console()
# Errors are never broken into lines: a path in them can be copied.
_errors = Console(stderr=True, soft_wrap=True)
_state = {"quiet": False}


def set_quiet(quiet: bool) -> None:
    """Show no progress and no messages, only results and errors."""
    _state["quiet"] = quiet


def say(message: str) -> None:
    """A message about what happens; silent with ``-q``."""
    if not _state["quiet"]:
        console.print(message, highlight=False)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[..., None]]:
    """A progress bar; yields a function to call with what is done and what there is in all."""
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, disable=_state["quiet"]) as progress:
        task = progress.add_task(title, total=None, note="")

        def report(done: int, total: int | None, note: str = "") -> None:
            progress.update(task, completed=done, total=total, note=note)

        yield report


def user_errors(command: Callable[_P, _T]) -> Callable[_P, _T]:
    """Turn what a user can mend into one line on stderr and exit code 1; Ctrl-C into 130."""

    @functools.wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        _calm_libraries()
        try:
            return command(*args, **kwargs)
        except (ValueError, TypeError, OSError, ImportError) as error:
            if os.environ.get("KGDYN_TRACEBACK"):
                raise
            _errors.print(f"[bold red]error:[/] {_escaped(_message(error))}", highlight=False)
            sys.exit(1)
        except KeyboardInterrupt:
            _errors.print("interrupted: what is on disk is complete", highlight=False)
            sys.exit(128 + signal.SIGINT)

    return wrapped


def _message(error: BaseException) -> str:
    """The root of an error: TensorFlow wraps ours in its own words."""
    text = str(error)
    context = None if error.__suppress_context__ else error.__context__
    for cause in (error.__cause__, context):
        if isinstance(cause, ValueError) and "kgdyn" not in type(error).__module__:
            inner = str(cause)
            return inner if len(inner) < len(text) else text
    if "ValueError: " in text and "Traceback" in text:
        # From inside a data pipeline: the last line of its traceback is our message.
        return text.split("ValueError: ")[-1].split("\n")[0]
    return text


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _calm_libraries() -> None:
    """TensorFlow's notes about drivers that nobody asked for."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for name in ("absl", "tensorflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.showwarning = _show_warning


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Close the ears to what C++ libraries print while they load; errors still raise."""
    sys.stderr.flush()
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def load_tensorflow() -> None:
    """Import TensorFlow and let it look for devices, without its notes about drivers."""
    with quiet_stderr():
        import tensorflow as tf

        tf.constant(0)


def _show_warning(message: Any, category: Any, *args: Any, **kwargs: Any) -> None:
    if issubclass(category, (DeprecationWarning, PendingDeprecationWarning)):
        return
    _errors.print(f"[yellow]warning:[/] {_escaped(str(message))}", highlight=False)
