"""The notebooks: stored as they should be, and running from the first cell to the last."""

from __future__ import annotations

import ast
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
RUNNER = Path(__file__).parent / "helpers" / "run_notebook.py"


def run_notebook(path: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(RUNNER), str(path)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )


def read(path: Path) -> dict[str, Any]:
    book: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return book


def sources(book: dict[str, Any], kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == kind]


def absolute_paths(text: str) -> list[str]:
    """Paths from the root of a disk, of Linux, macOS or Windows."""
    return re.findall(r"(?<![\w./:])(?:~\w*/|[A-Za-z]:\\{1,2}|/\w[\w.-]*/)\w[\w./\\-]*", text)


def test_absolute_paths_are_seen() -> None:
    wrong = ['"/home/me/run.dcd"', "(/data/run)", '"C:\\\\Users\\\\me"', "~/run.dcd", "~me/run"]
    assert all(absolute_paths(text) for text in wrong)
    right = [
        "`docs/reading.md`",
        "https://doi.org/10.1/a",
        "first_look/chi.npy",
        "a / b / c",
        "a/b",
    ]
    assert not [text for text in right if absolute_paths(text)]


def test_there_are_notebooks() -> None:
    assert {path.stem for path in NOTEBOOKS} >= {"first_look", "reading_results"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_in_format_4_as_jupyter_writes_it(path: Path) -> None:
    book = read(path)
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert set(book) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    ids = [cell["id"] for cell in book["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", name) for name in ids)
    for cell in book["cells"]:
        wanted = {"cell_type", "id", "metadata", "source"}
        if cell["cell_type"] == "code":
            wanted |= {"execution_count", "outputs"}
        assert set(cell) == wanted, cell["id"]
        lines = cell["source"]
        assert lines, cell["id"]
        assert all(line.endswith("\n") for line in lines[:-1]), cell["id"]
    # Saved again by Jupyter it is the same file, so that changes are seen as what they are.
    text = json.dumps(book, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_without_results(path: Path) -> None:
    for cell in read(path)["cells"]:
        assert cell.get("outputs", []) == [], cell["id"]
        assert cell.get("execution_count") is None, cell["id"]
        assert cell["metadata"] == {}, cell["id"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_paths_of_one_machine(path: Path) -> None:
    book = read(path)
    for text in [*sources(book, "code"), *sources(book, "markdown")]:
        assert absolute_paths(text) == []
        for page in re.findall(r"`((?:docs|examples)/[^`]*)`", text):
            assert (ROOT / page).exists(), page


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_plain_python_in_short_cells(path: Path) -> None:
    """No magics: the cells run as they are, in any tool; and explained one by one."""
    book = read(path)
    for source in sources(book, "code"):
        ast.parse(source)
        assert len(source.splitlines()) <= 30
    kinds = [cell["cell_type"] for cell in book["cells"]]
    assert kinds[0] == "markdown"
    assert ("code", "code") not in list(itertools.pairwise(kinds))


def test_a_cell_that_fails_is_named(tmp_path: Path) -> None:
    def cell(name: str, source: str) -> dict[str, Any]:
        return {"cell_type": "code", "id": name, "source": source.splitlines(keepends=True)}

    good = [cell("one", "a = 3\na + 4"), cell("two", "a + 5;"), cell("three", "print(a)")]
    path = tmp_path / "book.ipynb"
    path.write_text(json.dumps({"cells": good}))
    done = run_notebook(path, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["7", "3", "ran 3 cells, 0 figures"]

    path.write_text(json.dumps({"cells": [*good, cell("four", "b = a\nb / 0"), good[0]]}))
    done = run_notebook(path, tmp_path)
    assert done.returncode != 0
    assert 'File "cell four", line 2' in done.stderr
    assert "b / 0" in done.stderr
    assert "ran" not in done.stdout

    blank = cell("five", "import matplotlib.pyplot as plt\nplt.figure();")
    path.write_text(json.dumps({"cells": [blank]}))
    done = run_notebook(path, tmp_path)
    assert done.returncode != 0
    assert "cell five: figure 1 is empty" in done.stderr


@pytest.mark.slow
@pytest.mark.lammps
def test_first_look_runs(new_lammps: Callable[..., Any], tmp_path: Path) -> None:
    done = run_notebook(ROOT / "examples" / "notebooks" / "first_look.ipynb", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ran 10 cells, 7 figures" in done.stdout
    assert "the same states from the file: True" in done.stdout
    # What its text says of the result.
    (right,) = re.findall(r"([\d.]+)% of the frames are in the right state", done.stdout)
    assert float(right) > 98.0
    for state, n_sulfur in (1, 6.0), (2, 4.0):
        (found,) = re.findall(rf"state {state} \(\d+%\): ([\d.]+) S at", done.stdout)
        assert abs(float(found) - n_sulfur) < 0.5
    assert {path.name for path in (tmp_path / "first_look").iterdir()} >= {
        "chi.npy", "li_fcc_s.data", "li_fcc_s.dcd", "model.keras"
    }  # fmt: skip


@pytest.mark.slow
def test_reading_results_runs(tmp_path: Path) -> None:
    done = run_notebook(ROOT / "examples" / "notebooks" / "reading_results.ipynb", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ran 11 cells, 8 figures" in done.stdout
    # A good rule and a bad one, as its text says.
    found = re.findall(r"cut at ([\d.]+) angstrom: (\d+) of 20 agree", done.stdout)
    assert [cut for cut, _ in found] == ["2.7", "2.1"]
    good, bad = (int(count) for _, count in found)
    assert good >= 18
    assert bad <= 10
    table = (tmp_path / "koopman_model.csv").read_text().splitlines()
    assert sum(line.startswith("koopman_matrix") for line in table) == 16
