"""The page of figures runs from top to bottom, and shows them all, in small pictures."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
import pytest

from kgdyn import plots

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "plots.md").read_text()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:intervals rest on only")
@pytest.mark.filterwarnings("ignore:the data hold only")
def test_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == PAGE.count("```") // 2 == 2
    monkeypatch.chdir(tmp_path)
    before = dict(mpl.rcParams)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/plots.md", "exec"), names)
    assert dict(mpl.rcParams) == before
    written = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert written == ["kinetics.pdf", "rdf.pdf", "rdf.png", "rdf.svg"]


def test_every_figure_is_there() -> None:
    for name in plots.__all__:
        assert name in PAGE, name


def test_pictures_are_small_and_all_used() -> None:
    used = re.findall(r"!\[[^\]]+\]\((images/plots/[a-z_0-9]+\.png)\)", PAGE)
    held = {f"images/plots/{path.name}" for path in (DOCS / "images" / "plots").iterdir()}
    assert set(used) == held
    assert len(used) == len(held)
    for name in used:
        assert (DOCS / name).stat().st_size < 40_000, name
