"""A worker process of a selection: ``python -m kgdyn.selection._worker FOLDER``.

Reads a task a line from standard input, ``[n_states, fold, restart]``, and answers in lines of
JSON. It ends when its input does, and when nobody reads its answers any more.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["main"]

_SECONDS_BETWEEN_REPORTS = 0.3


def main(folder: Path) -> None:
    """Train what is asked for until there is no more."""
    # What a shell runs in the background starts deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _keep_to_cores()
    # Libraries print to standard output too: answers go to a copy of it, the rest to the log.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    from kgdyn.selection._worker_data import read_worker_data
    from kgdyn.selection.folds import make_folds
    from kgdyn.selection.one_training import run_task
    from kgdyn.selection.plan import Task

    plan, trajectories, root = read_worker_data(folder)
    folds = make_folds(
        trajectories,
        plan.n_folds,
        lagtimes=plan.lagtimes,
        train_lagtime=plan.train_lagtime,
        validation_share=plan.validation_share,
    )
    last = 0.0

    def report(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > _SECONDS_BETWEEN_REPORTS:
            last = time.monotonic()
            answer(done=done, total=total)

    for line in sys.stdin:
        task = Task(*json.loads(line))
        try:
            run_task(plan, folds, task, root, report)
        except (ValueError, TypeError, OSError) as error:
            if isinstance(error, BrokenPipeError):
                raise
            answer(error=type(error).__name__, message=str(error))
            return
        answer(finished=True)


def _keep_to_cores() -> None:
    """All libraries count their threads by what a process may use."""
    cores = os.environ.get("KGDYN_WORKER_CORES", "")
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core) for core in cores.split(",")})


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)  # asked to stop: the checkpoint is written
    except BrokenPipeError:
        os._exit(1)  # the process that started this one is gone
