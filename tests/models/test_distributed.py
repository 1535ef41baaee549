"""Training on two replicas, and by two workers, is training on one device."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parent / "helpers" / "train_distributed.py"
LAUNCH = [sys.executable, "-c", "from kgdyn.cli.app import app; app()", "launch"]
TIMEOUT = 1200.0  # that of a hang: a slow machine needs many times the usual minute
Results = dict[str, Any]
Read = Callable[[str, str], Results]


def run(command: list[str], folder: Path) -> None:
    """Run a program to its end; after a time end it, with all that it started, and show it."""
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "2", "TF_NUM_INTEROP_THREADS": "2"}
    environment.pop("TF_CONFIG", None)
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        try:
            code: int | str = process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            process.wait(30.0)
            code = f"none, it ran for {TIMEOUT} s"
    if code != 0:
        shown = [path.read_text(errors="replace")[-4000:] for path in sorted(folder.glob("*o*"))]
        pytest.fail(f"exit code {code}:\n" + "\n".join(shown))


def reader(path: Path) -> Read:
    """Function of kind and case: what the program found."""
    values = np.load(path)

    def read(kind: str, case: str) -> Results:
        start = f"{kind}|{case}|"
        found = {name[len(start) :]: values[name] for name in values if name.startswith(start)}
        assert found
        return found

    return read


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Read:
    folder = tmp_path_factory.mktemp("mirrored")
    one = "one:paper,released"
    two = "mirrored:paper,released,float16,overflow of one"
    run([sys.executable, str(PROGRAM), str(folder / "found.npz"), one, two], folder)
    return reader(folder / "found.npz")


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> list[Read]:
    folder = tmp_path_factory.mktemp("workers")
    found = str(folder / "found_{worker}.npz")
    command = [sys.executable, str(PROGRAM), found, "workers:paper,skip released"]
    run([*LAUNCH, "--workers", "2", "--log-folder", str(folder), "--", *command], folder)
    return [reader(folder / f"found_{index}.npz") for index in range(2)]


def assert_same(found: Results, expected: Results, start: str, rtol: float, atol: float) -> None:
    names = [name for name in expected if name.startswith(start)]
    assert names
    for name in names:
        np.testing.assert_allclose(found[name], expected[name], rtol=rtol, atol=atol, err_msg=name)


@pytest.mark.parametrize("kind", ["mirrored", "workers"])
def test_training_is_that_of_one_device(
    kind: str, mirrored: Read, workers: list[Read], request: pytest.FixtureRequest
) -> None:
    """Also with a last batch of one pair, of which the second replica gets nothing."""
    expected = mirrored("one", "paper")
    found = mirrored(kind, "paper") if kind == "mirrored" else workers[0](kind, "paper")
    assert found.keys() == expected.keys()
    assert_same(found, expected, "step", rtol=0.0, atol=1e-5)
    assert_same(found, expected, "epochs", rtol=0.0, atol=1e-4)
    # Losses and scores are shown as on one device, not as the share of a replica.
    assert_same(found, expected, "history", rtol=0.0, atol=1e-4)
    assert_same(found, expected, "evaluate", rtol=0.0, atol=1e-4)
    assert_same(found, expected, "simplex map", rtol=1e-3, atol=1e-4)
    assert_same(found, expected, "predict", rtol=0.0, atol=1e-4)
    assert found["iterations"] == expected["iterations"] == 1 + 3 * 3
    assert np.ptp(expected["predict"][:, 0]) > 0.1
    # All rows, in the order of the frames.
    np.testing.assert_allclose(found["predict"], found["call"], rtol=0.0, atol=1e-5)


def test_the_test_would_see_a_difference(mirrored: Read) -> None:
    """Weights move in one step by a hundred times the tolerance."""
    found = mirrored("one", "paper")
    step = [value for name, value in found.items() if name.startswith("step")]
    epochs = [value for name, value in found.items() if name.startswith("epochs")]
    moved = [np.abs(a - b).max() for a, b in zip(step, epochs, strict=False)]
    assert np.median(moved) > 1e-3


def test_workers_are_bit_identical(workers: list[Read]) -> None:
    for case in ("paper", "skip released"):
        first, second = (read("workers", case) for read in workers)
        assert first.keys() == second.keys()
        for name in first:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_batch_normalization_sees_all_replicas(mirrored: Read) -> None:
    expected, found = mirrored("one", "released"), mirrored("mirrored", "released")
    assert_same(found, expected, "statistics", rtol=1e-5, atol=1e-6)
    assert_same(found, expected, "weight", rtol=0.0, atol=1e-5)
    assert_same(found, expected, "history", rtol=0.0, atol=1e-4)
    initial = [np.isin(value, (0.0, 1.0)).all() for name, value in found.items() if "stat" in name]
    assert not any(initial)


def test_a_batch_with_nan_on_one_worker_is_skipped_by_all(workers: list[Read]) -> None:
    found = workers[1]("workers", "skip released")
    clean = [key for key in found if key.startswith("clean")]
    assert {key.split()[1] for key in clean} == {"weight", "optimizer", "history", "warnings"}
    for key in clean:
        if "skipped" in key or "warnings" in key:
            continue
        other = found[key.replace("clean", "spoiled")]
        exact = 0.0 if "history" not in key else 1e-6
        np.testing.assert_allclose(other, found[key], rtol=exact, atol=0.0, err_msg=key)
    assert found["clean history skipped_batches"] == [0]
    assert found["spoiled history skipped_batches"] == [1]
    assert len(found["clean warnings"]) == 0
    (message,) = found["spoiled warnings"]
    assert message.startswith("epoch 1: 1 batch was skipped")


def test_float16_finds_its_scale_on_two_replicas(mirrored: Read) -> None:
    found = mirrored("mirrored", "float16")
    assert found["scale"] < 2.0**20  # of 2**40
    assert 3 <= found["iterations"] < 40
    assert found["moved"] > 0.8
    assert all(np.isfinite(found[name]).all() for name in found)
    assert found["history loss"][-1] < found["history loss"][0] - 0.05
    assert not found["history skipped_batches"].any()  # how the scale is found is not told


def test_overflow_of_one_replica_is_seen_by_all(mirrored: Read) -> None:
    """The step with 6e4 on the second replica is skipped, and the scale is halved."""
    found = mirrored("mirrored", "overflow of one")
    assert found["scale"] == 512.0
    assert found["iterations"] == 1
    # The other step: w - 0.5 d(mean over all replicas of w)/dw.
    np.testing.assert_allclose(found["weight"], [[-0.5]], rtol=1e-3)
