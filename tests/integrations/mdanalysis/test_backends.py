"""Workers are new processes; what they were given comes back in order."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kgdyn.integrations.mdanalysis import BackendDaskClient, BackendSpawned, BackendSpawnedDask
from kgdyn.integrations.mdanalysis.backends import cores_each, prepare_worker

BACKENDS = [BackendSpawned, BackendSpawnedDask]


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_work_is_done_elsewhere_and_in_order(backend: Any) -> None:
    assert backend(2).apply(int, ["3", "1", "2"]) == [3, 1, 2]
    pids = backend(2).apply(os.readlink, ["/proc/self"] * 3)
    assert str(os.getpid()) not in pids


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_worker_that_dies_is_an_error(backend: Any) -> None:
    with pytest.raises(RuntimeError, match="a worker process ended before its work was done"):
        backend(1).apply(os._exit, [9])


def test_cores_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert [cores_each(n) for n in (1, 3, 8, 20)] == [8, 2, 1, 1]
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    for name in ("TF_NUM_INTEROP_THREADS", "TF_FORCE_GPU_ALLOW_GROWTH", "TF_CPP_MIN_LOG_LEVEL"):
        monkeypatch.setenv(name, "1")
    prepare_worker(4)
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == "4"
    assert os.environ["TF_NUM_INTEROP_THREADS"] == "1"  # what was set stays


class Client:
    """Has what is used of a dask.distributed.Client, on threads of this process."""

    def __init__(self, n_workers: int = 2) -> None:
        self.n_workers = n_workers
        self.scattered = 0
        self.pool = ThreadPoolExecutor(4)

    def ncores(self) -> dict[str, int]:
        return {f"tcp://{number}": 1 for number in range(self.n_workers)}

    def scatter(self, value: Any, broadcast: bool) -> Any:
        self.scattered += broadcast
        return value

    def map(self) -> None: ...

    def submit(self, func: Any, *arguments: Any, pure: bool) -> Any:
        assert not pure  # the same frames of another file are other work
        return self.pool.submit(func, *arguments)

    def gather(self, futures: Any) -> list[Any]:
        return [future.result() for future in futures]


def test_a_cluster_gets_the_work_once_and_does_one_thing_at_a_time() -> None:
    client = Client()
    busy = threading.Lock()

    def work(item: int) -> int:
        assert busy.acquire(blocking=False)
        threading.Event().wait(0.01)
        busy.release()
        return -item

    backend = BackendDaskClient(client)
    assert backend.n_workers == 2
    assert backend.apply(work, [3, 1, 2]) == [-3, -1, -2]
    assert client.scattered == 1


def test_clients_that_are_none() -> None:
    with pytest.raises(TypeError, match=r"client must be a dask.distributed.Client"):
        BackendDaskClient("tcp://10.0.0.1")
    with pytest.raises(ValueError, match="client must have at least one worker"):
        BackendDaskClient(Client(0))
