"""Runs the code cells of a notebook in order, as a kernel would, without Jupyter.

python run_notebook.py FILE.ipynb

What a cell ends with is shown by its repr, and each figure that is open after a cell is drawn and
closed. The first cell that fails ends it; the traceback names the cell by its id. The last line
printed counts cells and figures.
"""

from __future__ import annotations

import ast
import io
import json
import linecache
import sys
import traceback
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot


def main(path: Path) -> None:
    book = json.loads(path.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}
    n_cells = n_figures = 0
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            n_cells += 1
            run_cell("".join(cell["source"]), f"cell {cell['id']}", names)
            n_figures += draw_figures(cell["id"])
    print(f"ran {n_cells} cells, {n_figures} figures")


def run_cell(source: str, name: str, names: dict[str, Any]) -> None:
    # So that a traceback shows the line.
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), names)
    if isinstance(last, ast.Expr):
        value = eval(compile(ast.Expression(last.value), name, "eval"), names)
        if value is not None and not source.rstrip().endswith(";"):
            print(repr(value))


def draw_figures(cell: str) -> int:
    """Draw all open figures as a notebook shows them, and close them; how many there were."""
    numbers = pyplot.get_fignums()
    for number in numbers:
        file = io.BytesIO()
        pyplot.figure(number).savefig(file, format="png")
        if len(file.getvalue()) < 4000:
            raise ValueError(f"cell {cell}: figure {number} is empty")
    pyplot.close("all")
    return len(numbers)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except Exception:  # Python itself would not show the cell's lines
        traceback.print_exc()
        sys.exit(1)
