"""Findings as one HTML file that needs nothing else, with figures and tables beside it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from kgdyn._atomic import replacing
from kgdyn.report.blocks import Section
from kgdyn.report.figures import FigureFolder
from kgdyn.report.findings import Findings
from kgdyn.report.kinetics import kinetics_section, training_section
from kgdyn.report.provenance import provenance_section
from kgdyn.report.run_record import RunRecord
from kgdyn.report.states import deciding_section, place_section, state_sections
from kgdyn.report.summary import cards, summary, title, warnings_section
from kgdyn.report.tables import write_tables
from kgdyn.report.transport import transport_section

__all__ = ["write_report"]


def write_report(
    findings: Findings,
    record: RunRecord,
    folder: str | Path,
    *,
    command: Sequence[str] = (),
    progress: Callable[[int, int | None, str], None] | None = None,
) -> Path:
    """Write ``report.html``, ``figures/`` and ``tables/`` into a folder.

    The page loads nothing: it can be sent as one file, read without a network, and printed.

    Parameters
    ----------
    findings : Findings
    record : RunRecord
        Of the training.
    folder : path
    command : sequence of str
        What made the report, for the page.
    progress : callable, optional
        Called with parts done, parts in all, and the name of the next.

    Returns
    -------
    Path
        Of the page.
    """
    folder = Path(folder)
    figures = FigureFolder(folder / "figures")
    parts: list[tuple[str, Callable[[], Any]]] = [
        ("training", lambda: training_section(findings, record, figures)),
        ("kinetics", lambda: kinetics_section(findings, figures)),
        ("states", lambda: state_sections(findings, figures)),
        ("places", lambda: place_section(findings, figures)),
        ("transport", lambda: transport_section(findings, figures)),
        ("what decides", lambda: deciding_section(findings, figures)),
        ("provenance", lambda: provenance_section(findings, record, command)),
        ("tables", lambda: write_tables(findings, folder / "tables")),
    ]
    made: list[Any] = [warnings_section(findings)]
    for number, (name, make) in enumerate(parts):
        if progress is not None:
            progress(number, len(parts), name)
        found = make()
        made += found if isinstance(found, list) else [found]
    sections = [item for item in made if isinstance(item, Section)]
    page = render(
        title=title(findings),
        summary=summary(findings, record),
        cards=cards(findings),
        sections=sections,
    )
    path = folder / "report.html"
    with replacing(path) as partial:
        partial.write_text(page, encoding="utf-8")
    if progress is not None:
        progress(len(parts), len(parts), "")
    return path


def render(**content: Any) -> str:
    """The page as text. Everything that is not ours is escaped."""
    import jinja2

    import kgdyn
    from kgdyn.plots._style import state_color

    here = resources.files("kgdyn.report")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string((here / "page.html").read_text(encoding="utf-8"))
    from markupsafe import Markup

    return template.render(
        style=Markup((here / "page.css").read_text(encoding="utf-8")),
        script=Markup((here / "viewer.js").read_text(encoding="utf-8")),
        color=state_color,
        version=kgdyn.__version__,
        date=datetime.date.today().isoformat(),
        **content,
    )
