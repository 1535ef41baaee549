"""Outputs: written under a temporary name, then renamed, so that a file is whole or absent."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kgdyn._atomic import replacing

__all__ = ["replacing", "save_figure", "write_array", "write_csv", "write_json"]


def write_json(path: Path, values: Any) -> None:
    """Arrays become lists; NaN becomes null."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(_plain(values), indent=2) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def write_array(path: Path, values: NDArray[Any], attributes: dict[str, Any]) -> None:
    """A ``.npy`` file, or an HDF5 file (.h5) with the data set ``state_probabilities``."""
    if path.suffix not in (".npy", ".h5", ".hdf5"):
        raise ValueError(f"output must end in .npy, .h5 or .hdf5, received {path}")
    with replacing(path) as partial:
        if path.suffix == ".npy":
            np.save(partial, values, allow_pickle=False)
            return
        import h5py

        with h5py.File(partial, "w") as file:
            data = file.create_dataset("state_probabilities", data=values, compression="gzip")
            for name, value in attributes.items():
                data.attrs[name] = value


def save_figure(path: Path, axes: Any) -> None:
    """Save the figure that one of its axes belongs to, as PNG, and close it."""
    import matplotlib.pyplot as plt

    from kgdyn.plots import save_figures

    save_figures(path.with_suffix(""), axes, ["png"], dpi=150)
    plt.close(np.ravel(np.asarray(axes, dtype=object))[0].figure)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
