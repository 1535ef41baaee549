"""What the documentation shows runs: its Python, its commands and their options, its links.

Python stands in fences named ``python``; commands are indented, or in fences named ``sh``.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
# What a page takes for granted: the objects of the README.
BEFORE = {
    "docs/missed_processes.md": """
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
    # deeptime's own model where torch is installed; else what has the method that the page calls.
    "docs/from_deeptime.md": """
import numpy as np
features = np.random.default_rng(0).normal(size=(400, 2)).astype("float32")
try:
    import torch
    from deeptime.decomposition.deep import VAMPNetModel
except ImportError:
    class Softmax:
        def transform(self, data):
            return np.exp(data) / np.exp(data).sum(axis=1, keepdims=True)
    vampnet_model = Softmax()
else:
    vampnet_model = VAMPNetModel(torch.nn.Softmax(dim=1))
""",
}
# Run by tests of their own, with what they need or leave.
ELSEWHERE = {
    "README.md": ["system/test_readme.py", "system/test_docs_beside_lammps.py"],
    "docs/examples/monitor_polymer.md": ["system/test_docs_beside_lammps.py"],
    "docs/explain.md": ["explain/test_docs.py"],
    "docs/exports.md": ["exports/test_page.py"],
    "docs/live.md": ["system/test_docs_beside_lammps.py"],
    "docs/mdanalysis.md": [
        "integrations/mdanalysis/test_page.py",
        "system/test_docs_by_one_process.py",
    ],
    "docs/novelty.md": ["system/test_docs_beside_lammps.py"],
    "docs/observables.md": ["observables/test_page.py"],
    "docs/plots.md": ["plots/test_gallery.py"],
    "docs/selection.md": ["system/test_docs_beside_lammps.py"],
    "docs/several_nodes.md": [
        "system/test_several_nodes.py",
        "system/test_docs_by_one_process.py",
    ],
    "docs/tutorial.md": ["system/test_tutorial.py"],
}
# What fences may hold beside Python; TOML is checked in tests/cli/test_train_config.py.
NO_PYTHON = {"math", "sh", "text", "toml"}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def code_of(text: str) -> Iterator[tuple[str | None, str]]:
    """Language and text of each block of code: None for indented ones, "" for unnamed fences."""
    fence, language, after_blank, lines = "", "", True, []
    for line in [*text.splitlines(), "end"]:
        opening = re.match(r"\s*(```+|~~~+)\s*(\S*)", line)
        if fence:
            if line.strip() == fence:
                yield language, textwrap.dedent("\n".join(lines))
                fence, lines = "", []
            else:
                lines.append(line)
        elif opening is None and line.startswith(("    ", "\t")) and (lines or after_blank):
            lines.append(line)
        elif line.strip() or not lines:
            if lines:
                yield None, textwrap.dedent("\n".join(lines)).rstrip()
                lines = []
            if opening is not None:
                fence, language = opening.groups()
        else:
            lines.append("")
        after_blank = not line.strip()


def is_python(code: str) -> bool:
    """Whether a block, or a paragraph of it, parses as Python and does something."""
    if re.search(r"^\s*>>> ", code, re.MULTILINE):
        return True
    for part in (code, *re.split(r"\n\s*\n", code)):
        if re.fullmatch(r"[A-Z_]+=\S*", part.strip()):
            continue  # a variable of the shell
        try:
            nodes = list(ast.walk(ast.parse(textwrap.dedent(part))))
        except (SyntaxError, ValueError):
            continue
        # Words alone parse as well, and `make -j`, and `word: word`.
        idle = (ast.Expr, ast.AnnAssign)
        if any(isinstance(n, (ast.Call, ast.stmt)) and not isinstance(n, idle) for n in nodes):
            return True
    return False


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [p for p in PAGES if name_of(p) not in ELSEWHERE and blocks(p)], ids=name_of
)
def test_python_runs(page: Path, tmp_path: Path) -> None:
    program = "\n".join([BEFORE.get(name_of(page), ""), *blocks(page)])
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning:__main__", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MPLBACKEND": "Agg"},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_python_is_left_out(page: Path) -> None:
    """All of it stands where the tests look for it."""
    text = page.read_text(encoding="utf-8")
    found = list(code_of(text))
    assert sum(language == "python" for language, _ in found) == len(blocks(page))
    for language, code in found:
        assert language in (None, "python", *NO_PYTHON), f"{page.name}: a fence of {language!r}"
        if language in (None, "sh", "text"):
            assert not is_python(code), (
                f"{page.name}: in a fence named python it would run:\n{code}"
            )


