"""Crystals that vibrate, and their graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kgdyn.frames import TargetGroups
from kgdyn.graphs import PackedGraphs, pack_graphs

A = 6.5  # angstrom
_FCC = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
_HOLES = np.array([[0.5, 0.5, 0.5], [0.25, 0.25, 0.25]])


@pytest.fixture(scope="session")
def graphs_of() -> Callable[..., PackedGraphs]:
    """Function: graphs of (n_frames, n_atoms, 3) positions in one cell."""

    def pack(
        positions: Any,
        cell: Any,
        species: Any,
        targets: Any,
        n_neighbors: int = 8,
        pbc: bool = True,
        n_hops: int | None = None,
    ) -> PackedGraphs:
        if not isinstance(targets, TargetGroups):
            targets = TargetGroups.from_indices(targets)
        return pack_graphs(
            np.asarray(positions, np.float64),
            np.broadcast_to(cell, (len(positions), 3, 3)),
            np.full(3, pbc),
            np.asarray(species, np.int32),
            targets,
            n_neighbors,
            n_hops=n_hops,
        )

    return pack


@pytest.fixture(scope="session")
def crystal() -> Callable[..., tuple[Any, Any, Any]]:
    """Function: positions, cell and species of a Li in fcc S; the Li in one hole or the other."""

    def make(n_frames: int, seed: int) -> tuple[Any, Any, Any]:
        rng = np.random.default_rng(seed)
        holes = _HOLES[(rng.random(n_frames) < 0.3).astype(int)]
        positions = np.concatenate([holes[:, None], np.tile(_FCC, (n_frames, 1, 1))], axis=1) * A
        positions += rng.normal(scale=0.1, size=positions.shape)
        return positions, A * np.eye(3), np.array([3, 16, 16, 16, 16])

    return make
