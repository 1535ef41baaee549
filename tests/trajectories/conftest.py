"""What the tests of readers share: helper modules, and files written for one test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Tests are not a package: their helpers are found here, for the tests of this folder.
sys.path.append(str(Path(__file__).parent / "helpers"))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Function: write text or bytes to a file, run.dump if not named."""

    def write_text(text: str | bytes, name: str = "run.dump") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write_text
