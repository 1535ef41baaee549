"""Watch the two sites of a lithium ion in a sulfur lattice while LAMMPS runs.

Run it with ``python examples/monitor_li_in_fcc_sulfur.py FOLDER [--small]``. It trains a model on
a first run (unless FOLDER holds one already), writes an input script for a second one, follows
that with ``kgdyn monitor`` until its timescale is known to 10%, and prints the Koopman matrix of
what was seen. ``--small`` takes a minute and shows only that all of it works.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import keras
from kgdyn.integrations.lammps import simulate_li_fcc_s

import kgdyn
from kgdyn.cli.app import app
from kgdyn.live import read_states
from kgdyn.toys import LiInFccSulfur


def trained_model(folder: Path, small: bool) -> Path:
    """As in li_in_fcc_sulfur.py, in short."""
    path = folder / "model.keras"
    if path.is_file():
        return path
    system = LiInFccSulfur(duration=2.0 if small else 20.0, seed=1)
    topology, coordinates = simulate_li_fcc_s(system, folder)
    run = kgdyn.open_trajectory(
        coordinates,
        topology=topology,
        elements=["Li", "S"],
        targets="type 1",
        frame_interval=system.frame_interval,
    )
    keras.utils.set_random_seed(0)
    model = kgdyn.GDyNet(2, run.elements, n_neighbors=12, lagtime=100, frame_interval=0.1)
    model.compile(keras.optimizers.Adam(2e-3), loss=kgdyn.VAMP2Loss())
    pairs = kgdyn.pairs_dataset([run], lagtime=100, n_neighbors=12, stride=2)
    model.fit(pairs, epochs=1 if small else 8, verbose=2)
    model.save(path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true", help="a run of 50 ps, 1 epoch")
    arguments = parser.parse_args()
    folder = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    model = trained_model(folder, arguments.small)

    # Another seed: a run that the model has not seen. Any input script of LAMMPS will do.
    system = LiInFccSulfur(duration=0.05 if arguments.small else 60.0, seed=2)
    script = folder / "in.lammps"
    script.write_text(f"{system.input_script()}run {system.n_steps}\n")

    # What follows is `kgdyn monitor in.lammps --model model.keras ...` of the command line.
    command = [
        *["monitor", str(script), "--model", str(model)],
        *["--targets", "element Li", "--elements", "Li,S"],
        *["--every", str(system.steps_per_frame), "--lagtimes", "100,10,20,50,200,500"],
        *["--until", "timescale 1 < 10%"],
        *["--output", str(folder / "states.h5"), "--log", str(folder / "log.lammps")],
    ]
    app(command, standalone_mode=False)

    # The file can also be read while it is written.
    states = read_states(folder / "states.h5")
    lagtime = 10 if arguments.small else 100
    koopman = kgdyn.estimate_koopman_model(
        states.segments, lagtime=lagtime, frame_interval=states.frame_interval
    )
    print(states)
    print(koopman)
    print(koopman.koopman_matrix.round(4))


if __name__ == "__main__":
    main()
