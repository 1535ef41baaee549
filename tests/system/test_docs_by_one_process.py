"""Programs of pages that start processes: the same code in this one, which takes seconds.

With processes of their own they run in ``tests/integrations/mdanalysis/test_page.py`` and
``tests/system/test_several_nodes.py``, by ``--long``.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import kgdyn

DOCS = Path(__file__).resolve().parents[2] / "docs"
pytestmark = pytest.mark.slow


def block(page: str, having: str) -> str:
    """The only Python block of a page that holds a text."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (found,) = (b for b in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if having in b)
    return str(found)


@pytest.fixture
def universe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two Li and six S that move; also as files, in the working folder."""
    import MDAnalysis

    monkeypatch.chdir(tmp_path)
    made = MDAnalysis.Universe.empty(8, n_residues=8, atom_resindex=range(8), trajectory=True)
    elements = ["Li", "S", "S", "S"] * 2
    for name in ("elements", "names", "types"):
        made.add_TopologyAttr(name, elements)
    made.add_TopologyAttr("resnames", ["X"] * 8)
    made.add_TopologyAttr("resids", range(1, 9))
    rng = np.random.default_rng(1)
    positions = 6.0 * rng.random((8, 3)) + rng.normal(0.0, 0.4, (21, 8, 3))
    boxes = np.tile([6.0, 6.0, 6.0, 90.0, 90.0, 90.0], (21, 1))
    made.load_new(positions.astype(np.float32), dimensions=boxes.astype(np.float32), dt=0.5)
    return made


def test_a_cluster_of_a_thread(universe: Any, capsys: pytest.CaptureFixture[str]) -> None:
    import keras
    import MDAnalysis

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MDAnalysis tells what GRO cannot hold
        universe.atoms.write("run.gro")
        universe.atoms.write("run.xtc", frames="all")
    keras.utils.set_random_seed(5)
    model = kgdyn.GDyNet(2, [3, 16], 4, n_features=4, n_convolutions=1)
    run = kgdyn.from_universe(MDAnalysis.Universe("run.gro", "run.xtc"), "name Li")
    wanted = kgdyn.assign_states(model, run).mean(axis=(0, 1))
    model.save("model.keras")
    program = block("mdanalysis.md", "LocalCluster")
    written = "n_workers=2, threads_per_worker=1,"
    assert program.count(written) == 1
    program = program.replace(written, "n_workers=1, threads_per_worker=1, processes=False,")
    exec(compile(program, "docs/mdanalysis.md", "exec"), {"__name__": "__main__"})
    (found,) = re.findall(r"\[(.*)\]", capsys.readouterr().out)
    np.testing.assert_allclose(np.array(found.split(), float), wanted, rtol=0, atol=2e-6)


def test_one_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without TF_CONFIG there is one, the chief."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    rng = np.random.default_rng(0)
    lines = []
    for state in np.cumsum(rng.random(60) < 0.1) % 2:
        sites = [[2.0 + state, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.5]]
        lines += ["4", 'Lattice="20 0 0 0 20 0 0 0 20" Properties=species:S:1:pos:R:3 pbc="T T T"']
        for name, (x, y, z) in zip(("Li", "S", "S", "S"), sites, strict=True):
            lines.append(f"{name} {x + rng.normal(scale=0.1):.4f} {y:.4f} {z:.4f}")
    Path("run.extxyz").write_text("\n".join(lines) + "\n")
    names: dict[str, Any] = {}
    exec(compile(block("several_nodes.md", "MultiWorker"), "docs/several_nodes.md", "exec"), names)
    assert names["is_chief"](names["strategy"])
    model = kgdyn.load_model("model.keras")
    np.testing.assert_allclose(
        kgdyn.assign_states(model, names["run"]),
        kgdyn.assign_states(names["model"], names["run"]),
        rtol=0,
        atol=1e-6,
    )
    assert np.abs(np.asarray(model.simplex_map.matrix) - np.eye(2)).max() > 1e-3
