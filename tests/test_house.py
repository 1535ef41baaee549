"""The rules of the house, kept by a test: who imports whom, what is installed, what is banned."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import kgdyn

ROOT = Path(__file__).resolve().parents[1]
ROOMS = sorted(path.name for path in (ROOT / "kgdyn").iterdir() if (path / "__init__.py").is_file())
LIBRARY = sorted([*(ROOT / "kgdyn").rglob("*.py"), *(ROOT / "integrations").rglob("*.py")])
EVERY_FILE = sorted([*LIBRARY, *(ROOT / "tests").rglob("*.py"), *(ROOT / "examples").rglob("*.py")])

# Which rooms each room may import, besides itself.
MAY_IMPORT = {
    "frames": set(),
    "elements": set(),
    "_threads": set(),
    "_atomic": set(),
    "trajectories": {"frames", "elements"},
    "graphs": {"frames", "_threads"},
    "layers": {"_threads"},
    # The last layer is found by Koopman analysis; a model file names its loss and metric.
    "models": {"layers", "koopman", "scores", "novelty"},
    "scores": {"koopman"},
    "training": {
        *("models", "scores", "graphs", "trajectories", "elements", "frames", "_atomic", "novelty"),
    },
    "koopman": {"frames"},
    "selection": {"training", "models", "koopman", "trajectories", "frames", "_atomic"},
    "baselines": {"graphs", "trajectories", "koopman", "elements", "frames"},
    "novelty": {"graphs", "frames", "elements"},
    "live": {
        *("training", "models", "koopman", "graphs", "novelty", "trajectories", "elements"),
        *("frames", "_atomic"),
    },
    "observables": {"koopman", "trajectories", "elements", "frames", "_threads"},
    "explain": {
        *("models", "layers", "training", "scores", "graphs", "koopman", "trajectories"),
        *("observables", "elements", "frames"),
    },
    "exports": {"trajectories", "koopman", "observables", "elements", "frames", "_atomic"},
    "plots": {
        *("koopman", "selection", "observables", "explain", "trajectories", "elements", "_atomic"),
    },
    "report": {
        *("koopman", "baselines", "observables", "explain", "exports", "plots"),
        *("trajectories", "elements", "_atomic"),
    },
    "toys": {"frames"},
}
KERAS_ROOMS = {"layers", "models", "scores", "training", "live", "explain", "cli"}
# Only in these rooms; None: anywhere. The second: only inside of functions.
FOREIGN: dict[str, tuple[set[str] | None, bool]] = {
    "keras": (KERAS_ROOMS, False),
    "tensorflow": (KERAS_ROOMS, False),
    "MDAnalysis": ({"trajectories", "integrations.mdanalysis"}, False),
    "pymatgen": ({"trajectories"}, False),
    "ase": ({"trajectories", "exports", "plots"}, False),
    "deeptime": (None, True),
    "dask": ({"integrations.mdanalysis"}, True),
    "lammps": ({"integrations.lammps"}, False),
    "matplotlib": ({"plots", "report", "cli"}, True),
    # What is done for every edge: the search for neighbours, the convolution.
    "numba": ({"graphs", "layers", "observables"}, False),
}
HEAVY = (
    "tensorflow", "keras", "MDAnalysis", "deeptime", "lammps", "matplotlib", "pymatgen", "ase",
)  # fmt: skip


_PAGE_PARTS = (".html", ".css", ".js")


class Import(NamedTuple):
    path: Path
    line: int
    module: str  # as it is written: "kgdyn.graphs", "numpy.typing"
    names: tuple[str, ...]  # what is taken from it; empty for "import module"
    in_function: bool
    for_types: bool  # under "if TYPE_CHECKING:"

    @property
    def place(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.module}"


def imports(path: Path) -> Iterator[Import]:
    """Every import of a file, wherever it stands."""

    def walk(node: ast.AST, in_function: bool, for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(path, child.lineno, alias.name, (), in_function, for_types)
            elif isinstance(child, ast.ImportFrom):
                names = tuple(alias.name for alias in child.names)
                module = "." * child.level + (child.module or "")
                yield Import(path, child.lineno, module, names, in_function, for_types)
            else:
                function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                yield from walk(child, in_function or function, for_types or types)

    yield from walk(ast.parse(path.read_text()), False, False)


def room_of_file(path: Path) -> str:
    """ "graphs" of kgdyn/graphs/_ties.py, "integrations.lammps", "kgdyn" of its __init__."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] == "integrations":
        return ".".join(part for part in parts[:-1])
    return parts[1] if parts[1] != "__init__" else "kgdyn"


