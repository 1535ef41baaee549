"""Two MPI ranks: the same numbers as from the dump, and both end when one does."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

pytestmark = [pytest.mark.lammps, pytest.mark.slow]

LONG = 900.0

# What each rank runs: a whole run with states given back, a stop, an error on rank 0, and what
# is refused when attaching.
SCRIPT = """
import sys
import numpy as np
from mpi4py import MPI
from kgdyn.integrations.lammps import StateMonitor, new_lammps

model_path, folder, system = sys.argv[1:]
rank = MPI.COMM_WORLD.Get_rank()


class Keep:
    def __init__(self, on_write=lambda frame: None):
        self.steps, self.states, self.images, self.on_write = [], [], [], on_write

    def open(self, *_):
        pass

    def write(self, states, frame, statistics):
        self.on_write(frame)
        self.steps.append(frame.step)
        self.states.append(states.state_probabilities)
        self.images.append(frame.images)

    def close(self):
        pass


def say(*words):
    sys.stdout.write(f"rank {rank}: " + " ".join(map(str, words)) + "\\n")
    sys.stdout.flush()


def monitor(sink, **options):
    given = {"targets": "element Li", "elements": ["Li", "S"], "every": 20, "sinks": [sink]}
    return StateMonitor(model_path, **{**given, **options})


keep, lmp = Keep(), new_lammps()
lmp.commands_string(open(system).read())
with monitor(keep, write_back="wait").attach(lmp) as first:
    lmp.commands_string(
        f"dump d all custom 20 {folder}/mpi.dump id type x y z ix iy iz\\n"
        "dump_modify d sort id units yes time yes format float %.15g\\n"
        f"dump c all custom 20 {folder}/colored.dump id i_kgdyn_state d2_kgdyn_p[1]\\n"
        "dump_modify c sort id"
    )
    lmp.command("run 300")
    lmp.command("undump d")
    lmp.command("undump c")
if rank == 0:
    np.savez(f"{folder}/live.npz", steps=keep.steps, states=keep.states, images=keep.images)
    assert first.statistics.n_frames == 16
say("atoms here", lmp.extract_setting("nlocal") < 32)

holder = []
stopping = Keep(lambda frame: holder[0].stop("enough") if frame.step >= 340 else None)
with monitor(stopping).attach(lmp) as second:
    holder.append(second)
    lmp.command("run 100000000")
    say("stopped", lmp.extract_global("ntimestep") < 100000000)
    lmp.command("run 40")


def broken(frame):
    raise KeyError("on rank 0")


before = lmp.extract_global("ntimestep")
try:
    with monitor(Keep(broken)).attach(lmp):
        lmp.command("run 100000000")
        say("not here")
except Exception as error:
    say("raised", type(error).__name__, error)
lmp.command("run 10")
say("and on", lmp.extract_global("ntimestep") < before + 100000000)
try:
    monitor(Keep(), elements=["S", "Li"]).attach(lmp)
except Exception as error:
    say("refused", type(error).__name__, str(error)[-17:])
lmp.close()
"""


@pytest.fixture
def mpiexec(request: pytest.FixtureRequest, new_lammps: Callable[..., Any]) -> str:
    found = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None or importlib.util.find_spec("mpi4py") is None:
        if request.config.getoption("--require-all"):
            pytest.fail("--require-all: mpiexec or mpi4py is missing")
        pytest.skip("mpiexec or mpi4py is missing")
    return found


def test_two_ranks(
    mpiexec: str, model: Any, offline: Any, tmp_path: Path, tilted_commands: str
) -> None:
    model.save(tmp_path / "model.keras")
    (tmp_path / "in.system").write_text(tilted_commands)
    (tmp_path / "ranks.py").write_text(SCRIPT)
    done = subprocess.run(
        [mpiexec, "-n", "2", sys.executable, "ranks.py", "model.keras", ".", "in.system"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LONG,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = {
        rank: [line[8:] for line in done.stdout.splitlines() if line.startswith(f"rank {rank}: ")]
        for rank in (0, 1)
    }
    same = ["atoms here True", "stopped True"]
    assert said[0] == [
        *same,
        "raised KeyError 'on rank 0'",
        "and on True",
        "refused ValueError those of elements",
    ]
    assert said[1] == [
        *same,
        "raised RuntimeError the monitor stopped on rank 0: KeyError: 'on rank 0'",
        "and on True",
        "refused RuntimeError those of elements",
    ]
    live = np.load(tmp_path / "live.npz")
    steps, probabilities, chunk = offline(tmp_path / "mpi.dump")
    assert live["steps"].tolist() == steps == list(range(0, 301, 20))
    assert_allclose(live["states"], probabilities, rtol=0, atol=1e-6)
    assert_array_equal(live["images"], chunk.images)
    frames = (tmp_path / "colored.dump").read_text().split("ITEM: TIMESTEP\n")[1:]
    colored = np.array([np.loadtxt(frame.splitlines()[8:]) for frame in frames])
    targets = np.flatnonzero(types_in(tmp_path / "mpi.dump") == 1)
    assert_array_equal(colored[:, targets, 1], probabilities.argmax(axis=2))
    assert_allclose(colored[:, targets, 2], probabilities[:, :, 0], rtol=0, atol=1e-5)


def types_in(path: Path) -> Any:
    """Types of the atoms in order of ids, from the first frame."""
    rows = path.read_text().split("ITEM: ATOMS")[1].split("ITEM:")[0].splitlines()[1:]
    return np.array([int(row.split()[1]) for row in rows])
