"""``kgdyn monitor``: any script that LAMMPS runs is followed, and what it reports is on disk."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from kgdyn.cli._live_script import MarkedScript, logical_lines, run_script
from kgdyn.toys import LiInFccSulfur

pytestmark = pytest.mark.lammps

SETUP = LiInFccSulfur(duration=0.01).input_script()
DUMP = "dump d all custom 10 {} id type x y z\ndump_modify d sort id format float %.10g\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """LAMMPS looks for files in the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- scripts ------------------------------------------------------------------------------------


def test_lines_are_joined_as_lammps_does() -> None:
    text = 'run 10 &\n  post no\nprint """\nrun 1\n"""\n# run &\n run 2\nrun 3'
    assert list(logical_lines(text)) == [
        "run 10 &\n  post no",
        'print """\nrun 1\n"""',
        "# run &\n run 2",
        "run 3",
    ]


@pytest.fixture
def followed(new_lammps: Callable[..., Any], folder: Path) -> Callable[[str], list[Any]]:
    """Function: run a script; where a monitor is put on and off, and each step that it sees."""

    def follow(text: str) -> list[Any]:
        (folder / "in.lammps").write_text(text)
        copies = folder / "copies"
        copies.mkdir()
        lmp = new_lammps(["-log", "log.lammps", "-screen", "none"])
        seen: list[Any] = []

        def called(_: Any, step: int, *__: Any) -> None:
            if seen[-1] != step:  # the set-up of a run calls again
                seen.append(step)

        def attach() -> None:
            seen.append("on")
            lmp.command("fix mine all external pf/callback 10 10")
            lmp.set_fix_external_callback("mine", called, None)

        def detach() -> None:
            seen.append("off")
            lmp.command("unfix mine")

        try:
            run_script(lmp, MarkedScript(Path("in.lammps"), copies), attach, detach)
            seen.append(f"end {lmp.extract_global('ntimestep')}")
        finally:
            lmp.close()
        return seen

    return follow


LOOP = """variable i loop 3
label again
run 10 &
  post no
next i
jump SELF again
"""

