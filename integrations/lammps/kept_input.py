"""The LAMMPS input of a finished simulation, kept beside its files: what they are of."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path

__all__ = ["is_simulated", "keep_input"]


def is_simulated(commands: str, kept: Path, files: Iterable[Path]) -> bool:
    """Whether all files are there, made by these commands.

    Raises
    ------
    ValueError
        If a file is there that other commands made, or nobody knows which: nothing that took days
        is written over.
    """
    files = list(files)
    there = [path for path in files if path.is_file()]
    if not there:
        return False
    if not kept.is_file():
        raise ValueError(
            f"{there[-1]}: is there without {kept.name}, the LAMMPS input that tells what it is "
            "of; use another folder"
        )
    pairs = zip_longest(kept.read_text(encoding="utf-8").splitlines(), commands.splitlines())
    for number, (line, wanted) in enumerate(pairs, start=1):
        if line != wanted:
            raise ValueError(
                f"{there[-1]}: is a simulation of other settings; use another folder. "
                f"{kept.name}, line {number}: wanted {_quoted(wanted)}, received {_quoted(line)}"
            )
    return all(path.is_file() for path in files)


def keep_input(commands: str, kept: Path) -> None:
    """Write the commands, all or nothing."""
    partial = kept.with_name(f"{kept.stem}.partial.in")
    partial.write_text(commands, encoding="utf-8")
    partial.replace(kept)


def _quoted(line: str | None) -> str:
    return "nothing" if line is None else repr(line)
