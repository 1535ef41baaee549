"""What the documentation shows runs: its Python, its commands and their options, its links."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
# What a page takes for granted: the objects of the README.
BEFORE = {
    "missed_processes.md": """
import numpy as np
import kgdyn
from kgdyn.toys import TwoProcesses
system = TwoProcesses(n_targets=2)
positions, labels = system.sample(9000, rng=np.random.default_rng(0))
run = kgdyn.trajectory_from_arrays(
    positions, np.diag([28.0, 14.0, 14.0]), [3, *4 * [16], *4 * [17]] * 2,
    frame_interval=1.0, targets=[0, 9],
)
train, test = kgdyn.split_by_time(run, [0.5, 0.5])
chi = kgdyn.koopman.one_hot(labels[4500:, :, 0], 2)
""",
}
# Run by tests of their own, with what they need or leave.
ELSEWHERE = {
    "README.md", "explain.md", "exports.md", "mdanalysis.md", "observables.md", "plots.md",
    "several_nodes.md", "tutorial.md",
}  # fmt: skip


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.name not in ELSEWHERE and blocks(p)], ids=lambda page: page.stem
)
def test_python_runs(page: Path, tmp_path: Path) -> None:
    program = "\n".join([BEFORE.get(page.name, ""), *blocks(page)])
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning:__main__", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_their_options_exist(page: Path) -> None:
    from typer.main import get_command

    from kgdyn.cli.app import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    for name, rest in re.findall(r"^ {4}(?:.*&& \S*)?kgdyn (\w+)(.*)$", text, re.MULTILINE):
        assert name in commands, f"{page.name}: there is no command kgdyn {name}"
        parameters = commands[name].params
        known = {o for p in parameters for o in (*p.opts, *p.secondary_opts)}
        for option in re.findall(r"(?<=\s)--[a-z-]+", rest.partition("#")[0]):
            assert option in known, f"{page.name}: kgdyn {name} has no {option}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{page.name}: {target} is not there"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", place.read_text(encoding="utf-8"), re.MULTILINE)
            names = {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}
            assert anchor in names, f"{page.name}: {target} has no such heading"
