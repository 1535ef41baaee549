"""Make live_screen.svg: python docs/images/make_live_screen.py MODEL [N_FRAMES].

MODEL is the model.keras of `kgdyn demo`. Its system is simulated once more and monitored; the
picture is the screen after so many frames, 4000 if not given.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from kgdyn.integrations.lammps import StateMonitor, new_lammps
from rich.console import Console

from kgdyn.cli._live_screen import LiveScreen, SourceStatus
from kgdyn.cli._live_view import LiveView
from kgdyn.koopman import Convergence
from kgdyn.plots._style import state_color
from kgdyn.toys import LiInFccSulfur

EVERY = 5000  # steps of 1 fs
LAGTIMES = (2, 1, 4, 6, 10, 20)  # frames
WIDTH = 80


def main(model: str, n_frames: int) -> None:
    lmp = new_lammps()
    lmp.commands_string(LiInFccSulfur(seed=3).input_script())
    until = Convergence.parse("timescale 1 < 10%")
    screen = LiveScreen(
        "kgdyn monitor in.lammps", LAGTIMES, until=until, console=Console(file=io.StringIO())
    )
    monitor = StateMonitor(
        model, "element Li", ["Li", "S"], EVERY, lagtimes=LAGTIMES, until=until, sinks=[screen]
    )
    screen.status = lambda: SourceStatus(
        monitor.counts.waiting,
        16,
        monitor.counts.dropped,
        monitor.handover_seconds / max(screen.numbers.elapsed, 1e-9),
    )
    with monitor.attach(lmp):
        monitor.run(EVERY * n_frames)
    lmp.close()
    save(screen, Path(__file__).with_name("live_screen.svg"))


def save(screen: LiveScreen, path: Path) -> None:
    console = Console(
        record=True,
        file=io.StringIO(),
        width=WIDTH,
        force_terminal=True,
        color_system="truecolor",
    )
    colors = [state_color(0), state_color(1)]
    console.print(LiveView(screen.numbers, colors, whole=True, framed=False))
    picture = console.export_svg(title=screen.numbers.title)
    # The font is not fetched from anywhere: the reader's own monospaced one serves.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    path.write_text(picture.replace("font-family: Fira Code", "font-family: 'DejaVu Sans Mono'"))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 4000)
