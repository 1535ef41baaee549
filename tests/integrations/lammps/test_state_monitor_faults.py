"""What goes wrong beside a real LAMMPS: it is told, the run ends, and what was done is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kgdyn.integrations.lammps import StateMonitor

pytestmark = pytest.mark.lammps

LI_S = ["Li", "S"]
LONG = 600.0


class Broken(Exception):
    """An error that only a test raises."""


def breaks_at(step: int) -> Any:
    def write(frame: Any) -> None:
        if frame.step == step:
            raise Broken(f"at {step}")

    return write


@pytest.mark.parametrize("method", ["command", "commands_string", "file"])
def test_an_error_in_the_analysis_ends_the_run_and_is_raised_by_it(
    li_toy: Any, model: Any, recorder: Any, tmp_path: Path, method: str
) -> None:
    engine, sink = li_toy(), recorder(breaks_at(60))
    script = tmp_path / "in.run"
    script.write_text("run 100000000\n")
    text = str(script) if method == "file" else "run 100000000"
    monitor = StateMonitor(model, "element Li", LI_S, 20, sinks=[sink])
    with monitor.attach(engine):
        with pytest.raises(Broken, match="at 60") as caught:
            getattr(engine, method)(text)
        before = engine.extract_global("ntimestep")
        engine.command("run 50")  # caught, LAMMPS goes on alone
        assert engine.extract_global("ntimestep") == before + 50
        with pytest.raises(Broken, match="at 60"):
            monitor.check()
    assert sink.steps == [0, 20, 40]
    assert sink.closed == 1
    assert any("while step 60 of the simulation was analysed" in x for x in caught.value.__notes__)
    names = [frame.name for frame in caught.traceback]
    assert "write" in names  # where it was raised in the worker
    last = engine.extract_global("ntimestep")
    assert last < 100000000
    engine.command("run 30")  # LAMMPS is fit for more
    assert engine.extract_global("ntimestep") == last + 30


def test_an_error_at_the_last_frame_is_raised_when_leaving(
    li_toy: Any, model: Any, recorder: Any
) -> None:
    go_on = threading.Event()

    def write(frame: Any) -> None:
        assert go_on.wait(LONG)
        raise Broken("late")

    engine, sink = li_toy(), recorder(write)
    monitor = StateMonitor(model, "element Li", LI_S, 20, sinks=[sink])
    monitor.attach(engine)
    engine.command("run 40")
    go_on.set()
    with pytest.raises(Broken, match="late"):
        monitor.detach()
    assert engine.extract_global("ntimestep") == 40
    with pytest.raises(Broken, match="late"):
        monitor.check()
    assert monitor.statistics.n_frames == 1  # of the frame whose sink failed


def test_a_sink_that_cannot_close(li_toy: Any, model: Any, recorder: Any) -> None:
    class Stuck(recorder):  # type: ignore[misc,valid-type]
        def close(self) -> None:
            raise Broken("the disk is full")

    with (
        pytest.raises(Broken, match="the disk is full"),
        StateMonitor(model, "element Li", LI_S, 20, sinks=[Stuck()]).attach(li_toy()) as monitor,
    ):
        monitor.run(20)


def test_a_lammps_error_is_raised_and_the_frames_before_it_are_done(
    li_toy: Any, model: Any, recorder: Any
) -> None:
    engine, sink = li_toy(), recorder()
    commands = "run 40\nchange_box all boundary f p p\nthermo 1\nvelocity li set 9e4 0 0\nrun 30"
    with (
        pytest.raises(Exception, match="Lost atoms"),
        StateMonitor(model, "element Li", LI_S, 20, sinks=[sink]).attach(engine),
    ):
        engine.commands_string(commands)
    assert sink.steps[:3] == [0, 20, 40]
    assert sink.closed == 1


def test_lost_atoms_that_lammps_ignores_are_told_by_id(
    tilted: Any, model: Any, recorder: Any
) -> None:
    engine, sink = tilted(), recorder()
    commands = "run 30\ngroup gone id 5 17\ndelete_atoms group gone compress no\nrun 100000"
    with (
        pytest.raises(ValueError, match=r"step 40: the atoms must stay .*lost: id 5, 17 .32 atoms"),
        StateMonitor(model, "element Li", LI_S, 20, sinks=[sink]).attach(engine),
    ):
        engine.commands_string(commands)
    assert sink.steps == [0, 20]
    assert engine.extract_global("ntimestep") == 40


def test_several_levels_of_time_steps_are_refused(li_toy: Any, model: Any, recorder: Any) -> None:
    """LAMMPS would call back at the set-up of a run only."""
    engine, sink = li_toy(), recorder()
    with StateMonitor(model, "element Li", LI_S, 50, sinks=[sink]).attach(engine):
        engine.command("run 100")
        engine.command("run_style respa 2 4")
        with pytest.raises(ValueError, match="step 100: run_style respa cannot be followed"):
            engine.command("run 100")
    assert sink.steps == [0, 50, 100]


def test_a_target_that_changes_its_element(li_toy: Any, model: Any) -> None:
    with (
        pytest.raises(ValueError, match=r"step 40: types must stay the same .*id 1 had type 1"),
        StateMonitor(model, "element Li", LI_S, 20).attach(li_toy()) as monitor,
    ):
        monitor._lmp.commands_string("run 30\nset atom 1 type 2\nrun 1000")


def test_an_error_of_the_users_own_passes_through(li_toy: Any, model: Any, recorder: Any) -> None:
    sink = recorder()

    def follow() -> None:
        with StateMonitor(model, "element Li", LI_S, 20, sinks=[sink]).attach(li_toy()) as monitor:
            monitor.run(40)
            raise Broken("mine")

    with pytest.raises(Broken, match="mine"):
        follow()
    assert sink.closed == 1
    assert sink.steps == [0, 20, 40]


def test_stop_ends_one_run_from_another_thread(li_toy: Any, model: Any, recorder: Any) -> None:
    engine = li_toy()
    holder: list[StateMonitor] = []
    sink = recorder(lambda frame: holder[0].stop("enough") if frame.step == 60 else None)
    monitor = StateMonitor(model, "element Li", LI_S, 20, sinks=[sink])
    holder.append(monitor)
    with monitor.attach(engine):
        engine.command("run 100000000")
        stopped = engine.extract_global("ntimestep")
        assert monitor.stop_reason == "enough"
        assert 60 <= stopped < 100000000
        engine.command("run 100")
        assert engine.extract_global("ntimestep") == stopped + 100
    assert sink.steps == list(range(0, stopped + 101, 20))


def test_a_stop_between_runs_ends_the_next_at_its_first_frame(li_toy: Any, model: Any) -> None:
    engine = li_toy()
    with StateMonitor(model, "element Li", LI_S, 20).attach(engine) as monitor:
        engine.command("run 50")
        monitor.stop()
        engine.command("run 1000")
        assert engine.extract_global("ntimestep") == 60
        engine.command("run 1000")
        assert engine.extract_global("ntimestep") == 1060
    assert monitor.stop_reason == "stop() was called"


class AfterFrames:
    """Stands in for a Convergence."""

    def __init__(self, n_frames: int) -> None:
        self.n_frames = n_frames

    def met(self, statistics: Any) -> bool:
        return bool(statistics.n_frames >= self.n_frames)

    def describe(self, statistics: Any) -> str:
        return f"{statistics.n_frames} frames"


def test_convergence_ends_the_run_once(li_toy: Any, model: Any) -> None:
    engine = li_toy()
    monitor = StateMonitor(model, "element Li", LI_S, 20, until=AfterFrames(5), check_every=1)
    with monitor.attach(engine):
        engine.command("run 100000000")
        assert 80 <= engine.extract_global("ntimestep") < 100000000
        assert monitor.stop_reason == "converged: 5 frames"
        before = engine.extract_global("ntimestep")
        engine.command("run 100")
        assert engine.extract_global("ntimestep") == before + 100


def test_a_full_queue_that_blocks_loses_nothing(li_toy: Any, model: Any, recorder: Any) -> None:
    slow = threading.Event()
    sink = recorder(lambda frame: slow.wait(0.02))
    monitor = StateMonitor(model, "element Li", LI_S, 10, sinks=[sink], queue_size=1)
    with monitor.attach(li_toy()):
        monitor.run(300)
    assert sink.steps == list(range(0, 301, 10))
    assert monitor.counts.dropped == 0
    assert monitor.handover_seconds > 0.2  # it did wait
    assert sum(states.new_segment for states in sink.states) == 1


def test_a_full_queue_that_drops_splits_the_statistics(
    li_toy: Any, model: Any, recorder: Any
) -> None:
    go_on = threading.Event()
    sink = recorder(lambda frame: go_on.wait(LONG))
    options = {"queue_size": 2, "when_full": "drop_oldest", "sinks": [sink]}
    with StateMonitor(model, "element Li", LI_S, 10, **options).attach(li_toy()) as monitor:
        monitor.run(0)
        while monitor.counts.waiting:  # until the first is at work
            threading.Event().wait(0.01)
        monitor.run(100)
        go_on.set()
    counts = monitor.counts
    assert (counts.taken, counts.done, counts.dropped, counts.waiting) == (11, 3, 8, 0)
    assert sink.steps == [0, 90, 100]
    assert [states.new_segment for states in sink.states] == [True, True, False]
    assert monitor.statistics.n_segments == 2


@pytest.fixture
def usual_interrupts() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("usual_interrupts")
def test_an_interrupt_is_raised_by_the_run_and_what_waits_is_done(
    li_toy: Any, model: Any, recorder: Any
) -> None:
    def interrupt(frame: Any) -> None:
        if frame.step == 60:
            os.kill(os.getpid(), signal.SIGINT)

    engine, sink = li_toy(), recorder(interrupt)
    monitor = StateMonitor(model, "element Li", LI_S, 20, sinks=[sink])
    with pytest.raises(KeyboardInterrupt), monitor.attach(engine):
        engine.command("run 100000000")
    last = engine.extract_global("ntimestep")
    # Heard while LAMMPS was on its way into the callback, it ends the run before that frame.
    assert last - 20 <= sink.steps[-1] <= last
    assert sink.steps == list(range(0, sink.steps[-1] + 1, 20))
    assert sink.closed == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.set_wakeup_fd(-1) == -1
    engine.command("run 30")
    assert engine.extract_global("ntimestep") == last + 30


INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job
from kgdyn.integrations.lammps import StateMonitor, new_lammps
from kgdyn.live import StatesFile
from kgdyn.toys import LiInFccSulfur

lmp = new_lammps()
lmp.commands_string(LiInFccSulfur(temperature=600.0).input_script())
monitor = StateMonitor(
    sys.argv[1], "element Li", ["Li", "S"], 50_000_000, sinks=[StatesFile(sys.argv[2])]
)
try:
    with monitor.attach(lmp):
        print("runs", flush=True)
        lmp.command("run 2000000000")
        print("not here")
except KeyboardInterrupt:
    print("interrupted", lmp.extract_global("ntimestep"), monitor.counts.done, flush=True)
    lmp.command("run 0")
    print("and on", flush=True)
"""


@pytest.mark.slow
def test_ctrl_c_ends_the_run_and_leaves_files_whole(model: Any, tmp_path: Path) -> None:
    from kgdyn.live import read_states

    model.save(tmp_path / "model.keras")
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, tmp_path / "model.keras", tmp_path / "states.h5"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "runs\n"
    time.sleep(2.0)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=LONG)
    assert process.returncode == 0, errors
    said = output.splitlines()
    assert said[0].startswith("interrupted")
    assert said[-1] == "and on"
    step, n_done = map(int, said[0].split()[1:])
    assert 0 < step < 50_000_000  # at once, not at the next frame
    assert len(read_states(tmp_path / "states.h5").steps) == n_done == 1
