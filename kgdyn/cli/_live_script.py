"""LAMMPS input scripts that stop where a monitor has to be put on or taken off.

A monitor is attached to a system that is complete, before its first ``run``; but a script is one
call for LAMMPS, whose own parser alone knows its loops, variables and conditions. So LAMMPS is
given a copy of the script, in which every ``run`` has a line before it: where the monitor is not on
yet, note the place and jump to an empty file, which is the end of this file. The call returns, the
monitor is attached, and LAMMPS goes on by jumping to a label at that place. Files that are included
are copied in the same way; each ends likewise, and adds its place in the file that included it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["MarkedScript", "logical_lines", "run_script"]

# What ends or changes the system under a monitor, or moves atoms without dynamics.
_WITHOUT_MONITOR = frozenset(
    (
        *("clear", "create_atoms", "delete_atoms", "minimize", "neb", "prd", "read_data"),
        *("read_restart", "replicate", "rerun", "reset_atoms", "reset_timestep", "tad", "temper"),
    )
)
_IN_QUOTES = r"(?<=[\"'])\s*(?:{})\b"
_RUN_IN_IF = re.compile(_IN_QUOTES.format("run"))
_CHANGE_IN_IF = re.compile(_IN_QUOTES.format("|".join(sorted(_WITHOUT_MONITOR))))
_FILE_IN_IF = re.compile(r"(?<=[\"'])\s*(include|jump)\s+([^\s\"'$&]+)")
_QUIT_IN_IF = re.compile(r"""(["']?)\bquit(?:[ \t]+-?\d+)?\1(?=\s|$)""")
# What StateMonitor(write_back=True) gives the atoms: the monitor must be on before it is used.
_STATES = "_kgdyn_"
_NOWHERE, _BETWEEN, _QUIT = "none", "next", "quit"


@dataclass(frozen=True)
class _Place:
    """A line of a copy, with a label behind its marker."""

    file: Path
    kind: str  # "run", "off", "include" (known when it is reached), "after" (an include)
    text: str = ""


def logical_lines(text: str) -> Iterator[str]:
    """Lines as LAMMPS joins them: after ``&`` at the end, and while triple quotes are open."""
    held = ""
    for line in text.splitlines():
        held += line
        if held.rstrip().endswith("&") or held.count('"""') % 2:
            held += "\n"
            continue
        yield held
        held = ""
    if held:
        yield held.rstrip("\n")


class MarkedScript:
    """Copies of an input script and of what it includes, with marks.

    Parameters
    ----------
    path : Path
        The input script.
    folder : Path
        For the copies; must exist. Its path may hold no blanks, quotes, ``$`` or ``&``.

    Raises
    ------
    FileNotFoundError
        If there is no such script.
    ValueError
        For an ``include`` within an ``if`` that has more commands behind it: LAMMPS cannot be
        brought back to the middle of an ``if``.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such input script")
        if re.search(r"[\s\"'$&#]", str(folder)):
            raise ValueError(f"folder must have no blanks, quotes, $ or & in it, received {folder}")
        self.path = path
        self.folder = folder
        self._places: list[_Place] = []
        self._copies: dict[tuple[Path, str], Path] = {}
        self._written: dict[str, Path] = {}
        self._n_files = 0
        self._empty = self._write("empty", "")
        self._leave = self._write("quit", f"variable kgdyn_at string {_QUIT}\n")
        self.top = self._copy(path)

    def kind(self, places: str) -> str:
        """Why LAMMPS stopped at the first of some places: "run", "off" or "include"."""
        return self._place(places.split("_")[0]).kind

    def text(self, places: str) -> str:
        """What stands behind ``include`` at the first place."""
        return self._place(places.split("_")[0]).text

    def resume(self, places: str, included: Path | None = None) -> Path:
        """A file with which LAMMPS goes on: first in the innermost file, then in those around.

        Parameters
        ----------
        places : str
            Those that LAMMPS has noted, from the innermost, joined by ``_``.
        included : Path, optional
            The file to include first, where the innermost is of kind "include".
        """
        first, *outer = places.split("_")
        go_on = f"jump {self._place(first).file} kgdyn_{first}\n"
        if included is not None:
            if not included.is_file():
                raise FileNotFoundError(f"{self.path}: include {included}: there is no such file")
            go_on = self._include(self._copy(included), first) + go_on
        inner = self._write("resume", go_on)
        for name in outer:
            around = self._include(inner, name)
            inner = self._write("resume", f"{around}jump {self._place(name).file} kgdyn_{name}\n")
        return inner

    def _place(self, name: str) -> _Place:
        return self._places[int(name.removeprefix("at"))]

    def _new_place(self, *what: Any) -> str:
        self._places.append(_Place(*what))
        return f"at{len(self._places) - 1}"

    def _write(self, name: str, text: str) -> Path:
        if text not in self._written:
            self._n_files += 1
            self._written[text] = self.folder / f"{self._n_files}_{name}"
            self._written[text].write_text(text)
        return self._written[text]

    def _include(self, path: Path, name: str) -> str:
        """Include a copy; if it ended at a mark, note this place too and end as well."""
        noted = f"variable kgdyn_at string ${{kgdyn_at}}_{name}"
        return (
            f"include {path}\n"
            f'if "${{kgdyn_at}} != {_NOWHERE}" then "{noted}" "jump {self._empty}"\n'
        )

    def _stop(self, condition: str, name: str) -> str:
        """The mark. The first jump after the end of a loop by ``next`` is not made by LAMMPS."""
        end = f'"jump {self._empty}"'
        return (
            f'if "{condition}" then "variable kgdyn_at string {name}" {end}\n'
            f'if "${{kgdyn_at}} != {_NOWHERE}" then "variable kgdyn_at string {_BETWEEN}" {end}\n'
        )

    def _copy(self, original: Path) -> Path:
        text = original.read_text(errors="surrogateescape")
        key = original.resolve(), text  # a script may write another text to the same file
        if key not in self._copies:
            self._n_files += 1
            # Noted before it is written: a script may jump to itself by name.
            self._copies[key] = self.folder / f"{self._n_files}_script"
            marked = "".join(
                self._marked(line, self._copies[key], original) for line in logical_lines(text)
            )
            self._copies[key].write_text(marked, errors="surrogateescape")
        return self._copies[key]

    def _marked(self, line: str, copy: Path, original: Path) -> str:
        words = _words(line)
        command = words[0] if words else ""
        plain = line + "\n"
        uses_states = _STATES in line and not command.startswith("#")
        if command == "run" or uses_states or (command == "if" and _RUN_IN_IF.search(line)):
            name = self._new_place(copy, "run")
            plain = self._stop("${kgdyn_on} == no", name) + f"label kgdyn_{name}\n" + plain
        elif command in _WITHOUT_MONITOR or (command == "if" and _CHANGE_IN_IF.search(line)):
            name = self._new_place(copy, "off")
            plain = self._stop("${kgdyn_on} == yes", name) + f"label kgdyn_{name}\n" + plain
        if command == "quit":
            return self._quit_here()
        if command == "jump" and words[1:] and Path(words[1]).is_file():
            return " ".join(["jump", str(self._copy(Path(words[1]))), *words[2:]]) + "\n"
        if command == "include" and words[1:]:
            return self._marked_include(line, copy)
        if command == "if":
            return self._marked_if(plain, line, copy, original)
        return plain

    def _quit_here(self) -> str:
        """Otherwise LAMMPS would end the whole process, with what is not on disk yet."""
        end = f"jump {self._empty}\n"
        return f"variable kgdyn_at string {_QUIT}\n{end}{end}"

    def _marked_include(self, line: str, copy: Path) -> str:
        """Copied when it is reached: its name may hold variables, the script may write it."""
        text = line.strip().removeprefix("include").split("#")[0].strip()
        name = self._new_place(copy, "include", text)
        return self._stop("yes == yes", name) + f"label kgdyn_{name}\n"

    def _marked_if(self, plain: str, line: str, copy: Path, original: Path) -> str:
        """Files within an ``if`` become their copies; ``quit`` notes that it was reached."""
        found = [match for match in _FILE_IN_IF.finditer(line) if Path(match.group(2)).is_file()]
        leaves = _QUIT_IN_IF.search(line) is not None
        if not found and not leaves:
            return plain
        before = plain[: len(plain) - len(line) - 1]
        for match in found:
            inner = self._copy(Path(match.group(2)))
            old, new = match.group(0), f"{match.group(1)} {inner}"
            line = line.replace(old, new)
            if match.group(1) == "include" and "kgdyn_at" in inner.read_text():
                _refuse_more_behind(line, str(inner), original)
        if leaves:
            line = _QUIT_IN_IF.sub(f'"include {self._leave}"', line)
        name = self._new_place(copy, "after")
        noted = f"variable kgdyn_at string ${{kgdyn_at}}_{name}"
        end = f'"jump {self._empty}"'
        check = f'if "${{kgdyn_at}} != {_NOWHERE}" then '
        return f'{before}{line}\n{check}"{noted}" {end}\n{check}{end}\nlabel kgdyn_{name}\n'


def _words(line: str) -> list[str]:
    """Words of a logical line, without quotes and comments."""
    try:
        return shlex.split(line.replace("&\n", " "), comments=True)
    except ValueError:  # quotes that do not match: LAMMPS will say so
        return line.split()


def _refuse_more_behind(line: str, inner: str, original: Path) -> None:
    words = _words(line)
    place = next(index for index, word in enumerate(words) if inner in word)
    if len(words) > place + 1 and words[place + 1] not in ("elif", "else"):
        raise ValueError(
            f"{original}: an include with a run in it must be the last command of its branch of "
            f"an `if`, received {words[place + 1]!r} behind it"
        )


def run_script(
    lmp: Any,
    script: MarkedScript,
    attach: Callable[[], None],
    detach: Callable[[], None],
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Let LAMMPS execute a script, with a monitor on whenever it runs dynamics.

    Parameters
    ----------
    lmp : lammps.lammps
    script : MarkedScript
        With MPI: each rank its own, of the same input script.
    attach : callable
        Called before a ``run``, if the monitor is not on. Not before there are atoms.
    detach : callable
        Called before what changes the system or is no dynamics, if the monitor is on.
    is_over : callable
        Asked where LAMMPS stops for the monitor; if true, the rest of the script is left out.

    Raises
    ------
    ValueError
        If the first ``run`` stands between the ``next`` and the ``jump`` of a loop.
    """
    lmp.command("variable kgdyn_on string no")
    file = script.top
    while True:
        lmp.command(f"variable kgdyn_at string {_NOWHERE}")
        lmp.file(str(file))
        places = lmp.extract_variable("kgdyn_at")
        if places == _NOWHERE or places.startswith(_QUIT) or is_over():
            return
        if places.startswith(_BETWEEN):
            raise ValueError(
                f"{script.path}: between `next` and its `jump` the monitor can be put neither on "
                "nor off; move the run (or minimize, clear, include ...) before `next`"
            )
        kind, included = script.kind(places), None
        if kind == "off":
            detach()
            lmp.command("variable kgdyn_on string no")
        elif kind == "run" and lmp.extract_setting("box_exist") and lmp.get_natoms() > 0:
            attach()
            lmp.command("variable kgdyn_on string yes")
        elif kind == "include":
            lmp.command(f"variable kgdyn_text string {script.text(places)}")
            included = Path(lmp.extract_variable("kgdyn_text"))
        file = script.resume(places, included)
