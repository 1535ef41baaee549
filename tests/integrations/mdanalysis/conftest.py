"""A small crystal that moves, in files of several formats, and a model that was never trained."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import MDAnalysis
import numpy as np
import pytest

N_FRAMES = 23


@pytest.fixture(scope="session")
def model() -> Any:
    """Untrained: its outputs depend on the surroundings all the same."""
    import keras

    from kgdyn.models import GDyNet

    keras.utils.set_random_seed(5)
    return GDyNet(3, [3, 16], 4, n_features=4, n_convolutions=1, targets="element Li")


@pytest.fixture(scope="session")
def model_file(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from kgdyn import assign_states, trajectory_from_arrays

    positions = np.random.default_rng(0).random((1, 12, 3)) * 6.0
    run = trajectory_from_arrays(
        positions, 6.0 * np.eye(3), [3] * 4 + [16] * 8, frame_interval=1.0, targets=range(4)
    )
    assign_states(model, run)
    path: Path = tmp_path_factory.mktemp("model") / "model.keras"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def universe() -> Callable[..., Any]:
    """Function: a Universe in memory, of Li and S in a tilted cell that breathes.

    Residues 0 to 3: one Li and two S each.
    """

    def make(n_frames: int = N_FRAMES) -> Any:
        rng = np.random.default_rng(7)
        made = MDAnalysis.Universe.empty(
            12, n_residues=4, atom_resindex=np.repeat(range(4), 3), trajectory=True
        )
        made.add_TopologyAttr("elements", ["Li", "S", "S"] * 4)
        made.add_TopologyAttr("names", ["Li", "S", "S"] * 4)
        made.add_TopologyAttr("types", ["Li", "S", "S"] * 4)
        sites = rng.random((12, 3)) * 6.0
        positions = sites + rng.normal(0.0, 0.4, (n_frames, 12, 3))
        boxes = np.array([6.1, 6.3, 6.7, 80.0, 95.0, 103.0]) + rng.normal(0, 0.02, (n_frames, 6))
        made.load_new(positions.astype(np.float32), dimensions=boxes.astype(np.float32), dt=0.5)
        return made

    return make


@pytest.fixture(scope="session")
def from_file(
    universe: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Any]:
    """Function: the same, written to a file with this suffix and read back."""
    folder = tmp_path_factory.mktemp("files")

    def make(suffix: str) -> Any:
        made = universe()
        path = folder / f"run{suffix}"
        if not path.exists():
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Could not find netCDF4")
                made.atoms.write(path, frames="all")
        read = universe(1)
        read.load_new(str(path))
        return read

    return make
