"""The MPI ranks that one LAMMPS runs on: what they tell each other.

Every method is collective: all ranks call it, in the same order. Rank 0 does the analysis.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ranks", "ranks_of"]


class Ranks:
    """One rank only: nothing to tell."""

    rank = 0
    size = 1

    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """All ranks' rows, (n, k) of int64, one rank after the other; None but on rank 0."""
        return rows

    def highest(self, number: int) -> int:
        """The highest of all ranks' numbers."""
        return number

    def share(self, array: NDArray[Any] | None) -> NDArray[Any] | None:
        """Rank 0's array of float64, on all ranks."""
        return array

    def text_of(self, rank: int, text: str) -> str:
        """One rank's text, on all ranks."""
        return text

    def raise_together(self, error: BaseException | None) -> None:
        """Raise on all ranks if one has an error: that one its own, the others a RuntimeError."""
        failed = self.highest(-1 if error is None else self.rank)
        if failed < 0:
            return
        text = self.text_of(failed, "" if error is None else f"{type(error).__name__}: {error}")
        if error is not None:
            raise error
        raise RuntimeError(f"the monitor stopped on rank {failed}: {text}")


class _ManyRanks(Ranks):
    def __init__(self, comm: Any) -> None:
        self._comm = comm
        self.rank, self.size = comm.Get_rank(), comm.Get_size()

    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
        rows = np.ascontiguousarray(rows)
        counts = np.empty(self.size, np.int64)
        self._comm.Allgather(np.array([rows.size], np.int64), counts)
        if self.rank != 0:
            self._comm.Gatherv(rows, None, root=0)
            return None
        everything = np.empty(int(counts.sum()), np.int64)
        self._comm.Gatherv(rows, [everything, counts.tolist()], root=0)
        return everything.reshape(-1, rows.shape[1])

    def highest(self, number: int) -> int:
        numbers = np.empty(self.size, np.int64)
        self._comm.Allgather(np.array([number], np.int64), numbers)
        return int(numbers.max())

    def share(self, array: NDArray[Any] | None) -> NDArray[Any] | None:
        shape = np.full(3, -1, np.int64)  # the number of dimensions; -1 of nothing
        if self.rank == 0 and array is not None:
            shape[0] = array.ndim
            shape[1 : 1 + array.ndim] = array.shape
        self._comm.Bcast(shape, root=0)
        if shape[0] < 0:
            return None
        values = np.empty(tuple(shape[1 : 1 + shape[0]]), np.float64)
        if array is not None and self.rank == 0:
            values[...] = array
        self._comm.Bcast(values, root=0)
        return values

    def text_of(self, rank: int, text: str) -> str:
        data = np.frombuffer(text.encode(), np.uint8).copy()
        size = np.array([len(data)], np.int64)
        self._comm.Bcast(size, root=rank)
        if self.rank != rank:
            data = np.empty(int(size[0]), np.uint8)
        self._comm.Bcast(data, root=rank)
        return data.tobytes().decode()


def ranks_of(lmp: Any) -> Ranks:
    """The ranks of a LAMMPS instance.

    Raises
    ------
    ImportError
        If there are several, and mpi4py is missing.
    """
    if lmp.extract_setting("world_size") == 1:
        return Ranks()
    comm = lmp.get_mpi_comm()
    if comm is None:
        raise ImportError(
            "LAMMPS runs on several MPI ranks: following it needs mpi4py (pip install mpi4py), "
            "imported before LAMMPS is started"
        )
    return _ManyRanks(comm)
