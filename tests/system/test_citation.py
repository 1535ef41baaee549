"""CITATION.cff says what the package says of itself."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import kgdyn

ROOT = Path(__file__).resolve().parents[2]


def field(name: str) -> str:
    """A top-level field of one line."""
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    (value,) = re.findall(rf"^{name}: (.+)$", text, re.MULTILINE)
    return str(value).strip('"')


def test_citation_agrees_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert field("cff-version") == "1.2.0"
    assert field("type") == "software"
    assert field("version") == kgdyn.__version__
    assert field("license") == project["license"]
    assert field("title").startswith(f"{project['name']}: ")
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    for author in project["authors"]:
        assert f'- name: "{author["name"]}"' in text
    # The paper is named by the same DOI in both places.
    (doi,) = re.findall(r"^ +doi: (\S+)$", text, re.MULTILINE)
    assert f"https://doi.org/{doi}" in (ROOT / "README.md").read_text(encoding="utf-8")