def room_of_module(module: str, names: tuple[str, ...]) -> set[str]:
    """Rooms of this package that an import statement reaches."""
    parts = module.split(".")
    if parts[0] != "kgdyn":
        return set()
    if len(parts) > 1:
        return {parts[1]}
    return {
        name if name in {*ROOMS, "frames", "elements", "integrations"} else "" for name in names
    }


ALL_IMPORTS = [found for path in LIBRARY for found in imports(path)]


def test_the_walk_finds_what_it_should(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        "import a.b\n"
        "if TYPE_CHECKING:\n    from c import d, e\n"
        "class F:\n    def g(self):\n        try:\n            import h\n        except: pass\n"
        "from .i import j\n"
    )
    found = [item[2:] for item in imports(path)]
    assert found == [
        ("a.b", (), False, False),
        ("c", ("d", "e"), False, True),
        ("h", (), True, False),
        (".i", ("j",), False, False),
    ]
    assert len(ALL_IMPORTS) > 300
    assert {room_of_file(item.path) for item in ALL_IMPORTS} >= {*ROOMS, "frames", "kgdyn"}


def test_every_room_is_in_the_table() -> None:
    files = {path.stem for path in (ROOT / "kgdyn").glob("*.py")} - {"__init__"}
    assert {*ROOMS, *files} == {*MAY_IMPORT, "cli"}


def test_rooms_import_only_those_before_them() -> None:
    wrong = []
    for item in ALL_IMPORTS:
        room = room_of_file(item.path)
        if room in ("kgdyn", "cli") or room.startswith("integrations"):
            continue
        for other in room_of_module(item.module, item.names) - {room}:
            if other not in MAY_IMPORT[room]:
                wrong.append(f"{item.place} ({room} may import {sorted(MAY_IMPORT[room])})")
    assert not wrong, "\n".join(wrong)


def test_imports_are_absolute() -> None:
    assert not [item.place for item in ALL_IMPORTS if item.module.startswith(".")]


def test_the_package_itself_imports_its_rooms_for_types_only() -> None:
    wrong = [
        item.place
        for item in ALL_IMPORTS
        if room_of_file(item.path) == "kgdyn"
        and item.module.startswith("kgdyn")
        and not item.for_types
    ]
    assert not wrong, "\n".join(wrong)


def test_integrations_are_imported_by_commands_only_when_they_run() -> None:
    wrong = [
        item.place
        for item in ALL_IMPORTS
        if "integrations" in room_of_module(item.module, item.names)
        and not room_of_file(item.path).startswith("integrations")
        and not (room_of_file(item.path) == "cli" and item.in_function)
    ]
    assert not wrong, "\n".join(wrong)


def test_integrations_use_public_names() -> None:
    """From kgdyn or one of its rooms, and a name that the room gives out."""
    wrong = []
    for item in ALL_IMPORTS:
        if not room_of_file(item.path).startswith("integrations"):
            continue
        if not item.module.startswith("kgdyn") or item.module.startswith("kgdyn.integrations"):
            continue
        public = set(importlib.import_module(item.module).__all__)
        depth = item.module.count(".")
        if depth > 1 or not item.names or not public.issuperset(item.names):
            wrong.append(f"{item.place} {item.names}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", FOREIGN)
def test_foreign_packages_stay_where_they_belong(package: str) -> None:
    rooms, inside = FOREIGN[package]
    wrong = []
    for item in ALL_IMPORTS:
        if item.module.split(".")[0] != package:
            continue
        elsewhere = rooms is not None and room_of_file(item.path) not in rooms
        at_once = inside and not (item.in_function or item.for_types)
        if elsewhere or at_once:
            wrong.append(item.place)
    assert not wrong, "\n".join(wrong)


def test_only_the_compiled_search_knows_numba() -> None:
    found = {item.path.name for item in ALL_IMPORTS if item.module.split(".")[0] == "numba"}
    assert found
    assert all(name.startswith("_compiled") for name in found), sorted(found)


