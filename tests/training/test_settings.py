"""Settings are checked; the learning rate follows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from kgdyn.training import Restart, TrainingSettings, best_restart
from kgdyn.training._value_types import typed, words
from kgdyn.training.description import differences
from kgdyn.training.objectives import loss_and_metric
from kgdyn.training.optimizers import learning_rate_schedule, make_optimizer
from kgdyn.training.restarts import restart_seed


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("epochs", 0, ValueError, "epochs must be at least 1, received 0"),
        ("batch_size", 2.5, TypeError, "batch_size must be a whole number, received 2.5"),
        ("stride", True, TypeError, "stride must be a whole number, received True"),
        ("restarts", 0, ValueError, "restarts must be at least 1, received 0"),
        ("patience", -1, ValueError, "patience must be at least 1, received -1"),
        ("learning_rate", 0.0, ValueError, "learning_rate must be positive, received 0.0"),
        ("learning_rate", "high", TypeError, "learning_rate must be a number, received 'high'"),
        ("learning_rate", np.inf, ValueError, "learning_rate must be finite, received inf"),
        ("warmup", 11, ValueError, "warmup must not be longer than the 10 epochs, received 11.0"),
        ("clipnorm", -1.0, ValueError, "clipnorm must not be negative, received -1.0"),
        ("seed", -1, ValueError, "seed must not be negative, received -1"),
        ("checkpoint_every", -1, ValueError, "checkpoint_every must not be negative"),
        ("schedule", "step", ValueError, r"schedule must be one of \('cosine', .*'step'"),
        ("optimizer", "lion", ValueError, r"optimizer must be one of \('adam', .*'lion'"),
        ("precision", "float8", ValueError, r"precision must be one of \('float32', .*'float8'"),
        ("score", "VAMP3", ValueError, r"score must be one of \('VAMP1', .*'VAMP3'"),
        ("xla", 1, TypeError, "xla must be true or false, received 1"),
    ],
)
def test_bad_settings(name: str, value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TrainingSettings(**{name: value})


def test_numbers_become_plain() -> None:
    settings = TrainingSettings(epochs=np.int64(3), learning_rate=np.float32(0.5), clipnorm=1)
    assert [type(value) for value in (settings.epochs, settings.learning_rate)] == [int, float]
    assert repr(settings.clipnorm) == "1.0"


@pytest.mark.parametrize(
    ("hint", "good", "bad", "text"),
    [
        (int, 3, 3.5, "a whole number"),
        (float | None, None, "x", "a number"),
        (Sequence[str], ["a", "b"], "a", "a list, each a text"),
        (str | list[str] | None, ["a"], [1], "a text or a list, each a text"),
        (bool, False, 0, "true or false"),
    ],
)
def test_values_of_hinted_types(hint: Any, good: Any, bad: Any, text: str) -> None:
    assert typed("x", good, hint) == good
    assert words(hint) == text
    with pytest.raises(TypeError, match=r"x.* must be "):
        typed("x", bad, hint)


def rates(n_batches: int = 10, **settings: Any) -> list[float]:
    chosen = TrainingSettings(**{"epochs": 4, "learning_rate": 0.1, **settings})
    rate = learning_rate_schedule(chosen, n_batches)
    steps = range(4 * n_batches + 1)
    return [float(rate(step)) if callable(rate) else rate for step in steps]


def test_cosine() -> None:
    share = np.arange(41) / 40
    expected = 0.1 * (0.98 * 0.5 * (1.0 + np.cos(np.pi * share)) + 0.02)
    np.testing.assert_allclose(rates(), expected, rtol=1e-5)


def test_constant() -> None:
    assert rates(schedule="constant") == [0.1] * 41


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_warmup_rises_in_a_line(schedule: str) -> None:
    found = rates(schedule=schedule, warmup=1.5)
    np.testing.assert_allclose(found[:16], 0.1 * np.arange(16) / 15, rtol=1e-5, atol=1e-9)
    end = 0.002 if schedule == "cosine" else 0.1
    np.testing.assert_allclose(found[-1], end, rtol=1e-5)
    if schedule == "constant":
        np.testing.assert_allclose(found[15:], 0.1, rtol=1e-6)


@pytest.mark.parametrize(("clipnorm", "expected"), [(2.5, 2.5), (0.0, None)])
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_gradients_are_clipped(name: str, clipnorm: float, expected: float | None) -> None:
    optimizer = make_optimizer(TrainingSettings(optimizer=name, clipnorm=clipnorm), 5)
    assert optimizer.global_clipnorm == expected
    assert type(optimizer).__name__.lower() == name


@pytest.mark.parametrize("score", ["VAMP1", "VAMP2", "VAMPE"])
@pytest.mark.parametrize("reversible", [False, True])
def test_loss_and_metric_are_of_the_same_score(score: str, reversible: bool) -> None:
    loss, metric = loss_and_metric(score, 3, reversible)
    assert (loss.method, loss.reversible) == (metric.method, metric.reversible)
    assert (loss.method, loss.reversible) == (score, reversible)
    assert metric.name == score.lower() + ("_reversible" if reversible else "")


def test_seeds_of_restarts() -> None:
    assert restart_seed(7, 1) == 7
    seeds = {restart_seed(seed, number) for seed in range(20) for number in range(1, 20)}
    assert len(seeds) == 400 - 20
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_best_restart() -> None:
    scores = [float("nan"), 1.2, 1.9, 1.9, 1.5]
    restarts = [Restart(number, 0, score, 1, {}) for number, score in enumerate(scores, 1)]
    assert best_restart(restarts).number == 3
    assert best_restart(restarts[:1]).number == 1


def test_differences() -> None:
    old = {"a": 1, "b": {"c": [1, {"d": 2}], "e": "x"}, "gone": 3}
    new = {"a": 1, "b": {"c": [1, {"d": 4}], "e": "y"}, "new": 5}
    assert differences(old, old) == []
    assert differences(old, new) == [
        "b.c[1].d: 2 there, 4 here",
        "b.e: x there, y here",
        "gone: 3 there, nothing here",
        "new: nothing there, 5 here",
    ]
    assert differences([1], [1, 2]) == [": 1 entries there, 2 here"]
