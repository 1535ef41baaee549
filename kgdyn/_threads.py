"""Work shared among threads that compiled code lets run at the same time."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

__all__ = ["share", "usable_cores"]

Work = tuple[Callable[..., Any], tuple[Any, ...]]


def share(n_threads: int, pieces: Sequence[Work]) -> None:
    """Call all pieces; each thread, this one among them, takes the next that nobody has taken.

    Parameters
    ----------
    n_threads : int
    pieces : sequence of (function, arguments)
        Functions that release the GIL.
    """
    waiting = iter(pieces)  # the GIL makes taking one of a list atomic

    def work() -> None:
        for function, arguments in waiting:
            function(*arguments)

    others = []
    if n_threads > 1:
        pool = _pool(n_threads - 1, os.getpid())
        others = [pool.submit(work) for _ in range(n_threads - 1)]
    work()
    for other in others:
        other.result()


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _pool(n_workers: int, process: int) -> ThreadPoolExecutor:
    """Threads that wait for work; a process forked from this one, which has none, makes its own."""
    return ThreadPoolExecutor(n_workers, thread_name_prefix="kgdyn")