# --- what importing does ------------------------------------------------------------------------


def loaded_by(statement: str) -> set[str]:
    """Which of the heavy packages a fresh Python has loaded after a statement."""
    script = f"import sys; {statement}; print(*sorted(set(sys.modules) & {set(HEAVY)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import kgdyn",
        "import kgdyn.frames, kgdyn.elements",
        "import kgdyn.trajectories",
        "import kgdyn.graphs",
        "import kgdyn.koopman, kgdyn.plots, kgdyn.toys, kgdyn.baselines",
        "import kgdyn.explain, kgdyn.exports, kgdyn.report",
        "import kgdyn.cli.app",
        "import kgdyn.integrations.lammps",
        "import kgdyn; kgdyn.Trajectory; kgdyn.Frame; kgdyn.lagged_pairs",
    ],
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    assert loaded_by(statement) == set()


def test_every_public_name_resolves() -> None:
    assert kgdyn.__all__
    for name in kgdyn.__all__:
        assert getattr(kgdyn, name) is not None, name
        assert name in dir(kgdyn)
    assert len(set(kgdyn.__all__)) == len(kgdyn.__all__)
    with pytest.raises(AttributeError, match="module 'kgdyn' has no attribute 'nonsense'"):
        kgdyn.nonsense  # noqa: B018


def test_public_names_are_those_told_to_the_type_checker() -> None:
    told = {
        name
        for item in ALL_IMPORTS
        if room_of_file(item.path) == "kgdyn" and item.for_types
        for name in item.names
    }
    assert {*told, "__version__"} - {"Any"} == set(kgdyn.__all__)


@pytest.mark.parametrize("room", [*MAY_IMPORT, "integrations.lammps", "integrations.mdanalysis"])
def test_rooms_name_what_they_give_out(room: str) -> None:
    module = importlib.import_module(f"kgdyn.{room}")
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None, name
        assert not name.startswith("_")


# --- what is banned -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_library_code_keeps_the_rules(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    modules = {item.module.split(".")[0] for item in imports(path)}
    assert not modules & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    for word in ("TODO", "FIXME", "XXX", "allow_pickle=True"):
        assert word not in text, word
    if path.name != "__init__.py" or text.strip():
        assert ast.get_docstring(tree), "a module says what it is for"
        assert "\t" not in text


def test_no_file_is_too_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in EVERY_FILE
    }
    assert len(lengths) > 100
    assert not {name: length for name, length in lengths.items() if length > 500}


# --- what is installed --------------------------------------------------------------------------


def folders_with_code() -> set[str]:
    found = {path.parent for path in LIBRARY if path.name == "__init__.py"}
    return {
        ".".join(path.relative_to(ROOT).parts).replace("integrations", "kgdyn.integrations", 1)
        for path in found
    }


def test_the_list_of_packages_is_that_of_the_folders() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert set(settings["packages"]) == folders_with_code()
    assert settings["packages"] == sorted(settings["packages"])
    assert settings["package-dir"] == {"kgdyn.integrations": "integrations"}
    without = {path.parent for path in LIBRARY if not (path.parent / "__init__.py").is_file()}
    assert not without


def missing_to_build() -> str:
    """Why no wheel can be built here, or nothing."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = settings["build-system"]["requires"] + ["build>=1.0"]
    for name, needed in (requirement.split(">=") for requirement in wanted):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return f"{name} is not installed"
        if int(version.split(".")[0]) < int(needed.split(".")[0]):
            return f"{name} {version} is older than {needed}"
    return ""


@pytest.mark.slow
def test_a_wheel_holds_every_module(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    missing = missing_to_build()
    if missing:
        if request.config.getoption("--require-all"):
            pytest.fail(f"--require-all: {missing}")
        pytest.skip(missing)
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("kgdyn", "integrations"):
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (wheel,) = (source / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        assert f"Version: {kgdyn.__version__}" in archive.read(metadata).decode()
    page = [path for path in (ROOT / "kgdyn" / "report").iterdir() if path.suffix in _PAGE_PARTS]
    expected = {path.relative_to(ROOT).as_posix() for path in [*LIBRARY, *page]}
    expected = {f"kgdyn/{name}" if name.startswith("integrations/") else name for name in expected}
    assert held == expected
