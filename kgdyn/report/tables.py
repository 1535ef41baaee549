"""Every number of a report as CSV, one row a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kgdyn._atomic import replacing
from kgdyn.exports import to_dataframe
from kgdyn.report.findings import Findings

__all__ = ["write_tables"]


def write_tables(findings: Findings, folder: Path) -> list[Path]:
    """One file for each result, ``koopman_model.csv`` and so on; see ``kgdyn.exports``."""
    validation = findings.validation
    results: dict[str, Any] = {
        "koopman_model": validation.model,
        "timescales": validation.timescales,
        "ck_test": validation.ck,
        "transitions": validation.transitions,
        "rdf": findings.rdf,
        "charge": findings.charge,
        "bond_order": findings.bond_order,
        "profile": findings.profile,
        "msd": findings.msd,
        "diffusion": findings.diffusion,
        "conductivity": findings.conductivity,
        "agreement": findings.agreement,
    }
    written = []
    for name, result in results.items():
        if result is not None:
            path = folder / f"{name}.csv"
            with replacing(path) as partial:
                to_dataframe(result).to_csv(partial, index=False)
            written.append(path)
    return written
