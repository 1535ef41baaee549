"""A trajectory small enough to learn in seconds, and a way to run commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from kgdyn.toys import MarkovChain

A = 6.5
SULFUR = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]) * A
HOLES = np.array([[0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]) * A


@pytest.fixture(scope="session")
def hopping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gdynet archive: Li jumps between two holes, five frames a stay; array ``true``."""
    rng = np.random.default_rng(3)
    chain = MarkovChain(np.array([[0.9, 0.1], [0.2, 0.8]]))
    labels = chain.sample(6000, rng=rng).ravel()
    li = HOLES[labels] + rng.normal(0.0, 0.15, (len(labels), 3))
    positions = np.concatenate([li[:, None], np.tile(SULFUR, (len(labels), 1, 1))], axis=1)
    path = tmp_path_factory.mktemp("hopping") / "hopping.npz"
    np.savez(
        path,
        traj_coords=positions.astype(np.float32),
        lattices=np.tile(A * np.eye(3), (len(labels), 1, 1)).astype(np.float32),
        atom_types=np.array([3, 16, 16, 16, 16]),
        target_index=np.array([0]),
        dt_ps=0.5,
        true=labels.astype(np.int8),
    )
    return path


@pytest.fixture
def kgdyn_command() -> Callable[..., Result]:
    """Function: run ``kgdyn`` with these arguments."""
    from kgdyn.cli.app import app

    def run(*arguments: str | Path | int | float) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run
