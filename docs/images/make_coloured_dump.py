"""Make coloured_dump.png: python docs/images/make_coloured_dump.py MODEL [NS].

MODEL is the model.keras of `kgdyn demo`. Its system runs with a monitor that gives LAMMPS' atoms
their states; LAMMPS' own dump of them is drawn: where lithium was, coloured by state, 5 ns if not
given.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from kgdyn.integrations.lammps import StateMonitor, new_lammps
from numpy.typing import NDArray

from kgdyn.plots._style import state_color
from kgdyn.toys import LiInFccSulfur

EVERY = 1000  # steps of 1 fs
EDGE = 6.5  # angstrom


def dumped(model: str, duration: float, path: Path) -> None:
    lmp = new_lammps()
    lmp.commands_string(LiInFccSulfur(seed=3).input_script())
    monitor = StateMonitor(model, "element Li", ["Li", "S"], EVERY, write_back="wait")
    with monitor.attach(lmp):
        lmp.command(f"dump states all custom {EVERY} {path} id type x y z i_kgdyn_state")
        lmp.command("dump_modify states sort id first no")
        lmp.command(f"run {round(duration * 1e6)}")
    lmp.close()


def rows_of(path: Path) -> NDArray[np.float64]:
    """(n_frames, 5, 6): id, type, x, y, z and state of each atom."""
    lines = [line for line in path.read_text().splitlines() if line.count(" ") == 5]
    rows = [line.split() for line in lines if not line.startswith("ITEM")]
    return np.array(rows, float).reshape(-1, 5, 6)


def main(model: str, duration: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "states.lammpstrj"
        dumped(model, duration, path)
        rows = rows_of(path)
    li, sulfur = rows[1:, 0], rows[0, 1:, 2:5]
    images = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1]), axis=-1).reshape(-1, 3) * EDGE
    lattice = np.unique(np.round(sulfur[:, None] + images, 3).reshape(-1, 3), axis=0)
    lattice = lattice[(lattice <= EDGE + 1e-3).all(axis=1)]

    figure = plt.figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.add_subplot(projection="3d", computed_zorder=False)
    axes.scatter(*lattice.T, s=90, color="0.75", edgecolors="0.5", linewidths=0.5)
    for state in (0, 1):
        here = li[li[:, 5] == state, 2:5] % EDGE
        label = f"state {state + 1}: {100 * len(here) / len(li):.1f}%"
        axes.scatter(*here.T, s=5, color=state_color(state), alpha=0.6, linewidths=0, label=label)
    axes.legend(loc="upper left", markerscale=4, frameon=False)
    axes.set(xlabel="x (angstrom)", ylabel="y", zlabel="z", box_aspect=(1, 1, 1))
    axes.view_init(elev=18, azim=-62)
    figure.savefig(Path(__file__).with_name("coloured_dump.png"), dpi=130)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 5.0)
