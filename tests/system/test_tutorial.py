"""The tutorial, followed to the letter in an empty folder; only shorter."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
SMALLER = {
    "duration=1.0, frame_interval=0.2, seed=2": "duration=0.06, frame_interval=0.2, seed=2",
    "duration=10.0": "duration=1.0",
    "--epochs 5": "--epochs 1",
    "    kgdyn report run1\n": "    kgdyn report run1 --no-masking\n",
}


def programs(text: str) -> Iterator[list[str]]:
    """What to start, in order: Python blocks, and indented commands. Text blocks are output."""
    for fence, language, body, indented in re.findall(
        r"^(```)(\w+)\n(.*?)^```$|((?:^ {4}[^\n]*\n)+)", text, re.DOTALL | re.MULTILINE
    ):
        if indented:
            yield ["bash", "-euc", re.sub("^ {4}", "", indented, flags=re.MULTILINE)]
        elif fence and language == "python":
            yield [sys.executable, "-c", body]


def test_programs_are_found_in_order() -> None:
    text = "a\n\n    one \\\n        two\n\nb\n\n```python\nthree\n```\n\n```text\nfour\n```\n"
    assert list(programs(text)) == [
        ["bash", "-euc", "one \\\n    two\n"],
        [sys.executable, "-c", "three\n"],
    ]


@pytest.mark.slow
@pytest.mark.lammps
def test_tutorial_to_the_letter(new_lammps: Callable[..., Any], tmp_path: Path) -> None:
    text = TUTORIAL.read_text(encoding="utf-8")
    for written, smaller in SMALLER.items():
        assert text.count(written) == 1, written
        text = text.replace(written, smaller)
    started = list(programs(text))
    commands = " ".join(program[-1] for program in started)
    asked = ["inspect", "convert", "train", "validate", "assign", "export", "report", "monitor"]
    assert all(f"kgdyn {name} " in commands for name in asked)
    printed = ""
    for program in started:
        done = subprocess.run(
            program,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "MPLBACKEND": "Agg", "COLUMNS": "100"},
        )
        assert done.returncode == 0, f"{program[-1]}\n{done.stdout}\n{done.stderr}"
        printed += done.stdout
    for name in re.findall(r"`((?:run1|live-validation)/[\w./-]+|\w+\.(?:npy|extxyz|h5))`", text):
        assert (tmp_path / name).is_file(), name
    chi = np.load(tmp_path / "chi.npy")
    assert chi.shape == (5001, 1, 2)
    # Short as all is, the states are the two kinds of holes.
    (share,) = re.findall(r"([\d.]+)% of the frames stand where the model says", printed)
    assert float(share) > 95.0
    assert re.search(r"atoms +\S* ?5: 1 Li, 4 S", printed)
