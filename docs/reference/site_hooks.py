"""What the site needs besides Markdown.

- ``::: kgdyn.koopman`` becomes an entry for each public name of that room. A room may have a
  function and a file of one name, of which tools that read the source see the file only; so
  entries name the file as well, ``kgdyn.koopman.ck_test.ck_test``.
- Roles of the docstrings (``:func:``) and references by the public name become links to these.
- Pages in ``docs/examples`` enter the menu by themselves.
- Formulas become MathML, which browsers draw by themselves: no script, nothing to fetch.
"""

from __future__ import annotations

import ast
import functools
import html
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

ROOT = Path(__file__).resolve().parents[2]

_FORMULA = re.compile(r"^```math\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ROOM = re.compile(r"^::: (kgdyn(?:\.\w+)+)$", re.MULTILINE)
_REFERENCE = re.compile(r"\]\[(kgdyn\.[\w.]+)\]")
_ROLE = re.compile(r":(?:func|class|meth|mod|attr|data):<code>([^<]+)</code>")
# An attribute that its type says all about: a dash (U+2013) and nothing behind.
_EMPTY_DESCRIPTION = re.compile(
    r'\s+\u2013\s+<div class="doc-md-description">\s*(?:<p>\s*</p>)?\s*</div>'
)


def on_config(config: Any, **kwargs: Any) -> Any:
    """All pages of ``examples`` are in the menu, by their titles; the one named there is a seat."""
    examples = sorted(path.name for path in (ROOT / "docs" / "examples").glob("*.md"))
    for section in config["nav"]:
        if "Examples" in section:
            section["Examples"] = [f"examples/{name}" for name in examples]
    return config


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    markdown = _FORMULA.sub(lambda found: _formulas(found[1]), markdown)
    markdown = _ROOM.sub(lambda found: _entries(found[1]), markdown)
    return _REFERENCE.sub(lambda found: f"][{_entry(found[1])}]", markdown)


def on_page_content(content: str, **kwargs: Any) -> str:
    content = _EMPTY_DESCRIPTION.sub("", content)
    return _ROLE.sub(lambda found: _link(html.unescape(found[1])), content)


def _formulas(text: str) -> str:
    r"""One formula a line; ``\tag{n}`` at its end is its number."""
    rows = []
    for line in filter(None, map(str.strip, text.splitlines())):
        formula, _, number = line.partition("\\tag{")
        tag = f'<span class="number">({number.rstrip("}")})</span>' if number else ""
        mathml = convert(formula.strip(), display="block").replace("\n", "")
        rows.append(f'<div class="formula">{mathml}{tag}</div>')
    return "\n".join(["", *rows, ""])


def _file_of(module: str) -> Path:
    """``kgdyn.integrations`` lies beside ``kgdyn`` in the repository."""
    parts = module.removeprefix("kgdyn.integrations").strip(".").split(".")
    folder = ROOT / "integrations" if module.startswith("kgdyn.integrations") else ROOT
    path = folder.joinpath(*filter(None, parts))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@functools.cache
def _public_names(room: str) -> dict[str, str]:
    """The names of a room's ``__all__``, and where each is written."""
    tree = ast.parse(_file_of(room).read_text(encoding="utf-8"))
    public: list[str] = []
    origin: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            origin |= {
                name.asname or name.name: f"{node.module}.{name.name}" for name in node.names
            }
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            public = [item.value for item in ast.walk(node) if isinstance(item, ast.Constant)]
    return {name: origin.get(name, f"{room}.{name}") for name in public if name[0] != "_"}


def _entries(room: str) -> str:
    """The room in its own words, and an entry for each of its names."""
    file = _file_of(room)
    if file.name != "__init__.py":
        return f"::: {_entry(room)}"
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    lines = [text, ""]
    for where in _public_names(room).values():
        module = where.rpartition(".")[0]
        style = "google" if " Args:\n" in _file_of(module).read_text(encoding="utf-8") else "numpy"
        lines += [f"::: {_entry(where)}", "    options:", f"      docstring_style: {style}", ""]
    return "\n".join(lines)


def _entry(name: str) -> str:
    """Where the entry of a public name is: of ``kgdyn.koopman.ck_test`` in its file."""
    for _ in range(3):
        room, _, last = name.rpartition(".")
        if not room.startswith("kgdyn") or not _file_of(room).is_file():
            break
        if _file_of(room).name != "__init__.py":
            break
        name = _public_names(room).get(last, name)
    return name.removeprefix("kgdyn.") if name.startswith("kgdyn.integrations") else name


def _link(target: str) -> str:
    name = target.removeprefix("~")
    shown = html.escape(name.rpartition(".")[2] if target != name else name)
    owner, _, member = name.rpartition(".")
    entry = _entry(name)
    if entry == name and member:  # perhaps a method: kgdyn.koopman.KoopmanModel.timescales
        entry = f"{_entry(owner)}.{member}"
    return f'<autoref optional identifier="{html.escape(entry)}"><code>{shown}</code></autoref>'
