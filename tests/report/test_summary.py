"""What the top of the page warns of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kgdyn.baselines._restarts import Restarts
from kgdyn.koopman import count_transitions, one_hot
from kgdyn.report import Findings, kinetics
from kgdyn.report.blocks import Text
from kgdyn.report.summary import warnings_section

AGREE, DISAGREE = Restarts((1.5, 1.5), 0.1, 0), Restarts((1.5, 1.2), 0.1, 1)
WORDS = ("the verdict.", "the scores.", "what restarts did.")


@pytest.mark.parametrize(
    ("status", "restarts", "expected"),
    [
        ("missed", AGREE, "Missed processes: the verdict."),
        ("missed", DISAGREE, "Missed processes: the verdict."),
        ("complete", DISAGREE, "Training: what restarts did."),
        ("complete", AGREE, None),
        ("complete", None, None),
    ],
)
def test_the_verdict_warns_of_what_is_wrong(
    status: str, restarts: Any, expected: str | None, findings: Findings
) -> None:
    """Not that nothing is missing, where only the restarts disagree."""
    verdict = findings.verdict
    assert verdict is not None
    verdict = replace(verdict, status=status, restarts=restarts, words=WORDS)
    section = warnings_section(replace(findings, verdict=verdict, notes=()))
    if expected is None:
        assert section is None
        return
    assert section is not None
    (text,) = section.blocks
    assert isinstance(text, Text)
    assert text.items == (expected,)


def test_a_state_that_was_entered_once(findings: Findings) -> None:
    once = count_transitions(one_hot(np.repeat([0, 1], 50), 2))
    verdict = replace(findings.verdict, status="complete", restarts=None)  # type: ignore[type-var]
    validation = replace(findings.validation, transitions=once)
    section = warnings_section(replace(findings, verdict=verdict, validation=validation, notes=()))
    assert section is not None
    (text,) = section.blocks
    assert isinstance(text, Text)
    assert text.items == (f"Few events: {once.note}",)
    table = kinetics._times_table(replace(findings, validation=validation))
    assert [row[-3:] for row in table.rows] == [("0", "1", "1"), ("1", "0", "1")]
