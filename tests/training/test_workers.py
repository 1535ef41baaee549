"""Which of several workers a process is."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from kgdyn.training.workers import is_chief

TWO = {"worker": ["a:1", "b:1"]}
WITH_CHIEF = {"chief": ["a:1"], "worker": ["b:1", "c:1"]}


@pytest.mark.parametrize(
    ("cluster", "task", "chief"),
    [
        (TWO, ("worker", 0), True),
        (TWO, ("worker", 1), False),
        (WITH_CHIEF, ("chief", 0), True),
        (WITH_CHIEF, ("worker", 0), False),
    ],
)
def test_chief_of_a_cluster(
    cluster: Any, task: tuple[str, int], chief: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"cluster": cluster, "task": {"type": task[0], "index": task[1]}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    assert is_chief() is chief
    # A strategy knows better than the environment.
    spec = SimpleNamespace(as_dict=lambda: cluster)
    resolver = SimpleNamespace(task_type=task[0], task_id=task[1], cluster_spec=lambda: spec)
    monkeypatch.setenv("TF_CONFIG", "")
    assert is_chief(SimpleNamespace(cluster_resolver=resolver)) is chief


@pytest.mark.parametrize("config", [None, "", "{}"])
def test_one_process_is_its_own_chief(config: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("TF_CONFIG", config)
    assert is_chief()


def test_strategies_of_one_process_are_their_own_chief() -> None:
    import tensorflow as tf

    assert is_chief(tf.distribute.get_strategy())
    assert is_chief(tf.distribute.MirroredStrategy(["CPU:0"]))
