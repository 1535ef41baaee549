"""The live screen: the right numbers at any width, drawn seldom; log lines without a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from kgdyn.cli._live_screen import LiveScreen, SourceStatus
from kgdyn.frames import TargetGroups
from kgdyn.koopman import Convergence, RunningKoopman
from kgdyn.live import LiveFrame, LiveStates, StreamInfo

LAGTIMES = (1, 2, 5)
N_TARGETS = 3
SECONDS_A_FRAME = 0.0625  # without rounding
STEPS_A_FRAME = 100
INTERVAL = 0.1  # ps


class Clock:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """A screen, its output, and the stream that it is shown."""

    def __init__(
        self,
        width: int = 80,
        height: int = 24,
        *,
        terminal: bool = True,
        interval: float | None = INTERVAL,
        n_states: int = 2,
        **options: object,
    ) -> None:
        self.clock, self.n_states = Clock(), n_states
        self.output = io.StringIO()
        console = Console(
            file=self.output,
            width=width,
            height=height,
            force_terminal=terminal,
            color_system=None,
            legacy_windows=False,
            _environ={},
        )
        self.screen = LiveScreen(
            "kgdyn monitor in.lammps",
            LAGTIMES,
            console=console,
            clock=self.clock,
            **options,  # type: ignore[arg-type]
        )
        targets = TargetGroups.from_indices(range(N_TARGETS))
        species = np.full(N_TARGETS, 3)
        info = StreamInfo("in.lammps", species, True, targets, interval, STEPS_A_FRAME)
        self.statistics = RunningKoopman(n_states, N_TARGETS, LAGTIMES, frame_interval=interval)
        self.screen.open(info, n_states, self.statistics)
        self.n_frames = 0

    def feed(self, labels: np.ndarray, alarms: tuple[int, ...] = ()) -> None:
        """Frames of crisp states, (n_frames, n_targets)."""
        for row in labels:
            step = STEPS_A_FRAME * self.n_frames
            self.clock.now += SECONDS_A_FRAME
            novelty = None if not alarms else np.array([0.2, 1.7, 0.3], np.float32)
            states = LiveStates(
                np.eye(self.n_states, dtype=np.float32)[row],
                step,
                None if self.statistics.frame_interval is None else INTERVAL * self.n_frames,
                self.n_frames == 0,
                novelty,
                0.0042,
                alarms,
            )
            frame = LiveFrame(np.zeros((N_TARGETS, 3)), np.eye(3), step, received=self.clock.now)
            self.statistics.update(states.state_probabilities, states.new_segment)
            self.screen.write(states, frame, self.statistics)
            self.n_frames += 1

    def ending(self) -> str:
        """What ``close`` leaves on the screen."""
        before = len(self.output.getvalue())
        self.screen.close()
        return self.output.getvalue()[before:]


def hops(rng: np.random.Generator, n_frames: int, n_states: int = 2) -> np.ndarray:
    labels = np.zeros((n_frames, N_TARGETS), int)
    for frame in range(1, n_frames):
        moves = rng.random(N_TARGETS) < 0.1
        labels[frame] = np.where(moves, rng.integers(n_states, size=N_TARGETS), labels[frame - 1])
    return labels


@pytest.mark.parametrize("width", [80, 120, 50])
def test_the_picture_shows_the_numbers_of_the_statistics(
    width: int, rng: np.random.Generator
) -> None:
    status = SourceStatus(queued=3, queue_size=16, n_dropped=7, overhead=0.0123)
    goal = Convergence("timescale 1", 0.1)
    stage = Stage(width, status=lambda: status, until=goal)
    stage.feed(hops(rng, 300))
    stage.screen.end("done")
    text = stage.ending()
    statistics = stage.statistics
    assert max(len(line.rstrip()) for line in text.splitlines() if "\x1b" not in line) <= width
    for number in ("step 29,900", "29.9 ps", "300 frames", "7 dropped", "queue 3 of 16"):
        assert number in text
    # 100 steps of 1 fs in 62.5 ms.
    assert "1,600 steps/s" in text
    assert "138.2 ns/day" in text
    assert "hand-over 1.23%" in text
    assert "latency 4.2 ms" in text
    bounds = statistics.populations()
    for state in range(2):
        assert f"{100 * statistics.mean_probabilities[state]:.2f}%" in text
        lower, upper = 100 * bounds.lower[state], 100 * bounds.upper[state]
        assert f"{lower:.4g} to {upper:.4g}%" in text
    for lagtime in LAGTIMES:
        model = statistics.koopman_model(lagtime)
        interval = model.timescales_interval
        assert interval is not None
        time = f"{model.timescales_ps()[0]:.4g} [{interval.lower[0]:.4g} to {interval.upper[0]:.4g}"
        assert time in text
    assert "CK test at 0.1 ps, to 0.5 ps" in text
    words = " ".join(text.replace("│", " ").split())
    assert " ".join(goal.describe(statistics).split()) in words
    assert text.rstrip().splitlines()[-1 if width < 64 else -2].strip("│ ") == "done"
    assert ("█" in text) == (width > 60)


def test_departures_are_counted_by_state_a_nanosecond_and_target() -> None:
    stage = Stage()
    labels = np.zeros((101, N_TARGETS), int)
    labels[50:60, 0] = 1  # leaves state 1 once, and state 2 once, in 10 ps of three targets
    labels[70:, 1] = 1  # leaves state 1
    stage.feed(labels)
    rows = [line for line in stage.ending().splitlines() if "■" in line]
    found = [float(row.strip("│ ").split()[-1]) for row in rows]
    np.testing.assert_allclose(found, [2 / 0.03, 1 / 0.03], rtol=1e-3)


def test_a_bar_is_as_long_as_the_population() -> None:
    stage = Stage(120)
    labels = np.zeros((1000, N_TARGETS), int)
    labels[::4] = 1
    stage.feed(labels)
    first, second = (line for line in stage.ending().splitlines() if "■" in line)
    assert abs((first.count("█") + first.count("▓") / 2) / 30 - 0.75) < 0.04
    assert abs((second.count("█") + second.count("▓") / 2) / 30 - 0.25) < 0.04


def test_it_is_drawn_at_most_four_times_a_second(rng: np.random.Generator) -> None:
    stage = Stage()
    stage.feed(hops(rng, 200))  # 12.5 s
    drawn = stage.output.getvalue().count("kgdyn monitor")
    assert 45 <= drawn <= 51
    # Frames without time in between are not drawn, but counted.
    stage.clock.now -= 1e6
    stage.feed(hops(rng, 20))
    assert stage.output.getvalue().count("kgdyn monitor") == drawn
    assert "220 frames" in stage.ending()


def test_costly_statistics_are_read_seldom(rng: np.random.Generator) -> None:
    stage = Stage()
    read: list[float] = []
    honest = stage.statistics.koopman_model

    def costly(lagtime: int) -> object:
        read.append(stage.clock.now)
        stage.clock.now += 0.3
        return honest(lagtime)

    stage.statistics.koopman_model = costly  # type: ignore[method-assign, assignment]
    began = stage.clock.now
    stage.feed(hops(rng, 1200))
    passed = stage.clock.now - began
    assert 3 <= len(read) <= 0.035 * passed / 0.3 + 1


@pytest.mark.parametrize(("height", "shown"), [(24, 8), (14, 1)])
def test_a_low_screen_is_never_overflown(height: int, shown: int, rng: np.random.Generator) -> None:
    stage = Stage(80, height, n_states=8)
    stage.feed(hops(rng, 100, 8))
    last = stage.output.getvalue().split("kgdyn monitor in.lammps")[-1]
    assert len(last.splitlines()) <= height
    assert shown <= last.count("■") <= 8
    # At the end all rows are left.
    assert stage.ending().count("■") == 8


def test_without_a_terminal_there_is_a_line_now_and_then(rng: np.random.Generator) -> None:
    stage = Stage(terminal=False, log_every=2.0)
    stage.feed(hops(rng, 80))  # 5 s
    lines = stage.output.getvalue().splitlines()
    assert len(lines) == 2
    assert "\x1b" not in stage.output.getvalue()
    # At the 32nd frame 2 s have passed.
    assert lines[0].startswith("step 3,100, 3.1 ps, 1,600 steps/s, ")
    assert "populations " in lines[0]
    assert "timescales at 0.5 ps: " in lines[0]
    stage.screen.end("done")
    text = stage.ending()
    assert "80 frames" in text
    assert "done" in text


def test_quiet_shows_the_last_picture_only(rng: np.random.Generator) -> None:
    stage = Stage(quiet=True, log_every=1.0)
    stage.feed(hops(rng, 100))
    assert stage.output.getvalue() == ""
    assert "100 frames" in stage.ending()
    assert stage.ending() == ""  # closing twice shows it once


def test_alarms_are_told_with_step_and_target(rng: np.random.Generator) -> None:
    stage = Stage(120)
    stage.feed(hops(rng, 30))
    stage.feed(hops(rng, 2), alarms=(1,))
    words = " ".join(stage.ending().replace("│", " ").split())
    assert "never saw in 2 of 2 frames; last: step 3,100, target 1 (from 0), 1.7 times" in words


def test_times_are_in_frames_where_nobody_knows_them(rng: np.random.Generator) -> None:
    stage = Stage(interval=None)
    stage.feed(hops(rng, 300))
    text = stage.ending()
    assert "lag (frames)" in text
    assert "ns/day" not in text
    time = stage.statistics.koopman_model(5).timescales()[0]
    assert f"{time:.4g} [" in text


def test_the_terminal_is_itself_again_after_an_error(rng: np.random.Generator) -> None:
    stage = Stage()
    stage.feed(hops(rng, 20))

    def fail() -> None:
        with stage.screen:
            raise RuntimeError("in the run")

    with pytest.raises(RuntimeError, match="in the run"):
        fail()
    assert stage.output.getvalue().count("\x1b[?25l") == 1  # the cursor was hidden
    assert stage.output.getvalue().count("\x1b[?25h") == 1  # and is shown


def test_a_console_without_unicode_gets_ascii(rng: np.random.Generator, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="ascii") as file:
        console = Console(file=file, width=100, legacy_windows=False, _environ={})
        stage = Stage(terminal=False)
        stage.screen.console = console
        stage.feed(hops(rng, 100))
        stage.screen.close()
    assert "# 1" in (tmp_path / "log").read_text(encoding="ascii")


def test_log_every_must_be_positive() -> None:
    with pytest.raises(ValueError, match="log_every must be positive, received 0"):
        LiveScreen("", LAGTIMES, log_every=0)
