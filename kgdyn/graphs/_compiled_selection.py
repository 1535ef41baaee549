"""Numba kernels that pick the M nearest of a short list."""

from __future__ import annotations

from typing import Any

from kgdyn.graphs._compiled_bins import compiled


@compiled
def select_by_rank(distances: Any, count: int, n_neighbors: int, chosen: Any) -> bool:
    """The M nearest, in order, by counting smaller ones (vectorized); False if some are equal."""
    ranks = 0
    for i in range(count):
        distance = distances[i]
        rank = 0
        for j in range(count):
            rank += distances[j] < distance
        ranks += rank
        if rank < n_neighbors:
            chosen[rank] = i
    return ranks == count * (count - 1) // 2


@compiled
def select_by_insertion(
    distances: Any, atoms: Any, count: int, n_neighbors: int, chosen: Any
) -> None:
    """The M nearest, by distance, then index, then image in the order met."""
    held = 0
    for i in range(count):
        distance, atom = distances[i], atoms[i]
        j = held
        while j > 0:
            other = chosen[j - 1]
            if distances[other] < distance or (
                distances[other] == distance and atoms[other] <= atom
            ):
                break
            if j < n_neighbors:
                chosen[j] = other
            j -= 1
        if j < n_neighbors:
            chosen[j] = i
            held = min(held + 1, n_neighbors)
