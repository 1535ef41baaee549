"""The last part of a page: how it was made, so that it can be made again."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Sequence
from typing import Any

from kgdyn.report.blocks import Section, Table, Text
from kgdyn.report.findings import Findings
from kgdyn.report.run_record import RunRecord

__all__ = ["provenance_section", "versions"]

_COLUMNS = 3
_PACKAGES = ("keras", "tensorflow", "numpy", "scipy", "MDAnalysis", "deeptime", "matplotlib", "ase")
_SOURCES = (
    "Graph dynamical networks, CK test, conduction by transition: Xie et al., Nat. Commun. 10, "
    "2667 (2019).",
    "VAMP scores: Wu and Noé, J. Nonlinear Sci. 30, 23 (2020); networks that maximise them: Mardt "
    "et al., Nat. Commun. 9, 5 (2018).",
    "Cluster Nernst-Einstein formula: France-Lanord and Grossman, Phys. Rev. Lett. 122, 136001 "
    "(2019).",
)


def versions() -> dict[str, str]:
    """Of kgdyn, Python and the packages that numbers come from."""
    import kgdyn

    found = {"kgdyn": kgdyn.__version__, "Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def provenance_section(findings: Findings, record: RunRecord, command: Sequence[str]) -> Section:
    """Data, settings, intervals, versions, command and sources."""
    model = findings.validation.model
    data = tuple(
        (
            run.source,
            f"{run.n_frames:,}",
            f"{run.first_frame:,}",
            f"{run.n_segments}",
            f"{run.n_atoms:,}",
            f"{run.n_targets:,}",
        )
        for run in findings.trajectories
    )
    settings = tuple(
        (f"{table}.{key}", _text(value))
        for table in ("data", "model", "training")
        for key, value in record.config.get(table, {}).items()
    )
    blocks: list[Any] = [
        Table(
            "Frames of this report",
            ("source", "frames", "first frame", "segments", "atoms", "targets"),
            data,
        ),
        Text(
            "Intervals of the Koopman model: "
            + ("not known" if model.resampling is None else model.resampling.describe())
            + ". Other results choose their blocks by the same rule."
        ),
    ]
    if settings:
        blocks.append(_in_columns("Settings of the training", ("setting", "value"), settings))
    blocks.append(_in_columns("Versions", ("package", "version"), tuple(versions().items())))
    if command:
        blocks.append(Text(f"Command: {' '.join(command)}"))
    blocks.append(Text("What the numbers are:", _SOURCES))
    return Section("How this was made", tuple(blocks))


def _in_columns(caption: str, header: tuple[str, str], pairs: tuple[tuple[str, str], ...]) -> Table:
    """A long list of pairs, several beside each other, read downwards."""
    height = -(-len(pairs) // _COLUMNS)
    columns = [pairs[start : start + height] for start in range(0, len(pairs), height)]
    rows = tuple(
        tuple(cell for column in columns if i < len(column) for cell in column[i])
        for i in range(height)
    )
    return Table(caption, header * len(columns), rows)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value)
    return str(value)
