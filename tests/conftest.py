"""Options and fixtures that all tests share."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
# `lmp` and `mpiexec` stand beside Python, also where the environment was not activated.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the slow tests too")
    parser.addoption("--long", action="store_true", help="run those that train for minutes too")
    parser.addoption(
        "--require-all",
        action="store_true",
        help="fail, not skip, where LAMMPS, JAX or ../shared/data is missing",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if "long" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="trains for minutes: run with --long"))
    if config.getoption("--slow"):
        # The longest files first, so that one of several workers does not end on one alone.
        n_slow = Counter(
            item.path
            for item in items
            if "slow" in item.keywords and not item.get_closest_marker("skip")
        )
        items.sort(key=lambda item: ("test_demo.py" not in item.nodeid, -n_slow[item.path]))
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


def _missing(request: pytest.FixtureRequest, reason: str) -> None:
    if request.config.getoption("--require-all"):
        pytest.fail(f"--require-all: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data(request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """Function: path of a file or folder of ../shared/data; skips where it is absent."""

    def find(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.exists():
            _missing(request, f"../shared/data/{name} is not here")
        return path

    return find


@pytest.fixture(scope="session")
def new_lammps(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Function that makes a LAMMPS instance; skips where LAMMPS is not installed."""
    from kgdyn.integrations.lammps import new_lammps as make

    try:
        make().close()
    except ImportError as error:
        _missing(request, str(error))
    return make


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20191)
