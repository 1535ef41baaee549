"""Backends for ``run(backend=...)`` whose workers may load TensorFlow.

MDAnalysis' own ``multiprocessing`` backend forks on Linux. A fork of a process that has TensorFlow
loaded has its locks and none of its threads, and hangs sooner or later. Here every worker is a new
Python (``spawn``), which also dies loudly: where a Pool waits for ever for a worker that was
killed, for want of memory for example, these raise.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any

from MDAnalysis.analysis.backends import BackendBase, BackendDask, BackendMultiprocessing

__all__ = ["BackendDaskClient", "BackendSpawned", "BackendSpawnedDask", "cores_each"]

_DIED = (
    "a worker process ended before its work was done. Workers are new Pythons that import the "
    "script they were started from: what starts them must stand under "
    "'if __name__ == \"__main__\":'. Or memory ran out: use fewer n_workers"
)


def cores_each(n_workers: int) -> int:
    """How many of the cores that this process may use each of some workers gets, at least 1."""
    found = getattr(os, "sched_getaffinity", None)
    cores = len(found(0)) if found is not None else os.cpu_count() or 1
    return max(1, cores // n_workers)


class BackendSpawned(BackendMultiprocessing):  # type: ignore[misc]
    """``backend="multiprocessing"`` with workers that are new Pythons, not forks.

    Parameters
    ----------
    n_workers : int
    """

    def apply(self, func: Callable[[Any], Any], computations: Sequence[Any]) -> list[Any]:
        """``[func(item) for item in computations]``, in ``n_workers`` processes.

        Raises
        ------
        RuntimeError
            If a worker died.
        """
        with ProcessPoolExecutor(
            min(self.n_workers, max(1, len(computations))),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=partial(prepare_worker, cores_each(self.n_workers)),
        ) as pool:
            try:
                return list(pool.map(func, computations))
            except BrokenProcessPool as error:
                raise RuntimeError(_DIED) from error


class BackendSpawnedDask(BackendDask):  # type: ignore[misc]
    """``backend="dask"`` whose processes never fork, whatever dask's configuration says.

    Parameters
    ----------
    n_workers : int
    """

    def apply(self, func: Callable[[Any], Any], computations: Sequence[Any]) -> list[Any]:
        """``[func(item) for item in computations]``, in ``n_workers`` processes.

        Raises
        ------
        RuntimeError
            If a worker died.
        """
        import dask

        settings = {
            "multiprocessing.context": "spawn",
            "multiprocessing.initializer": partial(prepare_worker, cores_each(self.n_workers)),
        }
        with dask.config.set(settings):
            try:
                return list(super().apply(func, computations))
            except BrokenProcessPool as error:
                raise RuntimeError(_DIED) from error


class BackendDaskClient(BackendBase):  # type: ignore[misc]
    """The workers of a ``dask.distributed`` cluster, on this machine or on many.

    Workers must see the trajectory's files under the same paths. One thread a worker is best
    (``threads_per_worker=1``): TensorFlow has its own.

    Parameters
    ----------
    client : dask.distributed.Client

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If the cluster has no worker.
    """

    def __init__(self, client: Any) -> None:
        if not all(hasattr(client, name) for name in ("map", "gather", "ncores")):
            raise TypeError(f"client must be a dask.distributed.Client, received {type(client)}")
        self.client = client
        n_workers = len(client.ncores())
        if n_workers == 0:
            raise ValueError(f"client must have at least one worker, received {client!r}")
        super().__init__(n_workers)

    def apply(self, func: Callable[[Any], Any], computations: Sequence[Any]) -> list[Any]:
        """``[func(item) for item in computations]``, on the cluster; their order is kept."""
        # Sent once, not with every item: a Universe's topology may be large.
        shared = self.client.scatter(func, broadcast=True)
        futures = [self.client.submit(_call, shared, item, pure=False) for item in computations]
        return list(self.client.gather(futures))


_ONE_AT_A_TIME = threading.Lock()


def _call(func: Callable[[Any], Any], item: Any) -> Any:
    # Threads of a worker share the Universe, which is at one frame at a time.
    with _ONE_AT_A_TIME:
        return func(item)


def prepare_worker(n_threads: int) -> None:
    """Set up a new process before it loads TensorFlow: its share of cores, and of a GPU."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(n_threads))
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    # By default the first process on a GPU takes all of its memory.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
