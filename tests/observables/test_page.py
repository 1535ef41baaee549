"""The page of documentation runs from top to bottom, and prints what it says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "observables.md"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:intervals rest on only")
@pytest.mark.filterwarnings("ignore:the data hold only")
def test_docs_observables(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == PAGE.read_text().count("```") // 2 >= 6
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    printed = capsys.readouterr().out
    assert "state 1 (50%): " in printed
    assert "Cluster(n_atoms=" in printed
    order = names["by_state"]
    np.testing.assert_allclose(order.correlation[0, 0], -0.99, atol=0.006)  # type: ignore[attr-defined]
