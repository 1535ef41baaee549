"""The page: it holds what was found, escapes what is not ours, and loads nothing."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from kgdyn.report import Findings, RunRecord, write_report
from kgdyn.report.numbers import bracketed


class Outline(HTMLParser):
    """Headings, sources of pictures, cells of tables, and open tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.sources: list[str] = []
        self.cells: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in ("meta", "link", "img", "br"):
            self._open.append(tag)
        if tag == "img":
            self.sources.append(values["src"] or "")
            assert values["alt"]
        if tag == "a":
            self.links.append(values["href"] or "")
        if values.get("id"):
            self.ids.append(values["id"] or "")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("h1", "h2"):
            self.headings.append(data)
        if self._open and self._open[-1] in ("td", "th"):
            self.cells.append(data)


def test_sections(page: Path) -> None:
    outline = Outline(page.read_text(encoding="utf-8"))
    assert outline.headings[0] == "2 states of Li among Li, S, <i>chlorine</i>"
    for title in (
        "Training and its floor",
        "Kinetics",
        "Structure of the states",
        "State 1",
        "State 2",
        "Where and when",
        "Motion and conduction",
        "How this was made",
    ):
        assert title in outline.headings
    assert [link[1:] for link in outline.links] == [i for i in outline.ids if "structures" not in i]


def test_it_loads_nothing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert all(source.startswith("data:image/") for source in Outline(text).sources)
    inside = re.sub(r'src="data:[^"]*"', "", text)
    assert not re.search(r"https?://|//cdn|@import|<link(?! rel=\"icon\" href=\"data:)", inside)
    assert page.stat().st_size < 15e6


def test_what_is_not_ours_is_escaped(page: Path) -> None:
    text = re.sub(r'src="data:[^"]*"', "", page.read_text(encoding="utf-8"))
    assert "two<b>" not in text
    assert "two&lt;b&gt;processes.npz" in text
    assert "<i>" not in text


def test_numbers_are_those_of_the_findings(page: Path, findings: Findings) -> None:
    cells = Outline(page.read_text(encoding="utf-8")).cells
    diffusion, conductivity = findings.diffusion, findings.conductivity
    assert diffusion is not None
    assert conductivity is not None
    for values, interval in (
        (diffusion.diffusion, diffusion.diffusion_interval),
        (conductivity.conductivity, conductivity.conductivity_interval),
    ):
        for i in range(2):
            for j in range(2):
                assert bracketed(values[i, j], interval.lower[i, j], interval.upper[i, j]) in cells
    np.testing.assert_allclose(conductivity.percentages.sum(), 100.0, rtol=1e-12)


def test_structures_are_in_the_page(page: Path, findings: Findings) -> None:
    text = page.read_text(encoding="utf-8")
    found = re.findall(r'<script type="application/json" id="(.*?)">(.*?)</script>', text)
    assert [name for name, _ in found] == ["structures-state-1", "structures-state-2"]
    for state, (_, content) in enumerate(found):
        data = json.loads(content)
        assert findings.representatives is not None
        items = findings.representatives.of(state)
        assert len(data["structures"]) == len(items)
        assert data["structures"][0]["title"] == "medoid"
        medoid = findings.representatives.medoid(state)
        assert medoid is not None
        atoms = data["structures"][0]["atoms"]
        np.testing.assert_allclose(
            [atom["at"] for atom in atoms], medoid.cluster.positions, atol=5.1e-4
        )
        assert [atom["target"] for atom in atoms] == medoid.cluster.is_target.tolist()
        # Li holds its four nearest: S in the wide and in the narrow shell.
        bonds = [pair for pair in data["structures"][0]["bonds"] if 0 in pair]
        assert len(bonds) >= 4


def test_files_beside_it(page: Path, findings: Findings) -> None:
    figures = {path.name for path in (page.parent / "figures").iterdir()}
    for stem in ("training", "timescales", "ck_test", "rdf", "diffusion", "conductivity", "charge"):
        assert {f"{stem}.png", f"{stem}.pdf", f"{stem}.svg"} <= figures
    assert not [name for name in figures if name.startswith(".")]
    with (page.parent / "tables" / "diffusion.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert findings.diffusion is not None
    values = [float(row["value"]) for row in rows]
    assert any(np.isclose(v, findings.diffusion.total_diffusion, rtol=1e-12) for v in values)


def test_with_nothing_else_known(bare: Findings, record: RunRecord, tmp_path: Path) -> None:
    assert bare.charge is None
    assert bare.conductivity is None
    page = write_report(bare, record, tmp_path)
    text = page.read_text(encoding="utf-8")
    outline = Outline(text)
    assert "State 3" in outline.headings
    assert "Conductivities are not here: charges and a temperature have to be given." in text


def test_a_piece_that_cannot_be_had_is_told(
    toy: tuple[object, np.ndarray], record: RunRecord, tmp_path: Path
) -> None:
    from kgdyn.koopman import one_hot
    from kgdyn.report import Physics, study_states
    from kgdyn.trajectories import Trajectory

    run, labels = toy
    assert isinstance(run, Trajectory)
    found = study_states(
        run,
        one_hot(labels, 2),
        lagtime=5,
        physics=Physics(charges={"Li": 1.0, "S": 1.0}),
        r_max=6.0,
        floor=False,
    )
    (note,) = [note for note in found.notes if note.kind == "left out"]
    assert note.piece == "charge"
    assert "received none for ['Cl']" in note.text
    text = write_report(found, record, tmp_path).read_text(encoding="utf-8")
    assert "Charge is left out: charges must have a value for every element" in text


def test_the_lag_time_must_fit(toy: tuple[object, np.ndarray]) -> None:
    from kgdyn.koopman import one_hot
    from kgdyn.report import study_states
    from kgdyn.trajectories import Trajectory

    run, labels = toy
    assert isinstance(run, Trajectory)
    with pytest.raises(ValueError, match="lagtime"):
        study_states(run, one_hot(labels, 2), lagtime=2000)