@pytest.mark.parametrize("name", ELSEWHERE)
def test_pages_that_run_elsewhere_do(name: str) -> None:
    """The file is named by the test, in a string or part by part, and its Python looked for."""
    assert blocks(ROOT / name)
    for test in ELSEWHERE[name]:
        text = (ROOT / "tests" / test).read_text(encoding="utf-8")
        assert re.search(rf"[\"/]{re.escape(Path(name).name)}\"", text), test
        assert "python" in text, test


def test_python_is_told_from_commands() -> None:
    python = [
        "import kgdyn",
        "chi = f(x)\n\nkgdyn validate --states live.h5",
        "with monitor.attach(lmp):\n    lmp.command('run 10')",
        "print(chi)",
        ">>> 1 + 1\n2",
    ]
    assert [code for code in python if not is_python(code)] == []
    other = [
        "kgdyn report run1",
        "kgdyn",
        "make -j",
        "python -m pytest",
        "WORKERS=2",
        "error: wrong",
        "run 1000",
        "dump d all custom 10 run.dump id\nthermo_style custom step temp c_n",
        '--until "timescale 1 < 10%"',
    ]
    assert [code for code in other if is_python(code)] == []


def test_blocks_of_code_are_found() -> None:
    text = (
        "a\n\n    one = 1\n    two\n\n      three\n\nb\n    no code\n\n"
        "```python\nfour\n\n    five\n```\n    six\n\n- c\n\n  ~~~\n  seven\n  ~~~\n\n\teight\n"
    )
    assert list(code_of(text)) == [
        (None, "one = 1\ntwo\n\n  three"),
        ("python", "four\n\n    five"),
        ("", "seven"),
        (None, "eight"),
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_their_options_exist(page: Path) -> None:
    from typer.main import get_command

    from kgdyn.cli.app import app

    commands = get_command(app).commands  # type: ignore[attr-defined]

    def options_of(name: str) -> set[str]:
        assert name in commands, f"{page.name}: there is no command kgdyn {name}"
        parameters = commands[name].params
        return {"--help", *(o for p in parameters for o in (*p.opts, *p.secondary_opts))}

    text = page.read_text(encoding="utf-8")
    shown = [code for language, code in code_of(text) if language in (None, "sh")]
    last = ""
    for line in "\n".join(shown).replace("\\\n", " ").splitlines():
        used = re.match(r"(?:.*&& )?\S*?(?:kgdyn (\w+)|python (\S+\.py)|(?=--))(.*)$", line)
        if used is None:
            continue
        name, script, rest = used.groups()
        options = re.findall(r"(?<!\S)--[a-z-]+", rest.partition(" # ")[0].partition(" -- ")[0])
        if script is not None:
            if not script.startswith("examples/"):
                continue  # the reader's own
            assert (ROOT / script).is_file(), f"{page.name}: there is no {script}"
            known = set(re.findall(r'"(--[a-z-]+)"', (ROOT / script).read_text(encoding="utf-8")))
        else:
            # Options alone are those of the command before.
            last = name or last
            known = options_of(last)
        for option in options:
            assert option in known, f"{page.name}: {script or f'kgdyn {last}'} has no {option}"

    for name, rest in re.findall(r"(?<!`)`kgdyn\s(\w+)([^`]*)`", text):
        known = options_of(name)
        for option in re.findall(r"(?<!\S)--[a-z-]+", rest):
            assert option in known, f"{page.name}: kgdyn {name} has no {option}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
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