SCRIPTS: dict[str, tuple[str, list[Any]]] = {
    "one run": ("run 20\n", ["on", 0, 10, 20, "end 20"]),
    "several runs": ("run 10\nvelocity all scale 64\nrun 10\n", ["on", 0, 10, 20, "end 20"]),
    "loop": (LOOP, ["on", 0, 10, 20, 30, "end 30"]),
    "include": ("include run20.in\nrun 10\n", ["on", 0, 10, 20, 30, "end 30"]),
    "include in a loop": (
        LOOP.replace("run 10 &\n  post no", "include outer.in"),
        ["on", *range(0, 70, 10), "end 60"],
    ),
    "include by a variable": (
        "variable n equal 20\ninclude run$n.in # with a comment\nrun 10\n",
        ["on", 0, 10, 20, 30, "end 30"],
    ),
    "include of what the script writes": (
        'print "run 10" file made.in\ninclude made.in\nprint "run 20" file made.in\n'
        "include made.in\n",
        ["on", 0, 10, 20, 30, "end 30"],
    ),
    "include in an if": (
        'if "1 > 2" then "include none.in" else &\n  "include run20.in"\nrun 10\n',
        ["on", 0, 10, 20, 30, "end 30"],
    ),
    "run in an if": ('if "2 > 1" then "run 10" "run 10"\n', ["on", 0, 10, 20, "end 20"]),
    "text that is no run": ('print """\nrun 1000\n"""\nrun 10\n', ["on", 0, 10, "end 10"]),
    "jump to a file by name": (
        "variable i loop 2\nlabel here\nrun 10\nnext i\njump in.lammps here\n",
        ["on", 0, 10, 20, "end 20"],
    ),
    "minimize is left out": (
        "run 10\nminimize 0 0 20 20\nreset_timestep 50\nrun 10\n",
        ["on", 0, 10, "off", "on", 50, 60, "end 60"],
    ),
    "clear": (
        "run 10\nclear\ninclude setup.in\nrun 20\n", ["on", 0, 10, "off", "on", 0, 10, 20, "end 20"]
    ),
    "clear at the top": ("clear\ninclude setup.in\nrun 10\n", ["on", 0, 10, "end 10"]),
    "quit": ("run 10\nquit 1\nrun 10\n", ["on", 0, 10, "end 10"]),
    "quit in an if, in an include": (
        "include quits.in\nrun 1000\n", ["on", 0, 10, "end 10"]
    ),
    "no run": ("print 'nothing'\n", ["end 0"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_followed(
    name: str, folder: Path, followed: Callable[[str], list[Any]]
) -> None:
    text, expected = SCRIPTS[name]
    (folder / "setup.in").write_text(SETUP)
    (folder / "run20.in").write_text("print 'here'\nrun 20\n")
    (folder / "outer.in").write_text("include run20.in\n")
    (folder / "quits.in").write_text("run 10\nif '1 > 0' then quit\nrun 10\n")
    assert followed(SETUP + text) == expected


def test_what_cannot_be_followed_is_refused(
    folder: Path, followed: Callable[[str], list[Any]]
) -> None:
    (folder / "run20.in").write_text("run 20\n")
    refused = 'if "1 > 0" then "include run20.in" "print x"\n'
    with pytest.raises(ValueError, match="must be the last command of its branch of an `if`"):
        followed(SETUP + refused)
    with pytest.raises(ValueError, match="no blanks, quotes, "):
        MarkedScript(folder / "in.lammps", folder / "a b")
    with pytest.raises(FileNotFoundError, match=r"no\.in: there is no such input script"):
        MarkedScript(folder / "no.in", folder)


def test_a_first_run_behind_the_next_of_a_loop_is_refused(
    followed: Callable[[str], list[Any]],
) -> None:
    # Within two rounds, LAMMPS has the jump left out: where the loop ends.
    text = "variable i index 1\nlabel again\nnext i\nrun 10\njump SELF again\n"
    with pytest.raises(ValueError, match="between `next` and its `jump` the monitor"):
        followed(SETUP + text)


def test_an_include_that_is_not_there_is_named(followed: Callable[[str], list[Any]]) -> None:
    with pytest.raises(FileNotFoundError, match=r"in\.lammps: include gone\.in: there is no"):
        followed(SETUP + "include gone.in\n")


# --- the command --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not trained: its states mean nothing, but are as exact as any."""
    import keras

    import kgdyn

    keras.utils.set_random_seed(1)
    options = {"n_neighbors": 4, "n_features": 4, "n_convolutions": 1}
    network = kgdyn.GDyNet(2, [3, 16], **options)
    path = tmp_path_factory.mktemp("model") / "model.keras"
    network.save(path)
    return path


def arguments(model: Path, output: str, *more: str) -> list[str]:
    return [
        *["monitor", "in.lammps", "--model", str(model), "--targets", "element Li"],
        *["--elements", "Li,S", "--every", "10", "--output", output, *more],
    ]


def run_command(words: list[str]) -> Result:
    from kgdyn.cli.app import app

    return CliRunner().invoke(app, words)


@pytest.mark.slow
def test_states_are_those_of_assign_on_the_dump_of_the_same_run(model: Path, folder: Path) -> None:
    from kgdyn.live import read_states

    (folder / "setup.in").write_text(SETUP + DUMP.format("run.lammpstrj"))
    text = "include setup.in\nthermo 10\n" + LOOP.replace("run 10", "run ${steps}")
    (folder / "in.lammps").write_text(text)
    words = arguments(model, "states.h5", "--csv", "states.csv", "--var", "steps=100")
    result = run_command([*words, "--tensorboard", "events"])
    assert result.exit_code == 0, result.output
    assert "31 frames" in result.output
    assert "done at step 300; states are in states.h5" in result.output
    states = read_states("states.h5")
    np.testing.assert_array_equal(states.steps, np.arange(0, 301, 10))
    np.testing.assert_allclose(states.times, states.steps * 1e-3, atol=1e-9)
    assert states.segment_starts.sum() == 1
    done = run_command(
        [
            *["assign", "run.lammpstrj", "--model", str(model), "--targets", "element Li"],
            *["--elements", "Li,S", "--timestep", "0.001", "--output", "chi.npy", "-q"],
        ]
    )
    assert done.exit_code == 0, done.output
    chi = np.load("chi.npy")
    assert np.ptp(chi[:, 0, 0]) > 1e-3
    np.testing.assert_allclose(states.state_probabilities, chi, rtol=0, atol=1e-6)
    assert len((folder / "states.csv").read_text().splitlines()) == 32
    assert list((folder / "events").rglob("events.*"))
    assert "run ${steps}" in (folder / "log.lammps").read_text()

    # The same command again repeats what is known: nothing is counted twice.
    again = run_command(words)
    assert again.exit_code == 0, again.output
    np.testing.assert_array_equal(read_states("states.h5").steps, states.steps)


@pytest.mark.slow
def test_a_run_that_goes_on_from_a_restart_appends(model: Path, folder: Path) -> None:
    from kgdyn.live import read_states

    physics = SETUP[SETUP.index("group li") :].replace("velocity all set 0.0 0.0 0.0\n", "")
    (folder / "setup.in").write_text(SETUP)
    (folder / "go_on.in").write_text("read_restart at.restart\n" + physics)
    choice = 'if "${first} == 1" then "include setup.in" else "include go_on.in"\n'
    end = "run 100\nwrite_restart at.restart\nminimize 0 0 5 5\nrun 0\n"
    (folder / "in.lammps").write_text(choice + end)
    for first, n_frames in ((1, 11), (0, 21)):
        result = run_command(arguments(model, "states.h5", "--var", f"first={first}"))
        assert result.exit_code == 0, result.output
        steps = read_states("states.h5").steps
        regular = steps[steps % 100 <= 100]
        assert len(np.unique(regular)) >= n_frames
        np.testing.assert_array_equal(regular[:11], np.arange(0, 101, 10))
        # A line in the log each minute: none here, but the picture at the end.
        assert f"{len(steps)} frames" in result.output


@pytest.mark.slow
def test_states_are_there_for_the_dumps_of_the_script(model: Path, folder: Path) -> None:
    from kgdyn.live import read_states

    dump = "dump d all custom 10 run.dump id i_kgdyn_state d2_kgdyn_p[2]\ndump_modify d sort id\n"
    (folder / "in.lammps").write_text(SETUP + "minimize 0 0 3 3\n" + dump + "run 30\n")
    result = run_command(arguments(model, "states.h5", "--write-back", "--wait", "-q"))
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in (folder / "run.dump").read_text().splitlines()]
    lithium = [row for row in rows if len(row) == 3 and row[0] == "1"]
    states = read_states("states.h5").state_probabilities[:, 0, 1]
    shown = np.array([float(row[2]) for row in lithium[-len(states) :]])
    np.testing.assert_allclose(shown, states, rtol=1e-4)

    (folder / "in.lammps").write_text(SETUP + dump + "minimize 0 0 3 3\nrun 30\n")
    result = run_command(arguments(model, "other.h5", "--write-back", "-q"))
    assert result.exit_code == 1
    assert "write_back: once the atoms have states, the script may not minimize" in result.output


@pytest.mark.slow
@pytest.mark.parametrize(
    ("thermo", "message"),
    [
        (1, r"in\.lammps: LAMMPS: ERROR: Lost atoms: original 5 current 4"),
        (1000, r"in\.lammps: step 60: the atoms must stay the same .* lost: id 1"),
    ],
    ids=["LAMMPS sees it", "the monitor sees it"],
)
def test_an_error_in_the_run_is_one_line_and_what_was_reported_is_kept(
    thermo: int, message: str, model: Path, folder: Path
) -> None:
    from kgdyn.live import read_states

    lost = "run 50\nchange_box all boundary f f f\nfix push li setforce 1e3 0 0\n"
    (folder / "in.lammps").write_text(SETUP + lost + f"thermo {thermo}\nrun 100000\n")
    result = run_command(arguments(model, "states.h5"))
    assert result.exit_code == 1, result.output
    (line,) = (line for line in result.output.splitlines() if line.startswith("error: "))
    assert re.search(message, line), line
    np.testing.assert_array_equal(read_states("states.h5").steps, np.arange(0, 51, 10))
    assert "ended by an error" in result.output


@pytest.mark.slow
def test_a_run_ends_by_itself_when_it_is_sure_enough(model: Path, folder: Path) -> None:
    from kgdyn.live import read_states

    text = SETUP + "run 1000000\nprint 'the end' file end.txt\nrun 1000000\n"
    (folder / "in.lammps").write_text(text)
    result = run_command(arguments(model, "states.h5", "--until", "population 1 < 0.2", "-q"))
    assert result.exit_code == 0, result.output
    assert "converged: population 1" in " ".join(result.output.replace("│", "").split())
    assert read_states("states.h5").n_frames < 20_000
    # What the script does after the run is done, but nothing is simulated.
    assert (folder / "end.txt").read_text().strip() == "the end"


@pytest.mark.slow
def test_killed_and_begun_again_and_interrupted(model: Path, folder: Path) -> None:
    """After kill -9 what was reported is there; the same command goes on; Ctrl-C ends it well."""
    from kgdyn.live import read_states

    (folder / "in.lammps").write_text(SETUP + "run 1000000000\n")
    table = folder / "states.csv"
    with started(model) as process:
        wait_until(lambda: n_lines(table) > 5, process)
        process.kill()
        process.wait()
    states = read_states("states.h5")
    n_killed = states.n_frames
    assert n_killed >= 4  # the table is written first
    np.testing.assert_array_equal(states.steps, 10 * np.arange(n_killed))

    with started(model) as process:
        wait_until(lambda: n_lines(table) > n_killed + 5, process)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=600)
    assert process.returncode == 130, output
    assert "interrupted: what is on disk is complete" in output
    again = read_states("states.h5")
    np.testing.assert_array_equal(again.steps, 10 * np.arange(again.n_frames))
    np.testing.assert_array_equal(again.state_probabilities[:n_killed], states.state_probabilities)
    assert again.segment_starts.sum() == 1  # the same simulation, without a gap
    lines = table.read_text().splitlines()[1:]
    # The table may lack what was in the file when the run was killed.
    steps = [int(line.split(",")[0]) for line in lines]
    assert steps == sorted(set(steps))
    assert steps[-1] == again.steps[-1]
    assert again.n_frames - 2 <= len(steps) <= again.n_frames


def n_lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


@contextmanager
def started(model: Path) -> Iterator[subprocess.Popen[str]]:
    start = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from kgdyn.cli.app import app; app()"
    )
    with (
        subprocess.Popen(
            [sys.executable, "-c", start, *arguments(model, "states.h5", "--csv", "states.csv")],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
        ended(process),
    ):
        yield process


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[None]:
    """Whatever happens, the process does not outlive the test."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.kill()


def wait_until(is_true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 900
    while not is_true():
        assert process.poll() is None, process.stdout.read() if process.stdout else ""
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--policy", "wait"], "policy must be block or drop_oldest, received 'wait'"),
        (["--until", "soon"], "condition must be like"),
        (["--lagtimes", "1,x"], "lagtimes must be numbers of frames, received '1,x'"),
        (["--wait"], "wait is for --write-back"),
        (["--var", "T"], "var must be NAME=VALUE, received 'T'"),
        (["--model", "none.keras"], "model: there is no file none.keras"),
        (["--log", "none/log"], "LAMMPS does not start: an argument that it does not know"),
    ],
)
def test_wrong_arguments_are_told_before_anything_starts(
    change: list[str], message: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "in.lammps").write_text(SETUP + "run 10\n")
    (folder / "model.keras").touch()
    result = run_command([*arguments(folder / "model.keras", "states.h5"), *change])
    assert result.exit_code == 1
    assert message in result.output
    assert not (folder / "states.h5").exists()


@pytest.mark.slow
def test_a_script_without_dynamics_or_with_other_elements_is_an_error(
    model: Path, folder: Path
) -> None:
    (folder / "in.lammps").write_text(SETUP)
    result = run_command(arguments(model, "states.h5"))
    assert result.exit_code == 1
    assert "in.lammps: came to its end without a run of dynamics" in result.output
    (folder / "in.lammps").write_text(SETUP + "run 10\n")
    result = run_command([*arguments(model, "states.h5"), "--elements", "Li,O"])
    assert result.exit_code == 1
    assert "LAMMPS type 2 has mass 32.06 g/mol, but O has 15.999" in result.output
    assert not (folder / "states.h5").exists()
