"""Trainings side by side, each in a process of its own with its share of the cores."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kgdyn.selection._worker_data import write_worker_data
from kgdyn.selection.plan import SelectionPlan, Task
from kgdyn.trajectories import Trajectory

__all__ = ["default_jobs", "run_side_by_side"]

_CORES_PER_JOB = 2
_BYTES_PER_JOB = 3 * 2**30
_SECONDS_TO_STOP = 60.0
_LINES_SHOWN = 15
_DATA = ".worker-data-"


def default_jobs(n_tasks: int) -> int:
    """Two cores and 3 GiB of free memory each; one where there is a GPU, which they would share."""
    if Path("/dev/nvidia0").exists():
        return 1
    by_cores = len(_cores()) // _CORES_PER_JOB
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not told on this system
        free = by_cores * _BYTES_PER_JOB
    return max(1, min(by_cores, free // _BYTES_PER_JOB, n_tasks))


def run_side_by_side(
    plan: SelectionPlan,
    trajectories: Sequence[Trajectory],
    root: Path,
    tasks: Sequence[Task],
    n_jobs: int,
    report: Callable[[Task, float], None],
) -> None:
    """Run all tasks in ``n_jobs`` worker processes.

    On Ctrl-C and SIGTERM, and when one of them fails, all are asked to stop at the end of their
    batch; each leaves a checkpoint.

    Parameters
    ----------
    report : callable
        Called with a task and the share of it that is done, from 0 to 1.

    Raises
    ------
    ValueError, TypeError, OSError
        What a training raised.
    ChildProcessError
        If a worker dies.
    """
    root.mkdir(parents=True, exist_ok=True)
    for left in root.glob(f"{_DATA}*"):  # of a selection that was killed
        shutil.rmtree(left, ignore_errors=True)
    waiting = list(reversed(tasks))
    with tempfile.TemporaryDirectory(dir=root, prefix=_DATA) as temporary:
        folder = Path(temporary)
        write_worker_data(folder, plan, trajectories, root)
        answers: queue.Queue[tuple[_Worker, dict[str, Any] | None]] = queue.Queue()
        workers: list[_Worker] = []
        with _terminated_as_exit():
            try:
                n_jobs = min(n_jobs, len(waiting))
                for number in range(n_jobs):
                    workers.append(_Worker(folder, number, _share_of_cores(number, n_jobs)))
                for worker in workers:
                    worker.listen(answers)
                    worker.give(waiting.pop())
                while any(worker.task is not None for worker in workers):
                    _handle(*answers.get(), waiting, report)
            except BaseException:
                _stop(workers)
                raise
            finally:
                _end(workers)


class _Worker:
    """A process, and the task that it has."""

    def __init__(self, folder: Path, number: int, cores: Sequence[int]) -> None:
        self.task: Task | None = None
        self.reader: threading.Thread | None = None
        self.log = folder / f"worker-{number}.log"
        count = str(len(cores))
        environment = {
            **os.environ,
            "KGDYN_WORKER_CORES": ",".join(map(str, cores)),
            "OMP_NUM_THREADS": count,
            "TF_NUM_INTRAOP_THREADS": count,
            "TF_NUM_INTEROP_THREADS": "1",
            "TF_FORCE_GPU_ALLOW_GROWTH": "true",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        with self.log.open("wb") as log:
            # A session of its own: Ctrl-C reaches this process alone, which asks each to stop.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "kgdyn.selection._worker", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                start_new_session=True,
            )

    def listen(self, answers: queue.Queue[tuple[_Worker, dict[str, Any] | None]]) -> None:
        def read() -> None:
            for line in self.process.stdout or ():
                answers.put((self, json.loads(line)))
            answers.put((self, None))

        self.reader = threading.Thread(target=read, daemon=True)
        self.reader.start()

    def give(self, task: Task) -> None:
        """A task to do; a worker that died is noticed by the end of its answers."""
        self.task = task
        if self.process.stdin is None:
            return
        with suppress(BrokenPipeError):
            self.process.stdin.write(f"{json.dumps(list(vars(task).values()))}\n")
            self.process.stdin.flush()


def _handle(
    worker: _Worker,
    answer: dict[str, Any] | None,
    waiting: list[Task],
    report: Callable[[Task, float], None],
) -> None:
    task = worker.task
    if task is None:
        return
    if answer is None:
        code = worker.process.wait()
        lines = worker.log.read_text(errors="replace").splitlines()[-_LINES_SHOWN:]
        raise ChildProcessError(f"{task}: its process ended with code {code}\n" + "\n".join(lines))
    if "error" in answer:
        kinds: dict[str, type[Exception]] = {"ValueError": ValueError, "TypeError": TypeError}
        raise kinds.get(answer["error"], OSError)(answer["message"])
    if "finished" not in answer:
        report(task, answer["done"] / max(answer["total"], 1))
        return
    report(task, 1.0)
    worker.task = None
    if waiting:
        worker.give(waiting.pop())


def _stop(workers: Sequence[_Worker]) -> None:
    """Ask all to write a checkpoint and end; those that do not are killed by `_end`."""
    left = [worker.process for worker in workers if worker.process.poll() is None]
    for process in left:
        process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + _SECONDS_TO_STOP
    while any(process.poll() is None for process in left) and time.monotonic() < deadline:
        time.sleep(0.02)


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        process = worker.process
        if worker.task is not None and process.poll() is None:
            process.kill()
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()  # no more tasks
        process.wait()
        if worker.reader is not None:
            worker.reader.join()  # it comes to the end of what the process wrote
        if process.stdout is not None:
            process.stdout.close()


def _cores() -> list[int]:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _share_of_cores(number: int, n_jobs: int) -> list[int]:
    """Of worker ``number``; they overlap where there are more workers than cores."""
    cores = _cores()
    per_job = max(1, len(cores) // n_jobs)
    return [cores[(number * per_job + i) % len(cores)] for i in range(per_job)]


@contextmanager
def _terminated_as_exit() -> Iterator[None]:
    """SIGTERM, as a batch system sends it, must stop the workers too."""
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
