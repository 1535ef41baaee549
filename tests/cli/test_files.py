"""Outputs: whole or absent."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from kgdyn.cli._files import replacing, save_figure, write_array, write_csv, write_json


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_replacing_renames_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.txt"
    with replacing(path) as partial:
        assert partial.parent == path.parent
        assert partial.suffix == ".txt"
        partial.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["out.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [None, "old"])
def test_an_exception_leaves_what_was(
    old: str | None, error: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "out.txt"
    if old is not None:
        path.write_text(old)

    def write() -> None:
        with replacing(path) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert names(tmp_path) == ([] if old is None else ["out.txt"])
    if old is not None:
        assert path.read_text() == old


def test_an_exception_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "out.txt"):
        1 / 0  # noqa: B018
    assert names(tmp_path) == []


def test_json_of_arrays_and_nan(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    values = {
        "matrix": np.array([[1.0, np.nan], [np.inf, 2.5]]),
        "number": np.float32(0.5),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "nan": float("nan"),
        "nested": [{"x": (1, -np.inf)}, None, "text"],
        7: np.array([1, 2], np.int8),
    }
    write_json(path, values)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    assert json.loads(path.read_text(), parse_constant=refuse) == {
        "matrix": [[1.0, None], [None, 2.5]],
        "number": 0.5,
        "count": 3,
        "flag": True,
        "nan": None,
        "nested": [{"x": [1, None]}, None, "text"],
        "7": [1, 2],
    }


def test_json_that_cannot_be_written_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
    assert names(tmp_path) == ["a.json"]


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    write_csv(path, ["name", "value"], [["a,b", 1.5], ["c", np.nan]])
    with path.open(newline="") as file:
        assert list(csv.reader(file)) == [["name", "value"], ["a,b", "1.5"], ["c", "nan"]]


def test_npy(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.random((5, 2, 3)).astype(np.float32)
    write_array(tmp_path / "a.npy", values, {"lagtime": 5})
    found = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values)
    assert names(tmp_path) == ["a.npy"]


@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
def test_hdf5(suffix: str, tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.random((5, 2, 3)).astype(np.float32)
    path = tmp_path / f"a{suffix}"
    write_array(path, values, {"lagtime": 5, "frame_interval": 0.5, "model": "m.keras"})
    with h5py.File(path) as file:
        data = file["state_probabilities"]
        assert data.dtype == np.float32
        np.testing.assert_array_equal(data[:], values)
        assert dict(data.attrs) == {"lagtime": 5, "frame_interval": 0.5, "model": "m.keras"}
    assert names(tmp_path) == [path.name]


def test_array_attributes_that_cannot_be_written_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_array(tmp_path / "a.h5", np.zeros((2, 1, 2)), {"bad": object()})
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["a.txt", "a", "a.npz"])
def test_refuses_other_array_files(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"output must end in .npy, .h5 or .hdf5, received .*a"):
        write_array(tmp_path / name, np.zeros(3), {})
    assert names(tmp_path) == []


@pytest.mark.parametrize("grid", [False, True])
def test_figures_are_png_and_closed(grid: bool, tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(2, 2) if grid else plt.subplots()
    save_figure(tmp_path / "a.png", axes)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert names(tmp_path) == ["a.png"]
    assert plt.get_fignums() == []
