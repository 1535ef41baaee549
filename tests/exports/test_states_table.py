"""State probabilities as rows, in memory and as CSV."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import kgdyn.exports.states_table
from kgdyn.exports import states_dataframe, write_states_csv

Make = Callable[..., Any]
COLUMNS = ["frame", "time_ps", "target", "state", "probability"]


def test_rows_by_a_loop(make: Make, states: Any) -> None:
    run = make()[1:]
    table = states_dataframe(run, states[1:], frames=[2, 0])
    wanted = [
        (1 + frame, 0.5 * (1 + frame), target, 1 + state, states[1 + frame, target, state])
        for frame in (2, 0)
        for target in range(3)
        for state in range(3)
    ]
    assert list(table.columns) == COLUMNS
    pd.testing.assert_frame_equal(
        table, pd.DataFrame(wanted, columns=COLUMNS), check_exact=True, check_index_type=False
    )


def test_csv_is_the_same_however_many_rows_at_once(
    make: Make, states: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, done = make(), []
    monkeypatch.setattr(kgdyn.exports.states_table, "_ROWS_AT_ONCE", 27)
    write_states_csv(
        tmp_path / "chi.csv.gz", run, states, progress=lambda *counts: done.append(counts)
    )
    assert done == [(3, 4), (4, 4)]
    read = pd.read_csv(tmp_path / "chi.csv.gz")
    pd.testing.assert_frame_equal(read, states_dataframe(run, states), rtol=1e-14)
    write_states_csv(tmp_path / "none.csv", run, states, frames=[])
    assert (tmp_path / "none.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_one_target_needs_no_axis_of_its_own(make: Make, states: Any) -> None:
    run = make(targets=kgdyn.TargetGroups.from_indices([0]))
    table = states_dataframe(run, states[:, 0])
    np.testing.assert_array_equal(table.probability, states[:, 0].ravel())
    with pytest.raises(ValueError, match=r"toy, frame 0: rows of state_probabilities must sum"):
        states_dataframe(run, 2 * states[:, :1])
