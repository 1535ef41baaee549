"""Run a program as several workers on this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["launch_local_workers"]

_SECONDS_TO_END = 5.0
_LINES_SHOWN = 30


def launch_local_workers(
    command: Sequence[str], n_workers: int, *, log_folder: str | Path | None = None
) -> int:
    """Run a program once for each worker of a ``tf.distribute.MultiWorkerMirroredStrategy``.

    Each process finds its place in the environment variable TF_CONFIG, on free ports of the
    loopback interface. The output of the first worker, the chief, is shown; that of the others is
    written to files, and its end is shown if one fails. When one fails, all are ended; so they are
    on Ctrl-C and on SIGTERM.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    n_workers : int
        At least 1.
    log_folder : path, optional
        For ``worker_1.log``, ``worker_2.log`` ...; a temporary folder if not given.

    Returns
    -------
    0, or the exit code of the first worker that failed (128 + the signal that ended it).

    Raises
    ------
    ValueError
        If ``command`` is empty or ``n_workers`` below 1.
    FileNotFoundError
        If there is no such program.
    """
    if isinstance(command, str) or not command:
        raise ValueError(
            f"command must be a program and its arguments, one string each, received {command!r}"
        )
    if n_workers < 1:
        raise ValueError(f"n_workers must be at least 1, received {n_workers}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary if log_folder is None else log_folder)
        folder.mkdir(parents=True, exist_ok=True)
        workers: list[subprocess.Popen[bytes]] = []
        with _terminated_as_exit():
            try:
                for environment in _environments(n_workers):
                    workers.append(_start(command, environment, folder, len(workers)))
                return _wait(workers, folder)
            finally:
                _end(workers)


def _environments(n_workers: int) -> list[dict[str, str]]:
    """The environment of each worker; ports are free until all sockets are closed again."""
    sockets = [socket.socket() for _ in range(n_workers)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    finally:
        for one in sockets:
            one.close()
    configs = [
        {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        for index in range(n_workers)
    ]
    return [{**os.environ, "TF_CONFIG": json.dumps(config)} for config in configs]


def _log(folder: Path, index: int) -> Path:
    return folder / f"worker_{index}.log"


def _start(
    command: Sequence[str], environment: dict[str, str], folder: Path, index: int
) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches the launcher alone, which ends the group of each.
    if index == 0:
        return subprocess.Popen(command, env=environment, start_new_session=True)
    with _log(folder, index).open("wb") as output:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait(workers: Sequence[subprocess.Popen[bytes]], folder: Path) -> int:
    running = dict(enumerate(workers))
    while running:
        for index, worker in list(running.items()):
            code = worker.poll()
            if code is None:
                continue
            del running[index]
            if code != 0:
                _tell(index, code, folder)
                return code if code > 0 else 128 - code
        time.sleep(0.05)
    return 0


def _tell(index: int, code: int, folder: Path) -> None:
    print(f"worker {index} failed with exit code {code}", file=sys.stderr)
    if index > 0:
        lines = _log(folder, index).read_text(errors="replace").splitlines()
        for line in lines[-_LINES_SHOWN:]:
            print(f"[worker {index}] {line}", file=sys.stderr)


def _end(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    """End the workers that still run, with what they started: gently first."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        left = [worker for worker in workers if worker.poll() is None]
        for worker in left:
            os.killpg(worker.pid, signal_number)
        deadline = time.monotonic() + _SECONDS_TO_END
        while any(worker.poll() is None for worker in left) and time.monotonic() < deadline:
            time.sleep(0.02)


@contextmanager
def _terminated_as_exit() -> Iterator[None]:
    """SIGTERM, as a batch system sends it, must end the workers too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    kept = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, kept)
