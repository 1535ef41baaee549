"""Several workers on this machine: their places, their output, their end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kgdyn.cli._local_workers import launch_local_workers

TELL = "import json, os, sys; config = json.loads(os.environ['TF_CONFIG']); "
KGDYN = [sys.executable, "-c", "from kgdyn.cli.app import app; app()"]


def launched(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KGDYN, "launch", *arguments], capture_output=True, text=True, check=False, timeout=600
    )


def gone(pid: int) -> bool:
    """Whether a process has ended (or waits for its parent to notice)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except OSError:
        return True


def wait_for(path: Path) -> str:
    """What a worker wrote, once it has."""
    for _ in range(600):
        if path.exists() and path.read_text().endswith("\n"):
            return path.read_text()
        time.sleep(0.05)
    raise AssertionError(f"{path} never came")


def sleeper(folder: Path, on_term: str = "") -> str:
    """A worker that writes its number down and sleeps."""
    return (
        f"{TELL}import time, pathlib, signal; {on_term}"
        "index = config['task']['index']; "
        f"pathlib.Path(r'{folder}', f'pid{{index}}').write_text(f'{{os.getpid()}}\\n'); "
    )


def test_every_worker_knows_its_place(tmp_path: Path) -> None:
    code = (
        TELL + f"open(r'{tmp_path}/' + str(config['task']['index']), 'w').write(json.dumps(config))"
    )
    assert launch_local_workers([sys.executable, "-c", code], 3) == 0
    configs = [json.loads((tmp_path / str(index)).read_text()) for index in range(3)]
    addresses = configs[0]["cluster"]["worker"]
    assert len(set(addresses)) == 3
    assert all(address.startswith("127.0.0.1:") for address in addresses)
    for index, config in enumerate(configs):
        assert config["cluster"] == {"worker": addresses}
        assert config["task"] == {"type": "worker", "index": index}


def test_the_chief_is_shown_and_the_others_are_kept(tmp_path: Path) -> None:
    code = TELL + "print('I am', config['task']['index']); print('oh', file=sys.stderr)"
    folder = tmp_path / "logs"
    done = launched("--workers", "3", "--log-folder", str(folder), "--", sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "I am 0\n"
    assert done.stderr == "oh\n"
    assert sorted(path.name for path in folder.iterdir()) == ["worker_1.log", "worker_2.log"]
    assert sorted((folder / "worker_2.log").read_text().split("\n")) == ["", "I am 2", "oh"]


def test_arguments_of_the_program_are_its_own() -> None:
    code = "import sys; print(sys.argv[1:])"
    done = launched("--workers", "1", "--", sys.executable, "-c", code, "--workers", "7", "-q")
    assert done.stdout == "['--workers', '7', '-q']\n"


def test_the_first_failure_ends_all_and_is_told(tmp_path: Path) -> None:
    code = sleeper(tmp_path) + (
        "(print('it was me'), time.sleep(1.0), sys.exit(7)) if index == 2 else time.sleep(60)"
    )
    start = time.monotonic()
    done = launched("--workers", "3", "--", sys.executable, "-c", code)
    assert time.monotonic() - start < 50.0  # the others did not sleep to their end
    assert done.returncode == 7
    assert "worker 2 failed with exit code 7" in done.stderr
    assert "[worker 2] it was me" in done.stderr
    for index in range(3):
        assert gone(int(wait_for(tmp_path / f"pid{index}")))


def test_a_killed_worker_is_a_failure() -> None:
    code = TELL + "os.kill(os.getpid(), 9) if config['task']['index'] == 0 else None"
    assert launch_local_workers([sys.executable, "-c", code], 2) == 128 + 9


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_a_signal_to_the_launcher_ends_all(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    """Also workers that will not hear."""
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN) if os.environ['DEAF'] else None; "
    program = sleeper(tmp_path, deaf) + "time.sleep(60)"
    launcher = subprocess.Popen(
        [*KGDYN, "launch", "--workers", "2", "--", sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "DEAF": "1" if number == signal.SIGTERM else ""},
        start_new_session=True,
        # A shell's background job is deaf to Ctrl-C, and so is all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    pids = [int(wait_for(tmp_path / f"pid{index}")) for index in range(2)]
    launcher.send_signal(number)
    try:
        launcher.communicate(timeout=400)
    finally:
        launcher.kill()
    assert launcher.returncode == code
    assert all(gone(pid) for pid in pids)


def test_a_worker_that_ends_well_early_ends_nothing() -> None:
    code = TELL + "import time; time.sleep(1.0 * config['task']['index']); print('done')"
    assert launch_local_workers([sys.executable, "-c", code], 2) == 0


@pytest.mark.parametrize("command", [[], (), "kgdyn train"])
def test_command_must_be_a_sequence(command: object) -> None:
    with pytest.raises(ValueError, match=r"command must be a program and its arguments.*received"):
        launch_local_workers(command, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("n_workers", [0, -1])
def test_n_workers_must_be_positive(n_workers: int) -> None:
    with pytest.raises(ValueError, match=f"n_workers must be at least 1, received {n_workers}"):
        launch_local_workers(["true"], n_workers)


def test_unknown_program_is_an_error_of_one_line() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        launch_local_workers(["no-such-program"], 2)
    done = launched("--", "no-such-program")
    assert done.returncode == 1
    assert "no-such-program" in done.stderr
    assert "Traceback" not in done.stderr
