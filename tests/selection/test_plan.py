"""A plan is checked before anything is read or trained."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kgdyn.selection import SelectionPlan, Task
from kgdyn.training import TrainingSettings


def plan(**changes: Any) -> SelectionPlan:
    return SelectionPlan(
        **{"lagtimes": (1, 2, 5, 10), "n_states": (3, 2), "n_neighbors": 4} | changes
    )


def test_values_are_sorted_and_the_middle_lag_time_trains() -> None:
    assert plan().n_states == (2, 3)
    assert plan().train_lagtime == 2
    assert plan(lagtimes=(10, 5, 1)).train_lagtime == 5
    assert plan(train_lagtime=10).train_lagtime == 10


def test_tasks_go_breadth_first_and_restarts_differ_by_seed() -> None:
    made = plan(n_restarts=2, n_folds=2, settings=TrainingSettings(seed=7, restarts=9))
    tasks = list(made.tasks())
    assert len(tasks) == len(set(tasks)) == 8
    assert tasks[:3] == [Task(2, 1, 1), Task(2, 2, 1), Task(3, 1, 1)]
    assert tasks[4].restart == 2
    seeds = {made.settings_of(task).seed for task in tasks}
    assert len(seeds) == 2
    assert made.settings_of(tasks[0]) == TrainingSettings(seed=7)
    assert Task(2, 1, 3).folder == "states-2/fold-1/restart-3"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lagtimes": ()}, "lagtimes: at least one value is needed, received none"),
        ({"n_states": ()}, "n_states: at least one value is needed, received none"),
        ({"lagtimes": (0, 1)}, "lagtimes must be at least 1, received 0"),
        ({"n_states": (1, 2)}, "n_states must be at least 2, received 1"),
        ({"n_states": (2, 2)}, r"n_states must hold each value once, received \[2, 2\]"),
        ({"train_lagtime": 3}, r"must be one of lagtimes \[1, 2, 5, 10\], received 3"),
        ({"n_restarts": 0}, "restarts must be at least 1, received 0"),
        ({"n_folds": 1}, r"folds must be at least 2 .*, received 1"),
    ],
)
def test_refusals(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan(**changes)
    with pytest.raises(TypeError, match=r"lagtimes must be whole numbers, received 1\.5"):
        plan(lagtimes=(1.5,))


def test_a_description_tells_plans_apart() -> None:
    first = plan().describe([])
    assert json.loads(json.dumps(first)) == first
    others = [
        plan(n_neighbors=5),
        plan(lagtimes=(1, 2, 5)),
        plan(n_folds=4),
        plan(n_restarts=4),
        plan(model_options={"n_features": 8}),
        plan(settings=TrainingSettings(epochs=3)),
        plan(validation_share=0.2),
    ]
    assert all(other.describe([]) != first for other in others)
    same = plan(settings=TrainingSettings(checkpoint_every=1.0, cache=True, restarts=5))
    assert same.describe([]) == first
